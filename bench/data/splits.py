"""Train/test splits that anybody can reproduce: contents ordered by a hash of their name and the split's number.

Names are hashed rather than shuffled by a generator, so a split depends on no library's random stream, on no
process, and on no order of files. LoDa's protocol: 80% of the contents train, 20% test, ten times.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import DataError, UsageError
from bench.core.progress import counted
from bench.core.spec import RunSpec
from bench.core.split_rules import file_of, folds_of, is_fixed, over_images, refuse_beyond, splits_in
from bench.data.dataset import Dataset
from bench.data.foreign.authors import AUTHORS, authors_sides
from bench.data.foreign.kept import kept_sides
from bench.data.foreign.sides import TEST, TRAIN, VALIDATION

TRAIN_SHARE = 0.8
FEW_CONTENTS = 100
"""Among more contents no test part is ever drawn twice: a fifth of them can be chosen in more than 10²⁰ ways."""


@dataclass(frozen=True)
class Split:
    """Row numbers of one split; `validation` is a slice of the training part, whole contents only."""

    train: np.ndarray
    test: np.ndarray
    validation: np.ndarray
    rule: str

    def hash(self, names: Sequence[str]) -> str:
        """A hash of which image is on which side."""
        digest = hashlib.sha256()
        for part in (self.train, self.test):
            digest.update("\n".join(names[i] for i in part).encode() + b"\0")
        return digest.hexdigest()[:20]


def make_split(
    dataset: Dataset,
    number: int,
    *,
    fraction: float = TRAIN_SHARE,
    source: str = "split",
    validate: bool = False,
    split_rule: str = "random",
    results: Path | None = None,
) -> Split:
    """Split `number` of a dataset.

    `fraction` is of the whole set's images (LoDa's data-efficiency protocol): the test part stays, and a smaller
    training part is the head of a larger one, so subsets are nested. Contents come whole but for the last, which is
    cut to give the share exactly. `source="all"` trains on everything (cross-dataset).
    `validate` takes every eighth content of what is learned from for model selection: a share is never exceeded.
    By `split_rule` "kfold:7" the number is one of seven folds, and each content is tested in exactly one of them;
    "official" is the authors' split, always whole: the number then only orders what is taken for validation where the
    authors name nothing for it. So it is with other people's splits ("loda", "pyiqa", and "file:…", which is kept in
    the folder `results`). "images" and "images:7" deal pictures instead of contents, which gives away what the test
    part shows. Of a dataset of several sets each is split by itself.
    """
    if dataset.parts:
        common: dict[str, Any] = {"fraction": fraction, "source": source, "validate": validate}
        common |= {"split_rule": split_rule, "results": results}
        return _of_all(dataset.parts, [make_split(part, number, **common) for part in dataset.parts])
    whatever = over_images(split_rule) and dataset.grouped
    dataset = _ungrouped(dataset) if whatever else dataset
    groups = dataset.table["group"].to_numpy()
    if is_fixed(split_rule):
        refuse_part_of_fixed(split_rule, fraction, source)
        return _fixed(dataset, number, split_rule, validate, results)
    folds = folds_of(split_rule)
    if folds and not over_images(split_rule):
        refuse_folds(dataset, folds)
    number, train, test = _fold(dataset, number, folds) if folds else _random(dataset, number)
    images = round(fraction * len(dataset)) if fraction < TRAIN_SHARE else len(dataset)
    if source == "all":
        train = train + test
    head = _head(dataset, train, number, images)
    held = _held_out_of(groups, train, head) if validate else head[:0]
    unit = "reference contents" if dataset.grouped else "images, whatever they show" if whatever else "images"
    rule = f"{folds}-fold over {unit}" if folds else f"random {TRAIN_SHARE:.0%}/{1 - TRAIN_SHARE:.0%} of {unit}"
    rule = rule if source == "split" else f"all {unit}"
    return Split(np.setdiff1d(head, held), _rows(groups, test), held, rule)


def _held_out_of(groups: np.ndarray, contents: Sequence[str], rows: np.ndarray) -> np.ndarray:
    """Those of the rows that are for validation: of every eighth of their contents, in the order given."""
    seen = set(groups[rows].tolist())
    if len(seen) < 2:
        raise DataError("One content is all that would be learned from: none is left to choose an epoch by.")
    return np.intersect1d(rows, _rows(groups, _held_out([content for content in contents if content in seen])))


def _ungrouped(dataset: Dataset) -> Dataset:
    """The dataset as if each picture were a content of its own."""
    return replace(dataset, table=dataset.table.assign(group=dataset.table["image"]), grouped=False)


def _of_all(parts: Sequence[Dataset], splits: Sequence[Split]) -> Split:
    """The splits of several sets as one of all of them, each set split as if it stood alone."""
    starts = np.cumsum([0, *(len(part) for part in parts[:-1])])
    train, test, held = (
        np.concatenate([getattr(split, side) + start for split, start in zip(splits, starts, strict=True)])
        for side in ("train", "test", "validation")
    )
    rules = dict.fromkeys(split.rule for split in splits)
    return Split(train, test, held, "; ".join(rules))


def split_of(spec: RunSpec, dataset: Dataset, results: Path | None = None) -> Split:
    """The split a spec asks of a dataset; the test part depends on the split's number only.

    `results` is the folder that keeps the splits of files.
    """
    return make_split(
        dataset,
        spec.split,
        fraction=spec.fraction,
        source=spec.source,
        validate=spec.validates,
        split_rule=spec.split_rule,
        results=results,
    )


def _random(dataset: Dataset, number: int) -> tuple[int, list[str], list[str]]:
    """(the number of the shuffle, the training contents in its order, the others) of a random split."""
    contents = set(dataset.table["group"].tolist())
    if len(contents) < 3:
        raise DataError(too_few_contents(dataset.name, len(contents)))
    n_train = _count_of_training(len(contents))
    number = _draw(dataset.name, contents, number, len(contents) - n_train)
    order = order_contents(contents, number)
    return number, order[:n_train], order[n_train:]


def _fold(dataset: Dataset, number: int, folds: int) -> tuple[int, list[str], list[str]]:
    """The same of a fold: shuffle 0 deals the contents to the folds in turn, and each fold orders the rest anew."""
    refuse_beyond(f"kfold:{folds}", number)
    contents = order_contents(set(dataset.table["group"].tolist()), 0)
    test = contents[number::folds]
    return number, order_contents(set(contents) - set(test), number), test


def refuse_folds(dataset: Dataset, folds: int) -> None:
    """A set without contents, or with fewer than there are folds, has no folds over contents."""
    if why := why_no_folds(dataset.name, dataset.table["group"].nunique() if dataset.grouped else 0, folds):
        raise DataError(why)


def why_no_folds(name: str, contents: int, folds: int) -> str:
    """What is said of a set of so few contents (0: it names none) that they cannot be dealt to the folds."""
    if not contents:
        return (
            f"{name} names no contents (no group beside its images), so kfold:{folds} has nothing to deal: "
            "use split_rule=random."
        )
    return f"{name} has {counted(contents, 'content')}, too few for kfold:{folds}." if contents < folds else ""


def count_of_splits(dataset: Dataset, split_rule: str = "random") -> int | None:
    """How many splits with different test parts a set of few contents has; None for more than anyone counts."""
    if split_rule == "official":
        return 1
    unit = "image" if over_images(split_rule) else "group"
    return splits_in(split_rule) or count_of_parts(dataset.table[unit].nunique())


def count_of_parts(contents: int) -> int | None:
    """How many different test parts so many contents make; None for more than anyone counts."""
    return None if contents > FEW_CONTENTS else math.comb(contents, contents - _count_of_training(contents))


def too_few_contents(name: str, contents: int) -> str:
    """What is said of a set that cannot be split."""
    return f"{name} has {counted(contents, 'content')}; a split needs at least 3."


def too_many_splits(name: str, contents: int, parts: int) -> str:
    """What is said of a set that has fewer splits than were asked for."""
    few = counted(contents, "content")
    return f"{name} has {few} and so only {parts} different test parts. Ask for at most --splits {parts}."


def refuse_part_of_fixed(split_rule: str, fraction: float, source: str) -> None:
    """Another's training part is taken as it is: a share of it, or more than it, would be another experiment."""
    if fraction != TRAIN_SHARE or source != "split":
        raise UsageError(f"split_rule={split_rule} takes the training part as it is: leave out fraction and source.")


def _count_of_training(contents: int) -> int:
    return max(1, min(contents - 1, round(TRAIN_SHARE * contents)))


def _held_out(train: Sequence[str]) -> Sequence[str]:
    """The training contents that an epoch or a recipe is chosen on: every eighth, and one of a few."""
    return train[:: max(2, min(8, len(train)))]


def _draw(name: str, contents: set[str], number: int, n_test: int) -> int:
    """The number of the shuffle that split `number` takes: one with a test part that no split before it has.

    A few contents give few test parts, and a part that counts twice would make two splits out of one. Where there
    are as many contents as in the papers' sets, the first ten shuffles never repeat a part, and this is `number`.
    """
    if len(contents) > FEW_CONTENTS:
        return number
    parts = math.comb(len(contents), n_test)
    if number >= parts:
        raise DataError(f"There is no split {number}: {too_many_splits(name, len(contents), parts)}")
    seen: set[frozenset[str]] = set()
    draw = 0
    while True:
        part = frozenset(order_contents(contents, draw)[-n_test:])
        if part not in seen and len(seen) == number:
            return draw
        seen.add(part)
        draw += 1


def _head(dataset: Dataset, contents: Sequence[str], number: int, images: int) -> np.ndarray:
    """Rows of the first `images` pictures: content by content, within one in the order of the split's hash."""
    groups = dataset.table["group"].to_numpy()
    rows = _rows(groups, contents)
    if len(rows) <= images:
        return rows
    place = {content: at for at, content in enumerate(contents)}
    names = dataset.table["image"].to_numpy()
    ordered = sorted(rows, key=lambda row: (place[str(groups[row])], _hash(str(names[row]), number)))
    return np.sort(np.array(ordered[:images], dtype=rows.dtype))


def order_contents(contents: Iterable[str], number: int) -> list[str]:
    """The contents in the order of shuffle `number`."""
    return sorted(contents, key=lambda name: _hash(name, number))


def _hash(name: str, number: int) -> bytes:
    return hashlib.sha256(f"{number}:{name}".encode()).digest()


def _rows(groups: np.ndarray, chosen: Sequence[str]) -> np.ndarray:
    groups_chosen = set(chosen)  # np.isin compares every text with every other: minutes on FLIVE
    return np.flatnonzero(np.fromiter((group in groups_chosen for group in groups), dtype=bool, count=len(groups)))


def _fixed(dataset: Dataset, number: int, split_rule: str, validate: bool, results: Path | None) -> Split:
    """A split as another made it; where it names nothing for validation, every eighth training content is taken."""
    train, test, held, rule = _parts_of(dataset, number, split_rule, results)
    if validate and not len(held):
        groups = dataset.table["group"].to_numpy()
        held = _held_out_of(groups, order_contents(set(groups[train].tolist()), number), train)
        train = np.setdiff1d(train, held)
    return Split(train, test, held, rule)


def _parts_of(
    dataset: Dataset, number: int, split_rule: str, results: Path | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """(training rows, test rows, rows named for validation, the rule as records have it)."""
    if split_rule == "official":
        if dataset.lacks_official:
            raise DataError(dataset.lacks_official)
        labels = dataset.table["official"].to_numpy()
        train, test, held = (np.flatnonzero(labels == part) for part in ("train", "test", "val"))
        return train, test, held, "official split"
    refuse_beyond(split_rule, number)
    if split_rule in AUTHORS:
        sides, rule = authors_sides(split_rule, dataset, number), AUTHORS[split_rule].text
    else:
        sides = kept_sides(dataset, split_rule, number, results)
        rule = f"splits of the file {file_of(split_rule)}"
    return sides.rows(TRAIN), sides.rows(TEST), sides.rows(VALIDATION), rule
