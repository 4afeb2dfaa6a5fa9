"""From a model's raw number to the scale of the set that it was trained on, in that scale's own direction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.metrics.agreement import Logistic, fit_logistic

MOST_PICTURES = 80
"""Of the training part, so many pictures spread evenly over its scores: four parameters need no more."""
FEWEST_PICTURES = 8
STEEPEST = 0.1
"""Of the raw numbers' deviation: a narrower logistic is a step, which would give most pictures one of two scores."""

MARGIN = 0.1
"""Of the training scores' range: no score comes farther beyond them. A line, or the tail of a logistic that was fitted
as an exponential, would go on for ever."""


def levelled(scores: Any, within: Any, margin: Any) -> Any:
    """Scores, numpy's or torch's, brought nearer than a margin to what they are `within` the allowed ones.

    Those that are within stay as they are, and the order of all is kept.
    """
    beyond = scores - within
    return within + beyond / (1 + abs(beyond) / margin)


@dataclass(frozen=True)
class Scale:
    """A strictly monotone mapping from raw numbers to a set's scores, and what that scale is."""

    dataset: str
    mapping: Logistic
    higher_is_better: bool
    low: float
    high: float
    """The least and the largest score of the training part."""
    pictures: int
    """How many of them the mapping was fitted on."""
    margin: float = 0.0
    """How far beyond these scores its own can come; 0: as far as the mapping goes, as in files of before."""

    def __call__(self, raw: ArrayLike) -> NDArray[np.float64]:
        """Raw numbers on the scale."""
        scores = self.mapping(np.asarray(raw, dtype=np.float64))
        if not self.margin:
            return scores
        return np.asarray(levelled(scores, np.clip(scores, self.low, self.high), self.margin), dtype=np.float64)

    @property
    def said(self) -> str:
        """The scale in a few words."""
        better = "higher" if self.higher_is_better else "lower"
        return f"the scale of {self.dataset}, {self.low:g} to {self.high:g} in training, {better} is better"

    def to_json(self) -> dict[str, Any]:
        """Plain types, for a header or a file."""
        curve = list(self.mapping.curve) if self.mapping.curve is not None else None
        names = ("dataset", "higher_is_better", "low", "high", "pictures", "margin")
        plain = {name: getattr(self, name) for name in names}
        return plain | {"curve": curve, "line": list(self.mapping.line)}

    @staticmethod
    def from_json(plain: Any) -> Scale:
        """Read back; a KeyError, TypeError or ValueError where it is none."""
        fields: dict[str, Any] = json.loads(plain) if isinstance(plain, str) else dict(plain)
        curve, line = fields.pop("curve"), fields.pop("line")
        margin = fields.get("margin", 0.0)
        numbers = [*line, *(curve or ()), fields["low"], fields["high"], margin]
        sound = len(line) == 3 and (curve is None or len(curve) == 4) and np.isfinite(numbers).all() and margin >= 0
        if not sound:
            raise ValueError("no mapping")
        return Scale(mapping=Logistic(None if curve is None else tuple(curve), tuple(line), True), **fields)


def chosen_rows(scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """At most `MOST_PICTURES` of the rows, spread evenly over their scores."""
    order = rows[np.argsort(scores[rows], kind="stable")]
    if len(order) <= MOST_PICTURES:
        return order
    places = np.linspace(0, len(order) - 1, MOST_PICTURES).round().astype(int)
    return order[places]


def why_unscaled(pictures: int) -> str:
    """Why a model has no scale whose training set, with so many pictures in its training part, was read."""
    if pictures < FEWEST_PICTURES:
        return f"it was trained on {pictures} pictures, and a scale needs {FEWEST_PICTURES}"
    return "its numbers do not follow the scores that it was trained on"


def fit_scale(dataset: str, raw: Sequence[float], labels: np.ndarray, oriented: np.ndarray) -> Scale | None:
    """The scale of some training pictures: raw numbers, scores as printed, and the same with higher as better.

    A logistic where one is found that goes the right way and is no mere step, else the straight line; None where the
    model's numbers do not follow the scores at all.
    """
    numbers = np.asarray(raw, dtype=np.float64)
    if len(numbers) < FEWEST_PICTURES or not np.ptp(numbers) > 0 or not np.ptp(labels) > 0:
        return None
    rises = bool(np.corrcoef(labels, oriented)[0, 1] > 0)
    logistic = fit_logistic(numbers, labels)
    line = Logistic(None, logistic.line, True)
    steep = logistic.curve is not None and abs(logistic.curve[3]) < STEEPEST * float(numbers.std())
    mapping = logistic if logistic.ok and not steep and logistic.decreasing != rises else line
    if mapping.decreasing == rises or not np.ptp(mapping(numbers)) > 0:
        return None
    low, high = float(labels.min()), float(labels.max())
    return Scale(dataset, mapping, rises, low, high, len(numbers), MARGIN * (high - low))
