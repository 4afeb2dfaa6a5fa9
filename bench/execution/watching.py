"""Who is told of a plan under way, in facts and not in words: views, lines and machines make of them what they like."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.core.progress import Facts
from bench.core.spec import RunSpec
from bench.execution.outcome import Result, describe_group


@dataclass(frozen=True)
class Underway:
    """A run that is being made, or several that are trained together: which, and their place in the plan."""

    specs: tuple[RunSpec, ...]
    first: int
    of: int
    where: str = ""
    """On which machine, where that is not this one."""

    def place(self) -> str:
        """ "run 3 of 14", "runs 3 to 12 of 14"."""
        last = self.first + len(self.specs) - 1
        runs = f"run {self.first}" if last == self.first else f"runs {self.first} to {last}"
        return f"{runs} of {self.of}"

    def name(self) -> str:
        """Method, set and split in a few words; on which machine before that."""
        return f"{self.where}: {describe_group(self.specs)}" if self.where else describe_group(self.specs)


@dataclass(frozen=True)
class Position:
    """How far a run is in what it is doing."""

    done: int
    total: int
    what: str
    facts: Facts = field(default_factory=dict)


class Watcher:
    """One who is told; this one takes note of nothing. Executors call it from the thread that executes the plan."""

    in_words = True
    """Whether it wants the lines, too, that say how each run ended."""

    def begun(self, runs: Underway) -> None:
        """Runs are being made now."""

    def moved(self, runs: Underway, position: Position) -> None:
        """They got further; so often that whoever draws or writes chooses its own moments."""

    def ended(self, spec: RunSpec, result: Result, seconds: float, where: str = "") -> None:
        """A run is over: done, failed, stopped or lost."""

    def over(self, runs: Underway) -> None:
        """They are under way no more: all have ended, or what is left of them is made in another way."""

    def elsewhere(self, spec: RunSpec, result: Result) -> None:
        """A run that was wanted was made by another process; `result` says whether it failed there, and why."""

    def waiting(self) -> None:
        """Nothing is left to begin here; others are making the rest."""
