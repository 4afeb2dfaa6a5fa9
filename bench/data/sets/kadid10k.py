"""KADID-10k: 10,125 distorted pictures, 81 references × 25 types × 5 levels, labelled in one csv."""

from __future__ import annotations

import re
from typing import ClassVar

from bench.data.dataset import Dataset, DatasetSource
from bench.data.labels.columns import read_csv
from bench.data.labels.match import Labels, Row, assemble, label_file
from bench.data.labels.tree import find_tree

_NAME = re.compile(r"(?P<reference>I\d\d)_(?P<type>\d\d)_0(?P<level>[1-5])\.png", re.IGNORECASE)


class Kadid10k(DatasetSource):
    """KADID-10k: 25 distortions at five levels; 1 to 5, higher is better although the column is called dmos."""

    name = "kadid10k"
    title: ClassVar[str] = "KADID-10k"
    images: ClassVar[int] = 10125
    groups: ClassVar[int] = 81
    score_range: ClassVar[tuple[float, float]] = (1.0, 5.0)
    opinions: ClassVar[float] = 30.0
    kind: ClassVar[str] = "synthetic"
    tells: ClassVar[tuple[str, ...]] = ("distortion", "originals")
    folders: ClassVar[tuple[str, ...]] = ("kadid10k", "KADID-10k", "KADID10K")
    obtain: ClassVar[str] = "the KADID-10k page of the MMSP database site, University of Konstanz (kadid10k.zip)"
    layout: ClassVar[str] = "kadid10k/images/*.png (references and distorted together) and kadid10k/dmos.csv"

    def load(self) -> Dataset:
        """All distorted pictures; the 81 references lie among them and carry no label."""
        return assemble(self, self.labels())

    def labels(self) -> Labels:
        """`dist_img,ref_img,dmos,var`, where `var` holds a standard deviation: no square root is taken."""
        from bench.data.synthesis.distortions import DISTORTIONS

        kinds = {int(entry.kind): entry.key for entry in DISTORTIONS}
        tree = find_tree(
            self.name, self.place.path, [("images",), ("dmos.csv", "images/I01.png")], self.layout, self.obtain
        )
        sheet = read_csv(self.name, label_file(self, tree, "dmos.csv"))
        scores, stds = sheet.numbers_of("dmos", *self.score_range), sheet.numbers_of("var", 0, 4)
        references, rows = sheet.names("ref_img"), []
        for i, name in enumerate(sheet.names("dist_img")):
            parsed = _NAME.fullmatch(name)
            if parsed is None or int(parsed["type"]) not in kinds:
                raise sheet.wrong(i, f"{name!r} is not of the form IXX_YY_ZZ.png")
            if references[i].lower() != f"{parsed['reference']}.png".lower():
                raise sheet.wrong(i, f"ref_img is {references[i]!r} for the picture {name!r}")
            kind, level = kinds[int(parsed["type"])], int(parsed["level"])
            reference = parsed["reference"].upper()
            rows.append(Row(f"images/{name}", scores[i], sheet.where(i), reference, stds[i], kind, level))
        originals = {name.rpartition(".")[0].upper(): f"images/{name}" for name in references}
        unrated = frozenset(f"images/{name}".lower() for name in references)
        return Labels(tree, rows, sheet, grouped=True, complete=("images",), unrated=unrated, originals=originals)
