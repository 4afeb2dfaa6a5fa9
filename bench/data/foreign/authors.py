"""Splits made again from the seeds in other people's code: LoDa's, and those of pyiqa.

Both shuffle one list in place, split after split, with Python's own generator; the first part trains. So a split
depends on the order of the list that they began with: a label file's, or names in sorted order. Where a list was
made from an unsorted set, it depended on that process, and no code can make it again.

None of these was compared with its authors' files: they lie where no package and no repository holds them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from bench.core.errors import DataError
from bench.data.dataset import PLACE, Dataset
from bench.data.foreign.sides import TEST, TRAIN, Sides

UNSORTED = "its code shuffled an unsorted set, whose order another process cannot make again"


@dataclass(frozen=True)
class Author:
    """One author's way to split: the seed, and how many there are of what is shuffled in each set."""

    title: str
    seed: int
    pictures: Mapping[str, int]
    """Sets that are split by picture, in the order of their label file: set → number of pictures."""
    contents: Mapping[str, int] = field(default_factory=dict)
    """Sets that are split by reference, in the order of the names: set → number of references."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Why others cannot be made again."""

    @property
    def text(self) -> str:
        """The rule as records have it."""
        return f"{self.title}'s splits from seed {self.seed}, unverified"


AUTHORS = {
    "loda": Author(
        "LoDa",
        3407,
        {"livec": 1162, "koniq10k": 10073, "spaq": 11125, "flive": 39810},
        {"kadid10k": 81},
        {"live": UNSORTED, "tid2013": UNSORTED, "csiq": "its code has no CSIQ"},
    ),
    "pyiqa": Author(
        "pyiqa",
        123,
        {"livec": 1162, "spaq": 11125},
        {},
        {
            **dict.fromkeys(("live", "csiq", "tid2013"), UNSORTED),
            "kadid10k": "its code makes no random split of it",
            **dict.fromkeys(("koniq10k", "flive"), "it takes the official split: --split-rule official"),
        },
    ),
}


def why_not(rule: str, dataset: Dataset) -> str:
    """Why an author's splits of a set cannot be made again, in a sentence; "" where they can."""
    author = AUTHORS[rule]
    if dataset.source not in (*author.pictures, *author.contents):
        why = author.refused.get(dataset.source, "its code does not split it")
        return f"{author.title}'s splits of {dataset.name} cannot be made again: {why}."
    if dataset.source in author.pictures and PLACE not in dataset.table:
        return f"{author.title}'s splits of {dataset.name} go by the order of its label file, which is not known here."
    return ""


def authors_sides(rule: str, dataset: Dataset, number: int) -> Sides:
    """Who stands where in an author's split."""
    if why := why_not(rule, dataset):
        raise DataError(why)
    author, table = AUTHORS[rule], dataset.table
    if dataset.source in author.pictures:
        count = author.pictures[dataset.source]
        keys = table[PLACE].to_numpy()
        trained = frozenset(_shuffled(author.seed, count, number)[: round(0.8 * count)])
        in_training = np.array([int(key) in trained for key in keys], dtype=bool)
    else:
        names = sorted(set(table["group"]))
        count = author.contents[dataset.source]
        if len(names) != count:
            raise DataError(f"{dataset.name} has {len(names)} contents here, and {author.title} split {count}.")
        chosen = {names[i] for i in _shuffled(author.seed, count, number)[: round(0.8 * count)]}
        in_training = table["group"].isin(chosen).to_numpy()
    return Sides(np.where(in_training, TRAIN, TEST))


@lru_cache(maxsize=64)
def _shuffled(seed: int, count: int, number: int) -> tuple[int, ...]:
    """The numbers from 0 after `number` + 1 shuffles, each of the order that the one before it left."""
    generator, order = random.Random(seed), list(range(count))
    for _ in range(number + 1):
        generator.shuffle(order)
    return tuple(order)
