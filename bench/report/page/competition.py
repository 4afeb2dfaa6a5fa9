"""gMAD: pairs of pictures that one model scores alike and another apart, by name and score, from stored predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from bench.core.errors import RunError, StoreError
from bench.metrics.gmad import find_pairs, rescale
from bench.records.results import Predictions, Record
from bench.report.figures.scene import Subject
from bench.report.page.chapters import Chapter, Contest

MOST_MODELS = 2


@dataclass(frozen=True)
class Pair:
    """Two pictures: their names, what attacker, defender and the set's labels say of each, and the labels' gap."""

    level: str
    best: str
    worst: str
    scores: tuple[tuple[str, int, int], ...]
    """Who, of the upper picture, of the lower one; on one scale from 0 to 100."""
    gap: int


@dataclass(frozen=True)
class Duel:
    """One model attacked by another on one set."""

    title: str
    dataset: str
    attacker: Subject
    defender: Subject
    split: int
    pairs: tuple[Pair, ...]


def duels(chapter: Chapter) -> list[Duel]:
    """The two strongest models against one another, in each competition that the preset or the records have."""
    competitions = chapter.part.competitions()
    all_duels = []
    for contest in chapter.contests.get("across", ()):
        if contest.experiment in competitions:
            all_duels += _of_contest(contest)
    return all_duels


def _of_contest(contest: Contest) -> list[Duel]:
    strongest = [entry for entry in contest.entries if entry.cell.values][:MOST_MODELS]
    result: list[Duel] = []
    for one, other in combinations(strongest, 2):
        for split in sorted(set(one.cell.values) & set(other.cell.values)):
            runs = {e.subject: _predictions(e.cell.by_split[split], contest.experiment.target) for e in (one, other)}
            known = {subject: predictions for subject, predictions in runs.items() if predictions is not None}
            if len(known) == 2 and len({tuple(map(str, predictions.names)) for predictions in known.values()}) == 1:
                return result + _both_ways(contest, split, known)
    return result


def _both_ways(contest: Contest, split: int, predictions: Mapping[Subject, Predictions]) -> list[Duel]:
    result = []
    for defender, attacker in (tuple(predictions), tuple(predictions)[::-1]):
        try:
            pairs = _pairs(attacker, defender, predictions)
        except RunError:
            continue
        if pairs:
            result.append(Duel(contest.title, contest.experiment.tested, attacker, defender, split, tuple(pairs)))
    return result


def _pairs(attacker: Subject, defender: Subject, predictions: Mapping[Subject, Predictions]) -> list[Pair]:
    """At the defender's lowest and highest level."""
    human, names = predictions[attacker].human, predictions[attacker].names
    labels = {"attacker": attacker, "defender": defender}
    pairs = find_pairs("attacker", "defender", {who: predictions[s].predicted for who, s in labels.items()}, human)
    ends = {"low": pairs[0], "high": pairs[-1]} if len(pairs) > 1 else {"only": pairs[0]} if pairs else {}
    scores = {s.label: rescale(predictions[s].predicted, human) for s in (defender, attacker)}
    scores["label"] = (human - human.min()) / (human.max() - human.min()) * 100
    return [
        Pair(
            level,
            str(names[pair.best]),
            str(names[pair.worst]),
            tuple((who, round(float(v[pair.best])), round(float(v[pair.worst]))) for who, v in scores.items()),
            round(pair.gap),
        )
        for level, pair in ends.items()
    ]


def _predictions(record: Record, target: str) -> Predictions | None:
    try:
        return record.predictions(target)
    except StoreError:
        return None
