"""TID2013: 3,000 distorted pictures, 25 references × 24 types × 5 levels, labelled in two plain text files."""

from __future__ import annotations

import re
from typing import ClassVar

from bench.core.errors import DataError
from bench.data.dataset import Dataset, DatasetSource
from bench.data.labels.columns import read_words
from bench.data.labels.match import Labels, Row, assemble, label_file
from bench.data.labels.tree import find_tree

TYPES = (
    "additive_noise",
    "colour_noise",
    "spatially_correlated_noise",
    "masked_noise",
    "high_frequency_noise",
    "impulse_noise",
    "quantization_noise",
    "gaussian_blur",
    "denoised",
    "jpeg",
    "jpeg2000",
    "jpeg_transmission",
    "jpeg2000_transmission",
    "non_eccentricity_pattern",
    "local_blocks",
    "mean_shift",
    "contrast",
    "saturation",
    "multiplicative_noise",
    "comfort_noise",
    "noisy_compression",
    "colour_quantization",
    "chromatic_aberration",
    "sparse_sampling",
)
"""The 24 types in the order of their numbers, which start at 1."""

_NAME = re.compile(r"i(?P<reference>\d\d)_(?P<type>\d\d)_(?P<level>[1-5])\.bmp", re.IGNORECASE)


class Tid2013(DatasetSource):
    """TID2013: 24 distortions at five levels; MOS from 0 to 9, higher is better."""

    name = "tid2013"
    title: ClassVar[str] = "TID2013"
    images: ClassVar[int] = 3000
    groups: ClassVar[int] = 25
    score_range: ClassVar[tuple[float, float]] = (0.242, 7.2143)
    kind: ClassVar[str] = "synthetic"
    tells: ClassVar[tuple[str, ...]] = ("distortion", "originals")
    folders: ClassVar[tuple[str, ...]] = ("tid2013", "TID2013")
    obtain: ClassVar[str] = "the TID2013 page of its authors (Ponomarenko and others)"
    layout: ClassVar[str] = "tid2013/{reference_images,distorted_images}/, mos_with_names.txt and mos_std.txt"

    def load(self) -> Dataset:
        """All distorted pictures; names are found whatever their case on disk."""
        return assemble(self, self.labels())

    def labels(self) -> Labels:
        """`<mos> <name>` a line; the standard deviations stand in the same order in a file of their own."""
        tree = find_tree(self.name, self.place.path, [("distorted_images",)], self.layout, self.obtain)
        sheet = read_words(self.name, label_file(self, tree, "mos_with_names.txt"), ("mos", "name"))
        spread = read_words(self.name, label_file(self, tree, "mos_std.txt"), ("std",))
        if len(spread) != len(sheet):
            raise DataError(
                f"{self.name}: {spread.path} has {len(spread)} rows where {sheet.path.name} has {len(sheet)}."
            )
        scores, stds, rows = sheet.numbers_of("mos", *self.score_range), spread.deviations("std"), []
        for i, name in enumerate(sheet.names("name")):
            parsed = _NAME.fullmatch(name)
            if parsed is None or not 1 <= int(parsed["type"]) <= len(TYPES):
                raise sheet.wrong(i, f"{name!r} is not of the form iXX_YY_Z.bmp")
            kind, reference = TYPES[int(parsed["type"]) - 1], f"i{parsed['reference']}"
            image = f"distorted_images/{name}"
            rows.append(Row(image, scores[i], sheet.where(i), reference, stds[i], kind, int(parsed["level"])))
        originals = {row.group: f"reference_images/{row.group}.bmp" for row in rows}
        return Labels(tree, rows, sheet, grouped=True, complete=("distorted_images",), originals=originals)
