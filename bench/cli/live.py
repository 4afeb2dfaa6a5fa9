"""The live view of a plan on a terminal: how far it is, the runs under way, and above them the results so far."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from bench.cli.plan_lines import JsonLines, PlainLines, PlanView, Quiet
from bench.core.notebook import in_notebook
from bench.core.progress import Display, in_words
from bench.core.spec import RunSpec
from bench.core.streams import fitting
from bench.execution.standing import InMaking, Standing
from bench.execution.watching import Position, Underway
from bench.records.times import Times

if TYPE_CHECKING:
    from rich.console import RenderableType

REFRESHES_A_SECOND = 4
CTRL_C = 3
"""The last columns stay free: a ^C that the terminal shows there would break a full line."""
LABEL = 6
"""Columns of what a line is about."""
SHORTEST_BAR, LONGEST_BAR = 8, 24
BETWEEN = 2
FULL, EMPTY = "█", "░"
LINES_BESIDE = 6
"""Lines of the terminal that the view leaves to what stands above it."""


class LiveView(PlanView):
    """Draws where a plan is, again and again; lines that stay are written above it."""

    _live: Any = None

    def __enter__(self) -> LiveView:
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True)
        self._live = Live(
            console=console,
            get_renderable=lambda: drawn(self, console.width, console.height),
            refresh_per_second=REFRESHES_A_SECOND,
            transient=True,
        )
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def say(self, line: str) -> None:
        """A line above the view."""
        self._live.console.print(line, markup=False, highlight=False)


class NotebookView(PlanView):
    """A bar for the plan and one for each run under way, in a notebook."""

    def __enter__(self) -> NotebookView:
        self._display = Display().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.__exit__(kind, error, trace)

    def say(self, line: str) -> None:
        """A line between the bars."""
        self._display.line(line)

    def begun(self, runs: Underway) -> None:
        """The plan's own bar."""
        super().begun(runs)
        self._display.report(self.finished, self.wanted, "runs")

    def moved(self, runs: Underway, position: Position) -> None:
        """The run's bar."""
        super().moved(runs, position)
        what = f"{runs.place()}: {runs.name()}: {position.what}"
        self._display.report(position.done, position.total, what, position.facts)


def view_of(pending: Sequence[RunSpec], times: Times, *, quiet: bool = False, as_json: bool = False) -> PlanView:
    """How a plan is shown here: as asked for; else drawn on a terminal, and in lines where there is none."""
    if as_json:
        return JsonLines(pending, times, quiet=quiet)
    if quiet:
        return Quiet(pending, times)
    if in_notebook():
        return NotebookView(pending, times)
    can_draw = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return LiveView(pending, times) if can_draw else PlainLines(pending, times)


def drawn(standing: Standing, width: int, height: int) -> RenderableType:
    """The view as rich shows it: bars in colour."""
    from rich.text import Text

    whole = Text(no_wrap=True, overflow="crop", end="")
    for number, line in enumerate(view_lines(standing, width, height)):
        text = Text(("\n" if number else "") + fitting(line, sys.stderr))
        text.highlight_regex(rf"[{FULL}#]+", "cyan")
        text.highlight_regex(rf"{EMPTY}+", "bright_black")
        text.highlight_regex(r"\d+ failed", "red")
        whole.append_text(text)
    return whole


def view_lines(standing: Standing, width: int, height: int) -> list[str]:
    """The plan's line, then two for a run alone, or one for each of several that are made at once."""
    room, making, now = width - CTRL_C, list(standing.making.values()), time.monotonic()
    lines = [_line("Plan", share(standing), plan_facts(standing), room)]
    if len(making) == 1:
        return lines + _alone(making[0], room, now)
    shown = making[: max(1, height - LINES_BESIDE)]
    lines += [_among_others(one, room, now) for one in shown]
    return lines + ([f"{'':{LABEL}}and {len(making) - len(shown)} more"] if len(making) > len(shown) else [])


def share(standing: Standing) -> float:
    """The share of the plan that is made: whole runs, and of those under way what they have trained."""
    partly = sum(
        one.position.done / one.position.total * len(one.left)
        for one in standing.making.values()
        if one.position.what == "training" and one.position.total
    )
    return (standing.finished + partly) / max(1, standing.wanted)


def plan_facts(standing: Standing) -> list[str]:
    """Counts, and the time that the rest takes as far as that is known."""
    said = [f"{standing.finished - standing.failed} of {standing.wanted} done"]
    said += [f"{standing.failed} failed"] if standing.failed else []
    said += list(filter(None, [standing.time_in_words()]))
    running = sum(len(one.left) for one in standing.making.values())
    said += [f"{running} running"] if running else []
    return said + ([f"{standing.made_elsewhere} by others"] if standing.made_elsewhere else [])


def _alone(making: InMaking, room: int, now: float) -> list[str]:
    """Which run it is, and how far."""
    at, (kind, _, place) = making.position, making.runs.place().partition(" ")
    first = _cut(f"{kind.capitalize():{LABEL}}{place}: {making.runs.name()}", room)
    return [first, _line("", at.done / at.total if at.total else 0.0, _facts(making, now), room)]


def _among_others(making: InMaking, room: int, now: float) -> str:
    """Which run it is and how far, in one line."""
    at = making.position
    part = f"{at.done / at.total:4.0%}" if at.total else "    "
    said = f"{'':{LABEL}}{part}  {making.runs.name()}"
    for fact in _facts(making, now):
        if len(said) + BETWEEN + len(fact) > room:
            break
        said += f"{'' if said.endswith(',') else ', '}{fact}" if fact else ""
    return _cut(said, room)


def _facts(making: InMaking, now: float) -> list[str]:
    """What is known of runs under way, the weightiest first."""
    at, left = making.position, making.left_in_words(now).removeprefix("about ")
    epoch_and_loss, rest = in_words(at.facts)[:2], in_words(at.facts)[2:]
    said = epoch_and_loss or [at.what]
    said += [left] if left else []
    said += rest
    return said + ([f"{'step ' if at.facts else ''}{at.done}/{at.total}"] if at.total > 1 else [])


def _line(label: str, part: float, facts: Sequence[str], room: int) -> str:
    """A label, a bar, and as many facts as fit; the bar takes what they leave."""
    text, least = "", LABEL + SHORTEST_BAR + BETWEEN
    for number, fact in enumerate(facts):
        further = f"{text}, {fact}" if text else fact
        if number and least + len(further) > room:
            break
        text = further
    bar = max(SHORTEST_BAR, min(LONGEST_BAR, room - LABEL - BETWEEN - len(text)))
    full = round(min(1.0, max(0.0, part)) * bar)
    return _cut(f"{label:{LABEL}}{FULL * full}{EMPTY * (bar - full)}{'':{BETWEEN}}{text}", room)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"
