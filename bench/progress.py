"""Progress with an ETA on the terminal; a plain callable everywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from bench.streams import write_line

LEAST_SEEN = 0.01
"""The share of the work that must have been watched before a remaining time is worth saying."""

Report = Callable[[int, int, str], None]
"""report(done, total, what): library code says how far it is and knows nothing of terminals."""

Say = Callable[[str], None]
"""say(line): a line that stays."""


def silent(_done: int, _total: int, _what: str) -> None:
    """A report that nobody reads."""


def in_megabytes(report: Report) -> Report:
    """A report for whoever counts bytes, in numbers that a person reads."""

    def told(done: int, total: int, what: str) -> None:
        whole = -(-total // 10**6)
        report(whole if done >= total else min(done // 10**6, whole - 1), whole, f"{what}, MB")

    return told


def counted(number: int, thing: str) -> str:
    """ "1 run", "2 runs": a number with its noun."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


class Display:
    """Bars on a terminal, or a line every few seconds where the output is a file."""

    def __init__(self) -> None:
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._started: dict[str, tuple[float, int]] = {}
        self._last = 0.0

    def __enter__(self) -> Display:
        if sys.stderr.isatty():
            self._bars = _bars()
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def line(self, text: str) -> None:
        """One line that stays."""
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False)
        else:
            write_line(text, sys.stderr)

    def report(self, done: int, total: int, what: str) -> None:
        """How far one activity is; it disappears when done."""
        if self._bars is not None:
            self._bar(done, total, what)
        else:
            self._plain(done, total, what)

    def _bar(self, done: int, total: int, what: str) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total)
        if done >= total:
            self._bars.remove_task(self._tasks.pop(what))

    def _plain(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        start, first = self._started.setdefault(what, (now, done))  # some begin at their first step, some before it
        if done >= total:
            self._started.pop(what, None)
            return
        if now - self._last >= 10 and done > first:
            self._last = now
            eta = (now - start) / (done - first) * (total - done)
            left = f", about {clock(eta)} left" if done - first >= LEAST_SEEN * total else ""
            write_line(f"{what}: {done}/{total}{left}", sys.stderr)


def _bars() -> Any:
    """Rich's bars, which leave the last columns free: a ^C that the terminal shows there would break a full line."""
    from rich.console import Console
    from rich.constrain import Constrain
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)

    class Bars(Progress):
        def get_renderable(self) -> Constrain:
            return Constrain(super().get_renderable(), console.width - len("^C "))

    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("eta", markup=False),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def clock(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
