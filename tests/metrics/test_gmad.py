"""gMAD: pairs found by hand, matrices of a perfect and a poor model, and the Perron ranking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import RunError
from bench.metrics.agreement import midranks
from bench.metrics.gmad import LEVELS, TOLERANCE, compete, find_pairs, perron_rank, rescale


def population(n: int = 400, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    human = rng.uniform(1, 5, size=n)
    noise = rng.normal(size=(3, n))
    models = {"good": human + 0.2 * noise[0], "fair": human + 0.7 * noise[1], "poor": human + 2.0 * noise[2]}
    return models, human


def test_every_model_is_brought_to_the_human_scale_in_its_own_order():
    models, human = population()
    for predicted in (models["fair"] * 1000, np.exp(models["fair"]), -models["fair"]):
        scaled = rescale(predicted, human)
        assert np.array_equal(midranks(scaled), midranks(predicted))
        assert scaled.min() > -40
        assert scaled.max() < 140
    truth = (human - human.min()) / np.ptp(human) * 100
    assert rescale(human * 7 - 3, human) == pytest.approx(truth, abs=0.1)


def test_a_predictor_that_runs_backwards_is_not_turned_round():
    models, human = population()
    assert np.corrcoef(rescale(-models["good"], human), human)[0, 1] < -0.9


def test_the_pair_at_a_level_by_hand():
    # Four images, too few for a logistic, so each model's own range is 0–100. With two levels the middles are
    # 25 and 75; the defender holds the first two images alike around 25 and the last two around 75.
    scores = {"attacker": [10.0, 0.0, 4.0, 5.0], "defender": [0.0, 10.0, 90.0, 100.0]}
    human = [5.0, 1.0, 2.0, 3.0]
    low, high = find_pairs("attacker", "defender", scores, human, levels=2, tolerance=26)
    assert (low.level, low.best, low.worst, low.gap) == (0, 0, 1, 100.0)
    assert (high.level, high.best, high.worst, high.gap) == (1, 3, 2, 25.0)


def test_pairs_are_alike_for_the_defender_and_apart_for_the_attacker():
    models, human = population()
    attack, defence = rescale(models["good"], human), rescale(models["poor"], human)
    pairs = find_pairs("good", "poor", models, human)
    assert [pair.level for pair in pairs] == sorted({pair.level for pair in pairs})
    assert 0 < len(pairs) <= LEVELS
    for pair in pairs:
        assert abs(defence[pair.best] - defence[pair.worst]) <= 2 * TOLERANCE
        middle = defence.min() + (pair.level + 0.5) * np.ptp(defence) / LEVELS
        alike = np.abs(defence - middle) <= TOLERANCE
        assert attack[pair.best] == attack[alike].max()
        assert attack[pair.worst] == attack[alike].min()


def test_a_better_model_attacks_harder_and_resists_longer():
    models, human = population()
    _, ranking = compete(models, human)
    good, poor = ranking.models.index("good"), ranking.models.index("poor")
    assert ranking.aggressiveness[good, poor] > ranking.aggressiveness[poor, good] + 20
    assert ranking.resistance[good, poor] > ranking.resistance[poor, good] + 20
    for score in (ranking.aggressiveness_score, ranking.resistance_score):
        assert sorted(score, key=score.__getitem__) == ["poor", "fair", "good"]


def test_the_matrices_are_the_means_of_the_pairs():
    models, human = population()
    pairs, ranking = compete(models, human)
    for i, attacker in enumerate(ranking.models):
        assert np.isnan(ranking.aggressiveness[i, i])
        assert np.isnan(ranking.resistance[i, i])
        for j, defender in enumerate(ranking.models):
            gaps = [pair.gap for pair in pairs if (pair.attacker, pair.defender) == (attacker, defender)]
            if gaps:
                assert ranking.aggressiveness[i, j] == pytest.approx(np.mean(gaps))
                assert ranking.resistance[j, i] == pytest.approx(100 - np.mean(np.abs(gaps)))


def test_a_perfect_model_is_never_shaken():
    models, human = population()
    _, ranking = compete({"perfect": human, "poor": models["poor"]}, human)
    assert ranking.resistance[0, 1] >= 100 - 2 * TOLERANCE - 0.5


def test_identical_models_find_nothing_worse_and_draw():
    models, human = population()
    _, ranking = compete({"a": models["fair"], "b": models["fair"].copy()}, human)
    assert ranking.aggressiveness_score == pytest.approx({"a": 0.5, "b": 0.5})
    assert ranking.resistance_score == pytest.approx({"a": 0.5, "b": 0.5})


def test_the_competition_does_not_depend_on_the_order_of_models():
    models, human = population()
    _, forwards = compete(models, human)
    _, backwards = compete(dict(reversed(models.items())), human)
    assert backwards.aggressiveness_score == pytest.approx(forwards.aggressiveness_score)
    assert backwards.resistance_score == pytest.approx(forwards.resistance_score)


def test_a_model_that_cannot_compete_is_named():
    models, human = population()
    with pytest.raises(RunError, match="flat cannot compete: all 400 predicted scores are 1"):
        compete(models | {"flat": np.ones(400)}, human)
    with pytest.raises(RunError, match="at least two models"):
        compete({"alone": human}, human)


def test_a_consistent_matrix_gives_back_its_weights():
    # With b_ij = w_i / w_j exactly, the Perron vector is w: here w is 4 : 2 : 1.
    weights = np.array([4.0, 2.0, 1.0])
    assert perron_rank(np.tile(weights[:, None] * 10 - 1, 3)) == pytest.approx(weights / 7)


def test_perron_rank_is_the_limit_of_the_averaged_powers():
    outcomes = np.array([[np.nan, 30.0, 8.0], [12.0, np.nan, 20.0], [25.0, 5.0, np.nan]])
    ratios = np.where(np.isnan(outcomes), 1.0, (outcomes + 1) / (outcomes.T + 1))
    powers = [np.linalg.matrix_power(ratios / 3, t) @ np.ones(3) for t in range(1, 400)]
    assert perron_rank(outcomes) == pytest.approx(np.mean([p / p.sum() for p in powers], axis=0), abs=1e-3)


def test_a_failed_attack_counts_as_zero_and_an_unfought_one_as_a_draw():
    assert perron_rank([[np.nan, -50.0], [0.0, np.nan]]) == pytest.approx([0.5, 0.5])
    assert perron_rank([[np.nan, np.nan], [30.0, np.nan]]) == pytest.approx([0.5, 0.5])


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 6).flatmap(lambda k: st.lists(st.floats(-100, 100), min_size=k * k, max_size=k * k)))
def test_perron_scores_are_positive_shares(values: list[float]):
    size = int(len(values) ** 0.5)
    shares = perron_rank(np.reshape(values, (size, size)))
    assert shares.sum() == pytest.approx(1)
    assert (shares > 0).all()
