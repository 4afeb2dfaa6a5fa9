"""What moves a score in k-fold, where each content is tested by one model per seed.

One content's score (or the difference of two methods' scores of it) is moved by the content itself, by the seed of its
training, and by which of its pictures were shown. What a comparison is tested by are whole folds, whose contents share
a model: what such a test can see is told from the folds' own numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.metrics.comparisons import t_quantile
from bench.metrics.contents import ModelScores

GROUPS = 20
"""Groups of pictures that are left out in turn."""


@dataclass(frozen=True)
class Spread:
    """The variances of one content's score under one seed, and how many contents and seeds they were seen in.

    `by_fold` and `fold_seed` are those of a whole fold's score: from fold to fold, and of one fold from seed to seed.
    """

    content: float
    seed: float
    picture: float
    contents: int
    seeds: int
    folds: int
    by_fold: float
    fold_seed: float

    @property
    def text(self) -> str:
        """The three standard deviations."""
        return "/".join(f"{math.sqrt(max(part, 0.0)):.3f}" for part in (self.content, self.seed, self.picture))

    def error(self, folds: int, seeds: int) -> float:
        """The standard error of the mean over so many folds and seeds; contents and pictures stay under every seed."""
        return math.sqrt((max(self.by_fold, 0.0) + self.fold_seed / seeds) / folds)

    def detectable(self, folds: int, seeds: int, *, alpha: float = 0.05, power: float = 0.8) -> float:
        """The smallest true mean that a t-test over folds finds with this power."""
        freedom = folds - 1.0
        return (t_quantile(freedom, 1 - alpha / 2) + t_quantile(freedom, power)) * self.error(folds, seeds)


def spread_of(models: Mapping[int, Sequence[ModelScores]], metric: str = "srcc") -> Spread | None:
    """The spread of one method's scores, its models by seed; None with fewer than two seeds or three contents."""
    return _spread(
        {seed: [_scores(model, metric) for model in tested] for seed, tested in models.items()},
        {seed: [model.whole(metric) for model in tested] for seed, tested in models.items()},
    )


def spread_of_difference(
    first: Mapping[int, Sequence[ModelScores]], second: Mapping[int, Sequence[ModelScores]], metric: str = "srcc"
) -> Spread | None:
    """The same of the differences first − second of models tested in pairs on the same pictures."""
    return _spread(
        {
            seed: [
                _minus(_scores(one, metric), _scores(other, metric))
                for one, other in zip(first[seed], second[seed], strict=True)
            ]
            for seed in first
        },
        {
            seed: [
                one.whole(metric) - other.whole(metric) for one, other in zip(first[seed], second[seed], strict=True)
            ]
            for seed in first
        },
    )


def content_scores(models: Mapping[int, Sequence[ModelScores]], metric: str = "srcc") -> dict[str, float]:
    """Each content's score inside the models that tested it, the mean over seeds; of contents that all seeds tested."""
    by_seed = []
    for tested in models.values():
        by_content: dict[str, list[float]] = {}
        for model in tested:
            for name, (count, score) in _scores(model, metric).items():
                by_content.setdefault(name, []).append(score(np.ones(count, dtype=bool)))
        by_seed.append({name: float(np.mean(values)) for name, values in by_content.items()})
    names = sorted(set.intersection(*map(set, by_seed))) if by_seed else []
    return {name: float(np.mean([scores[name] for scores in by_seed])) for name in names}


Score = Callable[[np.ndarray], float]
"""A content's score over the pictures of it that are kept."""


@dataclass(frozen=True)
class _Content:
    """One content under one model: its score, and the variance that its sample of pictures leaves."""

    value: float
    picture: float


def _scores(model: ModelScores, metric: str) -> dict[str, tuple[int, Score]]:
    """By content: how many pictures show it, and its score."""
    return {str(name): _score_of(model, metric, model.contents == name) for name in np.unique(model.contents)}


def _score_of(model: ModelScores, metric: str, shown: np.ndarray) -> tuple[int, Score]:
    rows = np.flatnonzero(shown)

    def score(kept: np.ndarray) -> float:
        mask = np.zeros(len(shown), dtype=bool)
        mask[rows[kept]] = True
        return model.measured(metric, mask)

    return len(rows), score


def _minus(one: dict[str, tuple[int, Score]], other: dict[str, tuple[int, Score]]) -> dict[str, tuple[int, Score]]:
    def difference(a: Score, b: Score) -> Score:
        return lambda kept: a(kept) - b(kept)

    return {name: (count, difference(score, other[name][1])) for name, (count, score) in one.items()}


def _jackknifed(count: int, score: Score) -> _Content:
    """A score with the variance by leaving out its pictures in groups."""
    group = np.random.default_rng(0).permutation(count) % min(GROUPS, count)
    without = np.array([score(group != number) for number in range(group.max() + 1)])
    n = len(without)
    return _Content(score(np.ones(count, dtype=bool)), float((n - 1) / n * np.square(without - without.mean()).sum()))


def _spread(
    by_seed: Mapping[int, Sequence[dict[str, tuple[int, Score]]]], whole: Mapping[int, Sequence[float]]
) -> Spread | None:
    """Variances by the method of moments, over the contents that all seeds have tested and over their folds."""
    scores_by_seed = [
        {name: _jackknifed(*score) for scores in parts for name, score in scores.items()} for parts in by_seed.values()
    ]
    names = sorted(set.intersection(*(set(one) for one in scores_by_seed))) if scores_by_seed else []
    if len(scores_by_seed) < 2 or len(names) < 3 or len({len(folds) for folds in whole.values()} | {1}) != 2:
        return None
    values = np.array([[one[name].value for one in scores_by_seed] for name in names])
    picture = float(np.mean([one[name].picture for one in scores_by_seed for name in names]))
    seed = float(values.var(axis=1, ddof=1).mean())
    content = float(values.mean(axis=1).var(ddof=1)) - seed / len(scores_by_seed) - picture
    folds = np.array(list(whole.values()))  # seeds × folds
    fold_seed = float(folds.var(axis=0, ddof=1).mean())
    by_fold = float(folds.mean(axis=0).var(ddof=1)) - fold_seed / len(folds)
    return Spread(content, seed, picture, len(names), len(folds), folds.shape[1], by_fold, fold_seed)
