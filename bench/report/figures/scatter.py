"""Predicted against human scores of the test images, one panel per method, with the logistic behind PLCC."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from bench.core.errors import RunError
from bench.metrics.agreement import fit_logistic
from bench.records.results import Experiment, Predictions, Record
from bench.report.cells import nearest_to_median
from bench.report.figures.figure import Figure
from bench.report.figures.scene import Drawing, Scene, Subject, title_of
from bench.report.figures.style import outer_labels, panels, printed, wrapped

POINTS = 4000
"""More points than this say nothing more and make an SVG that no viewer opens; every k-th image is drawn then."""


class Scatter(Figure):
    """Predicted against human scores with the fitted logistic."""

    def draw(self, scene: Scene, experiment: Experiment) -> Iterator[Drawing]:
        """One figure per dataset."""
        shown = []
        for subject in scene.subjects([experiment]):
            cell = scene.cell(subject.arm, experiment)
            if not cell.values:  # a constant: there is no curve to show
                continue
            record = nearest_to_median(cell)
            predictions = record.predictions(experiment.target)
            if predictions is not None:
                shown.append((subject, record, predictions))
        if shown:
            yield _figure(scene, experiment, shown)


def _figure(scene: Scene, experiment: Experiment, shown: list[tuple[Subject, Record, Predictions]]) -> Drawing:
    figure, every = panels(len(shown), columns=4, size=(2.5, 2.55), sharey=True)
    for axes, (subject, record, predictions) in zip(every, shown, strict=True):
        _panel(axes, subject, record, predictions, experiment.target)
    outer_labels(every, "predicted score", scene.score_name)
    how = (
        "Test images of the run whose SRCC is nearest to the median; the line is the 4-parameter logistic fitted on "
        "them, after which PLCC is taken."
    )
    title, subjects = f"Predicted against {scene.score_name}s on {title_of(experiment)}", [s for s, _, _ in shown]
    return scene.drawing(("scatter", experiment.train), figure, title, subjects, [experiment], how=how, medians=False)


def _panel(axes: Any, subject: Subject, record: Record, predictions: Predictions, target: str) -> None:
    every = slice(None, None, 1 + len(predictions.human) // POINTS)
    size = 9 if len(predictions.human) < 300 else 4
    axes.scatter(
        predictions.predicted[every],
        predictions.human[every],
        s=size,
        color=subject.look.colour,
        alpha=0.45,
        linewidth=0,
    )
    values = {name: record.value(target, name) for name in ("srcc", "plcc")}
    numbers = "  ".join(f"{name.upper()} {printed(value)}" for name, value in values.items() if value is not None)
    try:
        mapping = fit_logistic(predictions.predicted, predictions.human)
        along = np.linspace(predictions.predicted.min(), predictions.predicted.max(), 200)
        axes.plot(along, mapping(along).round(6), color="black", linewidth=1.2)
    except RunError:
        numbers += " (no fit)"
    axes.set_title(f"{wrapped(subject.label, 30)}\n{numbers}", fontsize=8, linespacing=1.3)
    axes.locator_params(axis="x", nbins=4)
