"""How well a score could be predicted at all: labels are means of a few opinions and would be others another time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bench.metrics.agreement import srcc

DRAWS = 40


class Ceiling(NamedTuple):
    """The correlations with the labels that the true qualities themselves would have."""

    srcc: float
    plcc: float


def ceiling_of(scores: np.ndarray, stds: np.ndarray, opinions: float) -> Ceiling | None:
    """What label noise leaves, from the scores of some pictures and the standard deviations of their opinions.

    A label is its picture's true quality plus an error of variance e² = std² / opinions, independent of all others.
    Then the true qualities have the variance of the labels less the mean e². PLCC is the square root of their share;
    SRCC is drawn: true qualities (labels drawn in to that variance) against labels that they could have got.
    None where deviations are unknown, or as large as what the labels differ by.
    """
    errors = np.asarray(stds, dtype=np.float64) / np.sqrt(opinions) if opinions else np.array([np.nan])
    if len(scores) < 3 or not np.isfinite(errors).all():
        return None
    middle, variance = scores.mean(), scores.var()
    share = 1 - np.mean(errors**2) / variance if variance else 0.0
    if share <= 0:
        return None
    true = middle + np.sqrt(share) * (scores - middle)
    draws = np.random.default_rng(len(scores))
    correlations = [srcc(true, true + errors * draws.standard_normal(len(true))) for _ in range(DRAWS)]
    return Ceiling(float(np.mean(correlations)), float(np.sqrt(share)))
