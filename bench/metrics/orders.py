"""Whether an order of methods survives a change: Kendall's tau between two orders, and what of it splits can tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.core.errors import RunError
from bench.metrics.comparisons import FEWEST_SPLITS, NO_SPREAD, t_quantile

DIGITS = 3
"""Medians that print the same have the same place."""
ALPHA = 0.05
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class OrderKept:
    """Tau between the orders of the medians: 1 where no two methods change places, -1 where all do.

    Of all pairs of methods `kept` have the same order before and after, `swapped` another, as far as splits can tell;
    `open` are the others. `low` and `high` are tau were the open pairs all swapped, or all kept.
    """

    tau: float | None
    low: float | None = None
    high: float | None = None
    kept: int = 0
    swapped: int = 0
    open: int = 0
    why: str = ""
    """Why there is no tau, or no interval."""


def order_kept(before: ArrayLike, after: ArrayLike, ratio: float) -> OrderKept:
    """Tau-b between the orders of methods before and after, [methods, splits] of scores each.

    A pair's order is told on either side by Nadeau and Bengio's corrected t over splits, which overlap by `ratio`
    (`bench.metrics.comparisons.corrected_paired_test`). Redrawing splits would not do: chance alone lets methods that
    are nearly equal change places, so that tau is too small in most draws (docs/statistics.md).
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if first.shape != second.shape or first.ndim != 2:
        raise RunError("two orders are compared by the same methods in the same splits")
    methods, splits = first.shape
    if methods < 2:
        return OrderKept(None, why="fewer than two methods have no order")
    tau = _tau(first, second)
    if tau is None:
        return OrderKept(None, why="all methods are equal in one of the two orders")
    if splits < FEWEST_SPLITS:
        return OrderKept(tau, why=f"fewer than {FEWEST_SPLITS} splits")
    signs = _told(first, ratio) * _told(second, ratio)
    kept, swapped = int((signs > 0).sum()), int((signs < 0).sum())
    pairs = len(signs)
    low, high = 2 * kept / pairs - 1, 1 - 2 * swapped / pairs
    return OrderKept(tau, min(tau, low), max(tau, high), kept, swapped, pairs - kept - swapped)


def _tau(first: Scores, second: Scores) -> float | None:
    """Tau-b of the medians; None where one side has no order."""
    one, other = (
        _differences(np.round(np.median(scores, axis=1, keepdims=True), DIGITS)) for scores in (first, second)
    )
    one, other = np.sign(one), np.sign(other)
    pairs = math.sqrt(np.square(one).sum() * np.square(other).sum())
    return float((one * other).sum() / pairs) if pairs else None


def _told(scores: Scores, ratio: float) -> Scores:
    """By pair of methods, 1 or -1 where splits tell which is higher, else 0."""
    differences = _differences(scores)
    splits = differences.shape[1]
    means, spreads = differences.mean(axis=1), differences.std(axis=1, ddof=1)
    spreads = np.where(spreads <= NO_SPREAD * np.abs(differences).max(axis=1), 0.0, spreads)
    half = t_quantile(splits - 1, 1 - ALPHA / 2) * spreads * math.sqrt(1 / splits + ratio)
    return np.sign(means) * (np.abs(means) > half)


def _differences(scores: Scores) -> Scores:
    """[pairs of methods, splits]: how much higher one is than the other."""
    i, j = np.triu_indices(len(scores), 1)
    return scores[i] - scores[j]
