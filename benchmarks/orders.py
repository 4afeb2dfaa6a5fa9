"""How often the interval of tau holds the tau of the true order: made-up methods, before and after a change.

python -m benchmarks.orders    # about a minute and a half on one core
"""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from bench.metrics.kendall import tau_b
from bench.metrics.orders import order_kept

DESIGNS = ((7, 10, 1 / 4), (7, 21, 1 / 6), (7, 3, 1 / 2), (3, 10, 1 / 4), (12, 10, 1 / 4))
"""Methods, splits, and how splits overlap."""
GAPS, CHANGES = (0.2, 1.0, 3.0), (0.0, 1.0, 3.0)
"""How far true means lie apart, and how far a change moves each of them, in standard deviations of a split."""
SETS = 1000


def held(methods: int, splits: int, ratio: float, gap: float, change: float) -> tuple[float, float]:
    """(how often the interval held the true tau, its mean width); half of what moves a score is common to both."""
    draws = np.random.default_rng(methods * 100 + splits)
    shape, inside, width = (methods, splits), 0, 0.0
    for _ in range(SETS):
        true = np.arange(methods) * gap
        moved = true + change * draws.normal(size=methods)
        common, one, other = (
            draws.normal(size=shape) + math.sqrt(ratio) * draws.normal(size=(methods, 1)) for _ in "abc"
        )
        kept = order_kept(
            true[:, None] + (common + one) / math.sqrt(2), moved[:, None] + (common + other) / math.sqrt(2), ratio
        )
        low, high = (-1.0, 1.0) if kept.low is None or kept.high is None else (kept.low, kept.high)
        inside += low - 1e-9 <= tau_b(true, moved) <= high + 1e-9
        width += high - low
    return inside / SETS, width / SETS


def main() -> None:
    """Print a row a design."""
    print("| methods | splits | gap | change | held | width |\n| ---: | ---: | ---: | ---: | ---: | ---: |")
    for (methods, splits, ratio), gap, change in product(DESIGNS, GAPS, CHANGES):
        share, width = held(methods, splits, ratio, gap, change)
        print(f"| {methods} | {splits} | {gap:g} | {change:g} | {share:.3f} | {width:.2f} |", flush=True)


if __name__ == "__main__":
    main()
