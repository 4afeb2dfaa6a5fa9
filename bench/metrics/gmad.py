"""Group maximum differentiation (Ma et al., 2016, 2020): models attack one another with pairs of images.

An attacker looks for two images that the defender scores alike and it scores as differently as it can. The
original shows these pairs to observers. Here nobody is asked: the pair's difference in true human score, from
the dataset's own labels, stands in for their judgement. So images come from a labelled test set and not from
a large unlabelled pool, and the attacks are weaker than those of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.core.errors import RunError
from bench.metrics.agreement import Vector, fit_logistic

LEVELS = 6
TOLERANCE = 9.0  # on the 0–100 scale: how far from the level a defender's score may lie


@dataclass(frozen=True)
class Pair:
    """Two images that `defender` scores alike and `attacker` apart.

    `best` and `worst` are indices of images: the attacker's highest and lowest. `gap` is human(best) −
    human(worst) on the 0–100 scale: large when the attacker found a true failure, negative when it is itself
    wrong.
    """

    attacker: str
    defender: str
    level: int
    best: int
    worst: int
    gap: float


@dataclass(frozen=True)
class Ranking:
    """The competition's outcome; rows and columns of the matrices are in the order of `models`.

    aggressiveness[i, j]: mean gap of the pairs i found against j. resistance[i, j]: 100 − the mean absolute
    gap of the pairs j found against i. The diagonals, and the entries without any pair, are NaN. The two
    scores are the global rankings, each summing to 1; higher is better.
    """

    models: tuple[str, ...]
    aggressiveness: NDArray[np.float64]
    resistance: NDArray[np.float64]
    aggressiveness_score: dict[str, float]
    resistance_score: dict[str, float]


def rescale(predicted: ArrayLike, human: ArrayLike) -> Vector:
    """Scores on one 0–100 scale for all models: mapped by the logistic, where 0 and 100 are the extreme human scores.

    The mapping must keep the model's own order, because its mistakes are what the competition is about. So a
    score beyond the extremes is not clipped, and where the logistic fails or falls, the model's own range is
    stretched to 0–100 instead.
    """
    scores, labels = np.asarray(predicted, dtype=np.float64), np.asarray(human, dtype=np.float64)
    mapping = fit_logistic(scores, labels)
    if mapping.rising:
        return (mapping(scores) - labels.min()) / np.ptp(labels) * 100
    return (scores - scores.min()) / np.ptp(scores) * 100


def find_pairs(
    attacker: str,
    defender: str,
    scores: Mapping[str, ArrayLike],
    human: ArrayLike,
    *,
    levels: int = LEVELS,
    tolerance: float = TOLERANCE,
) -> list[Pair]:
    """The attacker's most extreme pair at each level of the defender, lowest level first.

    The defender's range is cut into `levels` equal steps. Around the middle of each, the images within
    `tolerance` count as alike for the defender. A level with fewer than two images that the attacker tells
    apart has no pair.
    """
    attack, defence = _rescaled(attacker, scores, human), _rescaled(defender, scores, human)
    labels = np.asarray(human, dtype=np.float64)
    truth = (labels - labels.min()) / np.ptp(labels) * 100
    return _pairs(attacker, defender, attack, defence, truth, levels, tolerance)


def compete(scores: Mapping[str, ArrayLike], human: ArrayLike) -> tuple[list[Pair], Ranking]:
    """All ordered pairs of models against one another: the pairs found, and the ranking they give.

    `scores` are the models' raw predictions for the same images as `human`, whose higher values mean better
    quality.
    """
    models = tuple(scores)
    if len(models) < 2:
        raise RunError("a gMAD competition needs at least two models")
    labels = np.asarray(human, dtype=np.float64)
    scaled = {model: _rescaled(model, scores, human) for model in models}
    truth = (labels - labels.min()) / np.ptp(labels) * 100
    gaps = np.full((len(models), len(models)), np.nan)
    absolute_gaps = gaps.copy()
    all_pairs: list[Pair] = []
    for i, attacker in enumerate(models):
        for j, defender in enumerate(models):
            if i == j:
                continue
            pairs = _pairs(attacker, defender, scaled[attacker], scaled[defender], truth, LEVELS, TOLERANCE)
            all_pairs.extend(pairs)
            if pairs:
                gaps[i, j] = np.mean([pair.gap for pair in pairs])
                absolute_gaps[i, j] = np.mean([abs(pair.gap) for pair in pairs])
    resistance = 100 - absolute_gaps.T
    aggressive, resistant = perron_rank(gaps), perron_rank(resistance)
    ranking = Ranking(
        models,
        gaps,
        resistance,
        dict(zip(models, aggressive.tolist(), strict=True)),
        dict(zip(models, resistant.tolist(), strict=True)),
    )
    return all_pairs, ranking


def perron_rank(matrix: ArrayLike) -> Vector:
    """Global scores from a matrix of pairwise outcomes: the Perron vector of its ratios, summing to 1.

    Element (i, j) is how well i did against j. The ratio b_ij = (a_ij + 1) / (a_ji + 1) says how many times
    better i did than j; negative outcomes count as 0, and the 1 keeps a ratio finite when one side found
    nothing. The principal eigenvector of such a reciprocal matrix ranks its rows (Saaty & Vargas, 1984), and
    equals the limit of the averaged powers B^t 1 / 1ᵀ B^t 1 that Perron rank is defined by. NaN (no pair
    found) counts as a draw.
    """
    outcomes = np.maximum(np.asarray(matrix, dtype=np.float64), 0) + 1
    ratios = outcomes / outcomes.T
    ratios[~np.isfinite(ratios)] = 1.0  # the diagonal, and where nothing was found on a side
    vector = np.full(len(ratios), 1 / len(ratios))
    for _ in range(1000):  # a positive matrix: the power method converges geometrically
        following = ratios @ vector
        following /= following.sum()
        if np.abs(following - vector).max() < 1e-14:
            break
        vector = following
    return following


def _rescaled(model: str, scores: Mapping[str, ArrayLike], human: ArrayLike) -> Vector:
    try:
        return rescale(scores[model], human)
    except RunError as error:
        raise RunError(f"{model} cannot compete: {error}") from error


def _pairs(
    attacker: str,
    defender: str,
    attack: Vector,
    defence: Vector,
    truth: Vector,
    levels: int,
    tolerance: float,
) -> list[Pair]:
    low, step = defence.min(), np.ptp(defence) / levels
    pairs = []
    for level in range(levels):
        alike = np.flatnonzero(np.abs(defence - (low + (level + 0.5) * step)) <= tolerance)
        if not len(alike):
            continue
        best, worst = int(alike[attack[alike].argmax()]), int(alike[attack[alike].argmin()])
        if attack[best] > attack[worst]:
            pairs.append(Pair(attacker, defender, level, best, worst, float(truth[best] - truth[worst])))
    return pairs
