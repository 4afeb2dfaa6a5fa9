"""gMAD pairs as picture sheets: what one model finds in the other, at its lowest and highest level (GLIA Fig. 4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import ClassVar

import numpy as np

from bench.metrics.gmad import Pair, find_pairs, rescale
from bench.records.results import Experiment, Predictions
from bench.report.figures.figure import Figure
from bench.report.figures.pictures import pictures_of, show_picture
from bench.report.figures.scene import Drawing, Scene, Subject, title_of
from bench.report.figures.style import panels, printed, wrapped

HOW = (
    "Each column: two images that the fixed model (the defender) scores alike and the attacker apart, the attacker's "
    "higher one on top. Scores on one 0–100 scale; the gap of the scores in the set stands in for observers."
)


PRINTED = ("deiqt", "glia")
"""Who meets in GLIA's Fig. 4."""


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


class Gmad(Figure):
    """Image pairs of the gMAD competition (GLIA Fig. 4)."""

    protocol: ClassVar[str] = "gmad"
    needs_pictures: ClassVar[bool] = True

    def topics(self, scene: Scene) -> list[Experiment]:
        """The preset's pairs of sets, or the pairs among the sets the user named; tested on the whole target."""
        sets = set(scene.wish.datasets)
        return [e for e in scene.part.across() if e.datasets <= sets] if sets else scene.part.competitions()

    def draw(self, scene: Scene, experiment: Experiment) -> Iterator[Drawing]:
        """One sheet per pair of models: every pair of those that were named; else the paper's two, DEIQT and GLIA, and
        where one of them is missing the two with the highest SRCC."""
        subjects = scene.subjects([experiment])
        if not scene.wish.methods:
            ranked = [subject for subject in subjects if subject.ranked]
            strongest = sorted(ranked, key=lambda s: -_srcc(scene, s, experiment))[:2]
            printed_two = [subject for subject in subjects if subject.arm.method in PRINTED]
            chosen = printed_two if len(printed_two) == len(PRINTED) else strongest
            subjects = [subject for subject in subjects if subject in chosen]
        for pair in combinations(subjects, 2):
            first, second = scene.named([subject.arm for subject in pair], [experiment])
            match = _match(scene, first, second, experiment)
            columns = _columns(match) if match is not None else []
            if match is not None and columns:
                yield _figure(scene, experiment, match, columns)


def _srcc(scene: Scene, subject: Subject, experiment: Experiment) -> float:
    median = scene.cell(subject.arm, experiment).median
    return -1.0 if median is None else median  # of a constant, which no other can attack


def _match(scene: Scene, first: Subject, second: Subject, experiment: Experiment) -> Match | None:
    """The first split in which both predicted the same images."""
    runs = [scene.done(subject.arm, experiment) for subject in (first, second)]
    for split in sorted(set(runs[0]) & set(runs[1])):
        predictions = [by_split[split].predictions(experiment.target) for by_split in runs]
        if (
            predictions[0] is not None
            and predictions[1] is not None
            and np.array_equal(predictions[0].names, predictions[1].names)
        ):
            return Match(first, second, split, {first.label: predictions[0], second.label: predictions[1]})
    return None


def _columns(match: Match) -> list[tuple[Pair, str]]:
    """GLIA's Fig. 4 (a–d): the first model fixed at its lowest and highest level, then the second."""
    scores = {label: predictions.predicted for label, predictions in match.found.items()}
    columns = []
    for attacker, defender in ((match.second.label, match.first.label), (match.first.label, match.second.label)):
        pairs = find_pairs(attacker, defender, scores, match.any.human)
        if pairs:  # none where the defender's scores lie too far apart
            columns += list(zip((pairs[0], pairs[-1]), ("low", "high"), strict=True))[: len(pairs)]
    return columns


def _figure(scene: Scene, experiment: Experiment, match: Match, columns: list[tuple[Pair, str]]) -> Drawing:
    shown = [pair.best for pair, _ in columns] + [pair.worst for pair, _ in columns]
    pictures = pictures_of(experiment.tested, [str(match.any.names[row]) for row in shown], scene.wish.machine())
    figure, every = panels(2 * len(columns), columns=len(columns), size=(2.35, 2.5), stretch=False)
    scores = _scores(match, "label" if scene.demo else "people")
    for axes, row, picture in zip(every, shown, pictures, strict=True):
        show_picture(axes, picture)
        lines = [wrapped(f"{who}: {printed(values[row], 0)}", 36) for who, values in scores.items()]
        axes.set_xlabel("\n".join(lines), fontsize=7.5)
    for axes, (pair, level), letter in zip(every, columns, "abcd", strict=False):
        who = wrapped(f"({letter}) {pair.defender}", 32)
        axes.set_title(
            f"{who}\nfixed at {level} quality\n{scene.score_name} gap {printed(pair.gap, 0, sign=True)}", fontsize=8.5
        )
    subjects = [match.first, match.second]
    parts = ["gmad", experiment.train, experiment.tested, *(subject.arm.method for subject in subjects)]
    title = f"gMAD competition: {match.first.label} and {match.second.label}, {title_of(experiment)}"
    how = f"{HOW} Split {match.split}."
    return scene.drawing(parts, figure, title, subjects, [experiment], how=how, medians=False)


def _scores(match: Match, who: str) -> dict[str, np.ndarray]:
    """What both models and people (or labels) say of the images, on one scale from 0 to 100."""
    human = match.any.human
    scores = {label: rescale(predictions.predicted, predictions.human) for label, predictions in match.found.items()}
    return scores | {who: (human - human.min()) / np.ptp(human) * 100}
