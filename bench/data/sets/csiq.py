"""CSIQ: 866 distorted pictures of 30 references, labelled in a workbook whose header stands at row 4."""

from __future__ import annotations

import re
from typing import ClassVar

from bench.data.dataset import Dataset, DatasetSource
from bench.data.labels.columns import Sheet, read_words
from bench.data.labels.match import Labels, Row, assemble, label_file
from bench.data.labels.tree import Tree, find_tree
from bench.data.labels.workbooks import read_xlsx

KINDS = {
    "noise": ("awgn", "AWGN"),
    "jpeg": ("jpeg", "JPEG"),
    "jpeg 2000": ("jpeg2000", "jpeg2000"),
    "fnoise": ("fnoise", "fnoise"),
    "blur": ("blur", "BLUR"),
    "contrast": ("contrast", "contrast"),
}
"""The sheet's `dst_type` → the folder below dst_imgs, and the token in the file's name."""

_NAME = re.compile(r"(?:.*/)?(?P<reference>[^/.]+)\.(?P<token>[^/.]+)\.(?P<level>\d)\.png", re.IGNORECASE)


class Csiq(DatasetSource):
    """CSIQ: six distortions at four or five levels; DMOS from 0 to 1, turned so that higher is better."""

    name = "csiq"
    title: ClassVar[str] = "CSIQ"
    images: ClassVar[int] = 866
    groups: ClassVar[int] = 30
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    higher_is_better: ClassVar[bool] = False
    kind: ClassVar[str] = "synthetic"
    tells: ClassVar[tuple[str, ...]] = ("distortion", "originals")
    folders: ClassVar[tuple[str, ...]] = ("CSIQ", "csiq")
    obtain: ClassVar[str] = "the CSIQ page of its authors (Larson and Chandler): src_imgs, dst_imgs and csiq.DMOS.xlsx"
    layout: ClassVar[str] = "CSIQ/src_imgs/*.png, CSIQ/dst_imgs/<distortion>/*.png and CSIQ/csiq.DMOS.xlsx"

    def load(self) -> Dataset:
        """The rated pictures; the archive also holds some that nobody rated."""
        return assemble(self, self.labels())

    def labels(self) -> Labels:
        """The workbook; or the csiq_label.txt of research code where only that is there."""
        tree = find_tree(self.name, self.place.path, [("dst_imgs", "dst_imgs_all")], self.layout, self.obtain)
        if tree.file("csiq.DMOS.xlsx") is None and tree.file("csiq_label.txt") is not None:
            return self._from_text(tree)
        path = label_file(self, tree, "csiq.DMOS.xlsx")
        columns = ("image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos")
        sheet = read_xlsx(self.name, path, columns, sheet="all_by_image")
        scores, stds = sheet.numbers_of("dmos", *self.score_range), sheet.deviations("dmos_std")
        levels, images = sheet.numbers_of("dst_lev", 1, 5), sheet.names("image")
        rows = []
        for i, kind in enumerate(sheet.text("dst_type")):
            if kind.lower() not in KINDS:
                raise sheet.wrong(i, f"dst_type is {kind!r}, none of {', '.join(KINDS)}")
            rows.append(_row(tree, sheet, i, images[i], *KINDS[kind.lower()], int(levels[i]), scores[i], stds[i]))
        return Labels(tree, rows, sheet, grouped=True, turn=self.score_range, originals=_originals(rows))

    def _from_text(self, tree: Tree) -> Labels:
        sheet = read_words(self.name, label_file(self, tree, "csiq_label.txt"), ("image", "dmos"))
        scores, rows = sheet.numbers_of("dmos", *self.score_range), []
        tokens = {token.lower(): (folder, token) for folder, token in KINDS.values()}
        for i, name in enumerate(sheet.names("image")):
            parsed = _NAME.fullmatch(name)
            if parsed is None or parsed["token"].lower() not in tokens:
                raise sheet.wrong(i, f"{name!r} is not of the form <reference>.<distortion>.<level>.png")
            kind = tokens[parsed["token"].lower()]
            rows.append(_row(tree, sheet, i, parsed["reference"], *kind, int(parsed["level"]), scores[i]))
        return Labels(
            tree,
            rows,
            sheet,
            grouped=True,
            notes=("labels of csiq_label.txt, not of the authors' workbook",),
            turn=self.score_range,
            originals=_originals(rows),
        )


def _originals(rows: list[Row]) -> dict[str, str]:
    return {row.group: f"src_imgs/{row.group}.png" for row in rows}


def _row(
    tree: Tree,
    sheet: Sheet,
    i: int,
    image: str,
    folder: str,
    token: str,
    level: int,
    score: float,
    std: float = float("nan"),
) -> Row:
    name = f"{image}.{token}.{level}.png"
    home = f"dst_imgs/{folder}/{name}"
    path = tree.file(home, f"dst_imgs_all/{name}", f"dst_imgs/{name}")
    return Row(path or home, score, sheet.where(i), image.lower(), std, folder, level)
