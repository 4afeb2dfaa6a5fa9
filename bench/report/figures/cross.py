"""SRCC of every training set on every test set, a heat map per method; framed is the set's own test part."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from bench.core.split_rules import AT_RANDOM, folds_of
from bench.records.results import Experiment
from bench.report.figures.figure import Figure
from bench.report.figures.scene import Drawing, Scene, Subject
from bench.report.figures.style import colour_bar, outer_labels, panels, printed, wrapped
from bench.report.tables.fill import dataset_title

FRAME = "#D55E00"
DARK = 0.5  # below this share of the colour scale cividis is dark, and numbers on it are white
LEAST_SPAN = 0.5
"""The colour scale spans at least so much SRCC: small differences must not look like large ones."""
STEMS = {"split": "cross", "all": "cross_whole_source"}


class Cross(Figure):
    """SRCC of every training set on every test set."""

    protocol: ClassVar[str] = "cross"

    def topics(self, scene: Scene) -> list[str]:
        """The ways of using the source: each split's training part of it, or all."""
        return list(STEMS)

    def draw(self, scene: Scene, source: str) -> Iterator[Drawing]:
        """One figure, a map per method."""
        pairs = _pairs(scene, source)
        subjects = scene.subjects([e for e in pairs if e.part == "all"])
        if subjects:
            yield _figure(scene, source, pairs, subjects)


def colour_scale(values: np.ndarray) -> tuple[float, float]:
    """The ends of a scale for some correlations, in tenths: all of them and at least LEAST_SPAN, up to 1 at most."""
    low = math.floor(round(10 * float(np.nanmin(values)), 6)) / 10
    high = math.ceil(round(10 * float(np.nanmax(values)), 6)) / 10
    missing = max(0.0, LEAST_SPAN - (high - low))
    high = min(1.0, math.ceil(10 * (high + missing / 2)) / 10)
    return round(min(low, high - LEAST_SPAN), 1), high


def _pairs(scene: Scene, source: str) -> list[Experiment]:
    """Training on one set and testing on the whole of another, and the own test parts of the sets that occur."""
    every = [e for e in scene.part.experiments() if e.source == source and e.fraction == 0.8]
    across = [e for e in scene.part.across(source) if not scene.wish.datasets or e.datasets <= set(scene.wish.datasets)]
    seen = {name for e in across for name in e.datasets}
    own = [e for e in every if e.is_own_test and e.train in seen]
    return sorted(across + own, key=lambda e: (e.train, e.target))


def _figure(scene: Scene, source: str, pairs: list[Experiment], subjects: list[Subject]) -> Drawing:
    order = {name: place for place, name in enumerate(scene.part.preset.main)}
    trains = sorted({e.train for e in pairs if e.part == "all"}, key=lambda n: (order.get(n, 99), n))
    tests = sorted({e.tested for e in pairs}, key=lambda n: (order.get(n, 99), n))
    maps = np.array([_matrix(scene, subject, pairs, trains, tests) for subject in subjects])
    scale = colour_scale(maps)
    side = max(0.5 * len(tests) + 0.2, 1.9), max(0.36 * len(trains) + 0.6, 1.7)
    columns = max(1, min(4, int(10 / side[0])))
    looks: dict[str, Any] = {"columns": columns, "size": side, "stretch": False, "beside": 1.0}
    figure, every = panels(len(subjects), **looks, sharex=True, sharey=True)
    own = [(tests.index(name), row) for row, name in enumerate(trains) if name in tests]
    shown = None
    for axes, subject, values in zip(every, subjects, maps, strict=True):
        shown = show_numbers(axes, values, scale)
        _frame(axes, [(column, row) for column, row in own if np.isfinite(values[row, column])])
        axes.set_title(wrapped(subject.label, int(side[0] * 8.5)))
        names = [dataset_title(name) for name in tests]
        axes.set_xticks(range(len(tests)), names, rotation=35, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(trains)), [dataset_title(name) for name in trains])
    colour_bar(figure, shown, every, "SRCC")
    outer_labels(every, "tested on", "trained on")
    title = "SRCC across datasets, without fine-tuning on the target"
    framed = any(np.isfinite(maps[:, row, column]).any() for column, row in own)
    rule = scene.part.rules.split_rule
    named = "official test part" if rule == "official" else "test part"
    held_out = "held-out 20%" if rule in AT_RANDOM else "held-out fold" if folds_of(rule) else named
    how = f"Framed: the training set's own {held_out}; all others: the whole target set." if framed else ""
    how += " White: not run." if np.isnan(maps).any() else ""
    return scene.drawing((STEMS[source],), figure, title, subjects, pairs, how=how)


def _matrix(scene: Scene, subject: Subject, pairs: list[Experiment], trains: list[str], tests: list[str]) -> np.ndarray:
    values = np.full((len(trains), len(tests)), np.nan)
    for experiment in pairs:
        median = scene.cell(subject.arm, experiment).median
        if median is not None and experiment.train in trains:
            row, column = trains.index(experiment.train), tests.index(experiment.tested)
            values[row, column] = median
    return values


def show_numbers(axes: Any, values: np.ndarray, scale: tuple[float, float]) -> Any:
    """A heat map with its numbers on it, white where the colour is dark."""
    shown = axes.imshow(values, cmap="cividis", vmin=scale[0], vmax=scale[1], aspect="auto")
    axes.grid(visible=False)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = (value - scale[0]) / (scale[1] - scale[0]) < DARK
            axes.text(
                column, row, printed(value), ha="center", va="center", fontsize=7.5, color="white" if dark else "black"
            )
    return shown


def _frame(axes: Any, cells: list[tuple[int, int]]) -> None:
    from matplotlib.patches import Rectangle

    for column, row in cells:
        axes.add_patch(Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, edgecolor=FRAME, linewidth=1.4))
