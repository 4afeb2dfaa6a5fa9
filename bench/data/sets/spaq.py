"""SPAQ: 11,125 smartphone photographs, labelled in a workbook."""

from __future__ import annotations

from typing import ClassVar

from bench.data.dataset import Dataset, DatasetSource
from bench.data.labels.match import Labels, Row, assemble, label_file
from bench.data.labels.tree import find_tree
from bench.data.labels.workbooks import read_xlsx

BOOK = "MOS and Image attribute scores.xlsx"


class Spaq(DatasetSource):
    """SPAQ: smartphone photographs, large and turned by their EXIF orientation; MOS on 0 to 100, higher is better."""

    name = "spaq"
    title: ClassVar[str] = "SPAQ"
    images: ClassVar[int] = 11125
    score_range: ClassVar[tuple[float, float]] = (2.0, 96.0)
    kind: ClassVar[str] = "authentic"
    folders: ClassVar[tuple[str, ...]] = ("SPAQ", "spaq")
    obtain: ClassVar[str] = "the links on SPAQ's GitHub page (Fang, Zhu and others)"
    layout: ClassVar[str] = (
        "SPAQ/TestImage/00001.jpg … 11125.jpg and SPAQ/Annotations/MOS and Image attribute scores.xlsx"
    )

    def load(self) -> Dataset:
        """All photographs."""
        return assemble(self, self.labels())

    def labels(self) -> Labels:
        """`Image name` and `MOS`; the attribute scores beside them are not used."""
        tree = find_tree(self.name, self.place.path, [("TestImage",)], self.layout, self.obtain)
        path = label_file(self, tree, f"Annotations/{BOOK}", BOOK)
        sheet = read_xlsx(self.name, path, ("Image name", "MOS"))
        scores = sheet.numbers_of("MOS", *self.score_range)
        rows = [
            Row(f"TestImage/{name}", scores[i], sheet.where(i), name)
            for i, name in enumerate(sheet.names("Image name"))
        ]
        return Labels(tree, rows, sheet, grouped=False, complete=("TestImage",))
