"""The 4-parameter logistic of the image quality literature, and its least-squares fit to standardised scores.

For a given middle and width the best height and base are those of a straight line through the curve's rise, so
only two numbers are searched (variable projection: Golub & Pereyra, 1973), and what is made large is the squared
correlation itself. Written out because MINPACK's answer differs from call to call in the last digits, and a
stored metric must be recomputable; no step depends on the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Curve = tuple[float, float, float, float]
Point = tuple[float, float]

NARROWEST, WIDEST = math.log(1e-6), math.log(1e2)  # of a standard deviation: a step, and a line to 1e-8
FARTHEST = 12.0  # in widths beyond the scores: an exponential to 1e-5
PLACES = np.array([-6, -2, -0.6, 0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.6, 3, 7])
WIDTHS = np.log([0.04, 0.12, 0.35, 0.9, 2.5, 10])
START_MIDDLE, START_WIDTH = 0.0, 0.25  # the customary start: the mean, and a quarter of a standard deviation
BINS, TAIL = 96, 16  # the coarse search looks at means of neighbours, and at each of the outermost scores
SHARES, REACHES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98), (1, 3, 9, 27)  # curves among crowded scores: where, how wide
HILLS, CROWDED, CLIMBS = 5, 2, 2  # starts of either kind that are looked at closely; those climbed on all scores
ZOOMS, FIRST_STEP = 8, (0.05, 0.4)
MAX_STEPS = 40
ENOUGH = 1e-9  # of the variance: two steps in a row that explain less than this more end a climb
FLAT = 1e-200  # a rise whose variance is below this says nothing
MOVES = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)], dtype=np.float64)
STAY = 4  # which of the moves moves nothing


@dataclass(frozen=True)
class Fit:
    """The best curve found, and whether the search for it came to its end."""

    curve: Curve
    converged: bool


def logistic(x: Vector, curve: Curve) -> Vector:
    """b2 + (b1 − b2) / (1 + exp(−(x − b3) / |b4|)) for a curve (b1, b2, b3, b4)."""
    high, low, middle, width = curve
    return low + (high - low) * _rise(x, middle, abs(width))


def least_squares(x: Vector, y: Vector) -> Fit | None:
    """The logistic with the least squared error from x to y, both standardised; None where every curve is flat.

    A coarse search over all middles and widths, from step to line to exponential, finds the highest hills;
    Levenberg–Marquardt climbs them on all scores.
    """
    frame = _Frame(float(x.min()), float(x.max()))
    ends = [_climb(x, y, point, frame) for point in _coarse(x, y, frame)]
    top = max(ends, key=lambda end: end.hill.explained)
    if top.hill.explained <= 0:
        return None
    slope, rise = top.hill.slope, _rise(x, top.hill.middle, top.hill.width)
    low = float(np.mean(y)) - slope * float(np.mean(rise))
    return Fit((low + slope, low, top.hill.middle, top.hill.width), top.converged)


def _rise(x: Vector, middle: float | Vector, width: float | Vector) -> Vector:
    """From 0 to 1, exact in its lower tail too."""
    with np.errstate(over="ignore"):
        return 1 / (1 + np.exp((middle - x) / width))


@dataclass(frozen=True)
class _Frame:
    """Where the scores lie, and so what a point (place, log of the width) means.

    A place from 0 to 1 is a share of the scores' range. Beyond it a place counts widths: a curve of which only a
    tail is seen, an exponential, then keeps its place while its width changes.
    """

    first: float
    last: float

    def curves(self, points: Vector) -> tuple[Vector, Vector]:
        """Middles and widths of points, one a row."""
        place, width = points[:, 0], np.exp(points[:, 1])
        middle = self.first + place * (self.last - self.first)
        middle = np.where(place < 0, self.first + place * width, middle)
        return np.where(place > 1, self.last + (place - 1) * width, middle), width

    def place(self, middle: Any) -> Any:
        """The place of middles inside the scores' range."""
        return (middle - self.first) / (self.last - self.first)

    def turns(self, point: Point, width: float) -> Point:
        """The middle's derivatives by the place and by the log of the width."""
        place = point[0]
        if 0 <= place <= 1:
            return self.last - self.first, 0.0
        return width, (place if place < 0 else place - 1) * width


# The coarse search ---------------------------------------------------------------------------------------------------


def _coarse(x: Vector, y: Vector, frame: _Frame) -> list[Point]:
    """The points to climb from, the most promising first."""
    shares, bin_x, bin_y = _binned(x, y)

    def explained(points: Vector) -> Vector:
        return _explained(bin_x, bin_y, shares, *frame.curves(points))

    customary = (frame.place(START_MIDDLE), math.log(START_WIDTH))
    starts = [
        *_hills(explained),
        *_crowded(bin_x, explained, frame),
        customary,
        _best_step(bin_x, bin_y, shares, frame),
    ]
    points, heights = _zoomed(explained, _bounded(np.array(starts)))
    order = np.argsort(-heights, kind="stable")[:CLIMBS]
    return [(float(place), float(width)) for place, width in points[order]]


def _binned(x: Vector, y: Vector) -> tuple[Vector, Vector, Vector]:
    """Shares, mean x and mean y of bins of neighbouring scores, in the order of x."""
    order, n = np.argsort(x, kind="stable"), len(x)
    if n <= BINS:
        return np.full(n, 1 / n), x[order], y[order]
    inner = BINS - 2 * TAIL
    middle = TAIL + np.arange(inner) * (n - 2 * TAIL) // inner
    starts = np.concatenate([np.arange(TAIL), middle, np.arange(n - TAIL, n)])
    counts = np.diff(starts, append=n)
    return counts / n, np.add.reduceat(x[order], starts) / counts, np.add.reduceat(y[order], starts) / counts


def _explained(x: Vector, y: Vector, shares: Vector, middles: Vector, widths: Vector) -> Vector:
    """Each curve's share of the variance of y, which is 1: its squared correlation with y."""
    rises = _rise(x, middles[:, None], widths[:, None])
    rises = rises - (rises * shares).sum(axis=1, keepdims=True)
    variances, products = (rises * rises * shares).sum(axis=1), (rises * (y * shares)).sum(axis=1)
    return np.where(variances > FLAT, np.square(products) / np.maximum(variances, FLAT), 0.0)


def _hills(explained: Callable[[Vector], Vector]) -> list[Point]:
    """The highest local maxima of a grid."""
    points = np.array([(place, width) for place in PLACES for width in WIDTHS])
    heights = explained(points).reshape(len(PLACES), len(WIDTHS))
    framed = np.pad(heights, 1, constant_values=-1.0)
    rows, columns = heights.shape
    around = [framed[1 + i : 1 + i + rows, 1 + j : 1 + j + columns] for i, j in MOVES.astype(int)]
    tops = np.flatnonzero(heights >= np.max(around, axis=0))
    tops = tops[np.argsort(-heights.ravel()[tops], kind="stable")][:HILLS]
    return [(float(place), float(width)) for place, width in points[tops]]


def _crowded(x: Vector, explained: Callable[[Vector], Vector], frame: _Frame) -> list[Point]:
    """The best curves as wide as some neighbours are apart: a predictor that saturates has crowds no grid resolves."""
    middles = np.array([round(share * (len(x) - 1)) for share in SHARES for _ in REACHES])
    reaches = np.array([reach for _ in SHARES for reach in REACHES])
    widths = (x[np.minimum(middles + reaches, len(x) - 1)] - x[np.maximum(middles - reaches, 0)]) / 4
    points = np.stack([frame.place(x[middles]), np.log(np.maximum(widths, math.exp(NARROWEST)))], axis=1)
    order = np.argsort(-explained(points), kind="stable")[:CROWDED]
    return [(float(place), float(width)) for place, width in points[order]]


def _best_step(x: Vector, y: Vector, shares: Vector, frame: _Frame) -> Point:
    """The step that explains most, found exactly: no grid is fine enough for it."""
    below, sums = np.cumsum(shares)[:-1], np.cumsum(shares * y)[:-1]
    gaps = np.diff(x)
    explained = np.square(sums - below * float(np.sum(shares * y))) / (below * (1 - below))
    cut = int(np.argmax(np.where(gaps > 0, explained, -1.0)))
    return frame.place((x[cut] + x[cut + 1]) / 2), math.log(max(gaps[cut] / 4, math.exp(NARROWEST)))


def _zoomed(explained: Callable[[Vector], Vector], points: Vector) -> tuple[Vector, Vector]:
    """Each point moved to the best of its eight neighbours, or its steps made smaller where none is better."""
    beyond = np.maximum(np.abs(points[:, 0] - 0.5) - 0.5, 0)
    steps = np.stack([FIRST_STEP[0] + beyond / 4, np.full(len(points), FIRST_STEP[1])], axis=1)
    rows = np.arange(len(points))
    heights = explained(points)
    for _ in range(ZOOMS):
        around = _bounded(points[:, None, :] + MOVES * steps[:, None, :])
        values = explained(around.reshape(-1, 2)).reshape(len(points), len(MOVES))
        chosen = values.argmax(axis=1)
        chosen[values[rows, chosen] <= heights] = STAY
        points, heights = around[rows, chosen], np.maximum(heights, values[rows, chosen])
        steps[chosen == STAY] /= 2.5
    return points, heights


def _bounded(points: Vector) -> Vector:
    return np.clip(points, (-FARTHEST, NARROWEST), (1 + FARTHEST, WIDEST))


# The climb -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Hill:
    """A curve on all scores: its rise, centred, and how much of y it explains."""

    point: Point
    middle: float
    width: float
    rise: Vector
    centred: Vector
    slope: float
    explained: float

    @staticmethod
    def at(x: Vector, y: Vector, point: Point, frame: _Frame) -> _Hill:
        """The hill's height and slope at a point."""
        middles, widths = frame.curves(np.array([point]))
        middle, width = float(middles[0]), float(widths[0])
        rise = _rise(x, middle, width)
        centred = rise - rise.mean()
        variance, product = float(np.mean(centred * centred)), float(np.mean(centred * y))
        slope = product / variance if variance > FLAT else 0.0
        return _Hill(point, middle, width, rise, centred, slope, slope * product)


@dataclass(frozen=True)
class _End:
    """Where a climb ended, and whether at a top."""

    hill: _Hill
    converged: bool


def _climb(x: Vector, y: Vector, start: Point, frame: _Frame) -> _End:
    """Levenberg–Marquardt (Marquardt, 1963) from one point, within the bounds."""
    hill = _Hill.at(x, y, start, frame)
    damping, small = 1e-3, 0
    for _ in range(MAX_STEPS):
        if hill.slope == 0:
            return _End(hill, False)
        gradient, normal = _derivatives(x, y, hill, frame)
        while damping < 1e7:
            trial = _Hill.at(x, y, _stepped(hill.point, gradient, normal, damping), frame)
            if trial.explained > hill.explained:
                break
            damping *= 10
        else:  # no better point along the steepest, shortest step: a top to working precision
            return _End(hill, True)
        small = small + 1 if trial.explained - hill.explained < ENOUGH else 0
        hill, damping = trial, max(damping / 10, 1e-9)
        if small == 2:
            return _End(hill, True)
    return _End(hill, False)


def _derivatives(x: Vector, y: Vector, hill: _Hill, frame: _Frame) -> tuple[Vector, Vector]:
    """Gradient and normal matrix of the squared error by place and width, height and base staying the best ones."""
    by_place, by_width = frame.turns(hill.point, hill.width)
    steep = hill.slope * hill.rise * (1 - hill.rise) / hill.width
    columns = [-steep * by_place, -steep * (x - hill.middle + by_width)]
    variance = float(np.mean(hill.centred * hill.centred))
    columns = [column - column.mean() for column in columns]
    columns = [column - float(np.mean(column * hill.centred)) / variance * hill.centred for column in columns]
    left = y - hill.slope * hill.centred
    normal = np.array([[float(np.mean(one * other)) for other in columns] for one in columns])
    return np.array([float(np.mean(column * left)) for column in columns]), normal


def _stepped(point: Point, gradient: Vector, normal: Vector, damping: float) -> Point:
    """A damped step of at most 2 places and one natural logarithm; a coordinate at its bound stays there."""
    (a, c), (_, b) = normal
    damp = damping * (a + b) + 1e-30
    a, b = a + damp, b + damp
    if _stuck(point[0], gradient[0], -FARTHEST, 1 + FARTHEST):
        move = (0.0, gradient[1] / b)
    elif _stuck(point[1], gradient[1], NARROWEST, WIDEST):
        move = (gradient[0] / a, 0.0)
    else:
        determinant = a * b - c * c
        move = ((gradient[0] * b - gradient[1] * c) / determinant, (gradient[1] * a - gradient[0] * c) / determinant)
    place = min(max(point[0] + min(max(move[0], -2.0), 2.0), -FARTHEST), 1 + FARTHEST)
    width = min(max(point[1] + min(max(move[1], -1.0), 1.0), NARROWEST), WIDEST)
    return float(place), float(width)


def _stuck(value: float, direction: float, lowest: float, highest: float) -> bool:
    return (value <= lowest and direction < 0) or (value >= highest and direction > 0)
