"""A csv of picture and score that somebody else's model made, matched to a set's pictures; every doubt is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.core.errors import DataError
from bench.core.progress import counted
from bench.data.labels.columns import Sheet, read_csv
from bench.data.labels.naming import Naming

if TYPE_CHECKING:
    from bench.data.dataset import Dataset

SHOWN = 5
"""How many names a message lists."""


@dataclass(frozen=True)
class Scores:
    """What a csv says of a set's pictures: one number per row of the set's table, NaN where it has none."""

    values: np.ndarray
    unknown: tuple[str, ...]
    """Names in the csv that are no picture of the set."""

    def missing(self, rows: np.ndarray) -> np.ndarray:
        """Which of these rows of the table have no score."""
        return rows[np.isnan(self.values[rows])]


def read_scores(dataset: Dataset, path: Path, image: str = "image", score: str = "score") -> Scores:
    """The scores of a csv with these two columns.

    A name may be the picture's path in the set, the end of it, or a longer one that ends in it, as long as it fits one
    picture only. What is doubled, no number or the same everywhere is a DataError that names the rows.
    """
    sheet = read_csv(dataset.name, path)
    for column, option in ((image, "--image-column"), (score, "--score-column")):
        if not sheet.has(column):
            raise DataError(f"{path} has no column {column!r}; it has {', '.join(sheet.columns)}. {option} names one.")
    names, numbers = sheet.text(image), sheet.numbers_of(score)
    naming = Naming(dataset.table["image"].tolist())
    values = np.full(len(dataset), np.nan)
    first: dict[int, int] = {}
    unknown, doubled = [], []
    for index, name in enumerate(names):
        row = _row(naming, dataset, sheet, index, name)
        if row is None:
            unknown.append(name)
        elif row in first:
            doubled.append((first[row], index))
        else:
            first[row], values[row] = index, numbers[index]
    if doubled:
        raise DataError(_doubled(sheet, names, doubled))
    if not first:
        raise DataError(_nothing(dataset, sheet, names))
    known = values[~np.isnan(values)]
    if np.all(known == known[0]):
        raise DataError(f"{path}: all {len(known)} scores are {known[0]:g}: a constant ranks nothing.")
    return Scores(values, tuple(unknown))


def _row(naming: Naming, dataset: Dataset, sheet: Sheet, index: int, name: str) -> int | None:
    """The row of the set that a name means; None for no picture of it, an error where it fits several."""
    rows = naming.rows(name)
    if len(rows) > 1:
        listed = listing(dataset.table["image"].iloc[rows].tolist())
        raise sheet.wrong(index, f"{name!r} fits {len(rows)} pictures ({listed}): write their folders too")
    return rows[0] if rows else None


def listing(names: Sequence[str]) -> str:
    """The first few of some names."""
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")


def _doubled(sheet: Sheet, names: Sequence[str], doubled: Sequence[tuple[int, int]]) -> str:
    pairs = [f"{names[later]} (rows {sheet.numbers[one]} and {sheet.numbers[later]})" for one, later in doubled]
    return f"{sheet.path}: {counted(len(doubled), 'picture')} scored twice: {listing(pairs)}. Keep one row of each."


def _nothing(dataset: Dataset, sheet: Sheet, names: Sequence[str]) -> str:
    theirs, ours = listing(names[:2]), listing(dataset.table["image"].tolist()[:2])
    return (
        f"{sheet.path}: none of its {counted(len(names), 'name')} ({theirs}) is a picture of {dataset.name} ({ours}). "
        "Names are paths in the set, or their ends, with the file's ending."
    )
