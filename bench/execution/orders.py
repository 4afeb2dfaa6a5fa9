"""What all executors share: the options of an execution, its summary, the order of its runs, and Ctrl-C."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from bench.core.claims import Claim
from bench.core.progress import EPOCH_AND_LOSS, NO_FACTS, Facts, Report, Say, in_words, of_run, silent
from bench.core.spec import RunSpec
from bench.execution.outcome import Result, describe_result, reason, recorded
from bench.execution.watching import Position, Underway, Watcher
from bench.records.store import Store

POLL_SECONDS = 2.0
"""How often an executor with nothing else to do looks for runs that other processes have finished."""


@dataclass
class Summary:
    """The outcome of executing a plan."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    mendable: list[str] = field(default_factory=list)
    """Failed runs without a record; the next `bench run` tries them again."""
    elsewhere: list[str] = field(default_factory=list)
    """Runs that other processes have done; those that failed there are among the failed."""
    interrupted: bool = False
    last_reason: str = ""
    """Why the last failed run failed: what is true of the next one too is not written out again."""

    @property
    def finished(self) -> int:
        """How many runs are over, here or elsewhere."""
        return len(self.done) + len(self.failed) + len(self.elsewhere)

    def knows(self, spec: RunSpec, result: Result) -> bool:
        """Whether a run failed for the reason that was said last."""
        return result.status == "failed" and reason(spec, result) == self.last_reason

    def add_failure(self, spec: RunSpec, result: Result) -> None:
        """Take note of a failed run."""
        self.failed[spec.key], self.last_reason = result.said, reason(spec, result)
        if result.mendable:
            self.mendable.append(spec.key)


@dataclass(frozen=True)
class ExecutionOptions:
    """Options of an execution, and the callbacks that report its progress."""

    overwrite: str = "changed"
    report: Report = silent
    """Is told in words how far the plan and its runs are."""
    say: Say = lambda _line: None
    watch: Watcher = field(default_factory=Watcher)
    """Is told the same in facts."""
    debug: bool = False
    share: tuple[int, int] = (0, 1)
    """Which part of the plan to begin with (i of n); the rest is helped with afterwards."""
    wait: bool = True
    """Whether to stay until the runs that others are making are made."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """What is said beside a run's name, by key, where names alone do not tell runs apart."""


def in_order(specs: Sequence[RunSpec], store: Store, options: ExecutionOptions) -> list[RunSpec]:
    """Own share first; runs at which several processes died come last, so that they keep no other waiting."""
    own, others = shares(specs, store, options)
    return own + others


def shares(specs: Sequence[RunSpec], store: Store, options: ExecutionOptions) -> tuple[list[RunSpec], list[RunSpec]]:
    """The own share; then the share of others and, at its end, all runs at which several processes died."""
    at, of = options.share
    deadly = store.claims.deadly()
    own, others = specs[at::of], [spec for i, spec in enumerate(specs) if i % of != at]
    last = [spec for spec in (*own, *others) if spec.training_key in deadly] if deadly else []
    safe_own, safe_others = ([s for s in part if s.training_key not in deadly] for part in (own, others))
    return safe_own, safe_others + last


def tell(
    spec: RunSpec, result: Result, seconds: float, options: ExecutionOptions, summary: Summary, where: str = ""
) -> None:
    """Say how a run ended and note it in the summary."""
    if options.debug and result.trace:
        options.say(result.trace)
    beside = options.beside.get(spec.key, "")
    options.watch.ended(spec, result, seconds, where)
    if options.watch.in_words:
        known = summary.knows(spec, result)
        options.say(describe_result(spec, result, seconds, beside, known=known) + (f"  ({where})" if where else ""))
    if result.status == "done":
        summary.done.append(spec.key)
    elif result.status == "failed":
        summary.add_failure(spec, result)
    elif result.status == "lost":
        summary.elsewhere.append(spec.key)


def tell_elsewhere(specs: Sequence[RunSpec], store: Store, options: ExecutionOptions, summary: Summary) -> None:
    """Note runs that other processes have made; one that has failed there has failed, and that is said."""
    for spec in specs:
        result = recorded(store, spec)
        options.watch.elsewhere(spec, result)
        if result.status != "failed":
            summary.elsewhere.append(spec.key)
            continue
        if options.watch.in_words:
            beside, known = options.beside.get(spec.key, ""), summary.knows(spec, result)
            options.say(describe_result(spec, result, None, beside, known=known))
        summary.add_failure(spec, result)


def report_of(runs: Underway, options: ExecutionOptions) -> Report:
    """What runs under way say of themselves, for whoever watches the plan."""
    in_text = of_run(options.report, f"{runs.place()}: {runs.name()}")

    def told(done: int, total: int, what: str, facts: Facts = NO_FACTS, /) -> None:
        options.watch.moved(runs, Position(done, total, what, facts))
        in_text(done, total, what, facts)

    return told


def watched(report: Report, *claims: Claim) -> Report:
    """A report that also lets `bench status` of other processes see how far the runs are, and since when at what."""

    def both(done: int, total: int, what: str, facts: Facts = NO_FACTS, /) -> None:
        for claim in claims:
            goes_on = what == claim.facts.get("doing") and done >= claim.facts["at"]
            begun = {} if goes_on else {"doing_since": time.time(), "first": done}
            shown = ", ".join(in_words(facts)[:EPOCH_AND_LOSS])
            claim.note(doing=what, of=total, at=done, shown=shown, **begun)
        report(done, total, what, facts)

    return both


@contextmanager
def stop_on_ctrl_c(say: Say) -> Iterator[threading.Event]:
    """The first Ctrl-C asks for a stop after the current step, the second stops at once."""
    stop = threading.Event()

    def first(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        with suppress(RuntimeError):  # the signal may have come in the middle of another line
            say("Stopping after this step; press Ctrl-C again to stop at once.")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, first) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
