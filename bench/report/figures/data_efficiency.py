"""SRCC against the share of the dataset that was trained on, one panel per dataset, one line per method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from bench.core.spec import Target
from bench.records.results import Experiment
from bench.report.figures.figure import Figure
from bench.report.figures.scene import Drawing, Scene, Subject, spread, title_of
from bench.report.figures.style import Legend, keep_in_proportion, outer_labels, panels

DODGE = 0.10  # of the distance between fractions: how far apart the methods' whiskers stand


class DataEfficiency(Figure):
    """SRCC against the share of the dataset trained on."""

    protocol: ClassVar[str] = "data_efficiency"

    def topics(self, scene: Scene) -> list[str]:
        """One figure of all datasets."""
        return ["all datasets"]

    def draw(self, scene: Scene, topic: str) -> Iterator[Drawing]:
        """A panel per dataset that was trained on with at least two fractions, all on one scale."""
        fractions = _fractions(scene)
        sets = [n for n in scene.kept(scene.part.own_test_sets(scene.part.preset.data_efficiency)) if n in fractions]
        experiments = [Experiment(name, Target.of(name), f) for name in sets for f in fractions[name]]
        subjects = scene.subjects([e for e in experiments if e.fraction < 0.8])
        if not subjects:
            return
        figure, every = panels(len(sets), columns=3, size=(3.6, 3.1), sharey=True)
        for axes, name in zip(every, sets, strict=True):
            for order, subject in enumerate(subjects):
                _line(axes, scene, subject, [e for e in experiments if e.train == name], order, len(subjects))
            axes.set_title(title_of(Experiment(name, Target.of(name))))
            axes.set_xticks([100 * f for f in fractions[name]])
        keep_in_proportion(every[0])
        outer_labels(every, "trained on, % of the dataset", "SRCC on the test part")
        parts, title = ("data_efficiency",), "SRCC with less training data"
        legend = Legend([_handle(s) for s in subjects], [s.label for s in subjects])
        yield scene.drawing(parts, figure, title, subjects, experiments, how="", legend=legend, whiskers=True)


def _fractions(scene: Scene) -> dict[str, list[float]]:
    """Of every dataset tested on its own held-out part, the training fractions; those with one only are left out."""
    fractions: dict[str, set[float]] = {}
    for experiment in scene.part.experiments():
        if experiment.is_own_test and experiment.source == "split":
            fractions.setdefault(experiment.train, set()).add(experiment.fraction)
    return {name: sorted(values) for name, values in fractions.items() if len(values) > 1}


def _line(axes: Any, scene: Scene, subject: Subject, experiments: list[Experiment], order: int, count: int) -> None:
    look = subject.look
    gap = min(b.fraction - a.fraction for a, b in zip(experiments, experiments[1:], strict=False)) * 100
    shift = gap * DODGE * (order - (count - 1) / 2) * min(1.0, 4 / count)
    cells = [scene.cell(subject.arm, e) for e in experiments]
    points = [(cell.share, spread(cell)) for cell in cells]
    known = [(100 * fraction + shift, *values) for fraction, values in points if values is not None]
    if not known:
        return
    xs, medians, lows, highs = zip(*known, strict=True)
    axes.vlines(xs, lows, highs, color=look.colour, linewidth=0.9)
    axes.plot(xs, medians, color=look.colour, marker=look.marker, linestyle=look.dash, markersize=4.5, linewidth=1.3)


def _handle(subject: Subject) -> Any:
    from matplotlib.lines import Line2D

    look = subject.look
    return Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.dash, markersize=4.5, linewidth=1.3)
