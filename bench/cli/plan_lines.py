"""What is said of a plan under way where no terminal draws it: lines for a person, or objects for a machine."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from bench.cli.console import note
from bench.core.numbers import finite, meaningful
from bench.core.progress import SECONDS_BETWEEN_LINES, Facts, in_words
from bench.core.spec import RunSpec
from bench.core.streams import flush_streams, write_as_it_is
from bench.execution.outcome import Result, describe_result
from bench.execution.standing import InMaking, Standing
from bench.execution.watching import Position, Underway

SECONDS_BETWEEN_OBJECTS = 2.0
"""So far apart are objects that say how far a run is."""


class PlanView(Standing):
    """One that shows a plan under way, from begin to end: `with view: execute(…)`."""

    def __enter__(self) -> PlanView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing more is shown."""

    def say(self, line: str) -> None:
        """A line that stays."""
        note(line)

    def plan(self, facts: Facts) -> None:
        """What is wanted, before anything begins."""

    def finished_plan(self, facts: Facts) -> None:
        """Its outcome."""


class PlainLines(PlanView):
    """A line now and then that says which run of how many is being made, how far it is, and the time left."""

    _last: float = -SECONDS_BETWEEN_LINES

    def moved(self, runs: Underway, position: Position) -> None:
        """Say so, if the last line was long enough ago."""
        super().moved(runs, position)
        making, now = self.making.get(runs.specs[0].key), time.monotonic()
        if making is None or now - self._last < SECONDS_BETWEEN_LINES or not making.first < position.done:
            return
        if position.done < position.total:
            self._last = now
            note(self.line(making, now))

    def line(self, making: InMaking, now: float) -> str:
        """Everything that is known of runs under way, and the whole plan's time."""
        at = making.position
        said = f"{making.runs.place()}: {making.runs.name()}: {', '.join(in_words(at.facts)) or at.what}"
        said += f": {', '.join(filter(None, [f'{at.done}/{at.total}', making.left_in_words(now)]))}"
        whole = self.time_in_words()
        return f"{said}; the whole plan: {whole}" if whole and self.wanted > len(making.runs.specs) else said


class Quiet(PlanView):
    """Says what failed, and what a person has to know."""

    in_words = False

    def ended(self, spec: RunSpec, result: Result, seconds: float, where: str = "") -> None:
        """Say so of a failed run."""
        super().ended(spec, result, seconds, where)
        if result.status == "failed":
            note(describe_result(spec, result, seconds) + (f"  ({where})" if where else ""))

    def elsewhere(self, spec: RunSpec, result: Result) -> None:
        """Say so of one that failed in another process, too."""
        super().elsewhere(spec, result)
        if result.status == "failed":
            note(describe_result(spec, result, None))


class JsonLines(PlanView):
    """One JSON object an event on stdout (docs/watching.md says which); `quiet` leaves out how far runs are."""

    in_words = False

    def __init__(self, pending: Sequence[RunSpec], *more: Any, quiet: bool = False) -> None:
        super().__init__(pending, *more)
        self.quiet = quiet
        self._told: dict[str, tuple[float, str]] = {}

    def say(self, line: str) -> None:
        """A line for a person is an event, too."""
        self._write("note", {"text": line})

    def plan(self, facts: Facts) -> None:
        """The first event."""
        self._write("plan", facts)

    def finished_plan(self, facts: Facts) -> None:
        """The last event."""
        self._write("plan_end", facts)

    def begun(self, runs: Underway) -> None:
        """An event for each run."""
        super().begun(runs)
        for number, spec in enumerate(runs.specs, start=runs.first):
            about = {"method": spec.method, "train": spec.train, "split": spec.split, "fraction": spec.fraction}
            about |= {"tests": [str(target) for target in spec.tests], "number": number, "of": runs.of}
            self._write("begin", {"run": spec.key, **about, **_place(runs.where)})

    def moved(self, runs: Underway, position: Position) -> None:
        """An event from time to time, and when it does something else."""
        super().moved(runs, position)
        key, now = runs.specs[0].key, time.monotonic()
        at, what = self._told.get(key, (-SECONDS_BETWEEN_OBJECTS, ""))
        if self.quiet or (what == position.what and now - at < SECONDS_BETWEEN_OBJECTS):
            return
        self._told[key] = now, position.what
        left = self.time_left()
        plan = {"plan_seconds_left": round(left.seconds, 1), "plan_all_known": left.whole} if left else {}
        moved = {"runs": [spec.key for spec in runs.specs], "doing": position.what, "done": position.done}
        self._write("progress", moved | {"total": position.total, **position.facts, **plan})

    def ended(self, spec: RunSpec, result: Result, seconds: float, where: str = "") -> None:
        """An event with the numbers, or with why there are none."""
        super().ended(spec, result, seconds, where)
        record: Mapping[str, Any] = result.record or {}
        facts: dict[str, Any] = {"run": spec.key, "status": result.status, "seconds": round(seconds, 3)}
        facts |= {"metrics": record["metrics"]} if record.get("metrics") else {}
        facts |= {"error": result.said} if result.status == "failed" else {}
        self._write("end", facts | _place(where))

    def elsewhere(self, spec: RunSpec, result: Result) -> None:
        """An event of a run that another process has made, or failed in."""
        super().elsewhere(spec, result)
        failed = {"status": "failed", "error": result.said}
        self._write("end", {"run": spec.key} | (failed if result.status == "failed" else {"status": "elsewhere"}))

    def _write(self, event: str, facts: Facts) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        body = finite(meaningful({"event": event, "time": now, **facts}))
        write_as_it_is(json.dumps(body, allow_nan=False) + "\n", sys.stdout)
        flush_streams()


def _place(where: str) -> dict[str, str]:
    return {"where": where} if where else {}
