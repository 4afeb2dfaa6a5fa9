"""SRCC against trainable parameters: one spot per method, its area the model's total size (LoDa Fig. 1)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.records.results import Experiment
from bench.report.arms import count_text
from bench.report.cells import cost_of
from bench.report.figures.figure import Figure
from bench.report.figures.scene import Drawing, Scene, Subject, spread, title_of
from bench.report.figures.style import GREY, Legend, Look, panels, printed, wrapped
from bench.report.published import rows as published_rows

AREA = 1.6  # square points a million total parameters
SIZES = (1e6, 25e6, 100e6)
PUBLISHED_AREA = 110.0
"""Room for two digits; the size of a published model is unknown."""
LINE_INCHES = 0.155
NAME_LETTERS = 34
SOURCES = (("GLIA", "1"), ("LoDa", "1"))


@dataclass(frozen=True)
class Spot:
    """A point of the figure."""

    name: str
    trainable: float
    srcc: float
    total: float = 0.0
    low: float = 0.0
    high: float = 0.0
    look: Look | None = None
    """None for a published number."""

    @property
    def area(self) -> float:
        """In square points."""
        return max(9.0, AREA * self.total / 1e6) if self.look else PUBLISHED_AREA


class Parameters(Figure):
    """SRCC against trainable parameters (LoDa Fig. 1)."""

    def draw(self, scene: Scene, experiment: Experiment) -> Iterator[Drawing]:
        """One figure per dataset; beside spots measured on random splits, outside the demo, the published ones."""
        subjects = [s for s in scene.subjects([experiment]) if not s.arm.external]
        spots = [spot for s in subjects if (spot := _measured(scene, s, experiment)) is not None]
        if spots:
            published = _published(experiment.train) if scene.part.rules.published and not scene.demo else []
            yield _figure(scene, experiment, subjects, spots + published)


def _measured(scene: Scene, subject: Subject, experiment: Experiment) -> Spot | None:
    cell = scene.cell(subject.arm, experiment)
    numbers, cost = spread(cell), cost_of(cell.records)
    if numbers is None or cost.trainable is None:
        return None
    look, total = subject.look, cost.total or cost.trainable
    return Spot(subject.label, max(cost.trainable, 1.0), numbers[0], total, numbers[1], numbers[2], look)


def _published(dataset: str) -> list[Spot]:
    """The published numbers whose parameters the papers print, each method once."""
    spots: dict[str, Spot] = {}
    for source in SOURCES:
        for row in published_rows(source):
            value = row.values.get((dataset, dataset, "srcc"))
            if value is not None and row.params_m and row.method not in spots:
                spots[row.method] = Spot(row.method, float(row.params_m) * 1e6, value)
    return list(spots.values())


def _figure(scene: Scene, experiment: Experiment, subjects: list[Subject], spots: list[Spot]) -> Drawing:
    names = [wrapped(f"{n}  {spot.name}  {printed(spot.srcc)}", NAME_LETTERS) for n, spot in enumerate(spots, start=1)]
    lines = sum(name.count("\n") + 1 for name in names)
    figure, (axes,) = panels(1, columns=1, size=(8.4, max(4.6, LINE_INCHES * lines + 0.6)))
    handles = [_draw_spot(axes, spot) for spot in spots]
    beside = {"loc": "upper left", "bbox_to_anchor": (1, 1), "borderaxespad": 0, "borderpad": 1.5}
    axes.legend(handles, names, frameon=False, fontsize=7.5, labelspacing=0.35, **beside)
    axes.set_xscale("log")
    _margins(axes, spots)
    axes.set_xlabel("trainable parameters")
    axes.set_ylabel("SRCC")
    axes.xaxis.set_major_formatter(lambda value, _: count_text(value))
    axes.xaxis.set_minor_formatter("")
    how = (
        "Numbers lead to the names at the side, where the SRCC stands as well. Spot area: total parameters, frozen "
        "ones included."
    )
    if any(spot.look is None for spot in spots):
        how += " Grey diamonds: published (GLIA and LoDa, Table 1) at the parameters printed there; total unknown."
    title, parts = f"SRCC against trainable parameters on {title_of(experiment)}", ("parameters", experiment.train)
    legend = _size_legend()
    drawing = scene.drawing(parts, figure, title, subjects, [experiment], how=how, legend=legend, whiskers=True)
    number_spots(axes, spots)
    return drawing


def number_spots(axes: Any, spots: Sequence[Spot]) -> None:
    """Write each spot's number on it, or to its right or left where another number stands."""
    taken: list[Any] = []
    for number, spot in enumerate(spots, start=1):
        place = {"xytext": (0, 0), "textcoords": "offset points", "ha": "center", "va": "center"}
        text = axes.annotate(str(number), (spot.trainable, spot.srcc), fontsize=6.5, zorder=5, **place)
        for step in range(2 * len(spots)):
            text.xyann = ((step + 1) // 2 * 9 * (-1) ** (step + 1), 0)
            if not any(text.get_window_extent().overlaps(box) for box in taken):
                break
        taken.append(text.get_window_extent())


def _draw_spot(axes: Any, spot: Spot) -> Any:
    """Draw it; the mark for the legend."""
    if spot.look is None:
        look = {"marker": "D", "facecolor": "white", "edgecolor": GREY, "linewidth": 0.9}
        axes.scatter(spot.trainable, spot.srcc, s=spot.area, zorder=1.5, **look)
        return axes.scatter([], [], s=30, **look)
    axes.vlines(spot.trainable, spot.low, spot.high, color=spot.look.colour, linewidth=0.9)
    paint = {"color": spot.look.colour, "alpha": 0.45, "edgecolor": spot.look.colour, "linewidth": 1}
    axes.scatter(spot.trainable, spot.srcc, s=spot.area, **paint)
    return axes.scatter([], [], s=40, **paint)


def _margins(axes: Any, spots: list[Spot]) -> None:
    """Room for spots and numbers: two thirds of a decade on both sides, a fifth of the range above and below."""
    xs = [spot.trainable for spot in spots]
    lows, highs = [s.low or s.srcc for s in spots], [s.high or s.srcc for s in spots]
    axes.set_xlim(min(xs) / 10**0.7, max(xs) * 10**0.7)
    air = max(0.2 * (max(highs) - min(lows)), 0.01)
    axes.set_ylim(min(lows) - air, min(max(highs) + air, 1.05))


def _size_legend() -> Legend:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [], [], linestyle="", marker="o", markersize=max(3.0, math.sqrt(AREA * size / 1e6)), color=GREY, alpha=0.45
        )
        for size in SIZES
    ]
    return Legend(handles, [f"{count_text(size)} parameters in total" for size in SIZES])
