"""LIVE, release 2: 779 distorted pictures of 29 references, with the realigned DMOS of its authors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.core.errors import DataError, UsageError
from bench.data.dataset import Dataset, DatasetSource
from bench.data.labels.columns import Sheet
from bench.data.labels.match import Labels, Row, assemble, label_file
from bench.data.labels.tree import Tree, find_tree
from bench.data.labels.workbooks import read_mat

BLOCKS = (("jp2k", 227), ("jpeg", 233), ("wn", 174), ("gblur", 174), ("fastfading", 174))
"""The order of the 982 entries: folder, and how many of its pictures. Pictures count from 1 in each block."""
ENTRIES = 982
REALIGNED = "dmos_realigned.mat"


class Live(DatasetSource):
    """LIVE release 2: JPEG 2000, JPEG, white noise, blur and fast fading; DMOS, turned so that higher is better."""

    name = "live"
    title: ClassVar[str] = "LIVE"
    images: ClassVar[int] = 779
    groups: ClassVar[int] = 29
    score_range: ClassVar[tuple[float, float]] = (-2.64, 111.775)
    higher_is_better: ClassVar[bool] = False
    kind: ClassVar[str] = "synthetic"
    tells: ClassVar[tuple[str, ...]] = ("distortion", "originals")
    folders: ClassVar[tuple[str, ...]] = ("databaserelease2", "LIVEIQA_release2", "LIVE", "live")
    obtain: ClassVar[str] = "the LIVE laboratory, University of Texas at Austin, by its request form (release 2)"
    layout: ClassVar[str] = (
        "databaserelease2/{refimgs,jp2k,jpeg,wn,gblur,fastfading}/*.bmp, refnames_all.mat and dmos_realigned.mat"
    )
    settings: ClassVar[Mapping[str, str]] = {"scores": "realigned, as the papers use them (the default), or old."}

    def load(self) -> Dataset:
        """The distorted pictures; pristine copies are told by `orgs`, never by a DMOS of 0."""
        return assemble(self, self.labels())

    def labels(self) -> Labels:
        """Entry i of the mats is picture k of its block; `orgs` marks the 203 pristine copies among 982."""
        marks = [(folder,) for folder, _ in BLOCKS]
        tree = find_tree(self.name, self.place.path, marks, self.layout, self.obtain)
        path, variable = self._scores(tree)
        names = read_mat(self.name, label_file(self, tree, "refnames_all.mat"), "refnames_all")
        dmos, pristine = read_mat(self.name, path, variable), read_mat(self.name, path, "orgs")
        std = read_mat(self.name, path, "dmos_std") if variable == "dmos_new" else np.full(ENTRIES, np.nan)
        for what, entries in (("refnames_all", names), (variable, dmos), ("orgs", pristine), ("dmos_std", std)):
            if len(entries) != ENTRIES:
                raise DataError(f"{self.name}: {what} beside {path} has {len(entries)} entries, not {ENTRIES}.")
        files = [f"{folder}/img{k}.bmp" for folder, count in BLOCKS for k in range(1, count + 1)]
        rated = np.flatnonzero(pristine == 0)
        columns = {
            "image": [files[i] for i in rated],
            "reference": [str(names[i]) for i in rated],
            variable: [repr(float(dmos[i])) for i in rated],
        }
        sheet = Sheet(self.name, path, columns, [int(i) + 1 for i in rated], unit="entry")
        low, high = self.score_range if variable == "dmos_new" else (0.0, 120.0)
        values, references = sheet.numbers_of(variable, low, high), sheet.text("reference")
        rows = [
            Row(files[i], value, sheet.where(n), reference.lower(), float(std[i]), files[i].split("/")[0])
            for n, (i, value, reference) in enumerate(zip(rated, values, references, strict=True))
        ]
        note = () if variable == "dmos_new" else ("old DMOS of dmos.mat, not the realigned scores the papers use",)
        originals = {row.group: f"refimgs/{row.group}" for row in rows}
        return Labels(tree, rows, sheet, grouped=True, notes=note, turn=self.score_range, originals=originals)

    def _scores(self, tree: Tree) -> tuple[Path, str]:
        """Which score file, and its variable: the realigned one, or the old one where it was asked for."""
        wish = self.place.options.get("scores", "realigned")
        if wish not in ("realigned", "old"):
            raise UsageError(f'[data.{self.name}] scores is {wish!r}; it may be "realigned" or "old".')
        if wish == "old":
            return label_file(self, tree, "dmos.mat"), "dmos"
        given = self.place.path or tree.root
        if tree.file(REALIGNED) is None and given != tree.root and Tree(self.name, given).file(REALIGNED):
            tree_above = Tree(self.name, given)  # a separate download, often put beside the archive's folder
            return label_file(self, tree_above, REALIGNED), "dmos_new"
        old = "Only the old dmos.mat is here, which the papers do not use. " if tree.file("dmos.mat") else ""
        help = (
            f"{old}Get the realigned DMOS file, a separate download on the page of the LIVE laboratory's database, and "
            f'put it in that folder; to use the old scores all the same, write scores = "old" in [data.{self.name}].'
        )
        return label_file(self, tree, REALIGNED, help=help), "dmos_new"
