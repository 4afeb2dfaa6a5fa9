"""What label noise allows: closed cases, and worlds in which the true qualities are known."""

import numpy as np
import pytest

from bench.metrics.noise import ceiling_of


def world(pictures=4000, spread=1.0, std=1.2, opinions=16, seed=3):
    """True qualities, and labels that are means of opinions about them."""
    draws = np.random.default_rng(seed)
    true = spread * draws.standard_normal(pictures)
    return true, true + std / np.sqrt(opinions) * draws.standard_normal(pictures), np.full(pictures, std), opinions


@pytest.mark.parametrize("std", [0.4, 1.2, 2.4])
def test_it_is_what_true_qualities_reach_in_a_world_where_they_are_known(std):
    from scipy.stats import pearsonr, spearmanr

    true, labels, stds, opinions = world(std=std)
    found = ceiling_of(labels, stds, opinions)
    assert found.plcc == pytest.approx(pearsonr(true, labels).statistic, abs=0.01)
    assert found.srcc == pytest.approx(spearmanr(true, labels).statistic, abs=0.01)


def test_without_any_spread_of_opinions_everything_could_be_known():
    assert ceiling_of(np.arange(10.0), np.zeros(10), 20) == pytest.approx((1.0, 1.0))


def test_more_opinions_allow_more():
    _, labels, stds, _ = world()
    few, many = (ceiling_of(labels, stds, opinions) for opinions in (16, 64))
    assert few.srcc < many.srcc < 1
    assert few.plcc < many.plcc < 1


def test_it_is_the_same_number_each_time():
    _, labels, stds, opinions = world(pictures=50)
    assert ceiling_of(labels, stds, opinions) == ceiling_of(labels, stds, opinions)


@pytest.mark.parametrize(
    ("scores", "stds", "opinions"),
    [
        (np.arange(9.0), np.full(9, np.nan), 20),
        (np.arange(9.0), np.ones(9), 0),
        (np.arange(9.0), np.full(9, 100.0), 2),
        (np.ones(9), np.ones(9), 2),
        (np.arange(2.0), np.ones(2), 20),
    ],
    ids=["deviations unknown", "opinions unknown", "noise alone", "equal labels", "two pictures"],
)
def test_where_nothing_can_be_said_nothing_is(scores, stds, opinions):
    assert ceiling_of(scores, stds, opinions) is None
