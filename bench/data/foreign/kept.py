"""Split files as a results folder keeps them: read once, checked against the set, and called by their hash.

Runs, other machines and `bench verify` read this one form, `splits/HASH.csv`: a picture a line, and on which side it
stands in each split, a letter each. Equal splits have one hash, whatever file they came from.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np

from bench.core.errors import DataError
from bench.core.files import write_text
from bench.core.split_rules import file_of, file_rule
from bench.data.dataset import Dataset
from bench.data.foreign.files import read_splits
from bench.data.foreign.sides import NONE, TEST, TRAIN, Finder, Sides, sides_of

FOLDER = "splits"
_HEAD = "image,sides"


def read_sides(dataset: Dataset, path: Path) -> list[Sides]:
    """Who stands where in each split of a file."""
    finder = Finder(dataset)
    splits = read_splits(dataset.name, path)
    several = len(splits) > 1
    return [
        sides_of(finder, listed, f"{path}, split {number}" if several else str(path))
        for number, listed in enumerate(splits)
    ]


def keep(dataset: Dataset, sides: list[Sides], results: Path) -> str:
    """Write the splits into a results folder, where they are not there yet; returns the rule they are."""
    columns = ["".join(letters) for letters in zip(*(each.letters for each in sides), strict=True)]
    rows = sorted(zip(dataset.table["image"], columns, strict=True))
    text = "\n".join([_HEAD, *(f'"{image}",{letters}' for image, letters in rows)]) + "\n"
    digest = _digest(text)
    path = results / FOLDER / f"{digest}.csv"
    if not path.exists():
        write_text(path, text)
    return file_rule(len(sides), digest)


def kept_sides(dataset: Dataset, split_rule: str, number: int, results: Path | None) -> Sides:
    """Who stands where by a kept file."""
    digest = file_of(split_rule)
    if results is None or not (results / FOLDER / f"{digest}.csv").is_file():
        raise DataError(
            f"The splits {digest[:8]} are not kept in {results or 'this results folder'}/{FOLDER}: give their file "
            "again with --split-rule file:PATH."
        )
    table = _table(results / FOLDER / f"{digest}.csv")
    finder, letters = Finder(dataset), np.full(len(dataset), NONE, dtype="<U1")
    for image, sides in table:
        row = finder.row(image)
        if row is not None:
            letters[row] = sides[number]
    result = Sides(letters)
    if not len(result.rows(TRAIN)) or not len(result.rows(TEST)):
        raise DataError(f"The splits {digest[:8]} are not about {dataset.name}: they name none of its pictures.")
    return result


@lru_cache(maxsize=8)
def _table(path: Path) -> list[tuple[str, str]]:
    """The lines of a kept file, which must still have the hash that it is called by."""
    text = path.read_text(encoding="utf-8")
    if _digest(text) != path.stem:
        raise DataError(f"{path} was changed after it was written: remove it, and give the splits' file again.")
    return [(image[1:-1], sides) for image, _, sides in (line.rpartition(",") for line in text.splitlines()[1:])]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
