"""PLCC and SRCC within each family of distortions and each distortion, from stored predictions (LoDa Fig. 4)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bench.breakdown import Agreement, by_distortion, by_family
from bench.figures.scene import Drawing, Scene, Subject, title_of
from bench.figures.style import Legend, Look, finish, panels
from bench.layout import METRIC_TITLES
from bench.results import Experiment, Predictions

METRICS = ("plcc", "srcc")
HOW = (
    "Correlations among the test images of one group, from stored predictions; PLCC of the scores mapped by the "
    "logistic of the whole test part. Whiskers: lowest and highest split."
)

Splits = Mapping[str, list[Agreement]]
"""Of each group, the agreement in every split that has enough images of it."""


def draw(scene: Scene) -> Iterator[Drawing]:
    """Two figures a dataset that knows its distortions: bars by family, and dots by distortion."""
    for experiment in scene.own_tests():
        subjects = scene.subjects([experiment])
        for stem, measure, figure_of in (("distortions", by_family, _bars), ("distortions_each", by_distortion, _dots)):
            found = {s: _groups(scene, s, experiment, measure) for s in subjects}
            found = {s: groups for s, groups in found.items() if groups}
            if found:
                figure = figure_of(found, list(dict.fromkeys(g for groups in found.values() for g in groups)))
                shown = "family of distortions" if measure is by_family else "distortion"
                title = scene.headline(f"PLCC and SRCC by {shown} on {title_of(experiment)}")
                handle = _patch if measure is by_family else _dot
                legend = Legend([handle(s) for s in found], [s.label for s in found])
                finish(figure, title, scene.conditions(list(found), [experiment], how=HOW), legend)
                yield Drawing(scene.stem(stem, experiment.train), figure)


def _groups(
    scene: Scene, subject: Subject, experiment: Experiment, measure: Callable[[Predictions], dict[str, Agreement]]
) -> dict[str, list[Agreement]]:
    groups: dict[str, list[Agreement]] = {}
    for record in scene.done(subject.arm, experiment).values():
        found = record.predictions(experiment.target)
        for group, agreement in (measure(found) if found is not None else {}).items():
            groups.setdefault(group, []).append(agreement)
    return groups


def _values(splits: Splits, group: str, metric: str) -> list[float]:
    """A metric in every split; rounded, because the last bits of a sum are not the same on every call."""
    return [round(getattr(agreement, metric), 6) for agreement in splits.get(group, [])]


def _bars(found: Mapping[Subject, Splits], groups: list[str]) -> Any:
    figure, every = panels(2, columns=1, size=(max(7.2, 0.09 * len(found) * len(groups) + 1.2), 2.5), sharex=True)
    width = 0.84 / len(found)
    for axes, metric in zip(every, METRICS, strict=True):
        for order, (subject, splits) in enumerate(found.items()):
            look = Look.of(subject.place)
            for place, group in enumerate(groups):
                values = _values(splits, group, metric)
                if values:
                    x = place + width * (order - (len(found) - 1) / 2)
                    axes.bar(
                        x,
                        statistics.median(values),
                        0.92 * width,
                        color=look.colour,
                        hatch=look.hatch,
                        edgecolor="white",
                        linewidth=0,
                    )
                    axes.vlines(x, min(values), max(values), color="#444444", linewidth=0.6)
        axes.set_ylabel(METRIC_TITLES[metric])
        axes.axhline(0, color="black", linewidth=0.6)
        axes.grid(visible=False, axis="x")
        axes.set_xticks(range(len(groups)), groups)
        axes.set_xlim(-0.6, len(groups) - 0.4)
    return figure


def _dots(found: Mapping[Subject, Splits], groups: list[str]) -> Any:
    figure, every = panels(2, columns=2, size=(3.7, max(0.21, 0.03 * len(found)) * len(groups) + 0.9), sharey=True)
    for axes, metric in zip(every, METRICS, strict=True):
        for order, (subject, splits) in enumerate(found.items()):
            look = Look.of(subject.place)
            for place, group in enumerate(groups):
                values = _values(splits, group, metric)
                if values:
                    y = place + 0.6 * (order - (len(found) - 1) / 2) / len(found)
                    axes.hlines(y, min(values), max(values), color=look.colour, linewidth=0.5)
                    axes.plot(
                        statistics.median(values),
                        y,
                        color=look.colour,
                        marker=look.marker,
                        markersize=3.6,
                        linestyle="",
                    )
        axes.set_xlabel(METRIC_TITLES[metric])
        axes.set_yticks(range(len(groups)), [group.replace("_", " ") for group in groups])
        axes.set_ylim(len(groups) - 0.4, -0.6)
    return figure


def _patch(subject: Subject) -> Any:
    from matplotlib.patches import Patch

    look = Look.of(subject.place)
    return Patch(facecolor=look.colour, hatch=look.hatch, edgecolor="white", linewidth=0)


def _dot(subject: Subject) -> Any:
    from matplotlib.lines import Line2D

    look = Look.of(subject.place)
    return Line2D([], [], color=look.colour, marker=look.marker, linestyle="", markersize=4.5)
