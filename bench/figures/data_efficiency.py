"""SRCC against the share of the dataset that was trained on, one panel a dataset, one line a method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.figures.scene import Drawing, Scene, Subject, spread, title_of
from bench.figures.style import Legend, Look, finish, panels
from bench.results import Experiment

DODGE = 0.10  # of the distance between fractions: how far apart the methods' whiskers stand


def draw(scene: Scene) -> Iterator[Drawing]:
    """One figure: every dataset that was trained on with at least two fractions."""
    fractions = _fractions(scene)
    names = scene.kept([n for n in scene.part.own_test_sets(scene.part.preset.data_efficiency) if n in fractions])
    if not names:
        return
    experiments = [Experiment(name, f"{name}:test", fraction) for name in names for fraction in fractions[name]]
    reduced = [e for e in experiments if e.fraction < 0.8]
    subjects = scene.subjects(reduced)
    if not subjects:
        return
    figure, every = panels(len(names), columns=3, size=(3.6, 3.1))
    for axes, name in zip(every, names, strict=True):
        for order, subject in enumerate(subjects):
            _line(axes, scene, subject, [e for e in experiments if e.train == name], order, len(subjects))
        axes.set_title(title_of(Experiment(name, f"{name}:test")))
        axes.set_xticks([100 * f for f in fractions[name]])
        axes.set_xlabel("trained on, % of the dataset")
    every[0].set_ylabel("SRCC on the test part")
    below = scene.conditions(subjects, experiments, how="Whiskers: lowest and highest split.")
    legend = Legend([_handle(s) for s in subjects], [s.label for s in subjects])
    finish(figure, scene.headline("SRCC with less training data"), below, legend)
    yield Drawing(scene.stem("data_efficiency"), figure)


def _fractions(scene: Scene) -> dict[str, list[float]]:
    """Of every dataset tested on its own held-out part, the training fractions; those with one only are left out."""
    found: dict[str, set[float]] = {}
    for experiment in scene.part.experiments():
        if experiment.target == f"{experiment.train}:test" and experiment.source == "split":
            found.setdefault(experiment.train, set()).add(experiment.fraction)
    return {name: sorted(values) for name, values in found.items() if len(values) > 1}


def _line(axes: Any, scene: Scene, subject: Subject, experiments: list[Experiment], order: int, count: int) -> None:
    look = Look.of(subject.place)
    gap = min(b.fraction - a.fraction for a, b in zip(experiments, experiments[1:], strict=False)) * 100
    shift = gap * DODGE * (order - (count - 1) / 2) * min(1.0, 4 / count)
    points = [(e.fraction, spread(scene.cell(subject.arm, e))) for e in experiments]
    known = [(100 * fraction + shift, *values) for fraction, values in points if values is not None]
    if not known:
        return
    xs, medians, lows, highs = zip(*known, strict=True)
    axes.vlines(xs, lows, highs, color=look.colour, linewidth=0.9)
    axes.plot(xs, medians, color=look.colour, marker=look.marker, linestyle=look.dash, markersize=4.5, linewidth=1.3)


def _handle(subject: Subject) -> Any:
    from matplotlib.lines import Line2D

    look = Look.of(subject.place)
    return Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.dash, markersize=4.5, linewidth=1.3)
