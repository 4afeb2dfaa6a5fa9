"""BID, the Blurred Image Database: 586 photographs, labelled in a workbook by their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from bench.core.errors import DataError
from bench.data.dataset import Dataset, DatasetSource
from bench.data.labels.columns import Sheet
from bench.data.labels.match import Labels, Row, assemble, label_file, pictures_by_name
from bench.data.labels.tree import Tree, find_tree
from bench.data.labels.workbooks import read_xlsx_by_place

GRADES = ("DatabaseGrades.xlsx", "DatabaseGrades.xls")


class Bid(DatasetSource):
    """BID: photographs with real blur, as people took them; MOS from 0 to 5, higher is better."""

    name = "bid"
    title: ClassVar[str] = "BID"
    images: ClassVar[int] = 586
    score_range: ClassVar[tuple[float, float]] = (0.0, 5.0)
    kind: ClassVar[str] = "authentic"
    folders: ClassVar[tuple[str, ...]] = ("BID", "bid")
    obtain: ClassVar[str] = (
        "its authors (Ciancio, da Costa and others, Rio de Janeiro), or the link on UNIQUE's GitHub page"
    )
    layout: ClassVar[str] = "BID/DatabaseGrades.xlsx, and BID/ImageDatabase/DatabaseImage0001.JPG … (or BID/*.JPG)"

    def load(self) -> Dataset:
        """All photographs."""
        return assemble(self, self.labels())

    def labels(self) -> Labels:
        """The first column is a photograph's number, the second its mean grade; what follows is not read."""
        tree = find_tree(self.name, self.place.path, [GRADES], self.layout, self.obtain)
        sheet = read_xlsx_by_place(self.name, self._grades(tree), ("number", "mos"))
        scores = sheet.numbers_of("mos", *self.score_range)
        names = [_name(sheet, i, number) for i, number in enumerate(sheet.numbers_of("number", 1, 9999))]
        pictures = pictures_by_name(self, tree, names)
        rows = [Row(pictures.paths[i], scores[i], sheet.where(i), name) for i, name in enumerate(names)]
        return Labels(tree, rows, sheet, grouped=False, complete=pictures.folders, notes=pictures.notes)

    def _grades(self, tree: Tree) -> Path:
        path = label_file(self, tree, *GRADES)
        if path.suffix.lower() == ".xls":
            raise DataError(f"{self.name}: {path} is a workbook of the old format: save it as DatabaseGrades.xlsx.")
        return path


def _name(sheet: Sheet, index: int, number: float) -> str:
    if not number.is_integer():
        raise sheet.wrong(index, f"{number:g} is no photograph's number")
    return f"DatabaseImage{int(number):04}.JPG"
