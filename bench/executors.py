"""The serial executor: make the pending runs of a plan one after the other, sharing them with other processes."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from bench.attempt import (
    Answers,
    Made,
    Maker,
    PackMaker,
    Result,
    after_deaths,
    claim_run,
    describe_result,
    describe_run,
    failure,
    make_result,
    out_of_memory,
    result_of,
    run_together,
    run_with_retry,
    write_result,
)
from bench.claims import Claim
from bench.errors import Interrupted, PlanError, RunError
from bench.packs import can_pack, groups
from bench.progress import Report, Say, counted, silent
from bench.runtime import Runtime
from bench.spec import RunSpec
from bench.store import Store

POLL_SECONDS = 2.0


@dataclass
class Summary:
    """What came of a plan."""

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    mendable: list[str] = field(default_factory=list)
    """Those of the failed runs that left no record: the next plan makes them."""
    elsewhere: list[str] = field(default_factory=list)
    interrupted: bool = False


@dataclass(frozen=True)
class Orders:
    """How a plan is executed, and who is told."""

    overwrite: str = "changed"
    report: Report = silent
    say: Say = lambda _line: None
    debug: bool = False
    share: tuple[int, int] = (0, 1)
    """Which part of the plan to begin with (i of n); everything else is helped with afterwards."""
    wait: bool = True
    """Whether to stay until the runs that others are making are made."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """What is said beside a run's name, by key, where names alone do not tell runs apart."""


def execute_serial(
    specs: Sequence[RunSpec],
    runtime: Runtime,
    orders: Orders,
    make: Maker = run_with_retry,
    together: PackMaker = run_together,
) -> Summary:
    """Make the runs one by one, or pack by pack; runs that another process holds are left to it and waited for."""
    store, summary = Store(runtime.results), Summary()
    store.ready()
    answers = Answers(store, specs, orders.overwrite)
    own, others = _shares(specs, store, orders)
    queue = deque(groups(own, runtime.pack if can_pack(runtime) else 1) + [[spec] for spec in others])
    finished = 0
    with stop_on_ctrl_c(orders.say) as stop:
        while queue and not stop.is_set():
            waiting: list[list[RunSpec]] = []
            while queue and not stop.is_set():
                work = _Work(store, runtime, orders, stop, make, together)
                left = work.claim(queue.popleft(), answers)
                elsewhere = [spec.key for spec in left if answers.given(spec)]
                if work.claims:
                    orders.report(finished, len(specs), "runs")
                for spec, result, seconds in work.do():
                    tell(spec, result, seconds, orders, summary)
                    finished += 1
                summary.elsewhere += elsewhere
                finished += len(elsewhere)
                queue.extendleft([spec] for spec in reversed(work.apart))
                waiting += [[spec] for spec in left if spec.key not in elsewhere]
            queue.extend(waiting)
            if queue and not stop.is_set():
                if not orders.wait:
                    break
                orders.report(finished, len(specs), "runs, some of them made by other processes")
                stop.wait(POLL_SECONDS)
        summary.interrupted = stop.is_set()
    return summary


def in_order(specs: Sequence[RunSpec], store: Store, orders: Orders) -> list[RunSpec]:
    """Own share first; runs that have outlived several makers last, so that they keep no other from being made."""
    own, others = _shares(specs, store, orders)
    return own + others


def _shares(specs: Sequence[RunSpec], store: Store, orders: Orders) -> tuple[list[RunSpec], list[RunSpec]]:
    """The own share; then what is others' share and, at its end, whatever is deadly."""
    at, of = orders.share
    deadly = store.claims.deadly()
    own, others = specs[at::of], [spec for i, spec in enumerate(specs) if i % of != at]
    last = [spec for spec in (*own, *others) if spec.training_key in deadly] if deadly else []
    safe_own, safe_others = ([s for s in part if s.training_key not in deadly] for part in (own, others))
    return safe_own, safe_others + last


@dataclass
class _Work:
    """One run, or a pack of them: claimed, made, written, and the claims given back whatever happens."""

    store: Store
    runtime: Runtime
    orders: Orders
    stop: threading.Event
    make: Maker
    together: PackMaker
    claims: dict[RunSpec, Claim] = field(default_factory=dict)
    apart: list[RunSpec] = field(default_factory=list)
    """What was claimed to be made together and has to be made one by one."""

    def claim(self, group: Sequence[RunSpec], answers: Answers) -> list[RunSpec]:
        """Claim what still has to be made; the others are returned."""
        left = []
        try:
            for spec in group:
                claim = claim_run(self.store, spec, answers, together=len(group))
                if claim is None:
                    left.append(spec)
                else:
                    self.claims[spec] = claim
        except BaseException:
            self._release()
            raise
        return left

    def do(self) -> Iterator[tuple[RunSpec, Result, float]]:
        """Make what is claimed: what came of each run, and its seconds."""
        try:
            if len(self.claims) > 1:
                yield from self._pack()
            for spec in list(self.claims):
                begin = time.monotonic()
                result = self._finish(spec, self._alone(spec))
                yield spec, result, time.monotonic() - begin
        finally:
            self._release()

    def _alone(self, spec: RunSpec) -> Result:
        claim = self.claims[spec]
        try:
            runtime, warning = after_deaths(claim.deaths, self.runtime)
        except RunError as error:
            return failure(spec, error)
        if warning:
            self.orders.say(f"again   {describe_run(spec)}: {warning}.")
        report = watched(self.orders.report, claim)
        return make_result(spec, runtime, report, self.make, stop=self.stop, lost=claim.lost)

    def _pack(self) -> Iterator[tuple[RunSpec, Result, float]]:
        """Make the claimed runs together. Those that cannot be are given back, to be claimed and made one by one.

        So a run that kills its maker is the only one that the maker holds, and no other counts that death as its own.
        """
        specs, begin = list(self.claims), time.monotonic()
        if not any(claim.deaths.any for claim in self.claims.values()):
            report = watched(self.orders.report, *self.claims.values())
            lost = [claim.lost for claim in self.claims.values()]
            made_together = self.together(specs, self.runtime, report, stop=self.stop, lost=lost)
            while (answer := self._next(made_together)) is not None:
                run, made = answer
                if isinstance(made, Exception) and out_of_memory(made):
                    continue
                result = self._finish(specs[run], result_of(specs[run], made))
                yield specs[run], result, _own_seconds(result, (time.monotonic() - begin) / len(specs))
        if self.stop.is_set():
            for spec in list(self.claims):
                yield spec, self._finish(spec, Result("stopped")), time.monotonic() - begin
        self.apart = list(self.claims)
        while self.claims:
            claim = self.claims.popitem()[1]
            if claim.deaths.any:
                claim.lay_down()
            else:
                claim.release()

    def _next(self, made_together: Iterator[tuple[int, Made]]) -> tuple[int, Made] | None:
        """The next run of a pack that is done; None where there is none, or none can be made together."""
        try:
            return next(made_together, None)
        except PlanError:
            raise
        except Interrupted:
            return None
        except Exception as error:
            specs = list(self.claims)
            what = f"{counted(len(specs), 'run')} of {specs[0].method} on {specs[0].train}"
            self.orders.say(f"apart   {what}, made one by one: {error}.")
            return None

    def _finish(self, spec: RunSpec, result: Result) -> Result:
        """Write a run's record, while it is still ours, and give the claim back."""
        claim = self.claims.pop(spec)
        try:
            if (result.record is not None or result.mendable) and not claim.holds():
                return Result("lost")
            write_result(self.store, spec, result)
            return result
        finally:
            claim.release()

    def _release(self) -> None:
        while self.claims:
            self.claims.popitem()[1].release()


def _own_seconds(result: Result, share: float) -> float:
    """What a run of a pack took: its start, its share of the training, and its test."""
    if result.status != "done" or result.record is None:
        return share
    return float(sum(result.record.get("seconds", {"all": share}).values()))


def tell(spec: RunSpec, result: Result, seconds: float, orders: Orders, summary: Summary, where: str = "") -> None:
    """Say how a run ended and note it in the summary."""
    if orders.debug and result.trace:
        orders.say(result.trace)
    beside = orders.beside.get(spec.key, "")
    orders.say(describe_result(spec, result, seconds, beside) + (f"  ({where})" if where else ""))
    if result.status == "done":
        summary.done.append(spec.key)
    elif result.status == "failed":
        summary.failed[spec.key] = result.said
        if result.mendable:
            summary.mendable.append(spec.key)
    elif result.status == "lost":
        summary.elsewhere.append(spec.key)


def watched(report: Report, *claims: Claim) -> Report:
    """A report that also lets `bench status` of other processes see how far the runs are."""

    def both(done: int, total: int, what: str) -> None:
        for claim in claims:
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
