"""Progress with an ETA on the terminal; a plain callable everywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Protocol

from bench.core.notebook import notebook_bars
from bench.core.streams import write_line

LEAST_SEEN = 0.01
"""The share of the work that must have been watched before a remaining time is worth saying."""

SECONDS_BETWEEN_LINES = 30
"""Where the output is a file, so far apart are lines that say how far something is."""
SECONDS_OF_SILENCE = 2
"""What is over sooner needs no such line."""

EPOCH_AND_LOSS = 2
"""So many things are said of a training where a line has no room for all."""

NARROWEST, BESIDE_TEXT = 16, 42
"""Columns that what is shown has at least, and that bar, numbers and remaining time take."""


Facts = Mapping[str, Any]
"""What else is known of work under way: of a training `epoch`, `epochs`, `loss`, `images_s` and `memory_bytes`."""
NO_FACTS: Facts = MappingProxyType({})


class Report(Protocol):
    """report(done, total, what): library code says how far it is and knows nothing of terminals.

    `what` is the same from begin to end; `facts` may say more, and change on the way (epoch and loss).
    """

    def __call__(self, done: int, total: int, what: str, facts: Facts = NO_FACTS, /) -> None:
        """Take note of it."""


Say = Callable[[str], None]
"""say(line): a line that stays."""


def silent(_done: int, _total: int, _what: str, _facts: Facts = NO_FACTS, /) -> None:
    """A report that nobody reads."""


def of_run(report: Report, run: str) -> Report:
    """A report for a run's own work: whatever is said begins with which run it is."""

    def told(done: int, total: int, what: str, facts: Facts = NO_FACTS, /) -> None:
        report(done, total, f"{run}: {what}", facts)

    return told


def in_words(facts: Facts) -> list[str]:
    """What is known of a training, each thing in a few words, the weightiest first; nothing is made up."""
    said = []
    if "epoch" in facts:
        said.append(f"epoch {facts['epoch']}/{facts.get('epochs', '?')}")
    if "loss" in facts:
        said.append(f"loss {facts['loss']:.3f}")
    if facts.get("images_s"):
        said.append(f"{_three_digits(facts['images_s'])} images/s")
    if facts.get("memory_bytes"):
        said.append(f"{facts['memory_bytes'] / 2**30:.1f} GB")
    return said


def _three_digits(number: float) -> str:
    return f"{number:.1f}" if number < 10 else f"{number:,.0f}"


def in_megabytes(report: Report) -> Report:
    """A report for whoever counts bytes, in numbers that a person reads."""

    def told(done: int, total: int, what: str, _facts: Facts = NO_FACTS, /) -> None:
        whole = -(-total // 10**6)
        report(whole if done >= total else min(done // 10**6, whole - 1), whole, f"{what}, MB")

    return told


def counted(number: int, thing: str) -> str:
    """ "1 run", "2 runs": a number with its noun."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


class Display:
    """Bars on a terminal and in a notebook, or a line every few seconds where the output is a file."""

    def __init__(self) -> None:
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._started: dict[str, tuple[float, int]] = {}
        self._next = time.monotonic() + SECONDS_OF_SILENCE

    def __enter__(self) -> Display:
        if sys.stderr.isatty():
            self._bars = _bars()
        else:
            self._bars = notebook_bars()
        if self._bars is not None:
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

    def report(self, done: int, total: int, what: str, facts: Facts = NO_FACTS, /) -> None:
        """How far one activity is; it disappears when done."""
        known = ", ".join(in_words(facts)[:EPOCH_AND_LOSS])
        shown = f"{what.rpartition(': ')[0]}: {known}".removeprefix(": ") if known else what
        if self._bars is not None:
            self._bar(done, total, what, shown)
        else:
            self._plain(done, total, what, shown)

    def _bar(self, done: int, total: int, what: str, shown: str) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bars.add_task(what, total=total)
        self._bars.update(self._tasks[what], completed=done, total=total, description=shown)
        if done >= total:
            self._bars.remove_task(self._tasks.pop(what))

    def _plain(self, done: int, total: int, what: str, shown: str) -> None:
        now = time.monotonic()
        start, first = self._started.setdefault(what, (now, done))  # some begin at their first step, some before it
        if done >= total:
            self._started.pop(what, None)
            return
        if now >= self._next and done > first:
            self._next = now + SECONDS_BETWEEN_LINES
            eta = (now - start) / (done - first) * (total - done)
            left = f", about {clock(eta)} left" if done - first >= LEAST_SEEN * total else ""
            write_line(f"{shown}: {done}/{total}{left}", sys.stderr)


def shortened(text: str, room: int) -> str:
    """A text that fits: what it is about ("run 3 of 14: glia on …") loses its end, what changes ("epoch 2/4") stays."""
    if len(text) <= room:
        return text
    about, colon, changing = text.rpartition(": ")
    left = room - len(colon + changing) - 1
    return f"{about[:left]}…{colon}{changing}" if about and left > 0 else f"{text[: room - 1]}…"


def _bars() -> Any:
    """Rich's bars, which leave the last columns free: a ^C that the terminal shows there would break a full line."""
    from rich.console import Console
    from rich.constrain import Constrain
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    console = Console(stderr=True)

    class Shown(TextColumn):
        """What is shown, in one line."""

        def render(self, task: Task) -> Text:
            return Text(shortened(task.description, max(NARROWEST, console.width - BESIDE_TEXT)))

    class Bars(Progress):
        def get_renderable(self) -> Constrain:
            return Constrain(super().get_renderable(), console.width - len("^C "))

    return Bars(
        Shown(""),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("eta", markup=False),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # what goes into a pipe is not for the bars' terminal
    )


def clock(seconds: float) -> str:
    """A duration as a person says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
