"""The variances of content, seed and picture are found again where they were put in."""

import numpy as np
import pytest

from bench.metrics.comparisons import t_quantile
from bench.metrics.contents import ModelScores, paired_interval
from bench.metrics.variance import Spread, spread_of, spread_of_difference


def models(contents, seeds, pictures, by_content, by_seed, rng=None):
    """Two contents a model; a content's skill is 1 + its own effect + one of content and seed."""
    rng = rng or np.random.default_rng(2)
    own = by_content * rng.standard_normal(contents)
    human = rng.standard_normal((contents, pictures))
    noise = rng.standard_normal((contents, pictures))
    made = {}
    for seed in range(seeds):
        skill = np.clip(0.6 + own + by_seed * rng.standard_normal(contents), 0.05, 0.97)[:, None]
        predicted = skill * human + np.sqrt(1 - skill**2) * noise
        names = np.array([[f"c{i:03}"] * pictures for i in range(contents)])
        made[seed] = [
            ModelScores(predicted[i : i + 2].ravel(), human[i : i + 2].ravel(), names[i : i + 2].ravel())
            for i in range(0, contents, 2)
        ]
    return made


def deviations(spread):
    return [np.sqrt(max(part, 0)) for part in (spread.content, spread.seed, spread.picture)]


def test_each_part_is_found_where_it_alone_moves_the_score():
    content, seed, picture = deviations(spread_of(models(80, 3, 400, 0.1, 0.0)))
    assert content == pytest.approx(0.1, abs=0.02)
    assert seed < 1e-9
    content, seed, picture = deviations(spread_of(models(80, 3, 400, 0.0, 0.1)))
    assert content < 0.06
    assert seed == pytest.approx(0.1, abs=0.02)
    content, seed, picture = deviations(spread_of(models(80, 3, 60, 0.0, 0.0)))
    assert content < 0.06
    assert seed < 1e-9
    assert picture == pytest.approx((1 - 0.6**2) / np.sqrt(60), rel=0.25)


def test_two_equal_methods_differ_by_nothing():
    made = models(20, 3, 60, 0.1, 0.05)
    assert deviations(spread_of_difference(made, made)) == [0, 0, 0]


def test_one_seed_or_two_contents_say_nothing():
    assert spread_of(models(10, 1, 20, 0.1, 0.1)) is None
    assert spread_of(models(2, 3, 20, 0.1, 0.1)) is None


def a_study(seeds, folds, by_fold, by_seed, rng):
    """Two methods on two contents a fold: the first one's seed moves both contents of a fold alike."""
    first, second = {}, {}
    own = by_fold * rng.standard_normal(folds)
    shared = rng.standard_normal((folds, 60))
    human = [rng.standard_normal(60) for _ in range(folds)]
    names = [np.array([f"c{2 * fold + i % 2:02}" for i in range(60)]) for fold in range(folds)]
    for seed in range(seeds):
        moved = by_seed * rng.standard_normal(folds)
        for models, skill in ((first, 0.6 + own + moved), (second, np.full(folds, 0.6))):
            models[seed] = [
                ModelScores(s * h + np.sqrt(1 - s**2) * noise, h, name)
                for s, h, noise, name in zip(np.clip(skill, 0.05, 0.97), human, shared, names, strict=True)
            ]
    return first, second


def test_what_a_comparison_can_see_is_told_from_whole_folds_as_its_own_interval_is():
    first, second = a_study(3, 7, 0.15, 0.05, np.random.default_rng(5))
    spread = spread_of_difference(first, second)
    assert (spread.contents, spread.folds, spread.seeds) == (14, 7, 3)
    over = paired_interval([m for s in first for m in first[s]], [m for s in second for m in second[s]], "srcc")
    error = (over.high - over.estimate) / t_quantile(6, 0.975)
    assert spread.error(7, 3) == pytest.approx(error)
    assert spread.detectable(7, 3) == pytest.approx(error * (t_quantile(6, 0.975) + t_quantile(6, 0.8)))


def test_folds_help_against_all_and_seeds_against_their_own_part_alone():
    spread = Spread(0.01, 0.02, 0.005, 14, 3, 7, 0.012, 0.02)
    assert spread.error(7, 3) == pytest.approx(np.sqrt((0.012 + 0.02 / 3) / 7))
    assert spread.error(28, 3) == pytest.approx(spread.error(7, 3) / 2)
    assert spread.error(7, 10**9) == pytest.approx(np.sqrt(0.012 / 7))


def test_the_detectable_difference_is_found_in_about_eight_of_ten_simulated_studies():
    spread, rng = Spread(0.01, 0.02, 0.005, 14, 3, 7, 0.012, 0.02), np.random.default_rng(3)
    size = spread.detectable(7, 3)
    seeds = np.sqrt(0.02) * rng.standard_normal((4000, 3, 7))
    seen = size + np.sqrt(0.012) * rng.standard_normal((4000, 7)) + seeds.mean(axis=1)
    t = seen.mean(axis=1) / (seen.std(axis=1, ddof=1) / np.sqrt(7))
    assert (np.abs(t) > t_quantile(6, 0.975)).mean() == pytest.approx(0.8, abs=0.03)
