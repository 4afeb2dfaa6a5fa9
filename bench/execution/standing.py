"""How far a plan is: what is done, failed and under way, and how long the rest takes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.progress import LEAST_SEEN, clock
from bench.core.spec import RunSpec
from bench.execution.outcome import Result
from bench.execution.watching import Position, Underway, Watcher
from bench.records.times import Kind, Times, kind_of

LEAST_LEFT = 1.0
"""Less time than this is not worth a word."""


@dataclass
class InMaking:
    """Runs under way, since when, and how far they are."""

    runs: Underway
    began: float
    left: dict[str, RunSpec]
    """Those of them that have not ended, by key."""
    position: Position = Position(0, 0, "beginning")
    since: float = 0.0
    """When they began to do what they are doing, and at which step of it."""
    first: int = 0

    def seconds_left(self, now: float) -> float | None:
        """Until what they are doing is done, by the steps that were watched; nothing where they are too few."""
        seen, total = self.position.done - self.first, self.position.total
        if seen <= 0 or seen < LEAST_SEEN * total:
            return None
        return (now - self.since) / seen * (total - self.position.done)

    def left_in_words(self, now: float) -> str:
        """ "about 18 s left", or nothing."""
        left = self.seconds_left(now)
        return f"about {clock(left)} left" if left is not None and left >= LEAST_LEFT else ""


@dataclass(frozen=True)
class TimeLeft:
    """How long a plan's rest takes, or at least takes where there are runs of a kind that was never seen."""

    seconds: float
    whole: bool

    def in_words(self) -> str:
        """ "about 12 min left", "over 12 min left", or nothing."""
        word = "about" if self.whole else "over"
        return f"{word} {clock(self.seconds)} left" if self.seconds >= LEAST_LEFT else ""


class Standing(Watcher):
    """A plan's counts and its runs under way, for whoever shows them."""

    def __init__(self, pending: Sequence[RunSpec], times: Times | None = None) -> None:
        self.wanted, self.times = len(pending), times or Times()
        self.making: dict[str, InMaking] = {}
        self.done = self.failed = self.made_elsewhere = 0
        self._waiting = {spec.key: kind_of(spec) for spec in pending}
        self._kinds: Counter[Kind] = Counter(self._waiting.values())

    @property
    def finished(self) -> int:
        """How many runs are over, here or elsewhere."""
        return self.done + self.failed + self.made_elsewhere

    def begun(self, runs: Underway) -> None:
        """They wait no more."""
        now = time.monotonic()
        for spec in runs.specs:
            self._wait_no_more(spec)
        self.making[runs.specs[0].key] = InMaking(runs, now, {spec.key: spec for spec in runs.specs}, since=now)

    def moved(self, runs: Underway, position: Position) -> None:
        """They got further with what they do, or do something else now."""
        making = self.making.get(runs.specs[0].key)
        if making is None:
            return
        if position.what != making.position.what:
            making.since, making.first = time.monotonic(), position.done
        making.position = position

    def ended(self, spec: RunSpec, result: Result, seconds: float, where: str = "") -> None:
        """One run more is over."""
        self._wait_no_more(spec)
        for key, making in list(self.making.items()):
            making.left.pop(spec.key, None)
            if not making.left:
                del self.making[key]
        if result.status == "done":
            self.done += 1
            self.times.learn(spec, seconds)
        elif result.status == "failed":
            self.failed += 1
        elif result.status == "lost":
            self.made_elsewhere += 1

    def over(self, runs: Underway) -> None:
        """What is left of them waits again."""
        making = self.making.pop(runs.specs[0].key, None)
        for spec in making.left.values() if making else ():
            self._waiting[spec.key] = kind_of(spec)
            self._kinds[self._waiting[spec.key]] += 1

    def elsewhere(self, spec: RunSpec, result: Result) -> None:
        """Another process made it, or failed in it."""
        self._wait_no_more(spec)
        if result.status == "failed":
            self.failed += 1
        else:
            self.made_elsewhere += 1

    def time_left(self) -> TimeLeft | None:
        """How long the rest takes, with as many runs at once as there are now; nothing where nothing is known of it."""
        kinds, making = list(self._kinds.items()), list(self.making.values())
        each = [(self.times.of(kind), count) for kind, count in kinds]
        waiting = [seconds * count for seconds, count in each if seconds is not None]
        running = [left for one in making if (left := self._left_of(one)) is not None]
        whole = len(waiting) == len(kinds) and len(running) == len(making)
        if not whole and not waiting:
            return None
        return TimeLeft((sum(waiting) + sum(running)) / max(1, len(making)), whole)

    def time_in_words(self) -> str:
        """The same in words; nothing where there is nothing to say."""
        left = self.time_left()
        return left.in_words() if left else ""

    def _left_of(self, making: InMaking) -> float | None:
        """How long runs under way still take: by runs of their kind, else by their own steps."""
        now = time.monotonic()
        each = [self.times.of(kind_of(spec)) for spec in making.runs.specs]
        known = [seconds for seconds in each if seconds is not None]
        if len(known) < len(each):
            return making.seconds_left(now)
        return max(0.0, sum(known) - (now - making.began))

    def _wait_no_more(self, spec: RunSpec) -> None:
        kind = self._waiting.pop(spec.key, None)
        if kind is not None:
            self._kinds[kind] -= 1
            if not self._kinds[kind]:
                del self._kinds[kind]
