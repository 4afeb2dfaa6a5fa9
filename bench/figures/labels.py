"""Names beside the points of a scatter, moved about until none lies on another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Box = tuple[float, float, float, float]
FONT_SIZE = 7.5

_DIRECTIONS = (0, 180, 90, 270, 30, 150, 330, 210, 60, 120, 300, 240)
_DISTANCES = (3.0, 10.0, 20.0, 34.0, 50.0, 70.0, 95.0)
_FAR = 8.0  # points: beyond it a line leads from the name to its point


@dataclass(frozen=True)
class Name:
    """A text, the point it belongs to (data), and the radius (points) of the spot that is drawn there."""

    text: str
    point: tuple[float, float]
    radius: float
    colour: str = "black"


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
    inside = (frame.x0, frame.y0, frame.x1, frame.y1)
    for i, (name, centre) in enumerate(zip(names, centres, strict=True)):
        others = taken[:i] + taken[i + 1 :]
        box, far = _best_place(centre, name.radius * pixel, _size(axes, name.text), others, inside, pixel)
        taken.append(box)
        offset = ((box[0] + box[2]) / 2 - centre[0]) / pixel, ((box[1] + box[3]) / 2 - centre[1]) / pixel
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


def _size(axes: Axes, text: str) -> tuple[float, float]:
    """A text's width and height in pixels, with a little air."""
    probe = axes.text(0, 0, text, fontsize=FONT_SIZE)
    extent = probe.get_window_extent()
    probe.remove()
    return float(extent.width) + 4, float(extent.height) + 2


def _best_place(
    centre: tuple[float, ...], radius: float, size: tuple[float, float], taken: Sequence[Box], inside: Box, pixel: float
) -> tuple[Box, bool]:
    best: tuple[float, Box, bool] | None = None
    for box, distance in _places(centre, radius, size, pixel):
        cost = sum(_overlap(box, other) for other in taken) + 3 * _outside(box, inside)
        if best is None or cost < best[0] - 1e-9:
            best = (cost, box, distance > _FAR)
        if cost == 0:
            break
    assert best is not None
    return best[1], best[2]


def _places(
    centre: tuple[float, ...], radius: float, size: tuple[float, float], pixel: float
) -> Iterator[tuple[Box, float]]:
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


def _outside(box: Box, frame: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1]) - _overlap(box, frame)
