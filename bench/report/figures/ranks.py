"""Mean ranks over the contents of a set in k-fold, and which of them differ by more than chance (Demšar, 2006)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.core.errors import RunError, StoreError
from bench.records.results import Experiment
from bench.report.figures.figure import Figure
from bench.report.figures.scene import Drawing, Scene, Subject, title_of
from bench.report.figures.style import GREY, INK, panels

if TYPE_CHECKING:
    from bench.metrics.comparisons import CriticalDifference

ROW = 0.3
"""Inches of a method's row."""


class Ranks(Figure):
    """Mean ranks of methods over the contents of a set in k-fold, with the critical difference."""

    def topics(self, scene: Scene) -> list[Experiment]:
        """The sets that were split by k-fold: there each content is tested by one model per seed."""
        return scene.own_tests() if scene.part.rules.split_rule.startswith("kfold") else []

    def draw(self, scene: Scene, experiment: Experiment) -> Iterator[Drawing]:
        """One figure a set, where at least eight contents were tested by at least two methods."""
        from bench.metrics.comparisons import critical_difference
        from bench.metrics.contents import FEWEST_CONTENTS

        subjects = [subject for subject in scene.subjects([experiment]) if subject.ranked]
        known = {subject: _by_content(scene, subject, experiment) for subject in subjects}
        scores = {subject: values for subject, values in known.items() if values}
        contents = sorted(set.intersection(*map(set, scores.values()))) if scores else []
        if len(scores) < 2 or len(contents) < FEWEST_CONTENTS:
            return
        labels = {subject.label: subject for subject in scores}
        difference = critical_difference({s.label: [scores[s][name] for name in contents] for s in scores})
        how = (
            f"In each of {len(contents)} contents methods are ranked by the SRCC inside it, the mean over seeds; 1 is "
            "best. Methods under one bar differ by less than the critical difference (Nemenyi, α = 0.05; "
            f"Friedman p = {difference.p:.2g}), if contents are independent of one another."
        )
        title = f"Mean ranks over the contents of {title_of(experiment)}"
        unknown = ", ".join(subject.label for subject in known if subject not in scores)
        more = [f"Not ranked, for without an SRCC inside every content: {unknown}." if unknown else ""]
        figure, parts = _drawn(difference, labels), ("ranks", experiment.train)
        yield scene.drawing(parts, figure, title, list(scores), [experiment], how=how, medians=False, more=more)


def _by_content(scene: Scene, subject: Subject, experiment: Experiment) -> dict[str, float]:
    """A method's SRCC inside each content, the mean over seeds; empty where one has none, or nothing is stored."""
    from bench.metrics.variance import content_scores

    try:
        scores = content_scores(scene.cell(subject.arm, experiment).by_seed())
    except (StoreError, RunError):
        return {}
    return scores if np.isfinite(list(scores.values())).all() else {}


def _drawn(difference: CriticalDifference, labels: Mapping[str, Subject]) -> Any:
    order = list(difference.mean_ranks)
    worst = max(len(order), 2)
    figure, (axes,) = panels(1, columns=1, size=(5.6, ROW * (len(order) + 2.2)))
    for row, label in enumerate(order):
        rank, look = difference.mean_ranks[label], labels[label].look
        axes.plot((1, rank), (row, row), color=GREY, linewidth=0.7)
        axes.plot(rank, row, marker=look.marker, color=look.colour, markersize=6, linestyle="")
        left = rank > 0.7 * worst  # at the right the bars begin
        axes.annotate(
            f"{label}  {rank:.2f}",
            (rank, row),
            (-8 if left else 8, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8} if left else None,
        )
    for number, group in enumerate(difference.groups):
        x = worst + 0.75 + 0.18 * number
        rows = (order.index(group[0]) - 0.25, order.index(group[-1]) + 0.25)
        axes.plot((x, x), rows, color=INK, linewidth=3, solid_capstyle="butt", clip_on=False)
    best = difference.mean_ranks[order[0]]
    axes.plot((best, best + difference.cd), (-0.9, -0.9), color=INK, linewidth=1.2, marker="|", markersize=6)
    axes.annotate(
        f"critical difference {difference.cd:.2f}", (best + difference.cd, -0.9), (6, 0), textcoords="offset points",
        va="center", fontsize=7.5,
    )  # fmt: skip
    axes.set_xlim(0.8, worst + 0.9 + 0.18 * len(difference.groups))
    axes.set_ylim(len(order) - 0.4, -1.4)
    axes.set_xticks(range(1, worst + 1))
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("mean rank, 1 is best")
    return figure
