"""PLCC and SRCC within each family of distortions and each distortion, from stored predictions (LoDa Fig. 4)."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from bench.records.results import Experiment
from bench.report.breakdown import metrics_by_group
from bench.report.cells import Cell
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

Groups = Mapping[str, Mapping[str, Cell]]
"""Of each group of a method's test images, the cell of every metric."""


class Distortions(Figure):
    """PLCC and SRCC by distortion and family (LoDa Fig. 4)."""

    def draw(self, scene: Scene, experiment: Experiment) -> Iterator[Drawing]:
        """Two figures per dataset that knows its distortions: bars by family, and dots by distortion."""
        cells = {s: _measured(scene.cell(s.arm, experiment)) for s in scene.subjects([experiment])}
        for stem, level, figure_of, handle, shown in (
            ("distortions", "family", _bars, _patch, "family of distortions"),
            ("distortions_each", "distortion", _dots, _dot, "distortion"),
        ):
            by_subject = {s: groups for s, cell in cells.items() if (groups := _groups(cell, level))}
            if by_subject:
                figure = figure_of(by_subject, list(dict.fromkeys(g for groups in by_subject.values() for g in groups)))
                title = f"PLCC and SRCC by {shown} on {title_of(experiment)}"
                parts, legend = (
                    (stem, experiment.train),
                    Legend([handle(s) for s in by_subject], [s.label for s in by_subject]),
                )
                more = [_lacking(by_subject.values())]
                yield scene.drawing(
                    parts,
                    figure,
                    title,
                    list(by_subject),
                    [experiment],
                    how=HOW,
                    legend=legend,
                    whiskers=True,
                    more=more,
                )


def _measured(cell: Cell) -> Cell:
    """The same runs with the metrics of their groups, for a table's rules to make numbers of."""
    target = cell.experiment.target
    found = {number: record.predictions(target) for number, record in cell.by_split.items() if record.done}
    scored = {
        number: cell.by_split[number].with_metrics(target, metrics_by_group(predictions))
        for number, predictions in found.items()
        if predictions is not None
    }
    return replace(cell, by_split=cell.by_split | scored)


def _groups(cell: Cell, level: str) -> dict[str, dict[str, Cell]]:
    """The cells of all families, or of all distortions, that a run has a number for."""
    begin = f"{METRICS[0]}/{level}/"
    measured = [name for r in cell.records for name in r.section("metrics").get(cell.experiment.target, {})]
    groups = dict.fromkeys(name.removeprefix(begin) for name in measured if name.startswith(begin))
    return {group: {m: replace(cell, metric=f"{m}/{level}/{group}") for m in METRICS} for group in groups}


def _lacking(every: Iterable[Groups]) -> str:
    """Which groups have no number in some finished runs: too few images there, or all of one score."""
    fewest: dict[str, tuple[int, int]] = {}
    for groups in every:
        for group, cells in groups.items():
            cell = cells[METRICS[0]]
            have, of = len(cell.values), sum(record.done for record in cell.records)
            if have < of:
                fewest[group] = min((have, of), fewest.get(group, (have, of)))
    named = ", ".join(f"{group.replace('_', ' ')} ({have} of {of})" for group, (have, of) in fewest.items())
    return f"Not every run has a number for: {named}." if named else ""


def _values(groups: Groups, group: str, metric: str) -> list[float]:
    """A metric in every split; rounded, because the last bits of a sum are not the same on every call."""
    return [round(value, 6) for value in groups[group][metric].scores().values()] if group in groups else []


def _bars(groups_of: Mapping[Subject, Groups], groups: list[str]) -> Any:
    """Bars side by side within each group, and never broader than a bar where there are few."""
    unit = max(len(groups_of) * BAR + GAP, LETTER * max(map(len, groups)) + 0.15)
    size = (min(max(len(groups) * unit + 0.8, 2.6), WIDEST), 2.5)
    figure, every = panels(2, columns=1, size=size, stretch=False, sharex=True)
    room = (size[0] - 0.8) / (len(groups) + 0.2)  # inches that a group really gets
    width = min(0.84 / len(groups_of), 1.2 * BAR / room)
    for axes, metric in zip(every, METRICS, strict=True):
        for order, (subject, own) in enumerate(groups_of.items()):
            for place, group in enumerate(groups):
                values = _values(own, group, metric)
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


def _dots(groups_of: Mapping[Subject, Groups], groups: list[str]) -> Any:
    figure, every = panels(2, columns=2, size=(3.7, max(0.21, 0.03 * len(groups_of)) * len(groups) + 0.9), sharey=True)
    for axes, metric in zip(every, METRICS, strict=True):
        for order, (subject, own) in enumerate(groups_of.items()):
            look = subject.look
            for place, group in enumerate(groups):
                values = _values(own, group, metric)
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
