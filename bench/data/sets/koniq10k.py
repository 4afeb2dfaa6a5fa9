"""KonIQ-10k: 10,073 photographs in one or two sizes, labelled in one or both of two different csvs.

The two csvs share the column name MOS and differ in its scale: from 1 to 5 in `…_scores_and_distributions.csv`
(where MOS_zscore is on 0 to 100), on 0 to 100 in `…_distributions_sets.csv` (which has the official split).
The score here is always the one on 0 to 100; a csv whose numbers are of the other scale is refused.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import ClassVar

from bench.core.errors import DataError, UsageError
from bench.data.dataset import NO_OFFICIAL, Dataset, DatasetSource
from bench.data.labels.columns import Sheet, read_csv
from bench.data.labels.match import Labels, Row, assemble, label_file
from bench.data.labels.tree import Tree, find_tree

SETS = "koniq10k_distributions_sets.csv"
SCORES = "koniq10k_scores_and_distributions.csv"
SIZES = ("1024x768", "512x384")
_PARTS = {"training": "train", "validation": "val", "test": "test"}
_OPINIONS = 5.0
"""The largest value of the 1-to-5 scale."""


class Koniq10k(DatasetSource):
    """KonIQ-10k: photographs from Flickr; MOS on 0 to 100, higher is better."""

    name = "koniq10k"
    title: ClassVar[str] = "KonIQ-10k"
    images: ClassVar[int] = 10073
    score_range: ClassVar[tuple[float, float]] = (3.911, 88.389)
    opinions: ClassVar[float] = 120.0
    kind: ClassVar[str] = "authentic"
    folders: ClassVar[tuple[str, ...]] = ("koniq10k", "KonIQ-10k", "koniq-10k", "koniq")
    obtain: ClassVar[str] = "the KonIQ-10k page of the MMSP database site, University of Konstanz"
    layout: ClassVar[str] = (
        "koniq10k/1024x768/*.jpg or koniq10k/512x384/*.jpg, and koniq10k_distributions_sets.csv "
        "or koniq10k_scores_and_distributions.csv"
    )
    settings: ClassVar[Mapping[str, str]] = {"size": "1024x768 or 512x384; the larger one that is there if not given."}

    def load(self) -> Dataset:
        """All photographs; the larger size unless `size` says otherwise."""
        return assemble(self, self.labels())

    def labels(self) -> Labels:
        """The csv with the official split where it is there, else the other one."""
        tree = find_tree(self.name, self.place.path, [SIZES], self.layout, self.obtain)
        size = self._size(tree)
        sheet = read_csv(self.name, label_file(self, tree, SETS, SCORES))
        official = sheet.path.name.lower() == SETS
        scores = _on_0_to_100(self, sheet, "MOS" if official else "MOS_zscore")
        parts = [_part(sheet, i, cell) for i, cell in enumerate(sheet.text("set"))] if official else [""] * len(sheet)
        stds = _stds_on_0_to_100(sheet, scores)
        rows = [
            Row(f"{size}/{name}", scores[i], sheet.where(i), name, stds[i], official=parts[i])
            for i, name in enumerate(sheet.names("image_name"))
        ]
        notes = [f"pictures of {size}"]
        if not official:
            notes.append(f"{NO_OFFICIAL}: {SETS} is not there")
        return Labels(tree, rows, sheet, grouped=False, complete=(size,), notes=tuple(notes))

    def _size(self, tree: Tree) -> str:
        """Which of the two picture folders: the one asked for, else the larger one that is there."""
        wish = self.place.options.get("size", "")
        if wish and wish not in SIZES:
            raise UsageError(f"[data.{self.name}] size is {wish!r}; it may be {' or '.join(SIZES)}.")
        folder = tree.folder(wish) if wish else tree.folder(*SIZES)
        if folder is None:
            raise DataError(f"{self.name}: {tree.root} has no folder {wish}, which [data.{self.name}] size asks for.")
        return folder


def _on_0_to_100(source: DatasetSource, sheet: Sheet, column: str) -> list[float]:
    """The scores, once it is sure that the column is on 0 to 100 and not on 1 to 5."""
    values = sheet.numbers_of(column)
    if values and max(values) <= _OPINIONS:
        raise DataError(
            f"{source.name}: {sheet.path}: {column} goes from {min(values):g} to {max(values):g}, the 1-to-5 scale "
            f"of the other csv; in {sheet.path.name} it is on 0 to 100. Unpack the authors' own csv again."
        )
    if column == "MOS_zscore" and sheet.has("MOS") and max(sheet.numbers_of("MOS"), default=math.nan) > _OPINIONS:
        raise DataError(f"{source.name}: {sheet.path}: MOS is not on 1 to 5, as it is in the authors' {SCORES}.")
    return sheet.numbers_of(column, *source.score_range)


def _stds_on_0_to_100(sheet: Sheet, scores: Sequence[float]) -> list[float]:
    """The opinions' standard deviations, which both csvs have on 1 to 5, on the scores' scale; NaN without counts."""
    counts = [f"c{grade}" for grade in range(1, 6)]
    if len(scores) < 2 or not all(map(sheet.has, (*counts, "SD"))):
        return [math.nan] * len(scores)
    given = list(zip(*(sheet.numbers_of(name, 0) for name in counts), strict=True))
    means = [sum(i * c for i, c in enumerate(of_one, 1)) / max(sum(of_one), 1) for of_one in given]
    spread = statistics.pstdev(means)
    step = statistics.pstdev(scores) / spread if spread else math.nan
    return [step * value for value in sheet.numbers_of("SD", 0, 2.5)]


def _part(sheet: Sheet, index: int, cell: str) -> str:
    if cell not in _PARTS:
        raise sheet.wrong(index, f"set is {cell!r}, none of {', '.join(_PARTS)}")
    return _PARTS[cell]
