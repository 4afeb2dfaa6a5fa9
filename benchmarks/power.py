"""What ten random 80/20 splits of a set could tell apart: the table of docs/study.md.

    python -m benchmarks.power

Of two methods of about the same SRCC, tested on the same pictures. A split's SRCC has the standard error of Bonett and
Wright (2000) over the images of a test part, as if pictures were independent: where they are versions of few contents
it is larger. Seeds are left out too. So each number is about a least one. The two methods' errors are correlated by r.
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
OWN = 1 - TEST_SHARE
"""Of a split's variance the part that is its own: two test parts share a fifth of their pictures."""
OF_THE_MEAN = math.sqrt(OWN / SPLITS + TEST_SHARE)
"""The standard error of the mean over the splits, in that of one split."""
OF_A_MEDIAN = math.sqrt(OWN * 0.1383 + TEST_SHARE) / OF_THE_MEAN
"""A median's standard error over a mean's; the median of ten independent normal numbers has a variance of .1383."""


def detectable(images: int, srcc: float, correlation: float) -> float:
    """The smallest true difference that the corrected t over ten splits finds at 80% power.

    The test knows the spread among its splits only, and widens it by the overlap of what they learn from.
    """
    spread = srcc_standard_error(round(TEST_SHARE * images), srcc) * math.sqrt(2 * (1 - correlation))
    seen = math.sqrt(OWN) * math.sqrt(1 / SPLITS + TEST_SHARE / (1 - TEST_SHARE))
    return spread * (t_quantile(SPLITS - 1, 0.975) * seen + t_quantile(SPLITS - 1, 0.8) * OF_THE_MEAN)


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
