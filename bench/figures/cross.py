"""SRCC of every training set on every test set, a heat map a method; the diagonal is the set's own test part."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.figures.scene import Drawing, Scene, Subject
from bench.figures.style import finish, outer_labels, panels, wrapped
from bench.layout import dataset_title
from bench.results import Experiment

FRAME = "#D55E00"
DARK = 0.5  # below this share of the colour scale cividis is dark, and numbers on it are white


def draw(scene: Scene) -> Iterator[Drawing]:
    """One figure a way of using the source: each split's 80% of it, or all."""
    for source, name in (("split", "cross"), ("all", "cross_whole_source")):
        pairs = _pairs(scene, source)
        subjects = scene.subjects([e for e in pairs if e.target.endswith(":all")])
        if subjects:
            yield Drawing(scene.stem(name), _figure(scene, pairs, subjects))


def _pairs(scene: Scene, source: str) -> list[Experiment]:
    """Training on one set and testing on the whole of another, and the own test parts of the sets that occur."""
    every = [e for e in scene.part.experiments() if e.source == source and e.fraction == 0.8]
    across = [e for e in scene.part.across(source) if not scene.wish.datasets or e.datasets <= set(scene.wish.datasets)]
    seen = {name for e in across for name in e.datasets}
    own = [e for e in every if e.target == f"{e.train}:test" and e.train in seen]
    return sorted(across + own, key=lambda e: (e.train, e.target))


def _figure(scene: Scene, pairs: list[Experiment], subjects: list[Subject]) -> Any:
    order = {name: place for place, name in enumerate(scene.part.preset.main)}
    trains = sorted({e.train for e in pairs if e.target.endswith(":all")}, key=lambda n: (order.get(n, 99), n))
    tests = sorted({e.tested for e in pairs}, key=lambda n: (order.get(n, 99), n))
    maps = [_matrix(scene, subject, pairs, trains, tests) for subject in subjects]
    low, high = float(np.nanmin(maps)), float(np.nanmax(maps))
    side = max(0.5 * len(tests) + 0.2, 1.9), max(0.36 * len(trains) + 0.6, 1.7)
    columns = max(1, min(4, int(10 / side[0])))
    figure, every = panels(len(subjects), columns=columns, size=side, sharex=True, sharey=True)
    shown = None
    for axes, subject, values in zip(every, subjects, maps, strict=True):
        shown = _panel(axes, values, (low, max(high, low + 1e-6)))
        own = [(tests.index(name), row) for row, name in enumerate(trains) if name in tests]
        _frame(axes, [(column, row) for column, row in own if np.isfinite(values[row, column])])
        axes.set_title(wrapped(subject.label, int(side[0] * 8.5)))
        axes.set_xticks(
            range(len(tests)), [dataset_title(name) for name in tests], rotation=35, ha="right", rotation_mode="anchor"
        )
        axes.set_yticks(range(len(trains)), [dataset_title(name) for name in trains])
    figure.colorbar(shown, ax=every, label="SRCC", shrink=0.7, aspect=30, pad=0.02)
    outer_labels(every, "tested on", "trained on")
    how = "Framed: the training set's own held-out 20%; all others: the whole target set. White: not run."
    title = scene.headline("SRCC across datasets, without fine-tuning on the target")
    finish(figure, title, scene.conditions(subjects, pairs, how=how))
    return figure


def _matrix(scene: Scene, subject: Subject, pairs: list[Experiment], trains: list[str], tests: list[str]) -> np.ndarray:
    values = np.full((len(trains), len(tests)), np.nan)
    for experiment in pairs:
        known = list(scene.cell(subject.arm, experiment).values.values())
        if known and experiment.train in trains:
            row, column = trains.index(experiment.train), tests.index(experiment.tested)
            values[row, column] = statistics.median(known)
    return values


def _panel(axes: Any, values: np.ndarray, scale: tuple[float, float]) -> Any:
    shown = axes.imshow(values, cmap="cividis", vmin=scale[0], vmax=scale[1], aspect="auto")
    axes.grid(visible=False)
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = (value - scale[0]) / (scale[1] - scale[0]) < DARK
            axes.text(
                column, row, f"{value:.3f}", ha="center", va="center", fontsize=7.5, color="white" if dark else "black"
            )
    return shown


def _frame(axes: Any, cells: list[tuple[int, int]]) -> None:
    from matplotlib.patches import Rectangle

    for column, row in cells:
        axes.add_patch(Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, edgecolor=FRAME, linewidth=1.4))
