"""gMAD pairs as picture sheets: what one model finds in the other, at its lowest and highest level (GLIA Fig. 4)."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from bench.figures.pictures import pictures_of
from bench.figures.scene import Drawing, Scene, Subject, title_of
from bench.figures.style import finish, panels, wrapped
from bench.gmad import Pair, find_pairs, rescale
from bench.results import Experiment, Predictions

HOW = (
    "Each column: two images that the fixed model (the defender) scores alike and the attacker apart, the attacker's "
    "higher one on top. Scores on one 0–100 scale; the true human gap stands in for observers."
)


@dataclass(frozen=True)
class Match:
    """Two models and what each predicted, in one split, for the same images."""

    first: Subject
    second: Subject
    split: int
    found: Mapping[str, Predictions]

    @property
    def any(self) -> Predictions:
        """Either's predictions: names and human scores are the same."""
        return self.found[self.first.label]


def draw(scene: Scene) -> Iterator[Drawing]:
    """One sheet a pair of models: the two with the highest SRCC, or every pair of those that were named."""
    for experiment in _experiments(scene):
        subjects = scene.subjects([experiment])
        if not scene.wish.methods:
            strongest = sorted(subjects, key=lambda s: -_srcc(scene, s, experiment))[:2]
            subjects = [subject for subject in subjects if subject in strongest]
        for first, second in combinations(subjects, 2):
            match = _match(scene, first, second, experiment)
            columns = _columns(match) if match is not None else []
            if match is not None and columns:
                names = [part.arm.method.replace(":", "-") for part in (first, second)]
                stem = scene.stem("gmad", experiment.train, experiment.tested, *names)
                yield Drawing(stem, _figure(scene, experiment, match, columns))


def _experiments(scene: Scene) -> list[Experiment]:
    """The preset's pairs of sets, or the pairs among the sets that the user named; tested on the whole target."""
    wanted = set(scene.wish.datasets)
    return [e for e in scene.part.across() if e.datasets <= wanted] if wanted else scene.part.competitions()


def _srcc(scene: Scene, subject: Subject, experiment: Experiment) -> float:
    return statistics.median(scene.cell(subject.arm, experiment).values.values())


def _match(scene: Scene, first: Subject, second: Subject, experiment: Experiment) -> Match | None:
    """The first split in which both predicted the same images."""
    runs = [scene.done(subject.arm, experiment) for subject in (first, second)]
    for split in sorted(set(runs[0]) & set(runs[1])):
        found = [by_split[split].predictions(experiment.target) for by_split in runs]
        if found[0] is not None and found[1] is not None and np.array_equal(found[0].names, found[1].names):
            return Match(first, second, split, {first.label: found[0], second.label: found[1]})
    return None


def _columns(match: Match) -> list[tuple[Pair, str]]:
    """GLIA's Fig. 4 (a–d): the first model fixed at its lowest and highest level, then the second."""
    scores = {label: found.predicted for label, found in match.found.items()}
    columns = []
    for attacker, defender in ((match.second.label, match.first.label), (match.first.label, match.second.label)):
        pairs = find_pairs(attacker, defender, scores, match.any.human)
        if pairs:  # none where the defender's scores lie too far apart
            columns += list(zip((pairs[0], pairs[-1]), ("low", "high"), strict=True))[: len(pairs)]
    return columns


def _figure(scene: Scene, experiment: Experiment, match: Match, columns: list[tuple[Pair, str]]) -> Any:
    count = len(columns)
    figure, every = panels(2 * count, columns=count, size=(2.35, 2.25))
    shown = [pair.best for pair, _ in columns] + [pair.worst for pair, _ in columns]
    names = [str(match.any.names[row]) for row in shown]
    test = experiment.tested
    scaled = {label: rescale(found.predicted, found.human) for label, found in match.found.items()}
    truth = (match.any.human - match.any.human.min()) / np.ptp(match.any.human) * 100
    for axes, row, picture in zip(every, shown, pictures_of(test, names, scene.wish.machine()), strict=True):
        axes.imshow(picture)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.grid(visible=False)
        for side in axes.spines.values():
            side.set_visible(False)
        lines = [wrapped(f"{label}: {values[row]:.0f}", 36) for label, values in scaled.items()]
        axes.set_xlabel("\n".join([*lines, f"people: {truth[row]:.0f}"]), fontsize=7.5)
    for axes, (pair, level), letter in zip(every, columns, "abcd", strict=False):
        title = f"({letter}) {pair.defender} fixed at {level} quality"
        axes.set_title(f"{wrapped(title, 32)}\nhuman gap {pair.gap:+.0f}", fontsize=8.5)
    where = title_of(experiment)
    how = f"{HOW} Split {match.split}."
    below = scene.conditions([match.first, match.second], [experiment], how=how, medians=False)
    finish(figure, scene.headline(f"gMAD competition: {match.first.label} and {match.second.label}, {where}"), below)
    return figure
