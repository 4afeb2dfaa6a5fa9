"""What a `bench run` means to make, noted beside the results so that `bench status` can count what is pending."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from bench.files import write_text
from bench.spec import RunSpec
from bench.store import Store


def note_plan(store: Store, specs: Sequence[RunSpec]) -> Path:
    """Note the runs about to be made; the same plan begun again is noted once."""
    runs = sorted([spec.key, spec.training_key, spec.method, spec.train] for spec in specs)
    name = hashlib.sha256(json.dumps(runs).encode()).hexdigest()[:12]
    path = store.root / "plans" / f"{name}.json"
    write_text(path, json.dumps(runs))
    return path


def planned(store: Store) -> dict[str, tuple[str, str, str]]:
    """key → (training key, method, training set) of every noted run; unreadable notes are passed over."""
    found: dict[str, tuple[str, str, str]] = {}
    for path in sorted((store.root / "plans").glob("*.json")):
        try:
            for key, training_key, method, train in json.loads(path.read_text()):
                found[str(key)] = (str(training_key), str(method), str(train))
        except (OSError, ValueError, TypeError):
            continue
    return found
