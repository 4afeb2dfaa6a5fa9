"""PIPAL: the public training part, 23,200 distorted pictures of 200 references, with Elo ratings in 200 text files."""

from __future__ import annotations

import re
from typing import ClassVar

from bench.core.errors import DataError
from bench.data.dataset import Dataset, DatasetSource
from bench.data.labels.columns import Sheet, read_words
from bench.data.labels.match import Labels, Row, assemble, pictures_by_name
from bench.data.labels.tree import Tree, find_tree

LABELS, REFERENCES = "Train_Label", "Train_Ref"
_NAME = re.compile(r"(?P<reference>A\d{4})_(?P<type>\d\d)_(?P<variant>\d\d)\.bmp", re.IGNORECASE)


class Pipal(DatasetSource):
    """PIPAL: restored, super-resolved and distorted crops; Elo ratings, higher is better."""

    name = "pipal"
    title: ClassVar[str] = "PIPAL"
    images: ClassVar[int] = 23200
    groups: ClassVar[int] = 200
    score_range: ClassVar[tuple[float, float]] = (916.7, 1836.0)
    kind: ClassVar[str] = "synthetic"
    tells: ClassVar[tuple[str, ...]] = ("originals",)
    folders: ClassVar[tuple[str, ...]] = ("PIPAL", "pipal")
    obtain: ClassVar[str] = "the links on PIPAL's GitHub page (Gu, Cai and others): the training part"
    layout: ClassVar[str] = (
        "PIPAL/Train_Label/A0001.txt …, PIPAL/Train_Ref/*.bmp and PIPAL/{Distortion_1,…,Distortion_4}/*.bmp "
        "(or PIPAL/Dist_Imgs/*.bmp)"
    )

    def load(self) -> Dataset:
        """All pictures of the training part: the labels of the validation and test parts are not public."""
        return assemble(self, self.labels())

    def labels(self) -> Labels:
        """`A0001_00_00.bmp,1520.06` a line, one file a reference; the two numbers are kind and variant."""
        tree = find_tree(self.name, self.place.path, [(LABELS,)], self.layout, self.obtain)
        sheet, where = self._sheet(tree)
        scores, names = sheet.numbers_of("elo", *self.score_range), sheet.names("image")
        pictures = pictures_by_name(self, tree, names, but=(REFERENCES,))
        rows = []
        for i, name in enumerate(names):
            parsed = _NAME.fullmatch(name)
            if parsed is None:
                raise DataError(f"{self.name}: {where[i]}: {name!r} is not of the form AXXXX_YY_ZZ.bmp.")
            reference, kind = parsed["reference"].upper(), f"type_{parsed['type']}"
            rows.append(Row(pictures.paths[i], scores[i], where[i], reference, distortion=kind))
        originals = {row.group: f"{REFERENCES}/{row.group}.bmp" for row in rows}
        return Labels(
            tree, rows, sheet, grouped=True, complete=pictures.folders, notes=pictures.notes, originals=originals
        )

    def _sheet(self, tree: Tree) -> tuple[Sheet, list[str]]:
        """The lines of all label files in the order of their names, and how messages name each."""
        files = [name for name in tree.files(LABELS) if name.lower().endswith(".txt")]
        if not files:
            raise DataError(f"{self.name}: {tree.path(LABELS)} holds no label file; it comes from {self.obtain}.")
        columns: dict[str, list[str]] = {"image": [], "elo": []}
        where: list[str] = []
        for name in files:
            part = read_words(self.name, tree.path(name), ("image", "elo"), separator=",")
            part.numbers_of("elo", *self.score_range)  # so that a wrong one is named with its own file and row
            for column, cells in columns.items():
                cells += part.text(column)
            where += [part.where(i) for i in range(len(part))]
        home = tree.path(tree.folder(LABELS) or LABELS)
        return Sheet(self.name, home, columns, list(range(1, len(where) + 1)), unit="label"), where
