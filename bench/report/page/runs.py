"""One run to look into: its description, loss, predictions against labels, and where it errs most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.core.errors import RunError, StoreError
from bench.core.registry import stem_of
from bench.records.results import Record
from bench.report.arms import Arm, method_title
from bench.report.cells import nearest_to_median
from bench.report.page.chapters import Chapter
from bench.report.page.commands import commands_of
from bench.report.page.explorer import Texts, as_printed, rounded
from bench.report.page.svg import look_of
from bench.report.tables.fill import dataset_title

if TYPE_CHECKING:
    from bench.records.results import Predictions

ALL_UP_TO, CHOSEN = 500, 200
"""Up to so many runs all have their details on the page; of more, so many: those that a reader meets first."""
POINTS = 100
"""Pictures of a run's scatter: more say nothing more and make the page large."""
MOST_ERRORS = 10
EPOCHS = 120
CURVE = 24
METRICS = ("srcc", "plcc", "plcc_raw", "krcc", "rmse")
LOG_FIELDS = ("step", "loss")

Log = Sequence[Mapping[str, Any]]
"""What a run noted step by step."""


@dataclass
class Shared:
    """What many runs share is written once: texts, descriptions and surroundings."""

    texts: Texts = field(default_factory=Texts)
    specs: dict[str, dict[str, Any]] = field(default_factory=dict)
    places: Texts = field(default_factory=Texts)


def chosen_runs(chapters: Sequence[Chapter], arms: Mapping[Record, Arm]) -> list[Record]:
    """The runs with details on the page, those that a reader meets first in front.

    First the run nearest to the median of each method in each contest, then the other runs of the contests, then those
    of other arms.
    """
    chosen: dict[str, Record] = {}
    entries = [entry for chapter in chapters for contest in chapter.all_contests for entry in contest.entries]
    for record in (nearest_to_median(entry.cell) for entry in entries if entry.cell.values):
        chosen.setdefault(record.key, record)
    for record in (record for entry in entries for record in entry.cell.records):
        chosen.setdefault(record.key, record)
    for record in sorted(arms, key=lambda record: (arms[record].order()[2:4], record.key)):
        chosen.setdefault(record.key, record)
    return list(chosen.values())[: CHOSEN if len(chosen) > ALL_UP_TO else None]


def details(
    records: Iterable[Record],
    arms: Mapping[Record, Arm],
    labels: Mapping[Arm, str],
    log_of: Callable[[str], Log],
    memory: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    """The details of some runs; what was made of a record before is in `memory`, by its key and hash."""
    shared, runs = Shared(), []
    for record in records:
        mark = f"{record.key} {record.body.get('sha256')}"
        if mark not in memory:
            memory[mark] = {target: _test(record, target) for target in sorted(record.spec.tests)}
        runs.append(_run(record, arms[record], labels, memory[mark], log_of(record.key), shared))
    return {
        "texts": list(shared.texts.known),
        "specs": list(shared.specs.values()),
        "places": list(shared.places.known),
        "runs": runs,
    }


def _run(
    record: Record, arm: Arm, labels: Mapping[Arm, str], tests: Mapping[str, Any], log: Log, shared: Shared
) -> dict[str, Any]:
    spec, look = record.spec, look_of(record.spec.method)
    shared.specs.setdefault(spec.beside_split, {k: v for k, v in spec.as_dict().items() if k not in ("split", "tests")})
    return {
        "key": record.key,
        "label": shared.texts.number(labels.get(arm) or arm.label()),
        "family": shared.texts.number(method_title(stem_of(arm.method))),
        "look": [look.hue, look.glyph],
        "preset": spec.preset,
        "train": shared.texts.number(dataset_title(spec.train)),
        "split": spec.split,
        "status": record.body["status"],
        "error": record.error,
        "older": record.other_code,
        "spec": list(shared.specs).index(spec.beside_split),
        "place": shared.places.number(_place(record)),
        "facts": _facts(record),
        "loss": [rounded(float(value), 3) for value in _thinned(record.body.get("loss") or [], EPOCHS)],
        "epochs": len(record.body.get("loss") or []),
        "chosen": _selection(record),
        "log": _log(log),
        "tests": [
            {
                **test,
                "set": target.partition(":")[0],
                "on": shared.texts.number(_on(target)),
                "names": [shared.texts.number(n) for n in test["names"]],
            }
            for target, test in tests.items()
        ],
        "commands": commands_of(spec, arm),
    }


def _on(target: str) -> str:
    dataset, _, part = target.partition(":")
    return dataset_title(dataset) + {"test": ", held-out part", "all": ", whole set"}.get(part, f", {part} part")


def _selection(record: Record) -> dict[str, Any]:
    selection = record.section("selection")
    curve = [rounded(float(value), 3) for value in selection.get("curve") or () if isinstance(value, int | float)]
    return {"rule": selection.get("rule"), "epoch": selection.get("epoch"), "curve": _thinned(curve, EPOCHS)}


def _facts(record: Record) -> list[list[str]]:
    """What a reader asks of a run besides its numbers, as pairs of texts."""
    data, seconds, speed = record.section("data").get("train", {}), record.section("seconds"), record.section("speed")
    weights, run, parameters = record.section("weights"), record.section("run"), record.section("parameters")
    memory = record.body.get("memory_peak_bytes")
    facts = {
        "Pictures": _sizes(data, ""),
        "Contents": _sizes(data, "contents"),
        "Split": data.get("split_rule"),
        "Weights": f"{weights['hash']} ({weights.get('source', 'unknown source')})" if weights.get("hash") else None,
        "Parameters": _parameters(parameters),
        "Seconds": ", ".join(f"{name} {value:,.1f}" for name, value in seconds.items() if _is_number(value)),
        "Images/s": ", ".join(f"{n.split('_')[0]} {v:,.1f}" for n, v in speed.items() if _is_number(v)),
        "Peak memory": f"{float(memory or 0) / 2**30:.2f} GB" if _is_number(memory) else None,
        "Commit": run.get("git_commit")
        and f"{run['git_commit'][:12]}{' with changes' if run.get('git_dirty') else ''}",
        "Started": run.get("started"),
    }
    return [[name, str(value)] for name, value in facts.items() if value]


def _sizes(data: Mapping[str, Any], what: str) -> str:
    names = ("n_train", "n_test", "n_validation") if not what else ("contents_train", "contents_test", "")
    words = ("to train on", "to test on", "to choose by")
    return ", ".join(f"{data[name]:,} {word}" for name, word in zip(names, words, strict=True) if data.get(name))


def _parameters(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{value:,} {name}" for name, value in parameters.items() if _is_number(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _place(record: Record) -> str:
    """The machine of a run, in one line; whose machine it was is nobody's business."""
    numerics, run = record.section("numerics").get("trained", {}), record.section("run")
    said = {**{k: v for k, v in numerics.items() if not isinstance(v, dict)}, "python": run.get("python")}
    return "; ".join(f"{name} {value}" for name, value in said.items() if value not in (None, ""))


def _log(log: Log) -> dict[str, list[Any]]:
    """The steps of a run, thinned evenly."""
    rows = [row for row in log if _is_number(row.get("step")) and _is_number(row.get("loss"))]
    return {name: [rounded(row.get(name), 3) for row in _thinned(rows, EPOCHS)] for name in LOG_FIELDS} if rows else {}


def _thinned(values: Sequence[Any], most: int) -> list[Any]:
    """At most so many of some values, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


# Predictions ---------------------------------------------------------------------------------------------------------


def _test(record: Record, target: str) -> dict[str, Any]:
    """What a run did on one target: its metrics, and where its predictions are there, what they look like."""
    metrics = {name: as_printed(record.value(target, name)) for name in METRICS}
    plain: dict[str, Any] = {
        "metrics": metrics,
        "n": 0,
        "points": [],
        "curve": [],
        "names": [],
        "errors": [],
        "why": "",
    }
    if not record.done:
        return plain
    try:
        predictions = record.predictions(target)
    except StoreError as error:
        return plain | {"why": str(error)}
    if predictions is None or not len(predictions.human):
        return plain | {"why": "Its predictions are not here."}
    return plain | _looked_at(predictions)


def _looked_at(predictions: Predictions) -> dict[str, Any]:
    """Points, fitted curve, and the pictures that are most over- and underrated, on the labels' scale."""
    import numpy as np

    from bench.metrics.agreement import fit_logistic

    predicted, human = np.asarray(predictions.predicted, dtype=float), np.asarray(predictions.human, dtype=float)
    curve: list[list[float | None]] = []
    try:
        mapping = fit_logistic(predicted, human)
        along = np.linspace(predicted.min(), predicted.max(), CURVE)
        curve = [[rounded(float(x)), rounded(float(y))] for x, y in zip(along, mapping(along), strict=True)]
        judged = mapping(predicted) if mapping.rising else _stretched(predicted, human)
    except RunError:
        judged = _stretched(predicted, human)
    order = np.argsort(judged - human, kind="stable")
    count = min(MOST_ERRORS, len(order) // 2)
    shown = [*order[::-1][:count].tolist(), *order[:count].tolist()]
    rows = _thinned(np.argsort(predicted, kind="stable").tolist(), POINTS)
    return {
        "n": len(human),
        "points": [[rounded(float(predicted[row])), rounded(float(human[row]))] for row in rows],
        "curve": curve,
        "names": [str(predictions.names[row]) for row in shown],
        "errors": [[rounded(float(judged[row])), rounded(float(human[row]))] for row in shown],
    }


def _stretched(predicted: Any, human: Any) -> Any:
    """Scores with the mean and the spread of the labels, where no curve leads from one to the other."""
    spread = float(predicted.std())
    return human.mean() + (predicted - predicted.mean()) * (float(human.std()) / spread if spread else 0.0)
