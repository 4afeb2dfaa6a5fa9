"""Whether an order of methods survives a change: Kendall's tau between two orders, with an interval over splits."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.core.errors import RunError
from bench.metrics.comparisons import FEWEST_SPLITS

DIGITS = 3
"""Medians that print the same have the same place."""
DRAWS = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class OrderKept:
    """Tau between the orders of the medians: 1 where no two methods change places, -1 where all do."""

    tau: float | None
    low: float | None = None
    high: float | None = None
    why: str = ""
    """Why there is no tau, or no interval."""


def order_kept(before: ArrayLike, after: ArrayLike, ratio: float) -> OrderKept:
    """Tau-b between the orders of methods before and after, [methods, splits] of scores each.

    The interval holds 95% of the taus of redrawn splits. Splits share pictures: a mean of n of them varies by
    s²(1/n + ratio) (Nadeau and Bengio, 2003), as that of n / (1 + n · ratio) independent ones would. So many are drawn,
    with replacement and the same on both sides; every draw is looked at where there are few. Medians of fewer splits
    agree less than those of all: the interval is wide rather than narrow, and reaches to tau itself.
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2:
        raise RunError("two orders are compared by the same methods in the same splits")
    methods, splits = first.shape
    if methods < 2:
        return OrderKept(None, why="fewer than two methods have no order")
    every = np.arange(splits)[None, :]
    tau = float(_taus(first, second, every)[0])
    if math.isnan(tau):
        return OrderKept(None, why="all methods are equal in one of the two orders")
    if splits < FEWEST_SPLITS:
        return OrderKept(tau, why=f"fewer than {FEWEST_SPLITS} splits")
    taus = _taus(first, second, _draws(splits, worth(splits, ratio)))
    taus = taus[~np.isnan(taus)]
    if not len(taus):
        return OrderKept(tau, why="all methods are equal in each draw")
    low = np.quantile(taus, (1 - LEVEL) / 2, method="lower")
    high = np.quantile(taus, (1 + LEVEL) / 2, method="higher")
    return OrderKept(tau, min(tau, float(low)), max(tau, float(high)))


def worth(splits: int, ratio: float) -> int:
    """How many independent splits so many overlapping ones are worth, rounded down; one at least."""
    return max(1, math.floor(splits / (1 + splits * ratio) + 1e-9))


def _draws(splits: int, size: int) -> NDArray[np.int64]:
    """[draws, size] of split numbers: all that there are, or as many as are enough, always the same."""
    if splits**size <= DRAWS:
        return np.array(list(product(range(splits), repeat=size)), dtype=np.int64)
    return np.random.default_rng(0).integers(splits, size=(DRAWS, size))


def _taus(first: NDArray[np.float64], second: NDArray[np.float64], draws: NDArray[np.int64]) -> NDArray[np.float64]:
    """Tau-b of each draw's medians; NaN where one side has no order."""
    one, other = (_signs(np.round(np.median(scores[:, draws], axis=2), DIGITS)) for scores in (first, second))
    agreed = (one * other).sum(axis=0)
    pairs = np.sqrt(np.square(one).sum(axis=0) * np.square(other).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return agreed / pairs


def _signs(medians: NDArray[np.float64]) -> NDArray[np.float64]:
    """[pairs of methods, draws]: which of two is higher."""
    i, j = np.triu_indices(len(medians), 1)
    return np.sign(medians[i] - medians[j])
