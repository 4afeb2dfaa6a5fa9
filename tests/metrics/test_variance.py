"""The variances of content, seed and picture are found again where they were put in."""

import numpy as np
import pytest

from bench.metrics.contents import ModelScores
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


def test_contents_help_against_all_and_seeds_against_their_own_part_alone():
    spread = Spread(0.01, 0.02, 0.005, 14, 3)
    assert spread.error(14, 3) == pytest.approx(np.sqrt((0.015 + 0.02 / 3) / 14))
    assert spread.error(56, 3) == pytest.approx(spread.error(14, 3) / 2)
    assert spread.error(14, 10**9) == pytest.approx(np.sqrt(0.015 / 14))


def test_the_detectable_difference_is_found_in_eight_of_ten_simulated_studies():
    spread, rng = Spread(0.01, 0.02, 0.005, 14, 3), np.random.default_rng(3)
    size = spread.detectable(14, 3)
    deviation = np.sqrt(0.015 + 0.02 / 3)
    seen = size + deviation * rng.standard_normal((4000, 14))
    t = seen.mean(axis=1) / (seen.std(axis=1, ddof=1) / np.sqrt(14))
    assert (np.abs(t) > 2.160).mean() == pytest.approx(0.8, abs=0.03)
