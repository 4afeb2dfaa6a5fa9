"""Any folder of pictures with a csv or xlsx of scores: people's own data, configured in bench.toml."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from bench.core.errors import UsageError
from bench.core.files import expanded
from bench.data.dataset import Dataset, DatasetSource
from bench.data.labels.columns import Sheet, read_csv
from bench.data.labels.match import Labels, Row, assemble, label_file
from bench.data.labels.tree import Tree, find_tree
from bench.data.labels.workbooks import read_xlsx
from bench.data.synthesis.folders import is_as_made
from bench.data.synthesis.human_cells import NO_OPINIONS

PLAIN = {"csv": "labels.csv", "image": "image", "score": "score", "group": "", "std": "", "images": ""}
MADE = {"csv": "dmos.csv", "image": "dist_img", "score": "dmos", "group": "photo", "std": "", "images": "images"}
"""What holds where bench.toml says nothing: for a folder of one's own, and for one of `bench data synthesize`."""


class Folder(DatasetSource):
    """A folder of one's own: a csv or xlsx with a column of pictures, one of scores, and perhaps one of contents.

    `[data.NAME]` with `loader = "folder"`, `path`, and where they differ from the defaults: `csv` ("labels.csv"),
    `image`, `score`, `group`, `std` (column names), `higher_is_better`, `images` (a folder below `path`), `title`.
    An absolute `csv` or `images` may lie anywhere. A folder that `bench data synthesize` made needs none of them.
    """

    name = "folder"
    title: ClassVar[str] = "own pictures"
    kind: ClassVar[str] = "authentic"
    settings: ClassVar[Mapping[str, str]] = {
        "csv": "The csv or xlsx with the scores, below `path` or anywhere (labels.csv).",
        "image": "Its column of pictures (image).",
        "score": "Its column of scores (score).",
        "group": "Its column of contents: pictures of one content stay on one side of a split. Without it each picture "
        "is a content of its own.",
        "std": "Its column of the opinions' standard deviations.",
        "opinions": "How many opinions a score is the mean of; with `std` tables say how well it could be predicted.",
        "higher_is_better": "false where a high score is a bad one (true).",
        "images": "The pictures' folder, below `path` or anywhere, where the column's names begin there.",
    }

    def load(self) -> Dataset:
        """The labelled pictures; others in the folder are left alone."""
        return replace(assemble(self, self.labels()), opinions=self._opinions())

    def labels(self) -> Labels:
        """Columns as configured; with `group`, pictures of one content never stand on both sides of a split."""
        wished = self._path("csv", "")
        marks = [] if Path(wished).is_absolute() else [(wished,) if wished else (PLAIN["csv"], MADE["csv"])]
        tree = find_tree(self.name, self.place.path, marks, self.expected(), self.obtain)
        known = MADE if not wished and tree.file(PLAIN["csv"]) is None else PLAIN
        image, score, group, std = (
            self._text(setting, known[setting]) for setting in ("image", "score", "group", "std")
        )
        below = self._path("images", known["images"])
        file = self._file(tree, wished or known["csv"])
        sheet = self._read(file, [name for name in (image, score, group, std) if name])
        if Path(below).is_absolute():
            tree, below = find_tree(self.name, Path(below), [], self.expected(), self.obtain), ""
        names, scores = sheet.names(image, below=tree.path(below)), sheet.numbers_of(score)
        groups = sheet.text(group) if group else names
        stds = sheet.deviations(std) if std else [float("nan")] * len(sheet)
        rows = [
            Row(f"{below.strip('/')}/{name}" if below else name, scores[i], sheet.where(i), groups[i], stds[i])
            for i, name in enumerate(names)
        ]
        turn = None if self._higher_is_better() else (min(scores), max(scores))
        notes = (NO_OPINIONS,) if score == MADE["score"] and is_as_made(file) else ()
        return Labels(tree, rows, sheet, grouped=bool(group), turn=turn, notes=notes)

    def expected(self) -> str:
        """The file, the columns and the folder as they are configured."""
        file, image, score = (self._text(setting, PLAIN[setting]) for setting in ("csv", "image", "score"))
        start = self._text("images", "") or "FOLDER"
        where = file if Path(file).is_absolute() else f"FOLDER/{file}"
        return f"{where} with the columns {image} and {score}, the pictures named from {start} on"

    def _higher_is_better(self) -> bool:
        value: Any = self.place.options.get("higher_is_better", True)
        if not isinstance(value, bool):
            raise UsageError(f"[data.{self.name}] higher_is_better must be true or false, not {value!r}.")
        return value

    def _opinions(self) -> float:
        value: Any = self.place.options.get("opinions", 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
            raise UsageError(f"[data.{self.name}] opinions must be a number, not {value!r}.")
        return float(value)

    def _file(self, tree: Tree, file: str) -> Path:
        return Path(file) if Path(file).is_absolute() else label_file(self, tree, file)

    def _read(self, path: Path, columns: list[str]) -> Sheet:
        return read_xlsx(self.name, path, columns) if path.suffix.lower() == ".xlsx" else read_csv(self.name, path)

    def _path(self, setting: str, default: str) -> str:
        """A setting that names a file or a folder, with "/" between folders as label files have it."""
        text = self._text(setting, default)
        whole = expanded(text)
        if whole.is_absolute():
            return str(whole)
        text = text.replace("\\", "/")
        if ".." in Path(text).parts and self.place.path is not None:  # no listing of the folder holds it
            return str((self.place.path / text).resolve())
        return text

    def _text(self, setting: str, default: str) -> str:
        value: Any = self.place.options.get(setting, default)
        if not isinstance(value, str):
            raise UsageError(f"[data.{self.name}] {setting} must be a text, not {value!r}.")
        return value
