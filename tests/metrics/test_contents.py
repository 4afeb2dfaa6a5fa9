"""Intervals over contents: against values by hand, the jackknife written out, and designs of all kinds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.core.errors import RunError
from bench.metrics.agreement import score_metrics, srcc
from bench.metrics.comparisons import srcc_standard_error
from bench.metrics.contents import ModelScores, interval, paired_interval, standard_error


def a_model(contents: list[str], versions: int, seed: int, noise: float = 0.6, metric: str = "srcc") -> ModelScores:
    """A model's predictions of some contents; labels and the contents' difficulty do not depend on the seed."""
    names = np.repeat(contents, versions)
    human = np.concatenate([np.random.default_rng(int(name)).normal(size=versions) for name in contents])
    hard = np.array([np.random.default_rng(100 + int(name)).normal() for name in names])
    predicted = human + noise * (hard + np.random.default_rng(seed).normal(size=len(names)))
    return ModelScores.of(metric, predicted, human, names)


def named(*numbers: int) -> list[str]:
    return [f"{number:03}" for number in numbers]


def test_one_model_s_interval_is_the_jackknife_written_out():
    model = a_model(named(*range(9)), 12, seed=0)
    without = [
        math.atanh(srcc(model.predicted[model.contents != name], model.human[model.contents != name]))
        for name in named(*range(9))
    ]
    error = math.sqrt(8 / 9 * np.square(without - np.mean(without)).sum())
    half = stats.t.ppf(0.975, 4) * error  # half of 9 − 1 degrees of freedom
    whole = srcc(model.predicted, model.human)
    found = interval([model], "srcc")
    assert found.estimate == pytest.approx(whole)
    assert (found.low, found.high) == pytest.approx(
        (math.tanh(math.atanh(whole) - half), math.tanh(math.atanh(whole) + half))
    )
    assert found.contents == 9


def test_the_estimate_is_the_mean_of_the_metric_itself():
    models = [a_model(named(*range(6 * i, 6 * i + 6)), 9, seed=i, noise=0.2 + i) for i in range(3)]
    found = interval(models, "srcc")
    assert found.estimate == pytest.approx(np.mean([srcc(m.predicted, m.human) for m in models]))
    assert math.atanh(found.high) - math.atanh(found.estimate) == pytest.approx(
        math.atanh(found.estimate) - math.atanh(found.low)
    )


def test_contents_that_weigh_more_leave_fewer_degrees_of_freedom():
    sizes = [24, 24, *[6] * 8]  # Kish: 96² / (2 · 24² + 8 · 6²) = 6.4 equal contents
    names = np.repeat(named(*range(10)), sizes)
    rng = np.random.default_rng(0)
    human = rng.normal(size=96)
    first, second = (ModelScores(human + rng.normal(size=96), human, names) for _ in range(2))

    def difference(kept: np.ndarray) -> float:
        return srcc(first.predicted[kept], human[kept]) - srcc(second.predicted[kept], human[kept])

    without = [difference(names != name) for name in named(*range(10))]
    error = math.sqrt(9 / 10 * np.square(without - np.mean(without)).sum())
    found = paired_interval([first], [second], "srcc")
    assert found.high - found.estimate == pytest.approx(stats.t.ppf(0.975, 6.4 - 1) * error)


def test_the_same_contents_in_all_splits_are_no_fresh_evidence():
    once = interval([a_model(named(*range(12)), 8, seed=0)], "srcc")
    often = interval([a_model(named(*range(12)), 8, seed=0)] * 10, "srcc")
    assert (often.low, often.high) == pytest.approx((once.low, once.high))


def test_other_contents_in_each_split_narrow_the_interval():
    one = interval([a_model(named(*range(12)), 8, seed=0)], "srcc")
    four = interval([a_model(named(*range(12 * i, 12 * i + 12)), 8, seed=0) for i in range(4)], "srcc")
    assert four.high - four.low < 0.65 * (one.high - one.low)


def test_pairing_removes_what_contents_do_to_both_models():
    first = [a_model(named(*range(10)), 20, seed=s, noise=0.5) for s in range(3)]
    second = [
        ModelScores(m.predicted + 0.1 * np.random.default_rng(9).normal(size=200), m.human, m.contents) for m in first
    ]
    alone, paired = interval(first, "srcc"), paired_interval(first, second, "srcc")
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)
    assert paired.estimate == pytest.approx(
        np.mean([srcc(a.predicted, a.human) - srcc(b.predicted, b.human) for a, b in zip(first, second, strict=True)])
    )


def test_a_comparison_turns_round_with_its_arguments():
    first = [a_model(named(*range(10)), 20, seed=s) for s in range(3)]
    second = [a_model(named(*range(10)), 20, seed=s + 10) for s in range(3)]
    forth, back = paired_interval(first, second, "srcc"), paired_interval(second, first, "srcc")
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))


def folds(contents: int, size: int, seeds: int, shift: float = 0.0) -> list[ModelScores]:
    """K-fold over contents: each in one test part, once per seed; every model has a scale of its own."""
    parts = [named(*range(start, min(start + size, contents))) for start in range(0, contents, size)]
    models = [a_model(part, 25, seed=7 * i + seed) for i, part in enumerate(parts) for seed in range(seeds)]
    noise = np.random.default_rng(5)
    return [
        ModelScores(3 * i + (1 + i) * (m.predicted + shift * noise.normal(size=len(m.human))), m.human, m.contents)
        for i, m in enumerate(models)
    ]


@pytest.mark.parametrize(("size", "parts"), [(1, 17), (2, 9)])
def test_folds_of_one_or_two_contents_are_compared_as_they_are(size: int, parts: int):
    first, second = folds(17, size, 3), folds(17, size, 3, shift=0.5)
    found = paired_interval(first, second, "srcc")
    by_model = [srcc(a.predicted, a.human) - srcc(b.predicted, b.human) for a, b in zip(first, second, strict=True)]
    by_fold = np.mean(np.reshape(by_model, (parts, 3)), axis=1)
    expected = stats.ttest_1samp(by_fold, 0).confidence_interval()
    assert found.estimate == pytest.approx(by_fold.mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.contents == 17


def test_folds_of_many_contents_leave_out_one_content_after_the_other():
    found = paired_interval(folds(30, 6, 1), folds(30, 6, 1, shift=0.5), "srcc")
    by_fold = [
        srcc(a.predicted, a.human) - srcc(b.predicted, b.human)
        for a, b in zip(folds(30, 6, 1), folds(30, 6, 1, shift=0.5), strict=True)
    ]
    assert found.low > 0
    assert found.high - found.low < np.ptp(stats.ttest_1samp(by_fold, 0).confidence_interval())


def test_a_scale_of_its_own_in_each_model_changes_nothing():
    models = [a_model(named(*range(6 * i, 6 * i + 6)), 9, seed=i) for i in range(3)]
    scaled = [ModelScores(100 * i + 10**i * m.predicted, m.human, m.contents) for i, m in enumerate(models)]
    assert interval(models, "srcc") == interval(scaled, "srcc")


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ([range(7)], "7 contents where it takes 8"),
        ([range(1)], "1 content where it takes 8"),
        ([(0, 1), (1, 2), (3, 4), (5, 6), (7, 8)], "a test part of 2 contents where it takes 3"),
    ],
)
def test_too_few_contents_give_no_interval_and_say_so(parts: list[range], why: str):
    found = interval([a_model(named(*part), 9, seed=i) for i, part in enumerate(parts)], "srcc")
    assert (found.low, found.high, found.why) == (None, None, why)
    assert not found.excludes_zero


def test_a_content_whose_loss_leaves_nothing_to_correlate_gives_no_interval():
    model = a_model(named(*range(8)), 5, seed=0)
    constant = ModelScores(np.where(model.contents == "003", model.predicted, 1.0), model.human, model.contents)
    assert "undefined" in interval([constant], "srcc").why


def test_pictures_that_stand_alone_agree_with_the_formula():
    rng = np.random.default_rng(0)
    human = rng.normal(size=1500)
    model = ModelScores.of("srcc", human + rng.normal(size=1500), human, [f"{i}.png" for i in range(1500)])
    expected = srcc_standard_error(1500, srcc(model.predicted, model.human))
    assert standard_error([model]) == pytest.approx(expected, rel=0.25)
    found = interval([model], "srcc")
    assert found.high - found.low == pytest.approx(2 * 1.96 * expected, rel=0.3)


def test_versions_of_one_content_make_the_standard_error_larger_than_the_formula_s():
    model = a_model(named(*range(16)), 40, seed=0)
    assert standard_error([model]) > 1.3 * srcc_standard_error(640, srcc(model.predicted, model.human))


def test_the_standard_error_of_a_split_is_not_that_of_the_mean_over_splits():
    parts = [a_model(named(*range(12 * i, 12 * i + 12)), 8, seed=0) for i in range(4)]
    assert standard_error(parts) == pytest.approx(np.sqrt(np.mean([standard_error([p]) ** 2 for p in parts])))
    assert standard_error([a_model(named(0, 1), 30, seed=0)]) is None


@pytest.mark.parametrize("contents", [1, 2])
def test_where_folds_have_too_few_contents_to_leave_one_out_there_is_no_standard_error(contents):
    folds = [a_model(named(*range(contents * k, contents * k + contents)), 30, seed=k) for k in range(8)]
    assert standard_error(folds) is None
    assert interval(folds, "srcc").low is not None, "folds as they are give an interval"


@pytest.mark.parametrize("metric", ["srcc", "plcc", "krcc", "rmse", "plcc_raw"])
def test_every_metric_is_the_record_s_own(metric: str):
    for turned in (1, -1):
        plain = a_model(named(*range(10)), 15, seed=1)
        model = ModelScores.of(metric, turned * np.exp(plain.predicted), plain.human, plain.contents)
        found = interval([model], metric)
        recorded = score_metrics(turned * np.exp(plain.predicted), plain.human)[metric]
        assert found.estimate == pytest.approx(recorded)
        assert found.low < recorded < found.high


def test_models_tested_on_other_images_are_not_compared():
    one, other = a_model(named(*range(8)), 5, seed=0), a_model(named(*range(1, 9)), 5, seed=0)
    with pytest.raises(RunError, match="same images"):
        paired_interval([one], [other], "srcc")
    with pytest.raises(RunError, match="3 predictions of 3 images with 2 contents"):
        ModelScores.of("srcc", [1, 2, 3], [1, 2, 3], ["a", "b"])
