"""Agreement of predicted with human quality scores: SRCC, PLCC, KRCC and RMSE, and the logistic before the last two.

SRCC, KRCC and `plcc_raw` look at the raw mean scores. PLCC and RMSE look at the scores after the 4-parameter
logistic of the image quality literature (VQEG, 2003; the form used by LoDa and GLIA), fitted on the same
images. Higher scores mean better quality on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.core.errors import RunError
from bench.metrics.kendall import tau_b
from bench.metrics.logistic import Curve, least_squares, logistic

Vector = NDArray[np.float64]

MIN_FIT_VALUES = 5  # four parameters pass through four values whatever the predictor is worth
FLAT = 1e-9  # of the labels' standard deviation: a curve that spans less says nothing
TINIEST = float(np.finfo(np.float64).tiny)  # below it numbers lose digits until nothing is left
UNMAPPABLE = "the predicted or human scores are too large or too close together for a mapping between them"
WORSE_THAN_LINE = 1e-6  # a logistic can imitate any line to this share of the variance


@dataclass(frozen=True)
class Logistic:
    """A fitted mapping from predicted to human scores: the best logistic found, or a straight line where there is none.

    `curve` holds (b1, b2, b3, b4) of y = b2 + (b1 − b2) / (1 + exp(−(x − b3) / |b4|)); `line` holds
    (mean x, mean y, slope) of the least-squares line, which is used while `curve` is None.
    """

    curve: Curve | None
    line: tuple[float, float, float]
    converged: bool = False

    @property
    def ok(self) -> bool:
        """Whether the fit came to its end: False where its best curve so far is used, or the line."""
        return self.curve is not None and self.converged

    @property
    def decreasing(self) -> bool:
        """Whether the mapping turns the predictor's scale round."""
        return self.curve[0] < self.curve[1] if self.curve is not None else self.line[2] < 0

    @property
    def rising(self) -> bool:
        """Whether it is a curve that keeps the predictor's order."""
        return self.curve is not None and not self.decreasing

    def __call__(self, x: ArrayLike) -> Vector:
        """The scores `x` on the human scale."""
        values = np.asarray(x, dtype=np.float64)
        if self.curve is None:
            mean_x, mean_y, slope = self.line
            return mean_y + slope * (values - mean_x)
        return logistic(values, self.curve)


def srcc(x: ArrayLike, y: ArrayLike) -> float:
    """Spearman's rank correlation; ties get their mean rank."""
    first, second = _pair(x, y)
    return _correlation(midranks(first), midranks(second))


def plcc(x: ArrayLike, y: ArrayLike) -> float:
    """Pearson's linear correlation of the scores as they are."""
    first, second = _pair(x, y)
    return _correlation(first, second)


def krcc(x: ArrayLike, y: ArrayLike) -> float:
    """Kendall's tau-b, which corrects for ties on either side (Kendall, 1945)."""
    return tau_b(*_pair(x, y))


def rmse(x: ArrayLike, y: ArrayLike) -> float:
    """Root mean squared difference."""
    first, second = _finite(x, "predicted scores"), _finite(y, "human scores")
    _same_length(first, second)
    return _root_mean_square(first - second)


def score_metrics(predicted: ArrayLike, human: ArrayLike) -> dict[str, float | bool]:
    """All metrics of one test set: srcc, plcc (mapped), plcc_raw, krcc, rmse (mapped), logistic_ok.

    The logistic is blind to sign: it would lift an anti-correlated predictor to a high PLCC. So `plcc` is negative
    where the fitted curve falls, whatever SRCC is. Where there is no curve, `plcc` is the raw PLCC; `logistic_ok` is
    False there and where the fit did not converge. NaN, infinite or constant scores raise RunError: the SRCC of a
    constant is undefined, not 0.
    """
    scores, labels = _pair(predicted, human)
    if _is_constant(scores):
        raise RunError("all predicted scores are the same to single precision: the model has collapsed to a constant")
    raw = plcc(scores, labels)
    mapping = fit_logistic(scores, labels)
    mapped = mapping(scores)
    correlation = raw
    if mapping.curve is not None:
        correlation = math.copysign(_correlation(mapped, labels), -1.0 if mapping.decreasing else 1.0)
    error = _root_mean_square(mapped - labels)
    if not math.isfinite(error):
        raise RunError(UNMAPPABLE)
    return {
        "srcc": srcc(scores, labels),
        "plcc": correlation,
        "plcc_raw": raw,
        "krcc": krcc(scores, labels),
        "rmse": error,
        "logistic_ok": mapping.ok,
    }


def metrics_of(predicted: ArrayLike, human: ArrayLike, *, constant: bool = False) -> Mapping[str, float | bool | None]:
    """As `score_metrics`; of a method that means to be `constant`, None in the place of each where its scores are.

    No correlation with a constant is defined, and none is made up.
    """
    if constant and _is_constant(_finite(predicted, "predicted scores")):
        return {**dict.fromkeys(("srcc", "plcc", "plcc_raw", "krcc", "rmse")), "logistic_ok": False}
    return score_metrics(predicted, human)


def _is_constant(scores: Vector) -> bool:
    """Whether scores are all the same to single precision."""
    largest = float(np.abs(scores).max())
    return largest == 0 or bool(np.ptp(scores / largest) <= 4 * np.finfo(np.float32).eps)


def fit_logistic(x: ArrayLike, y: ArrayLike) -> Logistic:
    """Fit the 4-parameter logistic from x to y by least squares, or the line where that says no more.

    Both axes are standardised first, which moves no optimum but keeps tolerances meaningful. The line stands in when
    there are too few distinct scores, when the curve is flat, or when it explains less than the line.
    """
    scores, labels = _pair(x, y)
    mean_x, scale_x, unit_x = standardise(scores)
    mean_y, scale_y, unit_y = standardise(labels)
    if not (TINIEST < scale_x < math.inf and TINIEST < scale_y < math.inf):
        raise RunError(UNMAPPABLE)
    correlation = _correlation(scores, labels)
    # Divided in this order, because scale_y / scale_x alone may overflow.
    slope = correlation / scale_x * scale_y if scale_x > 1 else correlation * scale_y / scale_x
    line = (mean_x, mean_y, slope)
    fit = least_squares(unit_x, unit_y) if len(np.unique(unit_x)) >= MIN_FIT_VALUES else None
    if fit is None:
        return Logistic(None, line)
    high, low, middle, width = fit.curve
    curve = (mean_y + scale_y * high, mean_y + scale_y * low, mean_x + scale_x * middle, scale_x * width)
    if not np.isfinite(curve).all() or curve[3] == 0:
        return Logistic(None, line)
    mapped = logistic(scores, curve)
    # In standardised units the line leaves 1 − r² of the variance unexplained.
    unexplained = float(np.mean(np.square((mapped - mean_y) / scale_y - unit_y)))
    flat = np.ptp(mapped) <= FLAT * scale_y
    if flat or unexplained > 1 - correlation**2 + WORSE_THAN_LINE:
        return Logistic(None, line)
    return Logistic(curve, line, fit.converged)


def midranks(values: ArrayLike) -> Vector:
    """Ranks from 1, ties sharing their mean rank."""
    _, inverse, counts = np.unique(np.asarray(values, dtype=np.float64), return_inverse=True, return_counts=True)
    last_rank = np.cumsum(counts)
    return (last_rank - (counts - 1) / 2)[inverse]


def standardise(values: Vector) -> tuple[float, float, Vector]:
    """Mean, population standard deviation and z-scores of a vector that is not constant, without overflow."""
    largest = float(np.abs(values).max())
    scaled = values / largest
    mean = float(scaled.mean())
    centred = scaled - mean
    spread = float(np.abs(centred).max())
    shape = centred / spread
    deviation = float(np.sqrt(np.mean(np.square(shape))))
    return mean * largest, deviation * spread * largest, shape / deviation


def _correlation(x: Vector, y: Vector) -> float:
    """Pearson's r of two vectors that are not constant, without overflow at any finite magnitude."""
    product = float(np.mean(standardise(x)[2] * standardise(y)[2]))
    return min(1.0, max(-1.0, product))


def _root_mean_square(values: Vector) -> float:
    largest = float(np.abs(values).max())
    if largest == 0:
        return 0.0
    return largest * float(np.sqrt(np.mean(np.square(values / largest))))


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[Vector, Vector]:
    """Both sides as finite vectors of one length, neither constant."""
    first, second = _finite(x, "predicted scores"), _finite(y, "human scores")
    _same_length(first, second)
    for values, what in ((first, "predicted scores"), (second, "human scores")):
        if np.all(values == values[0]):
            raise RunError(f"all {len(values)} {what} are {values[0]:g}: a correlation with a constant is undefined")
    return first, second


def _finite(values: ArrayLike | Sequence[float], what: str) -> Vector:
    vector = np.asarray(values, dtype=np.float64)
    if vector.ndim != 1:
        raise RunError(f"{what} must be one number per image, not an array of shape {vector.shape}")
    if len(vector) < 2:
        raise RunError(f"{len(vector)} {what}: a metric needs at least two images")
    bad = int(np.count_nonzero(~np.isfinite(vector)))
    if bad:
        raise RunError(f"{bad} of {len(vector)} {what} are NaN or infinite")
    return vector


def _same_length(first: Vector, second: Vector) -> None:
    if len(first) != len(second):
        raise RunError(f"{len(first)} predicted scores for {len(second)} human scores")
