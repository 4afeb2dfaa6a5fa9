"""The log of a training's steps as it lies beside its record: one JSON object per line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

LOG = ".log.jsonl"
"""How the names of such files end."""
Line = dict[str, Any]
"""`step` and `epoch` (from 1), `loss`, `lr` and `images_s`."""


def read_steps(path: Path) -> list[Line]:
    """The lines in the order of their steps, each step once; what cannot be read (a torn line) is passed over."""
    lines: dict[int, Line] = {}
    try:
        texts = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    for text in texts:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(line, dict) and isinstance(line.get("step"), int):
            lines[line["step"]] = line
    return [lines[step] for step in sorted(lines)]
