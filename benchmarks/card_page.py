"""What benchmarks/card.py writes: two tables in a file, whole after every line."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from bench.core.files import write_text

HEADER = ("", "train images/s", "of the matrix rate", "score images/s", "peak GiB", "launches a step", "idle")
GOALS = ("what", "reached", "goal")


class Page:
    """Two tables in a file, written anew with every line."""

    def __init__(self, path: Path, device: torch.device) -> None:
        self.path, self.rows, self.goals = path, list[tuple[str, ...]](), list[tuple[str, ...]]()
        self.begin = time.monotonic()
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU"
        self.title = f"Measured on {name}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}."

    def add(self, *row: str) -> None:
        """A line of the first table."""
        self.rows.append(row)
        self._write(" | ".join(row))

    def goal(self, what: str, reached: str, goal: str) -> None:
        """A line of the second."""
        self.goals.append((what, reached, goal))
        self._write(f"{what}: {reached} (goal: {goal})")

    def say(self, text: str) -> None:
        """A line that is printed only, behind the seconds since the beginning."""
        print(f"{time.monotonic() - self.begin:5.0f} s  {text}", flush=True)

    def _write(self, line: str) -> None:
        self.say(line)
        parts = [self.title, *(_table(h, r) for h, r in ((HEADER, self.rows), (GOALS, self.goals)) if r)]
        write_text(self.path, "\n\n".join(parts) + "\n")


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, ("---",) * len(header), *rows))
