"""A scale keeps the order of raw numbers, leaves scores like those of training as fitted, and levels off beyond."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bench.scoring.onnx_file import FromViews
from bench.scoring.scale import MARGIN, Scale, fit_scale

RAW = np.linspace(-2, 2, 60)
SHAPES = {
    "a line": 3 + RAW,
    "an exponential": 5 - np.exp(-1.2 * RAW) / 3,
    "a logistic": 1 + 4 / (1 + np.exp(-3 * RAW)) + 0.02 * np.sin(40 * RAW),
}
FAR = np.concatenate([-np.geomspace(1e3, 2.1, 80), RAW, np.geomspace(2.1, 1e3, 80)])
RUNAWAY = {"curve": [55.8, -8602393.0, -39.7, 3.23], "line": [0.0, 3.0, 1.0]}
OF_BEFORE = {"dataset": "near", "higher_is_better": True, "low": 10.0, "high": 50.0, "pictures": 60}


def fitted(shape: str, *, rises: bool = True) -> Scale:
    """The scale of a training part whose scores have this shape; one that falls has low scores for good pictures."""
    scores = SHAPES[shape] if rises else 6 - SHAPES[shape]
    scale = fit_scale("near", RAW.tolist(), scores, SHAPES[shape])
    assert scale is not None
    return scale


@pytest.mark.parametrize("rises", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_beyond_the_training_scores_it_levels_off_within_a_tenth_of_their_range(shape, rises):
    scale = fitted(shape, rises=rises)
    room = MARGIN * (scale.high - scale.low)
    scores = scale(FAR)
    assert scale.low - room < scores.min()
    assert scores.max() < scale.high + room


@pytest.mark.parametrize("rises", [True, False])
@pytest.mark.parametrize("shape", ["a line", "an exponential"])
def test_no_order_is_moved_ten_times_as_far_from_the_middle_as_training_went(shape, rises):
    steps = np.diff(fitted(shape, rises=rises)(FAR[abs(FAR) < 20]))
    assert (steps > 0).all() if rises else (steps < 0).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_scores_within_those_of_training_are_what_was_fitted(shape):
    scale = fitted(shape)
    plain = scale.mapping(FAR)
    within = (plain >= scale.low) & (plain <= scale.high)
    assert within.sum() > 40
    assert np.array_equal(scale(FAR)[within], plain[within])


def test_a_scale_that_was_kept_before_gives_the_numbers_it_gave():
    scale = Scale.from_json(OF_BEFORE | RUNAWAY)
    raw = np.array([-10.0, -6, -4, -2, 0, 5])
    assert np.array_equal(scale(raw), scale.mapping(raw))
    assert scale(raw)[0] < -800
    assert Scale.from_json(scale.to_json()) == scale


def test_with_a_margin_the_same_mapping_does_not_run_away():
    scale = Scale.from_json(OF_BEFORE | RUNAWAY | {"margin": 4.0})
    scores = scale([-60.0, -10, -6, -4, -2, 0, 5])
    assert (np.diff(scores) > 0).all()
    assert scores[0] > 6
    assert Scale.from_json(scale.to_json()) == scale


@pytest.mark.parametrize("margin", [-1.0, float("nan"), float("inf"), "wide"])
def test_a_margin_that_is_none_makes_no_scale(margin):
    with pytest.raises((ValueError, TypeError)):
        Scale.from_json(OF_BEFORE | RUNAWAY | {"margin": margin})


@pytest.mark.parametrize("margin", [{}, {"margin": 4.0}])
def test_onnx_levels_off_as_python_does(margin):
    scale = Scale.from_json(OF_BEFORE | RUNAWAY | margin)
    graph = FromViews(SimpleNamespace(scale=scale, model=torch.nn.Identity(), views={}))
    raw = np.array([-60.0, -10, -2, 0, 5])
    assert graph.on_scale(torch.from_numpy(raw)).numpy() == pytest.approx(scale(raw), rel=1e-12)
