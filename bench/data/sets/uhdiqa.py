"""UHD-IQA: 6,073 photographs of 3,840 pixels per row, labelled in one csv with the authors' split."""

from __future__ import annotations

from typing import ClassVar

from bench.data.dataset import Dataset, DatasetSource
from bench.data.labels.columns import Sheet, read_csv
from bench.data.labels.match import Labels, Row, assemble, label_file, pictures_by_name
from bench.data.labels.tree import find_tree

BOOK = "uhd-iqa-metadata.csv"
_PARTS = {"training": "train", "validation": "val", "test": "test"}


class UhdIqa(DatasetSource):
    """UHD-IQA: popular photographs from Pixabay, rated by experts; MOS on 0 to 1, higher is better."""

    name = "uhdiqa"
    title: ClassVar[str] = "UHD-IQA"
    images: ClassVar[int] = 6073
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    kind: ClassVar[str] = "authentic"
    folders: ClassVar[tuple[str, ...]] = ("UHD-IQA-database", "UHD-IQA", "uhd-iqa", "UHDIQA", "uhdiqa")
    obtain: ClassVar[str] = "the UHD-IQA page of the MMSP database site, University of Konstanz: pictures and metadata"
    layout: ClassVar[str] = (
        "UHD-IQA-database/{training,validation,test}/*.jpg and UHD-IQA-database/uhd-iqa-metadata.csv"
    )

    def load(self) -> Dataset:
        """All photographs, each marked with the part of the official split it is in."""
        return assemble(self, self.labels())

    def labels(self) -> Labels:
        """`image_name`, `quality_mos` and `set`; popularity and tags are not used."""
        tree = find_tree(self.name, self.place.path, [(BOOK,)], self.layout, self.obtain)
        sheet = read_csv(self.name, label_file(self, tree, BOOK))
        scores, names = sheet.numbers_of("quality_mos", *self.score_range), sheet.names("image_name")
        parts = [_part(sheet, i, cell) for i, cell in enumerate(sheet.text("set"))]
        pictures = pictures_by_name(self, tree, names)
        rows = [
            Row(pictures.paths[i], scores[i], sheet.where(i), name, official=parts[i]) for i, name in enumerate(names)
        ]
        return Labels(tree, rows, sheet, grouped=False, complete=pictures.folders, notes=pictures.notes)


def _part(sheet: Sheet, index: int, cell: str) -> str:
    if cell not in _PARTS:
        raise sheet.wrong(index, f"set is {cell!r}, none of {', '.join(_PARTS)}")
    return _PARTS[cell]
