"""A folder of rated pictures as a set: which file holds the scores, and which of its columns are meant."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import UsageError
from bench.core.files import expanded
from bench.data.labels.columns import Sheet, alike, read_csv
from bench.data.locate import name_for
from bench.data.sets.folder import MADE, PLAIN
from bench.data.synthesis.folders import made_here

IMAGE_COLUMNS = ("image", "image_name", "filename", "file", "picture", "name", "path", "dist_img", "photo")
SCORE_COLUMNS = ("score", "mos", "rating", "quality", "mean", "dmos")
EITHER_WAY = "dmos"
"""A score column that some sets have with low scores for good pictures, and KADID-10k with high ones."""
TABLES = (".csv", ".xlsx")


@dataclass(frozen=True)
class Columns:
    """What the user says of the scores; empty where he leaves it to us."""

    labels: str = ""
    image: str = ""
    score: str = ""
    group: str = ""
    lower_is_better: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """The same as a section of bench.toml has it."""
        said: dict[str, Any] = {"csv": self.labels, "image": self.image, "score": self.score, "group": self.group}
        turned = {"higher_is_better": False} if self.lower_is_better else {}
        return {name: text for name, text in said.items() if text} | turned


def own_set(folder: Path, wish: Columns, data: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """(the set's name, its section as bench.toml would have it); one that is configured already is that one."""
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}: give the one with your pictures and their csv.")
    known = _configured(folder, data)
    if known and wish == Columns():
        return known, dict(data[known])
    file = _labels_file(folder, wish.labels)
    name = name_for(folder.resolve())
    if name in data and name == known:
        said = ", ".join(f"{setting} = {json.dumps(value)}" for setting, value in wish.settings.items())
        raise UsageError(f"bench.toml has this folder as [data.{name}]: write {said} there instead of the flags here.")
    if name in data:
        raise UsageError(f"bench.toml has another [data.{name}]: rename the folder, or use bench run -d {name}.")
    entry: dict[str, Any] = {"loader": "folder", "path": str(folder.resolve())}
    if file == MADE["csv"] and made_here(folder):  # the loader knows the columns of such a set
        return name, entry | {setting: value for setting, value in wish.settings.items() if setting != "csv"}
    entry["csv"] = file
    entry |= _columns(name, folder, file, wish)
    if wish.lower_is_better:
        entry["higher_is_better"] = False
    return name, entry


def scores_said(entry: Mapping[str, Any]) -> str:
    """Which scores a folder's entry takes, of which pictures, and which way they point, in a line."""
    known = PLAIN if "csv" in entry else MADE
    column, file, image = (entry.get(setting, known[setting]) for setting in ("score", "csv", "image"))
    rises = entry.get("higher_is_better", True)
    better = "a high score is a good picture (--lower-is-better turns it)" if rises else "a low score is a good picture"
    return f"Scores: column {column} of {Path(file).name}, pictures: column {image}; {better}."


def _configured(folder: Path, data: Mapping[str, Any]) -> str:
    """The set of bench.toml that lies in this very folder, if one does."""
    there = folder.resolve()
    for name, entry in data.items():
        path = entry.get("path") if isinstance(entry, Mapping) else None
        if isinstance(path, str) and expanded(path).resolve() == there:
            return name
    return ""


def _labels_file(folder: Path, wish: str) -> str:
    """The table of scores: the one named, else the only one there is."""
    if wish:
        path = expanded(wish)
        if not (folder / path).is_file():
            if path.is_file():
                return str(path.resolve())
            raise UsageError(f"--csv {wish}: there is no such file in {folder} or here.")
        return str((folder / path).resolve()) if ".." in path.parts else str(path)
    names = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in TABLES)
    if "labels.csv" in names:
        return "labels.csv"
    if len(names) == 1:
        return names[0]
    if not names:
        raise UsageError(
            f"{folder} has no csv or xlsx of scores. One with the columns image and score is needed, a row a picture; "
            "--csv FILE names it where it lies elsewhere."
        )
    raise UsageError(f"{folder} has several tables: {', '.join(names)}. --csv FILE says which holds the scores.")


def _columns(name: str, folder: Path, file: str, wish: Columns) -> dict[str, str]:
    """The columns that are meant: those named, else ones of usual names. A workbook's are named or the usual ones."""
    columns = {"image": wish.image, "score": wish.score, "group": wish.group}
    if file.lower().endswith(".csv") and not (wish.image and wish.score):
        sheet = read_csv(name, folder / file)
        for column, usual, flag in (
            ("image", IMAGE_COLUMNS, "--image-column"),
            ("score", SCORE_COLUMNS, "--score-column"),
        ):
            columns[column] = columns[column] or _usual(sheet, usual, file, flag)
        if alike(columns["score"]) == EITHER_WAY and not (wish.score or wish.lower_is_better):
            raise UsageError(
                f"{file} has its scores in the column {columns['score']}, which may point either way: --score-column "
                f"{columns['score']} says that a high score is a good picture, --lower-is-better that a low one is."
            )
    return {column: value for column, value in columns.items() if value}


def _usual(sheet: Sheet, usual: Sequence[str], file: str, flag: str) -> str:
    by_name = {alike(column): column for column in sheet.columns}
    for name in usual:
        if alike(name) in by_name:
            return by_name[alike(name)]
    raise UsageError(f"{file} has the columns {', '.join(sheet.columns)}: {flag} NAME says which one is meant.")
