"""What the papers' tables lack: paired tests over identical splits, who may be the best, rankings, a gap's meaning.

Only numpy at import; scipy loads inside the functions that need a distribution, so that tables stay quick.
Higher scores are better everywhere, except for `pareto_front`'s cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from bench.core.errors import RunError
from bench.metrics.agreement import Vector, midranks

NO_SPREAD = 1e-12  # differences whose standard deviation is below this part of the largest count as all equal
FEWEST_SPLITS = 3
"""Two splits leave one difference to judge another by: no test is made of them and nothing is marked."""
NULL_DRAWS, DRAWS_AT_ONCE = 20_000, 2_000
MOST_SIMULATED = 12  # methods; with more the bound over all pairs is used, which is a little stricter


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


# Comparisons over identical splits -----------------------------------------------------------------------------------


def corrected_paired_test(differences: Sequence[float], ratio: float, *, level: float = 0.95) -> PairedTest:
    """The corrected resampled t-test of Nadeau & Bengio (2003): paired differences over overlapping splits.

    Splits of one dataset share pictures, so the variance of the mean is s²(1/n + ratio) and not s²/n. `ratio` is the
    test part's share of a set over the rest's: 0.25 at 80/20 whatever part of the 80% is learned from, for it is by
    their test parts that results hang together; 0 where nothing but the seed differs.
    One difference says nothing (p = 1, an unbounded interval). Differences that are all equal leave no spread
    to test against: p is 1 when they are 0 and 0 otherwise, and the interval is the value itself.
    """
    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n == 0 or not np.isfinite(values).all():
        raise RunError("a paired test needs finite differences, one a split")
    if not 0 <= ratio < math.inf:
        raise RunError(f"splits cannot overlap by a ratio of {ratio:g}")
    effect = float(values.mean())
    if n == 1:
        return PairedTest(effect, -math.inf, math.inf, 1.0, 1)
    spread = float(values.std(ddof=1))
    if spread <= NO_SPREAD * float(np.abs(values).max()):
        return PairedTest(effect, effect, effect, 1.0 if effect == 0 else 0.0, n)
    error = spread * math.sqrt(1 / n + ratio)
    half = t_quantile(n - 1, (1 + level) / 2) * error
    return PairedTest(effect, effect - half, effect + half, t_tails(n - 1, effect, error), n)


def t_tails(freedom: float, effect: float, error: float) -> float:
    """Student's t: how often an effect at least as large comes about by chance; 0 where there is no error at all."""
    from scipy.special import stdtr

    if error == 0:
        return 1.0 if effect == 0 else 0.0
    return 2 * float(stdtr(freedom, -abs(effect) / error))


@lru_cache(maxsize=256)
def t_quantile(freedom: float, level: float) -> float:
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


def best_set(
    scores_by_method: Mapping[str, Sequence[float]], ratio: float, *, alpha: float = 0.05
) -> frozenset[str] | None:
    """The methods that may be the best of a column, by their scores over identical splits; None of too few splits.

    The best has the highest median, as in the tables (then the highest mean, then the first name). It was picked from
    the same scores, so each other's t against it (Nadeau & Bengio's) is held against the largest of such t among as
    many equal methods, whose best was picked likewise. The worst is left out first, and the rest are judged as a
    column of their own (as in a model confidence set: Hansen, Lunde & Nason, 2011). Under equal methods some method
    is left out of `alpha` of all columns at most, whatever the methods' variances: each t has a spread of its own.
    Only splits count that all methods have (NaN marks a missing one); a method without any score takes no part.
    """
    scores = {name: np.asarray(values, dtype=np.float64) for name, values in scores_by_method.items()}
    if len({len(values) for values in scores.values()}) > 1:
        raise RunError("methods compared over splits need one score per split, NaN where it is missing")
    scores = {name: values for name, values in scores.items() if np.isfinite(values).any()}
    common = np.isfinite(list(scores.values())).all(axis=0) if scores else np.zeros(0, dtype=bool)
    n = int(common.sum())
    if n < FEWEST_SPLITS:
        return None
    scores = {name: values[common] for name, values in scores.items()}
    best = min(scores, key=lambda name: (-np.median(scores[name]), -scores[name].mean(), name))
    behind = {name: _t_of(scores[best] - values, ratio) for name, values in scores.items() if name != best}
    for name in sorted(behind, key=lambda name: (-behind[name], name)):
        if behind[name] <= _largest_by_chance(len(behind) + 1, n, round(ratio, 1), alpha):
            break
        del behind[name]
    return frozenset({best, *behind})


def _t_of(differences: Vector, ratio: float) -> float:
    """The corrected t of paired differences; infinite where they are all equal but not 0."""
    effect, spread = float(differences.mean()), float(differences.std(ddof=1))
    if spread <= NO_SPREAD * float(np.abs(differences).max()):
        return math.copysign(math.inf, effect) if effect else 0.0
    return effect / (spread * math.sqrt(1 / len(differences) + ratio))


@lru_cache(maxsize=256)
def _largest_by_chance(methods: int, splits: int, ratio: float, alpha: float) -> float:
    """What the largest t against the picked best stays below in all but `alpha` of columns of equal methods.

    Simulated for independent normal scores, of which any two splits share what Nadeau and Bengio's correction
    supposes. Methods that are more alike, or that vary unequally, give smaller ones (docs/coverage.md).
    """
    if methods > MOST_SIMULATED:
        return t_quantile(splits - 1, 1 - alpha / (methods * (methods - 1)))
    rng = np.random.default_rng(0)
    largest = [_largest_t(rng, methods, splits, ratio) for _ in range(NULL_DRAWS // DRAWS_AT_ONCE)]
    return float(np.quantile(np.concatenate(largest), 1 - alpha))


def _largest_t(rng: np.random.Generator, methods: int, splits: int, ratio: float) -> Vector:
    """The largest t against the picked best in columns of equal methods."""
    scores = rng.normal(size=(DRAWS_AT_ONCE, methods, splits))
    scores += math.sqrt(ratio) * rng.normal(size=(DRAWS_AT_ONCE, methods, 1))
    best = np.median(scores, axis=2).argmax(axis=1)
    behind = scores[np.arange(DRAWS_AT_ONCE), best][:, None, :] - scores
    spread = behind.std(axis=2, ddof=1)
    spread[np.arange(DRAWS_AT_ONCE), best] = 1.0
    t: Vector = (behind.mean(axis=2) / (spread * math.sqrt(1 / splits + ratio))).max(axis=1)
    return t


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
    supposes independent images: for several versions of one content see `bench.metrics.contents.standard_error`.
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
