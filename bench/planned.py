"""What a `bench run` means to make, noted beside the results so that `bench status` can count what is pending."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from bench.files import write_text
from bench.spec import SCHEMA, RunSpec
from bench.store import Store


def note_plan(store: Store, specs: Sequence[RunSpec]) -> Path:
    """Note the runs about to be made; the same plan begun again is noted once."""
    runs = sorted([spec.key, spec.training_key, spec.method, spec.train] for spec in specs)
    text = json.dumps({"schema": SCHEMA, "runs": runs})
    path = store.root / "plans" / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
    write_text(path, text)
    return path


def planned(store: Store) -> dict[str, tuple[str, str, str]]:
    """key → (training key, method, training set) of every noted run.

    Notes that cannot be read are passed over, and those of an earlier version: nothing will ever make such runs.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for path in sorted((store.root / "plans").glob("*.json")):
        try:
            noted = json.loads(path.read_text())
            for key, training_key, method, train in noted["runs"] if noted["schema"] == SCHEMA else ():
                found[str(key)] = (str(training_key), str(method), str(train))
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return found
