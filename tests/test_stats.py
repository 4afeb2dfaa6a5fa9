"""Intervals, corrected tests and rankings against values by hand, scipy, and simulation."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from bench.errors import RunError
from bench.metrics import plcc, srcc
from bench.stats import (
    SplitScores,
    _prepare,
    _weighted_correlations,
    bootstrap_interval,
    bootstrap_median_interval,
    corrected_paired_test,
    critical_difference,
    holm,
    indistinguishable_from_best,
    nemenyi_cd,
    pareto_front,
    srcc_standard_error,
)


def contents_of(references: int, versions: int) -> list[str]:
    return [f"ref{i:02}" for i in range(references) for _ in range(versions)]


def noisy(n: int, noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    human = rng.normal(size=n)
    return human + noise * rng.normal(size=n), human


# Bootstrap


@pytest.mark.parametrize("metric", ["srcc", "plcc"])
@pytest.mark.parametrize("decimals", [0, 6], ids=["ties", "no ties"])
def test_a_weighted_resample_equals_the_metric_of_the_repeated_images(metric, decimals: int):
    x, y = noisy(40, 0.8)
    x, y = x.round(decimals), y.round(decimals)
    names = contents_of(8, 5)
    drawn = np.array([[2, 0, 1, 3, 0, 1, 1, 0]])
    universe = {name: i for i, name in enumerate(sorted(set(names)))}
    prepared = _prepare(SplitScores(x, y, names), universe, metric)
    repeated = np.repeat(np.arange(40), drawn[0][prepared.content])
    expected = {"srcc": srcc, "plcc": plcc}[metric](x[repeated], y[repeated])
    measured = _weighted_correlations(prepared, drawn[:, prepared.content].astype(float))
    assert measured == pytest.approx([expected], abs=1e-10)


def test_the_bootstrap_repeats_with_its_seed_and_holds_the_estimate():
    x, y = noisy(200, 0.5)
    first = bootstrap_interval(x, y, contents_of(20, 10), seed=3)
    assert first == bootstrap_interval(x, y, contents_of(20, 10), seed=3)
    assert first != bootstrap_interval(x, y, contents_of(20, 10), seed=4)
    assert first.estimate == srcc(x, y)
    assert first.low < first.estimate < first.high


def test_the_bootstrap_does_not_depend_on_its_block_size(monkeypatch: pytest.MonkeyPatch):
    x, y = noisy(60, 0.5)
    whole = bootstrap_interval(x, y, metric="plcc", resamples=200)
    monkeypatch.setattr("bench.stats.BLOCK_NUMBERS", 700)
    blocks = bootstrap_interval(x, y, metric="plcc", resamples=200)
    assert (blocks.low, blocks.high) == pytest.approx((whole.low, whole.high), abs=1e-12)


def test_versions_of_one_reference_widen_the_interval():
    rng = np.random.default_rng(0)
    human = rng.normal(size=200)
    error_of_content = np.repeat(rng.normal(size=20), 10)  # a model that misjudges whole contents
    predicted = human + error_of_content
    by_content = bootstrap_interval(predicted, human, contents_of(20, 10))
    by_image = bootstrap_interval(predicted, human)
    assert by_content.high - by_content.low > 1.2 * (by_image.high - by_image.low)


def test_the_interval_by_image_agrees_with_the_standard_error():
    x, y = noisy(400, 0.5)
    interval = bootstrap_interval(x, y, resamples=2000)
    expected = 2 * 1.96 * srcc_standard_error(400, interval.estimate)
    assert interval.high - interval.low == pytest.approx(expected, rel=0.25)


def test_identical_splits_are_no_fresh_evidence_for_the_median():
    x, y = noisy(100, 0.6)
    split = SplitScores(x, y, contents_of(20, 5))
    once, ten_times = bootstrap_median_interval([split]), bootstrap_median_interval([split] * 10)
    assert (ten_times.low, ten_times.high) == pytest.approx((once.low, once.high), abs=1e-12)


def test_disjoint_splits_narrow_the_interval_of_the_median():
    splits = []
    for i in range(9):
        x, y = noisy(60, 0.6, seed=i)
        splits.append(SplitScores(x, y, [f"split{i}-{name}" for name in contents_of(12, 5)]))
    alone, median = bootstrap_median_interval(splits[:1]), bootstrap_median_interval(splits)
    assert median.high - median.low < 0.6 * (alone.high - alone.low)


def test_outliers_leave_the_bootstrap_finite():
    x, y = noisy(100, 0.5)
    x[3] = 1e300
    for metric in ("srcc", "plcc"):
        interval = bootstrap_interval(x, y, metric=metric)
        assert math.isfinite(interval.low)
        assert math.isfinite(interval.high)


def test_a_bootstrap_without_two_contents_or_with_torn_input_is_refused():
    x, y = noisy(10, 0.5)
    with pytest.raises(RunError, match="two contents"):
        bootstrap_interval(x, y, ["one"] * 10)
    with pytest.raises(RunError, match="9 contents for 10 images"):
        bootstrap_interval(x, y, contents_of(3, 3))
    with pytest.raises(RunError, match="at least one split"):
        bootstrap_median_interval([])
    with pytest.raises(RunError, match="undefined"):
        bootstrap_interval(np.ones(10), y)


def test_a_thousand_resamples_of_a_large_test_set_take_seconds():
    x, y = noisy(2015, 0.4)
    started = time.perf_counter()
    bootstrap_interval(x, y)
    assert time.perf_counter() - started < 5


# Corrected paired test


def test_the_corrected_test_by_hand():
    # s² = 0.025/100 with n = 5; the variance of the mean is s²(1/5 + 1/4); t(4, .975) = 2.776.
    test = corrected_paired_test([0.01, 0.03, 0.02, 0.05, 0.04], train_size=800, test_size=200)
    error = math.sqrt(0.00025 * (1 / 5 + 1 / 4))
    assert test.effect == pytest.approx(0.03)
    assert test.high - test.effect == pytest.approx(2.776 * error, rel=1e-3)
    assert test.p == pytest.approx(2 * scipy_stats.t.sf(0.03 / error, 4))
    assert test.n == 5


def test_without_overlap_the_corrected_test_is_scipys_paired_t_test():
    differences = np.random.default_rng(0).normal(0.1, 1, size=12)
    test = corrected_paired_test(differences.tolist(), train_size=10**12, test_size=1)
    plain = scipy_stats.ttest_1samp(differences, 0)
    interval = plain.confidence_interval()
    expected = (plain.pvalue, interval.low, interval.high)
    assert (test.p, test.low, test.high) == pytest.approx(expected, rel=1e-6)


def test_the_correction_makes_ten_splits_less_certain():
    differences = [0.01, 0.012, 0.003, 0.02, 0.004, 0.015, -0.002, 0.011, 0.006, 0.009]
    corrected, plain = (
        corrected_paired_test(differences, 80, 20).p,
        scipy_stats.ttest_1samp(differences, 0).pvalue,
    )
    assert corrected > 5 * plain


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.1, 0.0), (-0.1, 0.0)])
def test_equal_differences_have_no_spread_to_test(value: float, p: float):
    test = corrected_paired_test([value] * 10, 80, 20)
    assert test.p == p
    assert (test.low, test.effect, test.high) == pytest.approx((value, value, value))


def test_one_split_says_nothing():
    test = corrected_paired_test([0.2], 80, 20)
    assert (test.p, test.low, test.high) == (1.0, -math.inf, math.inf)


@pytest.mark.parametrize(("differences", "sizes"), [([], (8, 2)), ([0.1, math.nan], (8, 2)), ([0.1, 0.2], (0, 2))])
def test_a_paired_test_of_nothing_is_refused(differences: list[float], sizes: tuple[int, int]):
    with pytest.raises(RunError):
        corrected_paired_test(differences, *sizes)


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
    marks = indistinguishable_from_best(
        {
            "best": base,
            "close": base - 0.001 + 0.01 * rng.normal(size=10),
            "loser": base - 0.05 + 0.002 * rng.normal(size=10),
            "absent": [math.nan] * 10,
        },
        train_size=80,
        test_size=20,
    )
    assert marks == {"best": True, "close": True, "loser": False, "absent": False}


def test_pairing_finds_a_small_gap_that_the_spread_over_splits_hides():
    rng = np.random.default_rng(1)
    base = 0.8 + 0.05 * rng.normal(size=10)  # the splits differ far more than the methods
    marks = indistinguishable_from_best({"a": base, "b": base - 0.01 + 0.001 * rng.normal(size=10)}, 80, 20)
    assert marks == {"a": True, "b": False}


def test_more_comparisons_need_stronger_evidence():
    differences = np.array([0.01, 0.03, 0.02, 0.05, 0.04, 0.02, 0.01, 0.03, 0.06, 0.01])
    alone = {"best": np.full(10, 0.9), "b": 0.9 - differences}
    assert 0.01 < corrected_paired_test(differences.tolist(), 80, 20).p < 0.05
    crowd = alone | {f"other{i}": 0.9 - differences for i in range(8)}
    assert indistinguishable_from_best(alone, 80, 20)["b"] is False
    assert indistinguishable_from_best(crowd, 80, 20)["b"] is True


def test_missing_splits_are_compared_on_the_common_ones():
    full = [0.90, 0.91, 0.92, 0.93]
    two = [0.5, 0.52, math.nan, math.nan]
    assert indistinguishable_from_best({"a": full, "b": two}, 80, 20)["b"] is False
    assert indistinguishable_from_best({"a": full, "b": [math.nan] * 3 + [0.5]}, 80, 20)["b"] is True
    half, other = [0.9, 0.9, math.nan, math.nan], [math.nan, math.nan, 0.5, 0.5]
    assert indistinguishable_from_best({"a": half, "b": other}, 80, 20)["b"] is True


def test_the_mark_does_not_depend_on_the_order_of_methods():
    rng = np.random.default_rng(2)
    scores = {name: 0.9 + 0.01 * rng.normal(size=10) for name in "abcde"}
    turned = dict(reversed(scores.items()))
    assert indistinguishable_from_best(scores, 80, 20) == indistinguishable_from_best(turned, 80, 20)
    assert indistinguishable_from_best({}, 80, 20) == {}
    with pytest.raises(RunError, match="one score a split"):
        indistinguishable_from_best({"a": [0.1], "b": [0.1, 0.2]}, 80, 20)


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
