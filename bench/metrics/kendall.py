"""Kendall's tau-b by counting inversions: importing scipy.stats takes longer than most tests."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Whole = NDArray[np.int64]


def tau_b(x: Vector, y: Vector) -> float:
    """Kendall (1945): pairs in the same order less pairs in the other, by the pairs tied on neither side.

    Neither vector may be constant.
    """
    first, second = _levels(x), _levels(y)
    pairs = len(x) * (len(x) - 1) // 2
    tied_first, tied_second = _tied(first), _tied(second)
    tied_both = _tied(first * (int(second.max()) + 1) + second)
    agreeing_and_not = pairs - tied_first - tied_second + tied_both
    # ordered by x, and within one x by y, a pair stands in the wrong order exactly where x and y disagree
    disagreeing = inversions(second[np.lexsort((second, first))])
    tau = (agreeing_and_not - 2 * disagreeing) / math.sqrt(pairs - tied_first) / math.sqrt(pairs - tied_second)
    return min(1.0, max(-1.0, tau))


def inversions(levels: Whole) -> int:
    """How many pairs stand in falling order, in n · log² n steps and exactly.

    Two levels differ first in one bit of theirs; the pair is counted there, among the levels with the same higher
    bits, which stand together and in their first order.
    """
    pairs, levels = 0, np.asarray(levels)
    for bit in range(int(levels.max(initial=0)).bit_length() - 1, -1, -1):
        upper = (levels >> bit) & 1
        before = np.cumsum(upper) - upper  # ones ahead of each place …
        starts = np.flatnonzero(np.diff(levels >> (bit + 1), prepend=-1))
        sizes = np.diff(starts, append=len(levels))
        before -= np.repeat(before[starts], sizes)  # … in its own group
        pairs += int(before[upper == 0].sum())
        levels = levels[np.argsort(levels >> bit, kind="stable")]
    return pairs


def _levels(values: Vector) -> Whole:
    """0 for the smallest value, 1 for the next, equal ones alike."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _tied(levels: Whole) -> int:
    """Pairs of equal levels."""
    counts = np.unique(levels, return_counts=True)[1].astype(np.int64)
    return int((counts * (counts - 1) // 2).sum())
