"""FLIVE (PaQ-2-PiQ): 39,810 photographs from other sets, labelled in one csv; patches are not used."""

from __future__ import annotations

from typing import ClassVar

from bench.core.errors import DataError
from bench.data.dataset import NO_OFFICIAL, Dataset, DatasetSource
from bench.data.labels.columns import read_csv
from bench.data.labels.match import Labels, Row, assemble, label_file
from bench.data.labels.tree import Tree, find_tree

OFFICIAL_TEST = "labels640.csv"
OFFICIAL_VAL = ("labels=640_padded.csv", "labels<=640_padded.csv")
"""The authors' list of what they train and validate on, under the names that it goes by."""


class Flive(DatasetSource):
    """FLIVE (PaQ-2-PiQ): photographs of many sizes and sources; MOS on 0 to 100, higher is better."""

    name = "flive"
    title: ClassVar[str] = "FLIVE"
    images: ClassVar[int] = 39810
    score_range: ClassVar[tuple[float, float]] = (0.0, 94.3333)
    kind: ClassVar[str] = "authentic"
    folders: ClassVar[tuple[str, ...]] = ("FLIVE_Database", "FLIVE", "flive", "PaQ-2-PiQ", "paq2piq")
    obtain: ClassVar[str] = "the links on PaQ-2-PiQ's GitHub page (Ying and others)"
    layout: ClassVar[str] = "FLIVE/database/{voc_emotic_ava,blur_dataset,EE371R}/*.jpg and FLIVE/labels_image.csv"

    def load(self) -> Dataset:
        """All photographs; with labels640.csv there, its pictures are marked as the official test set."""
        return assemble(self, self.labels())

    def labels(self) -> Labels:
        """`name,mos` and perhaps more columns; pictures below `database/` that nobody rated are not used."""
        tree = find_tree(self.name, self.place.path, [("database",)], self.layout, self.obtain)
        sheet = read_csv(self.name, label_file(self, tree, "labels_image.csv", "database/labels_image.csv"))
        scores, names = sheet.numbers_of("mos", *self.score_range), sheet.names("name")
        test, val = self._official_test(tree, set(names)), self._official_val(tree)
        rows = []
        for i, name in enumerate(names):
            part = ("test" if name in test else "val" if name in val else "train") if test else ""
            rows.append(Row(f"database/{name}", scores[i], sheet.where(i), name, official=part))
        notes: tuple[str, ...] = ()
        if not test:
            notes = (f"{NO_OFFICIAL}: {OFFICIAL_TEST} is not there",)
        elif not val:
            notes = (f"official split: {OFFICIAL_VAL[0]} is not there, so the authors' validation part is trained on",)
        return Labels(tree, rows, sheet, grouped=False, notes=notes)

    def _official_val(self, tree: Tree) -> set[str]:
        """The pictures that the authors validate on, or nothing where their list is not there."""
        path = tree.file(*OFFICIAL_VAL, *(f"database/{file}" for file in OFFICIAL_VAL))
        if path is None:
            return set()
        sheet = read_csv(self.name, tree.path(path))
        marks = [mark.lower() for mark in sheet.text("is_valid")]
        strange = [i for i, mark in enumerate(marks) if mark not in ("true", "false")]
        if strange:
            raise sheet.wrong(strange[0], f"is_valid is {marks[strange[0]]!r}, neither true nor false")
        return {name for name, mark in zip(sheet.names("name_image"), marks, strict=True) if mark == "true"}

    def _official_test(self, tree: Tree, known: set[str]) -> set[str]:
        """The names of labels640.csv (pictures of more than 640 pixels), or nothing where it is not there."""
        path = tree.file(OFFICIAL_TEST, f"database/{OFFICIAL_TEST}")
        if path is None:
            return set()
        sheet = read_csv(self.name, tree.path(path))
        names = sheet.names("name_image" if sheet.has("name_image") else "name")
        unknown = [i for i, name in enumerate(names) if name not in known]
        if unknown and not self.place.partial:
            raise sheet.wrong(unknown[0], f"{names[unknown[0]]!r} is not in labels_image.csv")
        if len(set(names)) != len(names):
            raise DataError(f"{self.name}: {sheet.path} names a picture twice.")
        return set(names)
