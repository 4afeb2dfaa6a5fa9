"""The steps that a run noted while it was trained, where it did: `runs/KEY.log.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.report.page.runs import Log


def logs_in(runs: Path) -> Callable[[str], Log]:
    """A reader of the logs of a folder; a run without one has noted nothing, and a torn line counts for none."""

    def log_of(key: str) -> list[dict[str, Any]]:
        try:
            lines = (runs / f"{key}.log.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        return [row for row in map(_row, lines) if row]

    return log_of


def _row(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
