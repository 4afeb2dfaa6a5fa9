"""The serial executor: make the pending runs of a plan one after the other, sharing them with other processes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from bench.attempt import (
    Answers,
    Maker,
    Result,
    after_deaths,
    claim_run,
    describe_result,
    describe_run,
    failure,
    make_result,
    run_with_retry,
    write_result,
)
from bench.claims import Claim
from bench.errors import RunError
from bench.progress import Report, Say, silent
from bench.runtime import Runtime
from bench.spec import RunSpec
from bench.store import Store

POLL_SECONDS = 2.0


@dataclass
class Summary:
    """What came of a plan."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)
    interrupted: bool = False


@dataclass(frozen=True)
class Orders:
    """How a plan is executed, and who is told."""

    overwrite: str = "never"
    report: Report = silent
    say: Say = lambda _line: None
    debug: bool = False
    share: tuple[int, int] = (0, 1)
    """Which part of the plan to begin with (i of n); everything else is helped with afterwards."""
    wait: bool = True
    """Whether to stay until the runs that others are making are made."""


def execute_serial(specs: Sequence[RunSpec], runtime: Runtime, orders: Orders, make: Maker = run_with_retry) -> Summary:
    """Make the runs one by one; runs that another process holds are left to it and waited for."""
    store, summary = Store(runtime.results), Summary()
    store.ready()
    answers = Answers(store, specs, orders.overwrite)
    queue, finished = in_order(specs, store, orders), 0
    with stop_on_ctrl_c(orders.say) as stop:
        while queue and not stop.is_set():
            waiting: list[RunSpec] = []
            for spec in queue:
                if stop.is_set():
                    break
                claim = claim_run(store, spec, answers)
                if claim is not None:
                    orders.report(finished, len(specs), "runs")
                    begin = time.monotonic()
                    result = _make(spec, store, runtime, orders, claim, stop, make)
                    tell(spec, result, time.monotonic() - begin, orders, summary)
                elif answers.given(spec):
                    summary.elsewhere.append(spec.key)
                else:
                    waiting.append(spec)
                    continue
                finished += 1
            queue = waiting
            if queue and not stop.is_set():
                if not orders.wait:
                    break
                orders.report(finished, len(specs), "runs, some of them made by other processes")
                stop.wait(POLL_SECONDS)
        summary.interrupted = stop.is_set()
    return summary


def in_order(specs: Sequence[RunSpec], store: Store, orders: Orders) -> list[RunSpec]:
    """Own share first; runs that have outlived several makers last, so that they keep no other from being made."""
    at, of = orders.share
    queue = [*specs[at::of], *(spec for i, spec in enumerate(specs) if i % of != at)]
    deadly = store.claims.deadly()
    return sorted(queue, key=lambda spec: spec.training_key in deadly) if deadly else queue


def _make(
    spec: RunSpec,
    store: Store,
    runtime: Runtime,
    orders: Orders,
    claim: Claim,
    stop: threading.Event,
    make: Maker,
) -> Result:
    """Make a claimed run, write its record, give the claim back."""
    try:
        try:
            runtime, warning = after_deaths(claim.deaths, runtime)
        except RunError as error:
            result = failure(spec, error)
        else:
            if warning:
                orders.say(f"again   {describe_run(spec)}: {warning}.")
            result = make_result(spec, runtime, watched(orders.report, claim), make, stop=stop, lost=claim.lost)
        if result.record is not None and not claim.holds():
            return Result("lost")
        write_result(store, spec, result)
        return result
    finally:
        claim.release()


def tell(spec: RunSpec, result: Result, seconds: float, orders: Orders, summary: Summary, where: str = "") -> None:
    """Say how a run ended and note it in the summary."""
    if orders.debug and result.trace:
        orders.say(result.trace)
    orders.say(describe_result(spec, result, seconds) + (f"  ({where})" if where else ""))
    if result.status == "done":
        summary.done.append(spec.key)
    elif result.status == "failed":
        summary.failed[spec.key] = result.said
    elif result.status == "lost":
        summary.elsewhere.append(spec.key)


def watched(report: Report, claim: Claim) -> Report:
    """A report that also lets `bench status` of other processes see how far the run is."""

    def both(done: int, total: int, what: str) -> None:
        claim.note(doing=what, of=total, at=done)
        report(done, total, what)

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
