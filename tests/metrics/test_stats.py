"""Intervals, corrected tests and rankings against values by hand, scipy, and simulation."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from bench.core.errors import RunError
from bench.metrics.agreement import srcc
from bench.metrics.comparisons import (
    _largest_by_chance,
    best_set,
    corrected_paired_test,
    critical_difference,
    holm,
    nemenyi_cd,
    pareto_front,
    srcc_standard_error,
)

# Corrected paired test


def test_the_corrected_test_by_hand():
    # s² = 0.025/100 with n = 5; the variance of the mean is s²(1/5 + 1/4); t(4, .975) = 2.776.
    test = corrected_paired_test([0.01, 0.03, 0.02, 0.05, 0.04], 0.25)
    error = math.sqrt(0.00025 * (1 / 5 + 1 / 4))
    assert test.effect == pytest.approx(0.03)
    assert test.high - test.effect == pytest.approx(2.776 * error, rel=1e-3)
    assert test.p == pytest.approx(2 * scipy_stats.t.sf(0.03 / error, 4))
    assert test.n == 5


def test_without_overlap_the_corrected_test_is_scipys_paired_t_test():
    differences = np.random.default_rng(0).normal(0.1, 1, size=12)
    test = corrected_paired_test(differences.tolist(), 0.0)
    plain = scipy_stats.ttest_1samp(differences, 0)
    interval = plain.confidence_interval()
    expected = (plain.pvalue, interval.low, interval.high)
    assert (test.p, test.low, test.high) == pytest.approx(expected, rel=1e-6)


def test_the_correction_makes_ten_splits_less_certain():
    differences = [0.01, 0.012, 0.003, 0.02, 0.004, 0.015, -0.002, 0.011, 0.006, 0.009]
    corrected, plain = (
        corrected_paired_test(differences, 0.25).p,
        scipy_stats.ttest_1samp(differences, 0).pvalue,
    )
    assert corrected > 5 * plain


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.1, 0.0), (-0.1, 0.0)])
def test_equal_differences_have_no_spread_to_test(value: float, p: float):
    test = corrected_paired_test([value] * 10, 0.25)
    assert test.p == p
    assert (test.low, test.effect, test.high) == pytest.approx((value, value, value))


def test_one_split_says_nothing():
    test = corrected_paired_test([0.2], 0.25)
    assert (test.p, test.low, test.high) == (1.0, -math.inf, math.inf)


@pytest.mark.parametrize(
    ("differences", "ratio"), [([], 0.25), ([0.1, math.nan], 0.25), ([0.1, 0.2], -1), ([0.1, 0.2], math.inf)]
)
def test_a_paired_test_of_nothing_is_refused(differences: list[float], ratio: float):
    with pytest.raises(RunError):
        corrected_paired_test(differences, ratio)


# Holm, and the mark in the tables


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
    with pytest.raises(RunError, match="between 0 and 1"):
        holm([0.1, math.nan])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(pvalues: list[float]):
    adjusted = holm(pvalues)
    for raw, value in zip(pvalues, adjusted, strict=True):
        assert raw <= value <= min(1.0, raw * len(pvalues))
    for i in np.argsort(pvalues, kind="stable")[:-1]:
        assert all(adjusted[i] <= adjusted[j] for j in range(len(pvalues)) if pvalues[j] > pvalues[i])


def test_a_clear_loser_is_told_from_the_best_and_a_close_second_is_not():
    rng = np.random.default_rng(0)
    base = 0.9 + 0.02 * rng.normal(size=10)
    scores = {
        "best": base,
        "close": base - 0.001 + 0.01 * rng.normal(size=10),
        "loser": base - 0.05 + 0.002 * rng.normal(size=10),
        "absent": [math.nan] * 10,
    }
    assert best_set(scores, 0.25) == {"best", "close"}


def test_pairing_finds_a_small_gap_that_the_spread_over_splits_hides():
    rng = np.random.default_rng(1)
    base = 0.8 + 0.05 * rng.normal(size=10)  # the splits differ far more than the methods
    assert best_set({"a": base, "b": base - 0.01 + 0.001 * rng.normal(size=10)}, 0.25) == {"a"}


def test_more_comparisons_need_stronger_evidence():
    differences = np.array([0.01, 0.03, 0.02, 0.05, 0.04, 0.02, 0.01, 0.03, 0.06, 0.01])
    alone = {"best": np.full(10, 0.9), "b": 0.9 - differences}
    assert 0.01 < corrected_paired_test(differences.tolist(), 0.25).p < 0.05
    crowd = alone | {f"other{i}": 0.9 - differences for i in range(8)}
    assert best_set(alone, 0.25) == {"best"}
    assert best_set(crowd, 0.25) == set(crowd)


def test_once_the_worst_are_left_out_fewer_comparisons_remain():
    differences = np.array([0.01, 0.03, 0.02, 0.05, 0.04, 0.02, 0.01, 0.03, 0.06, 0.01])
    scores = {"best": np.full(10, 0.9), "b": 0.9 - differences}
    losers = {f"loser{i}": 0.5 - differences for i in range(8)}
    assert best_set(scores | losers, 0.25) == {"best"}


def test_two_splits_tell_nothing_and_a_third_may():
    scores = {"a": [0.9, 0.9, 0.9], "b": [0.5, 0.51, 0.5]}
    assert best_set({name: values[:2] for name, values in scores.items()}, 0.25) is None
    assert best_set(scores, 0.25) == {"a"}


def test_only_splits_that_all_methods_have_are_compared():
    full = [0.90, 0.91, 0.92, 0.93]
    assert best_set({"a": full, "b": [0.5, 0.52, 0.51, math.nan]}, 0.25) == {"a"}
    assert best_set({"a": full, "b": [0.5, 0.52, math.nan, math.nan]}, 0.25) is None
    half, other = [0.9, 0.9, math.nan, math.nan], [math.nan, math.nan, 0.5, 0.5]
    assert best_set({"a": half, "b": other}, 0.25) is None


def test_the_best_set_does_not_depend_on_the_order_of_methods():
    rng = np.random.default_rng(2)
    scores = {name: 0.9 + 0.01 * rng.normal(size=10) for name in "abcde"}
    turned = dict(reversed(scores.items()))
    assert best_set(scores, 0.25) == best_set(turned, 0.25)
    assert best_set({}, 0.25) is None
    with pytest.raises(RunError, match="one score per split"):
        best_set({"a": [0.1], "b": [0.1, 0.2]}, 0.25)


@pytest.mark.parametrize("splits", [3, 5, 10])
@pytest.mark.parametrize("spreads", [np.ones(6), np.geomspace(1, 10, 6)], ids=["alike", "unlike"])
def test_among_equal_methods_some_is_called_worse_in_one_of_twenty_columns(splits: int, spreads: np.ndarray):
    rng = np.random.default_rng(splits)
    called = 0
    for _ in range(1000):
        shared, own = rng.normal(size=(6, 1)), rng.normal(size=(6, splits))
        scores = spreads[:, None] * (math.sqrt(0.2) * shared + math.sqrt(0.8) * own)
        called += len(best_set({str(i): row for i, row in enumerate(scores)}, 0.25) or ()) < 6
    assert called / 1000 < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 1000)


def test_thirteen_methods_are_judged_at_least_as_strictly_as_twelve():
    bounds = [_largest_by_chance(methods, 10, 0.2, 0.05) for methods in (2, 3, 7, 12, 13, 40)]
    assert all(one < other for one, other in pairwise(bounds))
    assert bounds[0] == pytest.approx(scipy_stats.t.ppf(0.975, 9), rel=0.02)  # two methods: a two-sided t-test


# What other libraries say


def test_holm_is_statsmodels():
    from statsmodels.stats.multitest import multipletests

    pvalues = np.random.default_rng(0).beta(0.5, 3, size=9)
    assert holm(pvalues.tolist()) == pytest.approx(multipletests(pvalues, method="holm")[1].tolist())


def test_the_interval_without_overlap_is_statsmodels():
    from statsmodels.stats.weightstats import DescrStatsW

    differences = np.random.default_rng(1).normal(0.1, 1, size=7)
    test = corrected_paired_test(differences.tolist(), 0.0, level=0.9)
    assert (test.low, test.high) == pytest.approx(DescrStatsW(differences).tconfint_mean(alpha=0.1))


def test_the_corrected_test_is_baycomps_correlated_t_test():
    from baycomp import CorrelatedTTest

    first, second = np.random.default_rng(2).normal(0.9, 0.02, size=(2, 10))
    posterior = CorrelatedTTest(first, second + 0.01, 0.0)  # of ten folds: 1 of 10 is tested, 9 are learned from
    test = corrected_paired_test((second + 0.01 - first).tolist(), 1 / 9)
    assert 2 * min(posterior.probs()) == pytest.approx(test.p)
    assert test.effect == pytest.approx(posterior.mean)


def test_friedman_and_nemenyi_are_scikit_posthocs():
    from scikit_posthocs import posthoc_nemenyi_friedman

    scores = np.random.default_rng(3).normal(size=(12, 5)) + np.arange(5) / 2
    result = critical_difference({str(i): column for i, column in enumerate(scores.T)})
    pvalues = posthoc_nemenyi_friedman(scores).to_numpy()
    for i in range(5):
        for j in range(i):
            gap = abs(result.mean_ranks[str(i)] - result.mean_ranks[str(j)])
            assert (gap > result.cd) == (pvalues[i, j] < 0.05)


# Critical difference


def test_nemenyis_quantiles_are_those_of_demsars_table_5():
    expected = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 10: 3.164}
    for methods, q in expected.items():
        assert nemenyi_cd(methods, 1) / math.sqrt(methods * (methods + 1) / 6) == pytest.approx(q, abs=1.5e-3)


def test_demsars_example_has_a_critical_difference_of_1_25():
    assert nemenyi_cd(4, 14) == pytest.approx(1.25, abs=0.005)


@pytest.mark.parametrize("decimals", [0, 5], ids=["ties", "no ties"])
def test_friedmans_p_is_scipys(decimals: int):
    scores = np.random.default_rng(0).normal(size=(4, 9)).round(decimals)
    result = critical_difference(dict(zip("abcd", scores, strict=True)))
    assert result.p == pytest.approx(scipy_stats.friedmanchisquare(*scores).pvalue)


def test_ranks_and_groups_by_hand():
    # Ten datasets, always in the order a > b > c > d: ranks 1 to 4, CD = 2.569 sqrt(20/60) = 1.483.
    rows = {name: [10.0 - i] * 10 for i, name in enumerate("abcd")}
    result = critical_difference(dict(reversed(rows.items())))
    assert result.mean_ranks == {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    assert list(result.mean_ranks) == ["a", "b", "c", "d"]
    assert result.cd == pytest.approx(1.483, abs=1e-3)
    assert result.groups == [("a", "b"), ("b", "c"), ("c", "d")]
    assert result.p < 1e-5


def test_a_group_inside_a_larger_one_is_not_repeated():
    rows = {"a": [3.0] * 4, "b": [2.0] * 4, "c": [1.0] * 4}  # CD = 2.343 sqrt(12/24) = 1.66
    assert critical_difference(rows).groups == [("a", "b"), ("b", "c")]
    tied = {name: [1.0, 2.0] for name in "abc"}
    result = critical_difference(tied)
    assert result.groups == [("a", "b", "c")]
    assert result.p == 1.0


def test_a_ranking_over_incomplete_datasets_is_refused():
    with pytest.raises(RunError, match="every method on every dataset"):
        critical_difference({"a": [0.1, math.nan], "b": [0.1, 0.2]})
    with pytest.raises(RunError, match="at least two methods"):
        critical_difference({"a": [0.1, 0.2]})


# Standard error and Pareto front


def test_the_standard_error_is_that_of_simulated_test_sets():
    rng = np.random.default_rng(0)
    rho, n = 0.9, 232
    pearson = 2 * math.sin(math.pi * rho / 6)  # of normal scores whose Spearman correlation is rho
    covariance = [[1, pearson], [pearson, 1]]
    measured = [srcc(*rng.multivariate_normal([0, 0], covariance, size=n).T) for _ in range(600)]
    assert srcc_standard_error(n, rho) == pytest.approx(np.std(measured), rel=0.15)


@pytest.mark.parametrize(("n", "rho", "error"), [(232, 0.88, 0.018), (600, 0.90, 0.009), (2015, 0.93, 0.0036)])
def test_the_standard_error_of_the_papers_datasets(n: int, rho: float, error: float):
    assert srcc_standard_error(n, rho) == pytest.approx(error, abs=5e-4)


@pytest.mark.parametrize(("n", "rho"), [(3, 0.5), (100, 1.2), (100, math.nan)])
def test_a_standard_error_of_nonsense_is_refused(n: int, rho: float):
    with pytest.raises(RunError):
        srcc_standard_error(n, rho)


def test_the_pareto_front_by_hand():
    cost = [1.0, 2.0, 3.0, 2.0, 1.0, math.nan]
    quality = [0.5, 0.8, 0.7, 0.8, 0.4, 0.99]
    assert pareto_front(cost, quality) == [True, True, False, True, False, False]
    assert pareto_front([], []) == []
    with pytest.raises(RunError, match="1 costs for 2"):
        pareto_front([1.0], [1.0, 2.0])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=15))
def test_every_point_off_the_front_is_beaten_by_one_on_it(points: list[tuple[int, int]]):
    front = pareto_front(*zip(*points, strict=True))
    on = [point for point, marked in zip(points, front, strict=True) if marked]
    assert on
    for (cost, quality), marked in zip(points, front, strict=True):
        beaten = any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in on)
        assert beaten is not marked
