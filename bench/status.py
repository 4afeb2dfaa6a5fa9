"""`bench status`: what is done, running, failed, and what lies in the results folder unused."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.console import grid, say
from bench.driver import report_problems
from bench.progress import clock
from bench.spec import RunSpec
from bench.store import Store


def print_status(root: Path) -> None:
    """Counts by method and training set, the running ones with their ETA, the failed ones with why."""
    store = Store(root)
    records = list(store.records())
    running = store.claims.held()
    waiting = _checkpointed(store, records, set(running))
    counts: Counter[tuple[str, str, str]] = Counter()
    for record in records:
        counts[(record["spec"]["method"], record["spec"]["train"], record["status"])] += 1
    pairs = sorted({key[:2] for key in counts})
    if pairs:
        rows = [(*pair, counts[(*pair, "done")], counts[(*pair, "failed")]) for pair in pairs]
        grid(("method", "train", "done", "failed"), rows, title=str(root))
    done = sum(record["status"] == "done" for record in records)
    failed = [record for record in records if record["status"] == "failed"]
    say(f"{done} done, {len(failed)} failed, {len(running)} running, {waiting} stopped in the middle.")
    for facts in running.values():
        say(f"running {_who(facts)}")
    for record in failed:
        spec = RunSpec.from_dict(record["spec"])
        error = record["error"]
        say(f"failed  {spec.method} on {spec.train}, split {spec.split}: {error['kind']}: {error['message']}")
    if failed:
        say("`bench run … --overwrite failed` tries the failed ones again.")
    report_problems(store)


def _checkpointed(store: Store, records: list[dict[str, Any]], running: set[str]) -> int:
    """Runs with a checkpoint that nobody is working on."""
    folder = store.root / "checkpoints"
    keys = {path.stem for path in folder.glob("*.safetensors")} if folder.is_dir() else set()
    return len(keys - running)


def _who(facts: dict[str, Any]) -> str:
    age = max(0.0, time.time() - float(facts.get("since", time.time())))
    text = f"{facts.get('method', '?')} on {facts.get('train', '?')}, split {facts.get('split', '?')}"
    text += f": on {facts.get('host', '?')} (process {facts.get('pid', '?')}) since {clock(age)}"
    at, of = facts.get("at", 0), facts.get("of", 0)
    if at and of:
        text += f", {facts.get('doing', '')} {at}/{of}"
        if facts.get("doing") == "training":
            text += f", about {clock(age / at * (of - at))} left"
    return text
