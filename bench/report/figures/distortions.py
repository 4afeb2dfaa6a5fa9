"""PLCC and SRCC within each family of distortions and each distortion, from stored predictions (LoDa Fig. 4)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bench.records.results import Experiment, Predictions
from bench.report.breakdown import Agreement, by_distortion, by_family
from bench.report.figures.figure import Figure
from bench.report.figures.scene import Drawing, Scene, Subject, title_of
from bench.report.figures.style import INK, Legend, panels
from bench.report.tables.fill import METRIC_TITLES

METRICS = ("plcc", "srcc")
HOW = (
    "Correlations among the test images of one group, from stored predictions; PLCC of the scores mapped by the "
    "logistic of the whole test part."
)
BAR, GAP, LETTER, WIDEST = 0.2, 0.3, 0.07, 9.5
"""Inches: a bar where there is room for it, the gap between groups, a letter of a group's name, the widest figure."""

Splits = Mapping[str, list[Agreement]]
"""Of each group, the agreement in every split that has enough images of it."""


class Distortions(Figure):
    """PLCC and SRCC by distortion and family (LoDa Fig. 4)."""

    def draw(self, scene: Scene, experiment: Experiment) -> Iterator[Drawing]:
        """Two figures per dataset that knows its distortions: bars by family, and dots by distortion."""
        subjects = scene.subjects([experiment])
        for stem, measure, figure_of, handle, shown in (
            ("distortions", by_family, _bars, _patch, "family of distortions"),
            ("distortions_each", by_distortion, _dots, _dot, "distortion"),
        ):
            by_subject = {s: _groups(scene, s, experiment, measure) for s in subjects}
            by_subject = {s: groups for s, groups in by_subject.items() if groups}
            if by_subject:
                figure = figure_of(by_subject, list(dict.fromkeys(g for groups in by_subject.values() for g in groups)))
                title = f"PLCC and SRCC by {shown} on {title_of(experiment)}"
                parts, legend = (
                    (stem, experiment.train),
                    Legend([handle(s) for s in by_subject], [s.label for s in by_subject]),
                )
                yield scene.drawing(
                    parts, figure, title, list(by_subject), [experiment], how=HOW, legend=legend, whiskers=True
                )


def _groups(
    scene: Scene, subject: Subject, experiment: Experiment, measure: Callable[[Predictions], dict[str, Agreement]]
) -> dict[str, list[Agreement]]:
    groups: dict[str, list[Agreement]] = {}
    for record in scene.done(subject.arm, experiment).values():
        predictions = record.predictions(experiment.target)
        for group, agreement in (measure(predictions) if predictions is not None else {}).items():
            groups.setdefault(group, []).append(agreement)
    return groups


def _values(splits: Splits, group: str, metric: str) -> list[float]:
    """A metric in every split; rounded, because the last bits of a sum are not the same on every call."""
    return [round(getattr(agreement, metric), 6) for agreement in splits.get(group, [])]


def _bars(groups_of: Mapping[Subject, Splits], groups: list[str]) -> Any:
    """Bars side by side within each group, and never broader than a bar where there are few."""
    unit = max(len(groups_of) * BAR + GAP, LETTER * max(map(len, groups)) + 0.15)
    size = (min(max(len(groups) * unit + 0.8, 2.6), WIDEST), 2.5)
    figure, every = panels(2, columns=1, size=size, stretch=False, sharex=True)
    room = (size[0] - 0.8) / (len(groups) + 0.2)  # inches that a group really gets
    width = min(0.84 / len(groups_of), 1.2 * BAR / room)
    for axes, metric in zip(every, METRICS, strict=True):
        for order, (subject, splits) in enumerate(groups_of.items()):
            for place, group in enumerate(groups):
                values = _values(splits, group, metric)
                if values:
                    _bar(axes, subject, place + width * (order - (len(groups_of) - 1) / 2), values, width)
        axes.set_ylabel(METRIC_TITLES[metric])
        axes.axhline(0, color="black", linewidth=0.6)
        axes.grid(visible=False, axis="x")
        axes.set_xticks(range(len(groups)), groups)
        axes.set_xlim(-0.6, len(groups) - 0.4)
    return figure


def _bar(axes: Any, subject: Subject, x: float, values: list[float], width: float) -> None:
    """The median as a bar, the splits' range as a whisker with a white rim, to be seen on a black bar too."""
    look, height = subject.look, statistics.median(values)
    axes.bar(x, height, 0.92 * width, color=look.colour, hatch=look.hatch, edgecolor="white", linewidth=0)
    if len(values) > 1:
        axes.vlines(x, min(values), max(values), color="white", linewidth=2.0)
        axes.vlines(x, min(values), max(values), color=INK, linewidth=0.9)


def _dots(groups_of: Mapping[Subject, Splits], groups: list[str]) -> Any:
    figure, every = panels(2, columns=2, size=(3.7, max(0.21, 0.03 * len(groups_of)) * len(groups) + 0.9), sharey=True)
    for axes, metric in zip(every, METRICS, strict=True):
        for order, (subject, splits) in enumerate(groups_of.items()):
            look = subject.look
            for place, group in enumerate(groups):
                values = _values(splits, group, metric)
                if values:
                    y = place + 0.6 * (order - (len(groups_of) - 1) / 2) / len(groups_of)
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

    look = subject.look
    return Patch(facecolor=look.colour, hatch=look.hatch, edgecolor="white", linewidth=0)


def _dot(subject: Subject) -> Any:
    from matplotlib.lines import Line2D

    look = subject.look
    return Line2D([], [], color=look.colour, marker=look.marker, linestyle="", markersize=4.5)
