"""The record of a run, done or failed: its shape, and the one place where it is made. No torch.

docs/records.md says what each field holds.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

from bench.core.code import code_of
from bench.core.numbers import meaningful
from bench.core.spec import SCHEMA, RunSpec
from bench.data.splits import split_of
from bench.records.sets import contents_of, split_facts

if TYPE_CHECKING:
    import numpy as np

    from bench.data.dataset import Dataset
    from bench.training.session import Session

OWN_TO_STEPS = ("compiled", "graphs", "packed", "parts")
"""What of the numerics belongs to training steps alone: a test has none of it."""


class FailedRecord(TypedDict):
    """What is written of every run; of a failed one, nothing else."""

    schema: int
    key: str
    spec: dict[str, Any]
    status: str
    error: dict[str, str] | None
    metrics: dict[str, dict[str, Any]]
    """By target; of a failed run, none."""
    code: dict[str, Any]
    run: dict[str, Any]


class RecordOfRuns(TypedDict, total=False):
    """What is written beside of a run that stands on others."""

    members: list[str]
    """The keys of those."""
    made_of: list[str]
    """The hashes of their records."""


class DoneRecord(FailedRecord, RecordOfRuns):
    """What is written of a run that is done."""

    data: dict[str, Any]
    weights: dict[str, Any]
    parameters: dict[str, int]
    seconds: dict[str, float]
    speed: dict[str, float]
    memory_peak_bytes: int
    gflops: float
    loss: list[float]
    selection: dict[str, Any]
    numerics: dict[str, Any]


Record = DoneRecord | FailedRecord
Predictions = Mapping[str, "np.ndarray"]
Outcome = tuple[Record, Predictions]
"""What a run that is done ends in."""


@dataclass(frozen=True)
class TrainingFacts:
    """What a record says of a training. It is kept beside the trained tensors, for the records of later tests."""

    loss: tuple[float, ...]
    selection_epoch: int
    selection_curve: tuple[float, ...]
    seconds: float
    images: int
    memory_peak_bytes: int
    places: tuple[dict[str, Any], ...]
    """On what it was trained (bench.core.machine.numerics): the last one at the end, others before it was stopped."""

    def to_json(self) -> str:
        """As text beside the tensors."""
        return json.dumps(vars(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> TrainingFacts:
        """Read back; a KeyError, TypeError or ValueError where the text is not of these facts."""
        facts: dict[str, Any] = json.loads(text)
        lists: dict[str, Any] = {name: tuple(facts[name]) for name in ("loss", "selection_curve", "places")}
        return TrainingFacts(**(facts | lists))


@dataclass(frozen=True)
class ScoringFacts:
    """What a record says of the test of a trained model."""

    metrics: dict[str, dict[str, Any]]
    seconds: float
    images: int
    memory_peak_bytes: int
    gflops: float
    place: dict[str, Any]
    """On what it was tested (bench.core.machine.numerics)."""


def failed_record(spec: RunSpec, error: BaseException) -> FailedRecord:
    """The record of a run that failed: its spec and why."""
    return {
        "schema": SCHEMA,
        "key": spec.key,
        "spec": spec.as_dict(),
        "status": "failed",
        "error": {"kind": type(error).__name__, "message": str(error).strip()[:2000]},
        "metrics": {},
        "code": code_of(spec.method),
        "run": {"host": platform.node(), "finished": now()},
    }


def done_record(session: Session, training: TrainingFacts, test: ScoringFacts, run: dict[str, Any]) -> DoneRecord:
    """The record of a run that is done; `run` says when, where and by which commit."""
    spec = session.spec
    record: DoneRecord = {
        "schema": SCHEMA,
        "key": spec.key,
        "spec": spec.as_dict(),
        "status": "done",
        "error": None,
        "data": {"train": _train_set(session), "tests": _test_sets(session)},
        "weights": _weights(session),
        "parameters": _parameters(session),
        "seconds": _seconds(session, training, test),
        "speed": _speed(training, test),
        "memory_peak_bytes": _peak(training, test),
        "gflops": test.gflops,
        "loss": list(training.loss),
        "selection": _selection(spec, training),
        "metrics": test.metrics,
        "numerics": _numerics(training, test),
        "run": run,
        "code": code_of(spec.method),
    }
    if session.members:
        record["members"] = [member.key for member in session.members]
        record["made_of"] = [str(member.record["sha256"]) for member in session.members]
    return record


def now() -> str:
    """The time as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _train_set(session: Session) -> dict[str, Any]:
    about: dict[str, Any] = {"name": session.spec.train, "pixels": session.feed.pixels}
    about |= split_facts(session.dataset, session.split)
    if session.dataset.parts:
        spec, results = session.spec, session.runtime.results
        about["sets"] = {
            name: split_facts(part, split_of(spec, part, results))
            for name, part in zip(spec.trained_on, session.dataset.parts, strict=True)
        }
    return about


def _test_sets(session: Session) -> dict[str, dict[str, Any]]:
    sets = {}
    for target in session.spec.tests:
        feed, rows = session.target(target)
        about = {"hash": feed.dataset.hash(), "pixels": feed.pixels, "n": len(rows)}
        sets[str(target)] = about | {"contents": contents_of(feed.dataset, rows)} | _ceiling(feed.dataset, rows)
    return sets


def _ceiling(dataset: Dataset, rows: np.ndarray) -> dict[str, Any]:
    """How well the labels of a test part could be predicted, where their opinions are known."""
    from bench.metrics.noise import ceiling_of

    scores, stds = (dataset.table[column].to_numpy(dtype=float)[rows] for column in ("score", "std"))
    ceiling = ceiling_of(scores, stds, dataset.opinions)
    return (
        {} if ceiling is None else {"ceiling": {name: meaningful(value) for name, value in ceiling._asdict().items()}}
    )


def _weights(session: Session) -> dict[str, Any]:
    return {
        "backbone": session.spec.backbone,
        "hash": session.weights.hash,
        "source": session.weights.source,
        "further": {name: {"hash": w.hash, "source": w.source} for name, w in session.further.items()},
    }


def _parameters(session: Session) -> dict[str, int]:
    if session.members:  # all of them are computed for a score
        counts = [member.record["parameters"] for member in session.members]
        return {name: sum(int(count[name]) for count in counts) for name in ("trainable", "total", "head")}
    return {
        "trainable": session.model.learned(),
        "total": session.model.numbers(),
        "head": sum(p.numel() for p in session.model.head.parameters()),
    }


def _seconds(session: Session, training: TrainingFacts, test: ScoringFacts) -> dict[str, float]:
    taken = {"setup": session.seconds, "train": training.seconds, "test": test.seconds}
    return {phase: round(seconds, 3) for phase, seconds in taken.items()}


def _speed(training: TrainingFacts, test: ScoringFacts) -> dict[str, float]:
    return {
        "train_images_s": round(training.images / max(training.seconds, 1e-9), 3),
        "test_images_s": round(test.images / max(test.seconds, 1e-9), 3),
    }


def _peak(training: TrainingFacts, test: ScoringFacts) -> int:
    """The most memory that training and test used; of the training alone where the test was on another device."""
    same = training.places[-1]["device"] == test.place["device"]
    return max(training.memory_peak_bytes, test.memory_peak_bytes) if same else training.memory_peak_bytes


def _selection(spec: RunSpec, training: TrainingFacts) -> dict[str, Any]:
    return {
        "rule": spec.recipe.selection,
        "epoch": training.selection_epoch,
        "curve": list(training.selection_curve),
    }


def _numerics(training: TrainingFacts, test: ScoringFacts) -> dict[str, Any]:
    """On what a run was trained: at the end and, where that differs, before; and where that differs, tested."""
    *begun, trained = training.places
    about: dict[str, Any] = {"trained": trained} | ({"begun": begun} if begun else {})
    differs = any(trained.get(name) != value for name, value in test.place.items() if name not in OWN_TO_STEPS)
    return about | ({"tested": test.place} if differs else {})
