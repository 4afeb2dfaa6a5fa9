"""Agreement of predicted with human quality scores: SRCC, PLCC, KRCC and RMSE, and the logistic before the last two.

SRCC, KRCC and `plcc_raw` look at the raw mean scores. PLCC and RMSE look at the scores after the 4-parameter
logistic of the image quality literature (VQEG, 2003; the form used by LoDa and GLIA), fitted on the same
images. Higher scores mean better quality on both sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import RunError
from bench.kendall import tau_b

Vector = NDArray[np.float64]

MAX_FIT_STEPS = 300  # a fit that converges takes tens; the customary bound of 1e8 can hang
FIT_TOLERANCE = 1e-6  # relative fall of the squared error under which a step ends the fit
PERFECT_FIT = 1e-9  # of the labels' variance: a fall by less ends it too, or exact data would never converge
NARROWEST = 1e-6  # of a standard deviation: narrower than this |b4| is a step, and its derivative 0 times infinity
MIN_FIT_VALUES = 5  # four parameters pass through four values whatever the predictor is worth
FLAT = 1e-9  # of the labels' standard deviation: a curve that spans less says nothing
TINIEST = float(np.finfo(np.float64).tiny)  # below it numbers lose digits until nothing is left
UNMAPPABLE = "the predicted or human scores are too large or too close together for a mapping between them"
WORSE_THAN_LINE = 1e-4  # a logistic can imitate any line, so one that explains less variance is stuck


@dataclass(frozen=True)
class Logistic:
    """A fitted mapping from predicted to human scores: a logistic, or a straight line where its fit failed.

    `curve` holds (b1, b2, b3, b4) of y = b2 + (b1 − b2) / (1 + exp(−(x − b3) / |b4|)); `line` holds
    (mean x, mean y, slope) of the least-squares line, which is used while `curve` is None.
    """

    curve: tuple[float, float, float, float] | None
    line: tuple[float, float, float]

    @property
    def ok(self) -> bool:
        """Whether the logistic was fitted; False means that the line stands in."""
        return self.curve is not None

    @property
    def decreasing(self) -> bool:
        """Whether the mapping turns the predictor's scale round."""
        return self.curve[0] < self.curve[1] if self.curve is not None else self.line[2] < 0

    def __call__(self, x: ArrayLike) -> Vector:
        """The scores `x` on the human scale."""
        values = np.asarray(x, dtype=np.float64)
        if self.curve is None:
            mean_x, mean_y, slope = self.line
            return mean_y + slope * (values - mean_x)
        return _logistic(values, np.asarray(self.curve))


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

    The logistic is blind to sign: it would lift an anti-correlated predictor to a high PLCC. So `plcc` is
    negative wherever SRCC is or the fitted curve falls. Where the fit failed, `plcc` is the raw PLCC and
    `logistic_ok` False. NaN, infinite or constant scores raise RunError: the SRCC of a constant is undefined,
    not 0.
    """
    scores, labels = _pair(predicted, human)
    if np.ptp(scores / np.abs(scores).max()) <= 4 * np.finfo(np.float32).eps:
        raise RunError("all predicted scores are the same to single precision: the model has collapsed to a constant")
    rank_correlation = srcc(scores, labels)
    raw = plcc(scores, labels)
    mapping = fit_logistic(scores, labels)
    mapped = mapping(scores)
    if not mapping.ok:
        correlation = raw
    else:
        turned = rank_correlation < 0 or mapping.decreasing
        correlation = math.copysign(_correlation(mapped, labels), -1.0 if turned else 1.0)
    error = _root_mean_square(mapped - labels)
    if not math.isfinite(error):
        raise RunError(UNMAPPABLE)
    return {
        "srcc": rank_correlation,
        "plcc": correlation,
        "plcc_raw": raw,
        "krcc": krcc(scores, labels),
        "rmse": error,
        "logistic_ok": mapping.ok,
    }


def fit_logistic(x: ArrayLike, y: ArrayLike) -> Logistic:
    """Fit the 4-parameter logistic from x to y by least squares, or the line where that fails.

    Start values are the customary [max y, min y, mean x, std(x) / 4]. Both axes are standardised first, which
    moves neither start nor optimum but keeps tolerances meaningful. The line stands in when there are too few
    distinct scores, when the solver does not converge, when the curve is flat, or when it explains less than
    the line.
    """
    scores, labels = _pair(x, y)
    mean_x, scale_x, unit_x = standardise(scores)
    mean_y, scale_y, unit_y = standardise(labels)
    if not (TINIEST < scale_x < math.inf and TINIEST < scale_y < math.inf):
        raise RunError(UNMAPPABLE)
    correlation = _correlation(scores, labels)
    # Divided in this order, because scale_y / scale_x alone may overflow.
    line = (
        mean_x,
        mean_y,
        correlation / scale_x * scale_y if scale_x > 1 else correlation * scale_y / scale_x,
    )
    if len(np.unique(unit_x)) < MIN_FIT_VALUES:
        return Logistic(None, line)
    unit_curve = _least_squares(unit_x, unit_y, np.array([unit_y.max(), unit_y.min(), 0.0, 0.25]))
    if unit_curve is None:
        return Logistic(None, line)
    high, low, middle, width = (float(value) for value in unit_curve)
    curve = (mean_y + scale_y * high, mean_y + scale_y * low, mean_x + scale_x * middle, scale_x * width)
    if not np.isfinite(curve).all() or curve[3] == 0:
        return Logistic(None, line)
    mapped = _logistic(scores, np.array(curve))
    # In standardised units the line leaves 1 − r² of the variance unexplained.
    unexplained = float(np.mean(np.square((mapped - mean_y) / scale_y - unit_y)))
    flat = np.ptp(mapped) <= FLAT * scale_y
    if flat or unexplained > 1 - correlation**2 + WORSE_THAN_LINE:
        return Logistic(None, line)
    return Logistic(curve, line)


def _least_squares(x: Vector, y: Vector, start: Vector) -> Vector | None:
    """The logistic's parameters by Levenberg–Marquardt (Marquardt, 1963), or None without convergence.

    Written out because MINPACK's answer differs from call to call in the last digits, and a stored metric
    must be recomputable; and because here every step is counted.
    """
    b, damping = start, 1e-3
    curve, jacobian = _logistic_and_jacobian(x, b)
    error = float(np.mean(np.square(curve - y)))
    for _ in range(MAX_FIT_STEPS):
        normal, gradient = jacobian @ jacobian.T, jacobian @ (curve - y)
        diagonal = np.maximum(np.diag(normal), 1e-12 * max(1.0, float(np.diag(normal).max())))
        trial = b - np.linalg.solve(normal + damping * np.diag(diagonal), gradient)
        trial[3] = max(abs(trial[3]), NARROWEST)
        trial_curve, trial_jacobian = _logistic_and_jacobian(x, trial)
        trial_error = float(np.mean(np.square(trial_curve - y)))
        if trial_error < error:
            converged = error - trial_error <= FIT_TOLERANCE * error + PERFECT_FIT
            b, curve, jacobian, error = trial, trial_curve, trial_jacobian, trial_error
            damping = max(damping / 10, 1e-12)
            if converged:
                return b
        elif damping > 1e10:  # no descent even along the steepest, shortest step: a minimum to working precision
            return b
        else:
            damping *= 10
    return None


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


def _logistic(x: Vector, b: Vector) -> Vector:
    """The logistic written with tanh, which saturates where exp overflows."""
    high, low, middle, width = b
    with np.errstate(over="ignore"):
        steps = (x - middle) / width
    return low + (high - low) * 0.5 * (1 + np.tanh(0.5 * steps))


def _logistic_and_jacobian(x: Vector, b: Vector) -> tuple[Vector, NDArray[np.float64]]:
    """The logistic at x and its derivatives by b1, b2, b3 and b4 (one a row), for a width above 0."""
    high, low, middle, width = b
    steps = (x - middle) / width
    rise = 0.5 * (1 + np.tanh(0.5 * steps))
    slope = (high - low) / width * rise * (1 - rise)
    return low + (high - low) * rise, np.stack([rise, 1 - rise, -slope, -slope * steps])


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
        raise RunError(f"{what} must be one number an image, not an array of shape {vector.shape}")
    if len(vector) < 2:
        raise RunError(f"{len(vector)} {what}: a metric needs at least two images")
    bad = int(np.count_nonzero(~np.isfinite(vector)))
    if bad:
        raise RunError(f"{bad} of {len(vector)} {what} are NaN or infinite")
    return vector


def _same_length(first: Vector, second: Vector) -> None:
    if len(first) != len(second):
        raise RunError(f"{len(first)} predicted scores for {len(second)} human scores")
