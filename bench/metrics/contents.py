"""What these trained models would score on other contents: jackknife intervals over the contents of test parts.

Versions of one reference stand or fall together, so what is drawn from the world is contents, not images (where every
image is its own content, the two are one). Metrics are taken inside one model's predictions and never over those of
several: each model has a scale of its own. docs/statistics.md says what is promised, docs/coverage.md what was
simulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.core.errors import RunError
from bench.core.progress import counted
from bench.metrics.agreement import Vector, fit_logistic, krcc, plcc, rmse, srcc
from bench.metrics.comparisons import t_quantile, t_tails

Kept = NDArray[np.bool_]

MEASURES: dict[str, Callable[[Vector, Vector], float]] = {
    "srcc": srcc,
    "plcc": plcc,
    "plcc_raw": plcc,
    "krcc": krcc,
    "rmse": rmse,
}
FEWEST_CONTENTS = 8
"""Contents below which no interval is given: a spread seen in fewer says too little."""
FEWEST_IN_A_TEST = 3
"""Contents of a test part below which none can be left out of it."""
FEWEST_PARTS = 5
"""Test parts without a common content below which their own spread gives no interval."""
MOST_CONTENTS, GROUPS = 100, 50
"""More contents than this are left out in groups: as many draws as anybody needs, at a price that tables can pay."""
CLOSEST_TO_ONE = 1 - 1e-9


@dataclass(frozen=True)
class ModelScores:
    """One model's predictions of a test part, beside what people said, and which content each image shows."""

    predicted: Vector
    human: Vector
    contents: NDArray[np.str_]

    @staticmethod
    def of(metric: str, predicted: ArrayLike, human: ArrayLike, contents: ArrayLike) -> ModelScores:
        """Predictions as a metric takes them: through their logistic for PLCC and RMSE, whose curve is then kept.

        A fitted curve's own freedom adds nothing to first order, for it stands where the metric is at its best.
        """
        scores, labels = np.asarray(predicted, dtype=np.float64), np.asarray(human, dtype=np.float64)
        names = np.asarray(contents, dtype=str)
        if not len(scores) == len(labels) == len(names):
            raise RunError(f"{len(scores)} predictions of {len(labels)} images with {len(names)} contents")
        if metric in ("plcc", "rmse"):
            mapping = fit_logistic(scores, labels)
            if metric == "rmse" or mapping.curve is not None:
                scores = mapping(scores)
            if metric == "plcc" and mapping.curve is not None and mapping.decreasing:
                scores = -scores
        return ModelScores(scores, labels, names)

    def whole(self, metric: str) -> float:
        """The metric over all images."""
        return self.measured(metric, np.ones(len(self.contents), dtype=bool))

    def measured(self, metric: str, kept: Kept) -> float:
        """The metric over the images that are kept."""
        return MEASURES[metric](self.predicted[kept], self.human[kept])


@dataclass(frozen=True)
class OverContents:
    """The mean over models and its interval over contents; `why` says why there is none."""

    estimate: float
    low: float | None
    high: float | None
    contents: int
    why: str = ""
    p: float | None = None
    """Of a difference: how often one at least as large comes about where there is none."""

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def interval(models: Sequence[ModelScores], metric: str, *, level: float = 0.95) -> OverContents:
    """A metric's mean over models of one kind, and its interval.

    Correlations are bounded as Fisher's z, the RMSE as its logarithm. A content that is misjudged weighs by the square
    of its error: such contributions are skewed, and a spread seen in C of them is worth half of C − 1 degrees of
    freedom.
    """
    to, back = (math.log, math.exp) if metric == "rmse" else (_fisher_z, math.tanh)

    def value(model: ModelScores, kept: Kept) -> float:
        return to(model.measured(metric, kept))

    over = _jackknife([_Part(model.contents, partial(value, model)) for model in models], level, 0.5)
    mean = float(np.mean([model.whole(metric) for model in models]))
    if over.low is None or over.high is None:
        return replace(over, estimate=mean)
    half = over.high - over.estimate
    return replace(over, estimate=mean, low=back(to(mean) - half), high=back(to(mean) + half), p=None)


def paired_interval(
    first: Sequence[ModelScores], second: Sequence[ModelScores], metric: str, *, level: float = 0.95
) -> OverContents:
    """The mean difference first − second of models tested in pairs on the same images, and its interval."""

    def difference(one: ModelScores, other: ModelScores, kept: Kept) -> float:
        return one.measured(metric, kept) - other.measured(metric, kept)

    parts = []
    for one, other in zip(first, second, strict=True):
        if not (np.array_equal(one.contents, other.contents) and np.array_equal(one.human, other.human)):
            raise RunError("models that are compared over contents must be tested on the same images")
        parts.append(_Part(one.contents, partial(difference, one, other)))
    return _jackknife(parts, level, 1.0)


def standard_error(models: Sequence[ModelScores], metric: str = "srcc") -> float | None:
    """The standard error of one model's metric by the contents of its test part: the root mean square over models.

    None where there are too few contents to tell.
    """
    parts = [_Part(model.contents, partial(model.measured, metric)) for model in models]
    if _why_none(parts) or _fewest(parts) < FEWEST_IN_A_TEST:
        return None
    squares = [sum(change**2 for change in part.left_out().values()) for part in _grouped(parts)]
    return math.sqrt(math.fsum(squares) / len(squares))


def _fisher_z(correlation: float) -> float:
    return math.atanh(min(max(correlation, -CLOSEST_TO_ONE), CLOSEST_TO_ONE))


# The jackknife -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """A test part as the jackknife sees it: which content each image shows, and a value of the images that are kept."""

    contents: NDArray[np.str_]
    value: Callable[[Kept], float]

    def whole(self) -> float:
        """The value of all images."""
        return self.value(np.ones(len(self.contents), dtype=bool))

    def left_out(self) -> dict[str, float]:
        """How far each content moves the value, scaled so that the sum of squares is the jackknife's variance."""
        names = np.unique(self.contents)
        without = np.array([self.value(self.contents != name) for name in names])
        moves = (without.mean() - without) * math.sqrt((len(names) - 1) / len(names))
        return dict(zip(names.tolist(), moves.tolist(), strict=True))


def _jackknife(parts: Sequence[_Part], level: float, share_of_freedom: float) -> OverContents:
    """The mean over parts and its interval: contents left out one by one, or parts as they are where they are small."""
    values = [part.whole() for part in parts]
    contents, estimate = len(_names(parts)), float(np.mean(values))
    if why := _why_none(parts):
        return OverContents(estimate, None, None, contents, why)
    try:
        if _fewest(parts) >= FEWEST_IN_A_TEST:
            error, count = _error_by_contents(parts)
            freedom = max(1.0, (count - 1) * share_of_freedom)
        else:
            means = [float(np.mean([values[i] for i in members])) for members in _apart(parts)]
            estimate, error = float(np.mean(means)), float(np.std(means, ddof=1)) / math.sqrt(len(means))
            freedom = len(means) - 1.0
    except RunError as failure:
        return OverContents(estimate, None, None, contents, f"with one content left out, {failure}")
    half = t_quantile(freedom, (1 + level) / 2) * error
    return OverContents(estimate, estimate - half, estimate + half, contents, p=t_tails(freedom, estimate, error))


def _error_by_contents(parts: Sequence[_Part]) -> tuple[float, float]:
    """The standard error of the mean over parts, and how many equal contents (or groups of them) it is worth.

    A content counts once for all models that were tested on it: their changes are added before they are squared.
    Contents with more images, or in more test parts, weigh more and so leave fewer to judge by (Kish, 1965).
    """
    moved: dict[str, float] = {}
    weight: dict[str, float] = {}
    for part in _grouped(parts):
        for name, change in part.left_out().items():
            moved[name] = moved.get(name, 0.0) + change / len(parts)
            weight[name] = weight.get(name, 0.0) + float(np.mean(part.contents == name))
    count = sum(weight.values()) ** 2 / math.fsum(share**2 for share in weight.values())
    return math.sqrt(math.fsum(change**2 for change in moved.values())), count


def _why_none(parts: Sequence[_Part]) -> str:
    """Why no interval can be given; empty where one can."""
    contents = len(_names(parts))
    if contents < FEWEST_CONTENTS:
        return f"{counted(contents, 'content')} where it takes {FEWEST_CONTENTS}"
    fewest = _fewest(parts)
    if fewest < FEWEST_IN_A_TEST and len(_apart(parts)) < FEWEST_PARTS:
        return f"a test part of {counted(fewest, 'content')} where it takes {FEWEST_IN_A_TEST}"
    return ""


def _fewest(parts: Sequence[_Part]) -> int:
    """The contents of the smallest test part."""
    return min(len(np.unique(part.contents)) for part in parts)


def _names(parts: Iterable[_Part]) -> list[str]:
    """Every content of the parts, in an order that depends on nothing else."""
    return sorted({str(name) for part in parts for name in np.unique(part.contents)})


def _grouped(parts: Sequence[_Part]) -> list[_Part]:
    """The parts as they are, or with their many contents dealt into groups that are left out together."""
    names = _names(parts)
    if len(names) <= MOST_CONTENTS:
        return list(parts)
    dealt = np.random.default_rng(0).permutation(len(names)) % GROUPS
    group = dict(zip(names, dealt.tolist(), strict=True))
    return [_Part(np.array([f"{group[str(name)]:02}" for name in part.contents]), part.value) for part in parts]


def _apart(parts: Sequence[_Part]) -> list[list[int]]:
    """The parts, those that share a content together: one fold under several seeds, or all of overlapping splits."""
    groups: list[tuple[set[str], list[int]]] = []
    for i, part in enumerate(parts):
        names, members = set(part.contents.tolist()), [i]
        sharing = [known for known in groups if known[0] & names]
        for known in sharing:
            names |= known[0]
            members += known[1]
            groups.remove(known)
        groups.append((names, members))
    return [members for _, members in groups]
