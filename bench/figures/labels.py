"""Names beside the points of a scatter, moved about until none lies on another or on the line that leads to one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, float, float]
Point = tuple[float, ...]
Line = tuple[Point, Point]
FONT_SIZE = 7.5

_DIRECTIONS = (0, 180, 90, 270, 30, 150, 330, 210, 60, 120, 300, 240)
_DISTANCES = (3.0, 10.0, 20.0, 34.0, 50.0, 70.0, 95.0)
_FAR = 8.0  # points: beyond it a line leads from the name to its point
_LINE_WEIGHT = 6.0  # pixels: as wide a line counts where it crosses a name


@dataclass(frozen=True)
class Name:
    """A text, its point (data), the radius (points) of the spot drawn there, and the whisker through it, if any."""

    text: str
    point: tuple[float, float]
    radius: float
    colour: str = "black"
    whisker: tuple[float, float] | None = None


def name_points(axes: Axes, names: Sequence[Name]) -> None:
    """Write each name near its point: at the first free place from near to far.

    The figure must be finished, so that places in pixels are known. Where none is free, the one that covers least
    is taken.
    """
    figure: Any = axes.figure
    pixel = figure.dpi / 72
    centres = [tuple(map(float, axes.transData.transform(name.point))) for name in names]
    taken = [
        (x - r, y - r, x + r, y + r) for (x, y), r in zip(centres, [name.radius * pixel for name in names], strict=True)
    ]
    frame = axes.get_window_extent()
    room = _Room((frame.x0, frame.y0, frame.x1, frame.y1), taken)
    room.lines += [_line(axes, [(name.point[0], y) for y in name.whisker]) for name in names if name.whisker]
    for i, (name, centre) in enumerate(zip(names, centres, strict=True)):
        places = _places(centre, name.radius * pixel, _size(axes, name.text), pixel)
        box, far = room.best(places, centre, spot=i)
        room.take(box, centre, far)
        offset = tuple((to - at) / pixel for to, at in zip(_middle(box), centre, strict=True))
        arrow = {"arrowstyle": "-", "color": "#999999", "linewidth": 0.5, "shrinkB": name.radius} if far else None
        note = axes.annotate(
            name.text,
            name.point,
            xytext=offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=FONT_SIZE,
            color=name.colour,
            arrowprops=arrow,
            zorder=5,
        )
        note.set_in_layout(False)


def _line(axes: Axes, ends: Sequence[Point]) -> Line:
    start, end = axes.transData.transform(ends)
    return tuple(map(float, start)), tuple(map(float, end))


def _size(axes: Axes, text: str) -> tuple[float, float]:
    """A text's width and height in pixels, with a little air."""
    probe = axes.text(0, 0, text, fontsize=FONT_SIZE)
    extent = probe.get_window_extent()
    probe.remove()
    return float(extent.width) + 4, float(extent.height) + 2


class _Room:
    """What is drawn already: spots, names, and lines (whiskers, and those that lead from names to points)."""

    def __init__(self, inside: Box, spots: Sequence[Box]) -> None:
        self.inside, self.spots = inside, list(spots)
        self.names: list[Box] = []
        self.lines: list[Line] = []

    def best(self, places: Iterator[tuple[Box, float]], centre: Point, spot: int) -> tuple[Box, bool]:
        """The first place that covers nothing, else the one that covers least; and whether a line must lead to it."""
        others = self.spots[:spot] + self.spots[spot + 1 :] + self.names
        best: tuple[float, Box, bool] | None = None
        for box, distance in places:
            far = distance > _FAR
            cost = sum(_overlap(box, other) for other in others) + 3 * _outside(box, self.inside)
            crossed = sum(_crossed(box, line) for line in self.lines)
            if far:
                crossed += sum(_crossed(name, (_middle(box), centre)) for name in self.names)
            cost += _LINE_WEIGHT * crossed
            if best is None or cost < best[0] - 1e-9:
                best = (cost, box, far)
            if cost == 0:
                break
        assert best is not None
        return best[1], best[2]

    def take(self, box: Box, centre: Point, far: bool) -> None:
        """A name is written here."""
        self.names.append(box)
        if far:
            self.lines.append((_middle(box), centre))


def _places(centre: Point, radius: float, size: tuple[float, float], pixel: float) -> Iterator[tuple[Box, float]]:
    width, height = size
    for distance in _DISTANCES:
        for degrees in _DIRECTIONS:
            dx, dy = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            reach = radius + distance * pixel
            x = centre[0] + dx * (reach + width / 2)
            y = centre[1] + dy * (reach + height / 2)
            yield (x - width / 2, y - height / 2, x + width / 2, y + height / 2), distance


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _middle(box: Box) -> Point:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _crossed(box: Box, line: Line) -> float:
    """How much of a line lies in a box, in pixels (Liang and Barsky's clipping)."""
    (x0, y0), (x1, y1) = line
    enters, leaves = 0.0, 1.0
    for start, step, low, high in ((x0, x1 - x0, box[0], box[2]), (y0, y1 - y0, box[1], box[3])):
        if step == 0:
            if not low < start < high:
                return 0.0
            continue
        ends = sorted(((low - start) / step, (high - start) / step))
        enters, leaves = max(enters, ends[0]), min(leaves, ends[1])
    return max(0.0, leaves - enters) * math.hypot(x1 - x0, y1 - y0)


def _outside(box: Box, frame: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, frame)
