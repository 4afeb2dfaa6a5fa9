"""What ten random 80/20 splits of a set could tell apart: the table of docs/study.md.

    python -m benchmarks.power

Of two methods of about the same SRCC, tested on the same pictures. A split's SRCC has the standard error of Bonett and
Wright (2000) over the images of a test part, as if pictures were independent: where they are versions of few contents
it is larger. Seeds are left out too. So each number is a least one. The two methods' errors are correlated by r.
"""

from __future__ import annotations

import math

from bench.core.registry import DATASETS
from bench.metrics.comparisons import srcc_standard_error, t_quantile

SRCC = {
    "live": 0.98, "csiq": 0.97, "tid2013": 0.88, "kadid10k": 0.94, "koniq10k": 0.93, "livec": 0.9, "spaq": 0.92,
    "flive": 0.58,
}  # fmt: skip
"""About what the papers print for their best methods."""
SPLITS, TEST_SHARE = 10, 0.2
CORRELATIONS = (0.5, 0.9)
OF_A_MEDIAN = math.sqrt(math.pi / 2)
"""A median's standard error over a mean's, of normal numbers."""


def detectable(images: int, srcc: float, correlation: float) -> float:
    """The smallest true difference that the corrected t over ten splits finds at 80% power."""
    one = srcc_standard_error(round(TEST_SHARE * images), srcc)
    spread = one * math.sqrt(2 * (1 - correlation))
    overlap = TEST_SHARE / (1 - TEST_SHARE)
    levels = t_quantile(SPLITS - 1, 0.975) + t_quantile(SPLITS - 1, 0.8)
    return levels * spread * math.sqrt(1 / SPLITS + overlap)


def main() -> None:
    """Print the table."""
    heads = [f"{what}, r = {r}" for r in CORRELATIONS for what in ("means", "medians")]
    print(f"| set | one split's standard error | {' | '.join(heads)} |")
    print("| --- |" + " ---: |" * (1 + len(heads)))
    for name, srcc in SRCC.items():
        facts = DATASETS.card(name).facts
        images = int(facts["images"])
        one = srcc_standard_error(round(TEST_SHARE * images), srcc)
        means = [detectable(images, srcc, r) for r in CORRELATIONS]
        cells = [f"{value:.4f}" for mean in means for value in (mean, mean * OF_A_MEDIAN)]
        print(f"| {facts['title'] or name} | {one:.4f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
