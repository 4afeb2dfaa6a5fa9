"""`bench status`: what is done, running, failed, pending, and what lies in the results folder unused."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cli.console import grid, say
from bench.cli.problems import report_problems
from bench.core.claims import LEASE_SECONDS
from bench.core.code import made_by_other_code, stands_on_older, told_apart
from bench.core.progress import clock, counted
from bench.core.spec import SCHEMA, RunSpec
from bench.records.earlier import EARLIER_NOTE
from bench.records.plans import Answers, failures, planned
from bench.records.store import Store

Place = tuple[str, str, str, str]
COLUMNS = ("method", "train", "preset", "backbone")
NOTED = ("key", "training_key", "tests")
OLDER = "older code"
"""The state of a run that has a record, but by other code than today's."""


@dataclass(frozen=True)
class Status:
    """A results folder at one moment. `counts`: (method, training set, preset, backbone) → state → number."""

    counts: Mapping[Place, Counter[str]]
    running: tuple[Mapping[str, Any], ...]
    failed: tuple[Mapping[str, Any], ...]
    stopped: int
    unmade: tuple[Mapping[str, Any], ...] = ()
    """Attempts that failed for want of data or settings, and so are pending."""
    earlier: int = 0
    """Records that an earlier version made: no run of this one."""
    made_by: tuple[str, ...] = ()
    """Whose other code made the runs in the state "older code"."""

    def total(self, state: str) -> int:
        """How many runs are in a state."""
        return sum(counter[state] for counter in self.counts.values())


def read_status(store: Store) -> Status:
    """Records say what is done and failed, claims what is running, noted plans what is pending."""
    counts: dict[Place, Counter[str]] = {}
    failed, known, made_by, earlier = [], [], [], 0
    for record, spec, other, answered in _standing(store):
        if spec.schema != SCHEMA:
            earlier += 1
            continue
        known.append(spec)
        if answered:
            continue
        place = (spec.method, spec.train, spec.preset, spec.backbone)
        counts.setdefault(place, Counter())[OLDER if other else record["status"]] += 1
        if other:
            made_by.append(other)
        elif record["status"] == "failed":
            failed.append(record)
    held = store.claims.held()
    for facts in held.values():
        method, train, preset, backbone = (str(facts.get(column, "?")) for column in COLUMNS)
        counts.setdefault((method, train, preset, backbone), Counter())["running"] += 1
    answers = Answers(known)
    for key, run in planned(store).items():
        if run.training_key not in held and not answers.know(key, run.training_key, run.tests):
            counts.setdefault((run.method, run.train, run.preset, run.backbone), Counter())["pending"] += 1
    unmade = tuple(one for one in failures(store) if not answers.know(*(str(one.get(name, "")) for name in NOTED)))
    stopped = _stopped(store, set(held))
    return Status(counts, tuple(held.values()), tuple(failed), stopped, unmade, earlier, tuple(made_by))


def _standing(store: Store) -> Iterator[tuple[Mapping[str, Any], RunSpec, str, bool]]:
    """Every record, its spec, whose other code made it, and whether another answers for its run.

    A record by today's code answers for one by other code, and a done one for a failed one.
    """
    sound = list(store.sound())
    find = {str(record["key"]): record for record, _ in sound}.get
    records = [(one, spec, made_by_other_code(one) or stands_on_older(one, find)) for one, spec in sound]
    todays: dict[str, list[tuple[RunSpec, str]]] = {}
    for record, spec, other in records:
        if not other:
            todays.setdefault(spec.training_key, []).append((spec, record["status"]))
    for record, spec, other in records:
        statuses = {status for one, status in todays.get(spec.training_key, []) if one.covers(spec)}
        yield record, spec, other, bool(statuses) if other else record["status"] == "failed" and "done" in statuses


def print_status(root: Path) -> None:
    """Counts by method and training set, the running ones with their ETA, the failed ones with why."""
    store = Store(root)
    status = read_status(store)
    states = ["done", "failed", "running", "pending"] + ([OLDER] if status.made_by else [])
    if status.counts:
        _print_counts(status, states, root)
    numbers = ", ".join(f"{status.total(state)} {state}" for state in states)
    went_on = "goes on from where it was" if status.stopped == 1 else "go on from where they were"
    say(f"{numbers}" + (f"; {status.stopped} stopped in the middle {went_on}." if status.stopped else "."))
    for facts in status.running:
        say(f"running {describe_holder(facts, time.time())}")
    for line in _by_reason("failed", map(_failure, status.failed)):
        say(line)
    if status.failed:
        say("`bench run … --overwrite failed` tries the failed ones again.")
    for line in _by_reason("tried", ((_place(facts), str(facts["why"])) for facts in status.unmade)):
        say(line)
    if status.unmade:
        say("The same `bench run` does such runs, once the cause is mended.")
    if status.total("pending") and not status.running:
        say("`bench status --forget` forgets plans that were given up.")
    if status.earlier:
        say(f"{counted(status.earlier, 'record')} {EARLIER_NOTE}. Tables show them apart; no run is done by them.")
    if status.made_by:
        say(f"{told_apart(status.made_by)}: `bench run` makes such runs again (--overwrite never keeps them).")
    report_problems(store)


def _failure(record: Mapping[str, Any]) -> tuple[str, str]:
    """(a failed run in a few words, why it failed)."""
    error = record.get("error") or {}
    return _place(record["spec"]), f"{error.get('kind', '?')}: {error.get('message', 'no reason is given')}"


def _place(facts: Mapping[str, Any]) -> str:
    return f"{facts.get('method', '?')} on {facts.get('train', '?')}, split {facts.get('split', '?')}"


def _by_reason(word: str, runs: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each reason, which names the first of its runs and counts the others."""
    reasons: dict[str, list[str]] = {}
    for place, why in sorted(runs):
        reasons.setdefault(why, []).append(place)
    more = {
        why: f" and {counted(len(places) - 1, 'more run')}" if places[1:] else "" for why, places in reasons.items()
    }
    return [f"{word:<7} {places[0]}{more[why]}: {why}" for why, places in reasons.items()]


def _print_counts(status: Status, states: Sequence[str], root: Path) -> None:
    """A row for each place; preset and backbone once above where all share them."""
    places = sorted(status.counts)
    shared = [len({place[i] for place in places}) == 1 for i in (2, 3)]
    shown = [0, 1, *(i for i, alike in zip((2, 3), shared, strict=True) if not alike)]
    above = [f"{COLUMNS[i]} {places[0][i]}" for i in (2, 3) if i not in shown and places[0][i]]
    rows = [(*(place[i] for i in shown), *(status.counts[place][s] for s in states)) for place in places]
    grid((*(COLUMNS[i] for i in shown), *states), rows, title=", ".join([str(root), *above]))


def describe_holder(facts: Mapping[str, Any], now: float) -> str:
    """Where a run is being made, since when, how far it is and how long it will take."""
    age = max(0.0, now - _number(facts, "since", now))
    where = facts.get("where") or f"{facts.get('host', '?')} (process {facts.get('pid', '?')})"
    text = f"{facts.get('method', '?')} on {facts.get('train', '?')}, split {facts.get('split', '?')}"
    text += f": on {where} for {clock(age)}"
    at, of = _number(facts, "at", 0), _number(facts, "of", 0)
    if at and of:
        shown = f", {facts['shown']}" if facts.get("shown") else ""
        text += f", {facts.get('doing', '')} {at:.0f}/{of:.0f}{shown}"
        if facts.get("doing") == "training":
            text += _left(facts, now)
    if _number(facts, "silent", 0) > LEASE_SECONDS:
        text += f"; no sign of life for {clock(_number(facts, 'silent', 0))}, another `bench run` will take it over"
    return text


def _left(facts: Mapping[str, Any], now: float) -> str:
    """How long a training still takes, by the steps since it was begun or taken up; nothing where those are none."""
    at, of, first = _number(facts, "at", 0), _number(facts, "of", 0), _number(facts, "first", math.inf)
    seconds = max(0.0, now - _number(facts, "doing_since", now))
    return f", about {clock(seconds / (at - first) * (of - at))} left" if at > first and seconds else ""


def _number(facts: Mapping[str, Any], name: str, otherwise: float) -> float:
    value = facts.get(name, otherwise)
    return float(value) if isinstance(value, (int, float)) else otherwise


def _stopped(store: Store, running: set[str]) -> int:
    """Runs with a checkpoint that nobody is working on."""
    folder = store.root / "checkpoints"
    keys = {path.stem for path in folder.glob("*.safetensors")} if folder.is_dir() else set()
    return len(keys - running)
