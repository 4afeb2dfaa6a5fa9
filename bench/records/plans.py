"""What a `bench run` means to make, noted beside the results so that `bench status` can count what is pending."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from bench.core.files import write_text
from bench.core.progress import counted
from bench.core.spec import SCHEMA, RunSpec, Target
from bench.records.store import Store


class Planned(NamedTuple):
    """A noted run; an earlier note knew neither preset nor backbone."""

    training_key: str
    method: str
    train: str
    preset: str = "?"
    backbone: str = "?"
    tests: str = ""
    """The targets, with commas; an earlier note did not know them."""


@dataclass(frozen=True)
class Forgotten:
    """The outcome of forgetting plans."""

    plans: int
    runs: int
    failures: int
    kept: int
    """Plans with a run that is being made."""

    def sentences(self) -> str:
        """The same in words."""
        said = f"{counted(self.plans, 'plan')} with {counted(self.runs, 'pending run')} forgotten"
        said += f", and why {counted(self.failures, 'attempt')} failed." if self.failures else "."
        said += " Records, checkpoints and trained tensors are untouched: the same `bench run` goes on from them."
        return said + (f" {counted(self.kept, 'plan')} being made: kept." if self.kept else "")


def note_plan(store: Store, specs: Sequence[RunSpec]) -> Path:
    """Note the runs about to begin; the same plan begun again is noted once."""
    runs = sorted([s.key, s.training_key, s.method, s.train, s.preset, s.backbone, ",".join(s.tests)] for s in specs)
    text = json.dumps({"schema": SCHEMA, "runs": runs})
    path = store.root / "plans" / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
    write_text(path, text)
    return path


def planned(store: Store) -> dict[str, Planned]:
    """key → every noted run.

    Notes that cannot be read are passed over, and those of an earlier version: nothing will ever make such runs.
    """
    runs: dict[str, Planned] = {}
    for path in sorted((store.root / "plans").glob("*.json")):
        runs |= _runs_of(path)
    return runs


class Answers:
    """What records answer for, so that a noted run is known to be made also by one with more tests."""

    def __init__(self, specs: Iterable[RunSpec]) -> None:
        self._keys: set[str] = set()
        self._by_training: dict[str, list[RunSpec]] = {}
        for spec in specs:
            self._keys.add(spec.key)
            self._by_training.setdefault(spec.training_key, []).append(spec)

    def know(self, key: str, training_key: str, tests: str) -> bool:
        """Whether there is a record of a noted run, or of its training with at least its tests."""
        wanted, known = tuple(map(Target, tests.split(","))), self._by_training.get(training_key, ())
        return key in self._keys or bool(tests and any(one.covers(one.with_tests(wanted)) for one in known))


def note_failure(store: Store, spec: RunSpec, why: str) -> None:
    """Note why an attempt failed that leaves no record, because the user can mend the cause."""
    facts = {"schema": SCHEMA, "key": spec.key, "method": spec.method, "train": spec.train, "split": spec.split}
    facts |= {"training_key": spec.training_key, "tests": ",".join(spec.tests)}
    write_text(_failure_path(store, spec.key), json.dumps(facts | {"why": why}))


def forget_failure(store: Store, spec: RunSpec) -> None:
    """The run has a record now: what failed before is no news."""
    _failure_path(store, spec.key).unlink(missing_ok=True)


def failures(store: Store) -> list[Mapping[str, Any]]:
    """Every noted failure; notes that cannot be read are passed over."""
    notes = []
    for path in sorted((store.root / "plans" / "failures").glob("*.json")):
        facts = _read(path)
        if facts.get("schema") == SCHEMA and isinstance(facts.get("why"), str):
            notes.append(facts)
    return notes


def forget_plans(store: Store) -> Forgotten:
    """Remove the notes of all plans of which no run is being made, and of failed attempts."""
    held, answers = set(store.claims.held()), Answers(spec for _, spec in store.sound())
    runs: set[str] = set()
    plans = busy = 0
    for path in sorted((store.root / "plans").glob("*.json")):
        noted = _runs_of(path)
        if any(run.training_key in held for run in noted.values()):
            busy += 1
            continue
        path.unlink(missing_ok=True)
        plans += 1
        runs |= {key for key, run in noted.items() if not answers.know(key, run.training_key, run.tests)}
    notes = list((store.root / "plans" / "failures").glob("*.json"))
    for note in notes:
        note.unlink(missing_ok=True)
    return Forgotten(plans, len(runs), len(notes), busy)


def _failure_path(store: Store, key: str) -> Path:
    return store.root / "plans" / "failures" / f"{key}.json"


def _runs_of(path: Path) -> dict[str, Planned]:
    noted = _read(path)
    runs = noted.get("runs") if noted.get("schema") == SCHEMA else ()
    try:
        return {str(key): Planned(*map(str, rest)) for key, *rest in runs or ()}
    except (TypeError, ValueError):
        return {}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        noted = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}
