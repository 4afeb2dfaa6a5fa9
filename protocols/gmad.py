"""Models attack one another with pairs of images, from the stored predictions of `cross`: GLIA's Fig. 4 as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.core.spec import RunSpec, Target
from bench.planning.protocol import Protocol, Request
from bench.records.results import Experiment, Predictions, Record, Results
from bench.report.arms import Arm
from bench.report.table import Number, Row, Table
from bench.report.tables.fill import Column, Layout, Line, PresetResults, by_preset, dataset_title, fill

if TYPE_CHECKING:
    import numpy as np

NOTES = (
    "Group maximum differentiation (Ma et al.) without observers: the true difference in human score, on a 0–100 "
    "scale, stands for their judgement.",
    "Attack: mean gap of the pairs the model finds in others. Defence: 100 − mean absolute gap that others find in "
    "it. Scores are the Perron ranks over all pairs of models and sum to 1.",
)
COLUMNS = (
    ("Aggressiveness", "gap", "gmad_attack"),
    ("Aggressiveness", "score", "gmad_attack_score"),
    ("Resistance", "100 − |gap|", "gmad_defence"),
    ("Resistance", "score", "gmad_defence_score"),
)


@dataclass(frozen=True)
class Match:
    """One split's competition: who takes part, and what each predicted for the same images."""

    split: int
    models: Mapping[Arm, Record]
    predictions: Mapping[Arm, Predictions]


class Gmad(Protocol):
    """Aggressiveness and resistance of every model, and the most telling pairs (GLIA Fig. 4; Ma et al.)."""

    title: ClassVar[str] = "gMAD competition"
    pairs: ClassVar[bool] = True
    refuses: ClassVar[tuple[str, ...]] = ("fraction",)

    def plan(self, request: Request) -> list[RunSpec]:
        """The runs of `cross` for these pairs of sets, and DEIQT's, which GLIA meets in its Fig. 4."""
        usual = ("linear_probe", "full_finetune", "adapter", "lora", "vpt", "loda", "deiqt", "glia")
        return [
            request.spec(method, train, [Target.of(test, "all")], split)
            for split in range(request.splits)
            for train, test in request.paired(request.preset.gmad)
            for method in request.chosen(*usual)
        ]

    def tables(self, results: Results) -> list[Table]:
        """For every pair of sets with at least two models: the ranking, and the pairs of the first split."""
        return [
            table
            for part in by_preset(results)
            for experiment in part.competitions()
            for table in _tables(part, experiment)
        ]


def _tables(part: PresetResults, experiment: Experiment) -> list[Table]:
    arms = part.arms_in([Column("", experiment)])
    matches = _matches(part, arms, experiment)
    if not matches:
        return []
    records = {record.key: record for arm in arms for record in part.runs(arm, experiment)}
    for match in matches:
        for arm, scores in _outcome(match).items():
            record = match.models[arm]
            records[record.key] = record.with_metrics(experiment.target, scores)
    stem = f"gmad_{experiment.train}_{experiment.tested}"
    where = f"trained on {dataset_title(experiment.train)}, tested on {dataset_title(experiment.tested)}"
    layout = Layout(
        name=stem,
        title=f"gMAD competition: {where}.",
        leads=("Method",),
        columns=tuple(Column(group, experiment, metric, name) for group, name, metric in COLUMNS),
        lines=tuple(Line((arm.title,), arm, arm) for arm in arms),
        notes=NOTES,
    )
    ranking = fill(part.with_records(records.values()), layout)
    labels = {line.arm: row.lead[0] for line, row in zip(layout.lines, ranking.rows, strict=True)}
    return [
        ranking,
        _pairs_table(ranking, labels, matches[0], f"{stem}_pairs{part.rules.suffix}{part.preset.suffix}", where),
    ]


def _matches(part: PresetResults, arms: Sequence[Arm], experiment: Experiment) -> list[Match]:
    """The competition of every split that at least two models have predictions of the same images for."""
    by_split: dict[int, dict[Arm, Record]] = {}
    for arm in arms:
        for record in part.runs(arm, experiment):
            if record.done:
                by_split.setdefault(record.spec.repetition, {}).setdefault(arm, record)
    matches = []
    for split, models in sorted(by_split.items()):
        predictions = {arm: p for arm, record in models.items() if (p := record.predictions(experiment.target))}
        images = {tuple(p.names.tolist()) for p in predictions.values()}
        if len(predictions) > 1 and len(images) == 1:
            matches.append(Match(split, models, predictions))
    return matches


def _outcome(match: Match) -> dict[Arm, dict[str, float]]:
    """What each model of a match achieved, as metrics."""
    from bench.metrics.gmad import compete

    arms = list(match.predictions)
    _, ranking = compete(*_scores(match))
    metrics = {}
    for i, arm in enumerate(arms):
        name = str(i)
        scores = {
            "gmad_attack": ranking.aggressiveness[i],
            "gmad_defence": ranking.resistance[i],
        }
        values = {metric: mean for metric, row in scores.items() if (mean := _mean(row)) is not None}
        values["gmad_attack_score"] = ranking.aggressiveness_score[name]
        values["gmad_defence_score"] = ranking.resistance_score[name]
        metrics[arm] = values
    return metrics


def _mean(outcomes: np.ndarray) -> float | None:
    """The mean over the opponents that there were pairs with."""
    known = [value for value in outcomes.tolist() if value == value]
    return sum(known) / len(known) if known else None


def _pairs_table(ranking: Table, titles: Mapping[Arm, str], match: Match, name: str, where: str) -> Table:
    """The pairs at each defender's lowest and highest level, as GLIA's Fig. 4 shows them.

    Not every model of the ranking takes part in the match: each is named by its arm.
    """
    from bench.metrics.gmad import compete

    pairs, _ = compete(*_scores(match))
    labels = [titles[arm] for arm in match.predictions]
    images = next(iter(match.predictions.values())).names
    rows = []
    for attacker, defender in dict.fromkeys((pair.attacker, pair.defender) for pair in pairs):
        fought = [pair for pair in pairs if (pair.attacker, pair.defender) == (attacker, defender)]
        for pair, level in dict(zip((fought[0], fought[-1]), ("low", "high"), strict=True)).items():
            cells = (str(images[pair.best]), str(images[pair.worst]), Number(pair.gap, facts={"metric": "gap"}))
            rows.append(Row((labels[int(attacker)], labels[int(defender)], level), cells))
    return Table(
        name=name,
        title=f"{ranking.title.partition(' ')[0]} " * ranking.demo + f"gMAD pairs of split {match.split}: {where}.",
        leads=("Attacker", "Defender", "Defender's level"),
        header=(("", "Better (attacker)"), ("", "Worse (attacker)"), ("Human", "gap")),
        rows=tuple(rows),
        notes=(NOTES[0], "Gap: human score of the better image less that of the worse; negative: the attacker errs."),
        footer=ranking.footer,
        demo=ranking.demo,
    )


def _scores(match: Match) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Predictions by model number, and the human scores."""
    predictions = list(match.predictions.values())
    return {str(i): p.predicted for i, p in enumerate(predictions)}, predictions[0].human
