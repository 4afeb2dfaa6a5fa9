"""LIVEC, the LIVE In the Wild Challenge: 1,162 photographs, labelled in three mat files."""

from __future__ import annotations

import re
from typing import ClassVar

from bench.core.errors import DataError
from bench.data.dataset import Dataset, DatasetSource
from bench.data.labels.columns import Sheet
from bench.data.labels.match import Labels, Row, assemble, label_file
from bench.data.labels.tree import find_tree
from bench.data.labels.workbooks import read_mat

_PRACTICE = re.compile(r"t\d+\.bmp", re.IGNORECASE)


class LiveC(DatasetSource):
    """LIVE In the Wild Challenge: phone photographs as people took them; MOS from 0 to 100, higher is better."""

    name = "livec"
    title: ClassVar[str] = "LIVEC"
    images: ClassVar[int] = 1162
    score_range: ClassVar[tuple[float, float]] = (3.42, 92.432)
    opinions: ClassVar[float] = 175.0
    kind: ClassVar[str] = "authentic"
    folders: ClassVar[tuple[str, ...]] = ("ChallengeDB_release", "LIVEC", "LIVE_Challenge", "livec", "CLIVE")
    obtain: ClassVar[str] = "the LIVE laboratory, University of Texas at Austin, by its request form (In the Wild)"
    layout: ClassVar[str] = (
        "ChallengeDB_release/Images/ and ChallengeDB_release/Data/All{Images,MOS,StdDev}_release.mat"
    )

    def load(self) -> Dataset:
        """All photographs; the seven practice pictures t1.bmp … t7.bmp at the head of the list are dropped."""
        return assemble(self, self.labels())

    def labels(self) -> Labels:
        """Three mats of 1,169 entries in one order; practice pictures go by their name, never by position."""
        tree = find_tree(self.name, self.place.path, [("Images",), ("Data",)], self.layout, self.obtain)
        columns = {}
        for variable in ("AllImages_release", "AllMOS_release", "AllStdDev_release"):
            path = label_file(self, tree, f"Data/{variable}.mat")
            columns[variable] = [str(value) for value in read_mat(self.name, path, variable)]
        lengths = {variable: len(cells) for variable, cells in columns.items()}
        if len(set(lengths.values())) != 1:
            raise DataError(f"{self.name}: the mats in {path.parent} have different lengths: {lengths}.")
        listed = columns["AllImages_release"]
        rated = [i for i, name in enumerate(listed) if not _PRACTICE.fullmatch(name)]
        columns = {variable: [cells[i] for i in rated] for variable, cells in columns.items()}
        labels = label_file(self, tree, "Data/AllMOS_release.mat")
        sheet = Sheet(self.name, labels, columns, [i + 1 for i in rated], unit="entry")
        scores = sheet.numbers_of("AllMOS_release", *self.score_range)
        stds = sheet.numbers_of("AllStdDev_release", 0, 100)
        rows = [
            Row(f"Images/{name}", scores[i], sheet.where(i), name, stds[i])
            for i, name in enumerate(sheet.names("AllImages_release"))
        ]
        practice = frozenset(f"images/{name}".lower() for name in listed if _PRACTICE.fullmatch(name))
        notes = (f"{len(practice)} practice images dropped",) if practice else ()
        return Labels(tree, rows, sheet, grouped=False, complete=("Images",), unrated=practice, notes=notes)
