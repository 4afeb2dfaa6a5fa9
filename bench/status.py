"""`bench status`: what is done, running, failed, pending, and what lies in the results folder unused."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.claims import LEASE_SECONDS
from bench.code import made_by_other_code, told_apart
from bench.console import grid, say
from bench.driver import report_problems
from bench.earlier import EARLIER_NOTE
from bench.planned import planned
from bench.progress import clock, counted
from bench.spec import SCHEMA, RunSpec
from bench.store import Store

OLDER = "older code"
"""The state of a run that has a record, but by other code than today's."""


@dataclass(frozen=True)
class Status:
    """A results folder at one moment. `counts`: (method, training set) → state → number."""

    counts: Mapping[tuple[str, str], Counter[str]]
    running: tuple[Mapping[str, Any], ...]
    failed: tuple[Mapping[str, Any], ...]
    stopped: int
    earlier: int = 0
    """Records that an earlier version made: no run of this one."""
    made_by: tuple[str, ...] = ()
    """Whose other code made the runs in the state "older code"."""

    def total(self, state: str) -> int:
        """How many runs are in a state."""
        return sum(counter[state] for counter in self.counts.values())


def read_status(store: Store) -> Status:
    """Records say what is done and failed, claims what is running, noted plans what is pending."""
    counts: dict[tuple[str, str], Counter[str]] = {}
    failed, known, made_by, earlier = [], set(), [], 0
    for record, spec, other, answered in _standing(store):
        if spec.schema != SCHEMA:
            earlier += 1
            continue
        known.add(record["key"])
        if answered:
            continue
        spec, state = record["spec"], OLDER if other else record["status"]
        counts.setdefault((spec["method"], spec["train"]), Counter())[state] += 1
        if other:
            made_by.append(other)
        elif record["status"] == "failed":
            failed.append(record)
    held = store.claims.held()
    for facts in held.values():
        place = (str(facts.get("method", "?")), str(facts.get("train", "?")))
        counts.setdefault(place, Counter())["running"] += 1
    for key, (training_key, method, train) in planned(store).items():
        if key not in known and training_key not in held:
            counts.setdefault((method, train), Counter())["pending"] += 1
    return Status(counts, tuple(held.values()), tuple(failed), _stopped(store, set(held)), earlier, tuple(made_by))


def _standing(store: Store) -> Iterator[tuple[Mapping[str, Any], RunSpec, str, bool]]:
    """Every record, its spec, whose other code made it, and whether a record by today's code answers for it then."""
    found = [(record, spec, made_by_other_code(record)) for record, spec in store.sound()]
    todays: dict[str, list[RunSpec]] = {}
    for _, spec, other in found:
        if not other:
            todays.setdefault(spec.training_key, []).append(spec)
    for record, spec, other in found:
        newer = todays.get(spec.training_key, []) if other else []
        yield record, spec, other, any(one.covers(spec) for one in newer)


def print_status(root: Path) -> None:
    """Counts by method and training set, the running ones with their ETA, the failed ones with why."""
    store = Store(root)
    status = read_status(store)
    states = ["done", "failed", "running", "pending"] + ([OLDER] if status.made_by else [])
    if status.counts:
        rows = [(*place, *(counter[s] for s in states)) for place, counter in sorted(status.counts.items())]
        grid(("method", "train", *states), rows, title=str(root))
    numbers = ", ".join(f"{status.total(state)} {state}" for state in states)
    went_on = "goes on from where it was" if status.stopped == 1 else "go on from where they were"
    say(f"{numbers}" + (f"; {status.stopped} stopped in the middle {went_on}." if status.stopped else "."))
    for facts in status.running:
        say(f"running {describe_holder(facts, time.time())}")
    for record in status.failed:
        spec, error = RunSpec.from_dict(record["spec"]), record.get("error") or {}
        why = f"{error.get('kind', '?')}: {error.get('message', 'no reason is given')}"
        say(f"failed  {spec.method} on {spec.train}, split {spec.split}: {why}")
    if status.failed:
        say("`bench run … --overwrite failed` tries the failed ones again.")
    if status.earlier:
        say(f"{counted(status.earlier, 'record')} {EARLIER_NOTE}. Tables show them apart; no run is done by them.")
    if status.made_by:
        say(f"{told_apart(status.made_by)}: `bench run` makes such runs again (--overwrite never keeps them).")
    report_problems(store)


def describe_holder(facts: Mapping[str, Any], now: float) -> str:
    """Where a run is being made, since when, how far it is and how long it will take."""
    age = max(0.0, now - _number(facts, "since", now))
    where = facts.get("where") or f"{facts.get('host', '?')} (process {facts.get('pid', '?')})"
    text = f"{facts.get('method', '?')} on {facts.get('train', '?')}, split {facts.get('split', '?')}"
    text += f": on {where} for {clock(age)}"
    at, of = _number(facts, "at", 0), _number(facts, "of", 0)
    if at and of:
        text += f", {facts.get('doing', '')} {at:.0f}/{of:.0f}"
        if facts.get("doing") == "training":
            text += f", about {clock(age / at * (of - at))} left"
    if _number(facts, "silent", 0) > LEASE_SECONDS:
        text += f"; no sign of life for {clock(_number(facts, 'silent', 0))}, another `bench run` will take it over"
    return text


def _number(facts: Mapping[str, Any], name: str, otherwise: float) -> float:
    value = facts.get(name, otherwise)
    return float(value) if isinstance(value, (int, float)) else otherwise


def _stopped(store: Store, running: set[str]) -> int:
    """Runs with a checkpoint that nobody is working on."""
    folder = store.root / "checkpoints"
    keys = {path.stem for path in folder.glob("*.safetensors")} if folder.is_dir() else set()
    return len(keys - running)
