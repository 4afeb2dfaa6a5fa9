"""Loss curves of training, a panel per method, a line per run; and the SRCC that chose an epoch, if one did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bench.records.results import Experiment, Record
from bench.report.figures.figure import Figure
from bench.report.figures.scene import Drawing, Scene, Subject, title_of
from bench.report.figures.style import GREY, outer_labels, panels, wrapped


class Training(Figure):
    """Loss and validation curves of training."""

    def draw(self, scene: Scene, experiment: Experiment) -> Iterator[Drawing]:
        """One figure per dataset."""
        shown = []
        for subject in scene.subjects([experiment]):
            runs = {split: r for split, r in scene.done(subject.arm, experiment).items() if r.body.get("loss")}
            if runs:
                shown.append((subject, runs))
        if shown:
            yield _figure(scene, experiment, shown)


def _figure(scene: Scene, experiment: Experiment, shown: list[tuple[Subject, dict[int, Record]]]) -> Drawing:
    figure, every = panels(len(shown), columns=4, size=(2.5, 2.3), sharex=True, sharey=True)
    curves = False
    for axes, (subject, runs) in zip(every, shown, strict=True):
        _lines(axes, {s: r.body["loss"] for s, r in runs.items()}, subject.look.colour, "-")
        chosen = {s: c for s, r in runs.items() if (c := r.section("selection").get("curve"))}
        if chosen:
            curves = True
            _validation(axes, chosen)
        axes.set_title(wrapped(subject.label, 30), fontsize=8.5)
        axes.xaxis.get_major_locator().set_params(integer=True)
    outer_labels(every, "epoch", "training loss")
    losses = sorted({r.spec.recipe.loss for _, runs in shown for r in runs.values()})
    several = any(len(runs) > 1 for _, runs in shown)
    one = "run" if any(len({r.spec.split for r in runs.values()}) < len(runs) for _, runs in shown) else "split"
    how = f"Thin: one {one}. Thick: the mean over {one}s. " if several else ""
    how += f"Loss: {', '.join(losses)}, mean of each epoch." + ("" if several else " One split.")
    if curves:
        how += " Dashed grey, right axis: SRCC by which the epoch was chosen."
    title, subjects = f"Training on {title_of(experiment)}", [s for s, _ in shown]
    return scene.drawing(("training", experiment.train), figure, title, subjects, [experiment], how=how, medians=False)


def _lines(axes: Any, by_split: Mapping[int, list[float]], colour: str, dash: str) -> None:
    for values in by_split.values():
        axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=0.6, alpha=0.45, linestyle=dash)
    length = min(map(len, by_split.values()))
    mean = np.mean([values[:length] for values in by_split.values()], axis=0)
    marker = "o" if length == 1 else None
    axes.plot(range(1, length + 1), mean, color=colour, linewidth=1.8, linestyle=dash, marker=marker)


def _validation(axes: Any, by_split: Mapping[int, list[float]]) -> None:
    right = axes.twinx()
    _lines(right, by_split, GREY, "--")
    right.grid(visible=False)
    right.spines["right"].set_visible(True)
    right.tick_params(axis="y", labelsize=7, colors=GREY)
