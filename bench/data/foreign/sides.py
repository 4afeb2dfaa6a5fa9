"""One split as others give it: which pictures of a set stand on which side, and what their list leaves out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.core.errors import DataError
from bench.core.progress import counted
from bench.data.dataset import PLACE, Dataset
from bench.data.labels.naming import Naming

TRAIN, VALIDATION, TEST, NONE = "T", "V", "E", "-"
"""On which side a picture stands, a letter each."""
PARTS = {TRAIN: "train", VALIDATION: "val", TEST: "test"}
REFOLDERED = frozenset({"bid", "csiq", "koniq10k"})
"""Sets whose pictures may lie in other folders than a published list says, and whose files' names alone tell them:
KonIQ-10k has two sizes, CSIQ also one folder for all, and BID any."""
SHOWN = 3
"""How many names a message lists."""

Listed = Mapping[str, Sequence[str | int]]
"""One split as a file has it: "train", "val", "test" → names of pictures, or their numbers in the label file."""


@dataclass(frozen=True)
class Sides:
    """The side of every picture of a set, row by row, and what was odd about the list, in sentences."""

    letters: np.ndarray
    remarks: tuple[str, ...] = ()

    def rows(self, *letters: str) -> np.ndarray:
        """The rows on these sides."""
        return np.flatnonzero(np.isin(self.letters, letters))


class Finder:
    """Finds pictures of a set by their names, however much of the path a list gives, or by number in the label file."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._naming = Naming(dataset.table["image"].tolist())
        self._places: dict[int, int] = {}
        if PLACE in dataset.table:
            self._places = {int(place): row for row, place in enumerate(dataset.table[PLACE])}

    def row(self, name: str | int) -> int | None:
        """The row of a picture; None where the set has none of that name. A name that may mean two is an error."""
        if isinstance(name, int):
            return self._places.get(name)
        rows = self._naming.rows(name)
        if not rows and self.dataset.source in REFOLDERED:
            rows = self._naming.rows_of_last(name)
        if len(rows) > 1:
            both = " or ".join(self.dataset.table["image"].iloc[rows[:2]])
            raise DataError(f"{self.dataset.name}: {name!r} may be {both}: the split names too little of the path.")
        return rows[0] if rows else None


def sides_of(finder: Finder, listed: Listed, where: str) -> Sides:
    """Who stands where by a list; what stands on two sides is an error, and what is left out or doubled is told."""
    letters = np.full(len(finder.dataset), NONE, dtype="<U1")
    unknown: list[str] = []
    doubled: list[str] = []
    parts = _with_a_test_part(listed)
    for letter, part in PARTS.items():
        for name in parts.get(part, ()):
            row = finder.row(name)
            if row is None:
                unknown.append(str(name))
            elif letters[row] == NONE:
                letters[row] = letter
            elif letters[row] == letter:
                doubled.append(str(name))
            else:
                both = f"{PARTS[str(letters[row])]} and in {part}"
                raise DataError(f"{finder.dataset.name}: {where}: {name} stands in {both}.")
    sides = Sides(letters)
    for side, rows in (("training", sides.rows(TRAIN)), ("test", sides.rows(TEST))):
        if not len(rows):
            some = f", whose names begin with {unknown[0]}" if unknown else ""
            raise DataError(f"{finder.dataset.name}: {where} has no {side} picture of this set{some}.")
    return Sides(letters, _remarks(finder.dataset, sides, unknown, doubled))


def _with_a_test_part(listed: Listed) -> Listed:
    """The list with its second part called test: pyiqa's files call it val where they have but two."""
    return listed if listed.get("test") else {"train": listed.get("train", ()), "test": listed.get("val", ())}


def _remarks(dataset: Dataset, sides: Sides, unknown: Sequence[str], doubled: Sequence[str]) -> tuple[str, ...]:
    said = []
    left = dataset.table["image"].iloc[sides.rows(NONE)].tolist()
    for names, what in (
        (unknown, "of its names are not in the set"),
        (doubled, "of its names are there twice"),
        (left, "of the set's pictures are left out"),
    ):
        if names:
            dots = ", …" if len(names) > SHOWN else ""
            said.append(f"{len(names)} {what}: {', '.join(names[:SHOWN])}{dots}")
    groups = dataset.table["group"].to_numpy()
    both = set(groups[sides.rows(TRAIN, VALIDATION)]) & set(groups[sides.rows(TEST)])
    if both:
        said.append(
            f"{counted(len(both), 'content')} of {len(set(groups))} on both sides: what is tested was partly learned"
        )
    return tuple(said)
