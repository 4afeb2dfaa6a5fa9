"""Training on several sets at once: whose pictures make a batch, and a loss within each set's share of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
from torch import Tensor

from bench.core.errors import RunError
from bench.core.mixes import EQUAL
from bench.core.spec import Recipe
from bench.data.joint import JointBatch, JointFeed
from bench.models.losses import Loss
from bench.training.orders import epoch_order

LEAST_SHARE = 2
"""Pictures of a set in a batch: no correlation can be taken over one."""


def within_shares(loss: Loss, sizes: Sequence[int]) -> Loss:
    """A loss within each set's share of a batch, weighted by the shares' sizes: scores of two sets never meet."""

    def joined(predicted: Tensor, human: Tensor) -> Tensor:
        bounds = list(pairwise(accumulate(sizes, initial=0)))
        parts = [size * loss(predicted[a:b], human[a:b]) for size, (a, b) in zip(sizes, bounds, strict=True)]
        whole: Tensor = sum(parts[1:], parts[0]) / sum(sizes)
        return whole

    return joined


class Shares:
    """How the views of several sets make the batches of an epoch.

    An epoch has as many views as the sets have together. By size, each set gives its own: every picture is seen. Of
    equal shares (rounded up, so that all batches have the same) a small set is gone through again, with new views, and
    of a large one an epoch takes a part and the next goes on behind it.
    """

    def __init__(self, feed: JointFeed, train: np.ndarray, recipe: Recipe, split: int) -> None:
        self.feed, self.recipe, self.split = feed, recipe, split
        numbers = feed.set_of(train)
        self.rows = [train[numbers == number] for number in range(len(feed.feeds))]
        whole = [len(rows) * recipe.train_views for rows in self.rows]
        assert feed.mix is not None
        shared = _equal if feed.mix.shares == EQUAL else _by_size
        self.views, self.steps = shared(whole, recipe.batch)
        least = min(range(len(whole)), key=lambda number: self.views[number])
        if self.views[least] // self.steps < LEAST_SHARE:
            otherwise = "" if feed.mix.shares == EQUAL else ", or shares=equal"
            raise RunError(
                f"batch={recipe.batch} leaves {feed.feeds[least].dataset.name} fewer than {LEAST_SHARE} pictures in "
                f"some batch, and no correlation can be taken over one: use a larger batch{otherwise}."
            )

    def batches(self, epoch: int) -> list[JointBatch]:
        """An epoch cut into its batches."""
        sides = [self._cut(number, epoch) for number in range(len(self.views))]
        result = []
        for step in range(self.steps):
            rows, numbers, passes = (np.concatenate([side[column][step] for side in sides]) for column in range(3))
            result.append(JointBatch(rows, numbers, epoch, True, passes))
        return result

    def _cut(self, number: int, epoch: int) -> list[list[np.ndarray]]:
        """(rows, view numbers, passes) of one set in an epoch, each cut into the steps."""
        views, a_pass = self.views[number], len(self.rows[number]) * self.recipe.train_views
        begin, end = epoch * views, (epoch + 1) * views
        pieces: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for one in range(begin // a_pass, -(-end // a_pass)):
            rows, numbers = epoch_order(self.rows[number], self.recipe, self.split, one)
            inside = slice(max(begin - one * a_pass, 0), min(end - one * a_pass, a_pass))
            pieces.append((rows[inside], numbers[inside], np.full(len(rows[inside]), one)))
        columns = (np.concatenate(column) for column in zip(*pieces, strict=True))
        return [np.array_split(column, self.steps) for column in columns]

    @property
    def images(self) -> int:
        """How many views an epoch has."""
        return sum(self.views)

    def sizes(self, rows: np.ndarray) -> list[int]:
        """How many of a batch's pictures each set gives."""
        return np.bincount(self.feed.set_of(rows), minlength=len(self.views)).tolist()


def _equal(whole: Sequence[int], batch: int) -> tuple[list[int], int]:
    """(views of each set in an epoch, steps): as many of each in every batch, no fewer in all than there are."""
    sets, total = len(whole), sum(whole)
    steps = -(-total // (sets * max(1, batch // sets)))
    return [steps * -(-total // (sets * steps))] * sets, steps


def _by_size(whole: Sequence[int], batch: int) -> tuple[list[int], int]:
    """The same of shares by size, in the fewest steps whose batches all stay within `batch`."""
    steps = -(-sum(whole) // batch)
    while batch >= len(whole) and sum(-(-views // steps) for views in whole) > batch:
        steps += 1
    return list(whole), steps
