"""What the papers' tables lack: intervals, paired tests over identical splits, rankings, and what a gap can mean.

Only numpy at import; scipy loads inside the functions that need a distribution, so that tables stay quick.
Higher scores are better everywhere, except for `pareto_front`'s cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import RunError
from bench.metrics import Vector, midranks, plcc, srcc, standardise

BLOCK_NUMBERS = 1_000_000  # weights held at once while bootstrapping: 8 MB, whatever the size of the test set
NO_SPREAD = 1e-12  # differences whose standard deviation is below this part of the largest count as all equal

Metric = Literal["srcc", "plcc"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its percentile bootstrap interval."""

    estimate: float
    low: float
    high: float
    level: float
    resamples: int


@dataclass(frozen=True)
class SplitScores:
    """One split's test predictions: three parallel sequences, `contents` naming what each image shows."""

    predicted: ArrayLike
    human: ArrayLike
    contents: Sequence[str]


@dataclass(frozen=True)
class PairedTest:
    """Mean paired difference, its confidence interval, the two-sided p, and the number of pairs."""

    effect: float
    low: float
    high: float
    p: float
    n: int


@dataclass(frozen=True)
class CriticalDifference:
    """A ranking over datasets: mean ranks (1 is best, best first), Nemenyi's CD, Friedman's p.

    `groups` are the largest sets of methods whose mean ranks all lie within one CD, best first.
    """

    mean_ranks: dict[str, float]
    cd: float
    p: float
    groups: list[tuple[str, ...]]


# Bootstrap by content ------------------------------------------------------------------------------------------------


def bootstrap_interval(
    predicted: ArrayLike,
    human: ArrayLike,
    contents: Sequence[str] | None = None,
    *,
    metric: Metric = "srcc",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap (Efron, 1979) of one test set's SRCC or PLCC, resampling whole contents with replacement.

    Versions of one reference are not independent, so contents are drawn and not images (Davison & Hinkley,
    1997, section 3.8); without `contents` every image is its own. PLCC is of the scores as given: pass mapped
    ones for the mapped PLCC, whose curve is then held fixed.
    """
    names = [str(i) for i in range(np.size(predicted))] if contents is None else contents
    split = SplitScores(predicted, human, names)
    return bootstrap_median_interval([split], metric=metric, resamples=resamples, level=level, seed=seed)


def bootstrap_median_interval(
    splits: Sequence[SplitScores],
    *,
    metric: Metric = "srcc",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap of the median SRCC or PLCC over splits, resampling contents with replacement.

    The splits' test sets overlap, so a content is drawn once for all splits that hold it; drawing for each
    split apart would treat the overlap as fresh evidence and give too narrow an interval.
    """
    if not splits:
        raise RunError("a bootstrap needs at least one split")
    measure = {"srcc": srcc, "plcc": plcc}[metric]
    estimate = float(np.median([measure(split.predicted, split.human) for split in splits]))
    universe = {name: i for i, name in enumerate(sorted({name for split in splits for name in split.contents}))}
    if len(universe) < 2:
        raise RunError("a bootstrap by content needs at least two contents")
    prepared = [_prepare(split, universe, metric) for split in splits]
    rng = np.random.default_rng(seed)
    block = max(1, BLOCK_NUMBERS // max(len(universe), *(len(split.x) for split in prepared)))
    medians = []
    for start in range(0, resamples, block):
        draws = _draw(rng, min(block, resamples - start), len(universe))
        by_split = np.stack([_weighted_correlations(split, draws[:, split.content]) for split in prepared])
        medians.append(_median_of_defined(by_split))
    defined = np.concatenate(medians)
    defined = defined[np.isfinite(defined)]
    if len(defined) < resamples / 2:
        raise RunError("most resamples are constant: too few contents for a bootstrap")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level, resamples)


@dataclass(frozen=True)
class _Prepared:
    """A split in the form the resampling loop wants: scores standardised, or ordered for ranks; content as index."""

    x: Vector
    y: Vector
    content: NDArray[np.intp]
    by_rank: bool


def _prepare(split: SplitScores, universe: Mapping[str, int], metric: Metric) -> _Prepared:
    x, y = np.asarray(split.predicted, dtype=np.float64), np.asarray(split.human, dtype=np.float64)
    if len(split.contents) != len(x):
        raise RunError(f"{len(split.contents)} contents for {len(x)} images")
    if metric == "plcc":  # z-scores first, so that the weighted sums below lose nothing to a large mean
        x, y = standardise(x)[2], standardise(y)[2]
    content = np.array([universe[name] for name in split.contents], dtype=np.intp)
    return _Prepared(x, y, content, metric == "srcc")


def _draw(rng: np.random.Generator, rows: int, contents: int) -> Vector:
    """How often each content was drawn, one resample a row."""
    picked = rng.integers(0, contents, size=(rows, contents)) + np.arange(rows)[:, None] * contents
    return np.bincount(picked.ravel(), minlength=rows * contents).reshape(rows, contents).astype(np.float64)


def _weighted_correlations(split: _Prepared, weights: Vector) -> Vector:
    """The correlation in each row's resample, where an image drawn k times has weight k; NaN where undefined."""
    x: Vector = _weighted_midranks(split.x, weights) if split.by_rank else split.x[None, :]
    y: Vector = _weighted_midranks(split.y, weights) if split.by_rank else split.y[None, :]
    total = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = x - (weights * x).sum(axis=1, keepdims=True) / total
        y = y - (weights * y).sum(axis=1, keepdims=True) / total
        variance_x, variance_y = (weights * x * x).sum(axis=1), (weights * y * y).sum(axis=1)
        correlation = (weights * x * y).sum(axis=1) / np.sqrt(variance_x * variance_y)
    constant = np.minimum(variance_x, variance_y) <= 1e-9 * total[:, 0]
    return np.where(constant, np.nan, np.clip(correlation, -1, 1))


def _weighted_midranks(values: Vector, weights: Vector) -> Vector:
    """Each image's midrank within each resample, from one sort for all resamples."""
    order = np.argsort(values, kind="stable")
    _, first, inverse = np.unique(values[order], return_index=True, return_inverse=True)
    tied = np.add.reduceat(weights[:, order], first, axis=1)
    ranks = np.cumsum(tied, axis=1) - (tied - 1) / 2
    back = np.empty_like(order)
    back[order] = inverse
    return ranks[:, back]


def _median_of_defined(by_split: Vector) -> Vector:
    """Median over the splits (rows) that are defined, NaN where none is."""
    empty = np.isnan(by_split).all(axis=0)
    return np.where(empty, np.nan, np.nanmedian(np.where(empty, 0.0, by_split), axis=0))


# Comparisons over identical splits -----------------------------------------------------------------------------------


def corrected_paired_test(
    differences: Sequence[float], train_size: int, test_size: int, *, level: float = 0.95
) -> PairedTest:
    """The corrected resampled t-test of Nadeau & Bengio (2003): paired differences over overlapping splits.

    Splits of one dataset share images, so the variance of the mean is s²(1/n + n_test/n_train) and not s²/n.
    One difference says nothing (p = 1, an unbounded interval). Differences that are all equal leave no spread
    to test against: p is 1 when they are 0 and 0 otherwise, and the interval is the value itself.
    """
    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n == 0 or not np.isfinite(values).all():
        raise RunError("a paired test needs finite differences, one a split")
    if train_size < 1 or test_size < 1:
        raise RunError(f"a split of {train_size} training and {test_size} test images cannot be compared over")
    effect = float(values.mean())
    if n == 1:
        return PairedTest(effect, -math.inf, math.inf, 1.0, 1)
    spread = float(values.std(ddof=1))
    if spread <= NO_SPREAD * float(np.abs(values).max()):
        return PairedTest(effect, effect, effect, 1.0 if effect == 0 else 0.0, n)
    from scipy.special import stdtr

    error = spread * math.sqrt(1 / n + test_size / train_size)
    half = _t_quantile(n - 1, (1 + level) / 2) * error
    p = 2 * float(stdtr(n - 1, -abs(effect) / error))
    return PairedTest(effect, effect - half, effect + half, p, n)


@lru_cache(maxsize=256)
def _t_quantile(freedom: int, level: float) -> float:
    """Student's t: all cells of a table with as many splits share it."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, level))


def holm(pvalues: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment, in the order given: below alpha means rejected at family-wise alpha."""
    values = np.asarray(pvalues, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise RunError("p-values must lie between 0 and 1")
    order = np.argsort(values, kind="stable")
    steps = np.minimum(1.0, values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.maximum.accumulate(steps) if len(steps) else steps
    return [float(value) for value in adjusted]


def indistinguishable_from_best(
    scores_by_method: Mapping[str, Sequence[float]], train_size: int, test_size: int, *, alpha: float = 0.05
) -> dict[str, bool]:
    """Which methods are not significantly worse than the best one, from their scores over identical splits.

    The best has the highest median, as in the tables (then the highest mean, then the first name). Each other
    method is compared with it by `corrected_paired_test` on the splits both have (NaN marks a missing one),
    and Holm corrects over these comparisons. Fewer than two common splits distinguish nothing. A method
    without any score is False.
    """
    scores = {name: np.asarray(values, dtype=np.float64) for name, values in scores_by_method.items()}
    if len({len(values) for values in scores.values()}) > 1:
        raise RunError("methods compared over splits need one score a split, NaN where it is missing")
    measured = [name for name, values in scores.items() if np.isfinite(values).any()]
    marks = dict.fromkeys(scores_by_method, False)
    if not measured:
        return marks
    best = min(measured, key=lambda name: (-np.nanmedian(scores[name]), -np.nanmean(scores[name]), name))
    others = [name for name in measured if name != best]
    tests = []
    for name in others:
        difference = scores[best] - scores[name]
        difference = difference[np.isfinite(difference)]
        unknown = PairedTest(0.0, -math.inf, math.inf, 1.0, 0)
        tests.append(corrected_paired_test(difference.tolist(), train_size, test_size) if len(difference) else unknown)
    marks[best] = True
    for name, test, p in zip(others, tests, holm([test.p for test in tests]), strict=True):
        # A lower median with a significantly higher mean is odd, but it is not worse.
        marks[name] = p >= alpha or test.effect < 0
    return marks


# Rankings over datasets ----------------------------------------------------------------------------------------------


def critical_difference(scores_by_method: Mapping[str, Sequence[float]], *, alpha: float = 0.05) -> CriticalDifference:
    """Friedman's test and Nemenyi's critical difference of mean ranks, as Demšar (2006) describes them.

    `scores_by_method` holds a score for every dataset, in the same order for each method; higher is better.
    Datasets that some method lacks must be left out before: a mean over different datasets is not comparable.
    """
    names = list(scores_by_method)
    table = np.array([scores_by_method[name] for name in names], dtype=np.float64)
    if table.ndim != 2 or len(names) < 2 or table.shape[1] < 2:
        raise RunError("a critical difference needs at least two methods and two datasets")
    if not np.isfinite(table).all():
        raise RunError("a critical difference needs a score of every method on every dataset")
    ranks = np.stack([midranks(-column) for column in table.T])
    means = ranks.mean(axis=0)
    cd = nemenyi_cd(len(names), len(ranks), alpha)
    order = sorted(range(len(names)), key=lambda i: (means[i], names[i]))
    mean_ranks = {names[i]: float(means[i]) for i in order}
    return CriticalDifference(mean_ranks, cd, _friedman_p(ranks), _cliques(mean_ranks, cd))


@lru_cache(maxsize=64)
def nemenyi_cd(methods: int, datasets: int, alpha: float = 0.05) -> float:
    """q_alpha sqrt(k(k + 1) / 6N), q from the studentized range over sqrt 2 (Demšar, 2006, section 3.2.2)."""
    q = _studentized_range_quantile(1 - alpha, methods) / math.sqrt(2)
    return q * math.sqrt(methods * (methods + 1) / (6 * datasets))


def _studentized_range_quantile(level: float, groups: int) -> float:
    """The quantile of the range of k standard normals: k ∫ φ(z) (Φ(z) − Φ(z − q))^(k−1) dz = level, by bisection.

    scipy.stats has it too, but importing that takes longer than rendering all tables.
    """
    from scipy.special import ndtr

    z = np.linspace(-9, 9, 3001)
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        inside = groups * float(np.sum(density * (ndtr(z) - ndtr(z - middle)) ** (groups - 1))) * (z[1] - z[0])
        low, high = (middle, high) if inside < level else (low, middle)
    return (low + high) / 2


def _friedman_p(ranks: Vector) -> float:
    """Friedman's chi-square with the correction for ties; 1 when every dataset ties all methods."""
    from scipy.special import chdtrc

    datasets, methods = ranks.shape
    centre = (methods + 1) / 2
    within = float(np.square(ranks - centre).sum())
    if within == 0:
        return 1.0
    between = float(np.square(ranks.sum(axis=0) - datasets * centre).sum())
    return float(chdtrc(methods - 1, (methods - 1) * between / within))


def _cliques(mean_ranks: Mapping[str, float], cd: float) -> list[tuple[str, ...]]:
    names, values = list(mean_ranks), list(mean_ranks.values())
    groups: list[tuple[str, ...]] = []
    reached = 0
    for start, value in enumerate(values):
        stop = max(i for i in range(start, len(values)) if values[i] - value < cd) + 1
        if stop - start > 1 and stop > reached:  # otherwise an earlier group holds it whole
            groups.append(tuple(names[start:stop]))
            reached = stop
    return groups


# What a single number can resolve, and what it costs -----------------------------------------------------------------


def srcc_standard_error(n: int, rho: float) -> float:
    """Standard error of one split's SRCC: (1 − ρ²) sqrt((1 + ρ²/2) / (n − 3)).

    Bonett & Wright's (2000) variance of Fisher's z for Spearman's rho, carried back by the delta method. It
    supposes independent images, so with several versions of one reference it is a lower bound.
    """
    if n < 4 or not -1 <= rho <= 1:
        raise RunError(f"no standard error for an SRCC of {rho:g} over {n} images")
    return (1 - rho**2) * math.sqrt((1 + rho**2 / 2) / (n - 3))


def pareto_front(cost: Sequence[float], quality: Sequence[float]) -> list[bool]:
    """For each point, whether no other is at least as cheap and as good and better in one; never so for NaN."""
    if len(cost) != len(quality):
        raise RunError(f"{len(cost)} costs for {len(quality)} qualities")
    points = list(zip(cost, quality, strict=True))
    known = [point for point in points if not any(math.isnan(value) for value in point)]
    return [
        point in known and not any(c <= point[0] and q >= point[1] and (c, q) != point for c, q in known)
        for point in points
    ]
