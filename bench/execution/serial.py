"""The serial executor: the pending runs of a plan one after the other, sharing them with other processes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.core.claims import Claim
from bench.core.errors import Interrupted, PlanError, RunError
from bench.core.progress import Report
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec
from bench.execution.attempt import (
    AnswersSincePlan,
    Maker,
    PackMaker,
    after_deaths,
    attempt,
    claim_run,
    finish,
    out_of_memory,
    run_together,
    run_with_retry,
)
from bench.execution.grouping import can_pack, groups
from bench.execution.orders import (
    POLL_SECONDS,
    ExecutionOptions,
    Summary,
    report_of,
    shares,
    stop_on_ctrl_c,
    tell,
    tell_elsewhere,
    watched,
)
from bench.execution.outcome import Result, describe_group, describe_run, failure, result_of
from bench.execution.watching import Underway
from bench.records.store import Store
from bench.training.record import Outcome
from bench.training.shared import Shared
from bench.training.signals import Signals


def execute_serial(
    specs: Sequence[RunSpec],
    runtime: Runtime,
    options: ExecutionOptions,
    make: Maker = run_with_retry,
    together: PackMaker = run_together,
) -> Summary:
    """Execute the runs, alone or in packs; runs that another process holds are left to it and waited for."""
    Store(runtime.results).ready()
    with stop_on_ctrl_c(options.say) as stop:
        return SerialExecution(specs, runtime, options, make, together, stop).run()


class ClaimedRuns:
    """The runs of a group that this process has claimed. Every claim is given back in the end, whatever happens."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.claims: dict[RunSpec, Claim] = {}

    def __enter__(self) -> ClaimedRuns:
        return self

    def __exit__(self, *_error: object) -> None:
        while self.claims:
            self.claims.popitem()[1].release()

    def take(self, group: Sequence[RunSpec], answers: AnswersSincePlan) -> list[RunSpec]:
        """Claim what still has to be run; the others are returned."""
        left = []
        for spec in group:
            claim = claim_run(self.store, spec, answers, together=len(group))
            if claim is None:
                left.append(spec)
            else:
                self.claims[spec] = claim
        return left

    def finish(self, spec: RunSpec, result: Result) -> Result:
        """Write a run's record and give its claim back."""
        return finish(self.store, spec, self.claims.pop(spec), result)

    def abandon(self) -> list[RunSpec]:
        """Give back the claims that are left, and return their runs. Where a process died, the count is kept."""
        left = list(self.claims)
        while self.claims:
            claim = self.claims.popitem()[1]
            if claim.deaths.any:
                claim.abandon()
            else:
                claim.release()
        return left


class SerialExecution:
    """One plan being executed by this process."""

    def __init__(
        self,
        specs: Sequence[RunSpec],
        runtime: Runtime,
        options: ExecutionOptions,
        make: Maker,
        together: PackMaker,
        stop: threading.Event,
        answers: AnswersSincePlan | None = None,
    ) -> None:
        """`answers`: what is known of the plan since it was begun, where that was elsewhere and earlier."""
        self.store, self.runtime, self.options, self.stop = Store(runtime.results), runtime, options, stop
        self.make, self.together, self.shared = make, together, Shared()
        self.answers = answers or AnswersSincePlan(self.store, specs, options.overwrite)
        self.summary, self.wanted = Summary(), len(specs)
        own, others = shares(specs, self.store, options)
        self.queue = deque(groups(own, runtime.pack if can_pack(runtime) else 1) + [[spec] for spec in others])

    def run(self) -> Summary:
        """Until everything is made, here or elsewhere, or a stop is asked for."""
        while self.queue and not self.stop.is_set():
            self.queue.extend([spec] for spec in self._once())
            if self.queue and not self.stop.is_set():
                if not self.options.wait:
                    break
                self._report("runs, some of them made by other processes")
                self.options.watch.waiting()
                self.stop.wait(POLL_SECONDS)
        self.summary.interrupted = self.stop.is_set()
        return self.summary

    def _once(self) -> list[RunSpec]:
        """Once through the queue; returns the runs that other processes hold."""
        held: list[RunSpec] = []
        while self.queue and not self.stop.is_set():
            held += self._group(self.queue.popleft())
        return held

    def _group(self, group: Sequence[RunSpec]) -> list[RunSpec]:
        """Execute the runs of a group that are free; returns those that other processes hold.

        Runs that were to be trained together and cannot be come next, claimed one by one: so a run that kills its
        process is the only one that the process holds, and no other counts that death as its own.
        """
        with ClaimedRuns(self.store) as claimed:
            left = claimed.take(group, self.answers)
            elsewhere = [spec for spec in left if self.answers.given(spec)]
            if claimed.claims:
                self._make(claimed)
            self.queue.extendleft([spec] for spec in reversed(claimed.abandon()))
        tell_elsewhere(elsewhere, self.store, self.options, self.summary)
        return [spec for spec in left if spec not in elsewhere]

    def _make(self, claimed: ClaimedRuns) -> None:
        """Make the claimed runs, and tell of them."""
        runs = Underway(tuple(claimed.claims), self.summary.finished + 1, self.wanted)
        self._report("runs")
        self.options.watch.begun(runs)
        for spec, result, seconds in self._finished(claimed, report_of(runs, self.options)):
            tell(spec, result, seconds, self.options, self.summary)
        self.options.watch.over(runs)

    def _finished(self, claimed: ClaimedRuns, report: Report) -> Iterator[tuple[RunSpec, Result, float]]:
        """Attempt what is claimed; each run is written as soon as it is over. With its seconds."""
        begin, count = time.monotonic(), len(claimed.claims)
        for spec, attempted in self._attempt(claimed.claims, report):
            result = claimed.finish(spec, attempted)
            yield spec, result, _seconds(result, time.monotonic() - begin, count)

    def _attempt(self, claims: dict[RunSpec, Claim], report: Report) -> Iterator[tuple[RunSpec, Result]]:
        """The results of a group's runs. A pack may leave some of them out: they are not over yet."""
        if len(claims) > 1:
            yield from self._together(claims, report)
        else:
            for spec, claim in list(claims.items()):
                yield spec, self._alone(spec, claim, report)

    def _alone(self, spec: RunSpec, claim: Claim, report: Report) -> Result:
        try:
            runtime, warning = after_deaths(claim.deaths, self.runtime)
        except RunError as error:
            return failure(spec, error)
        if warning:
            self.options.say(f"again   {describe_run(spec)}: {warning}.")
        return attempt(spec, runtime, watched(report, claim), self.make, Signals(self.stop, claim.lost), self.shared)

    def _together(self, claims: dict[RunSpec, Claim], report: Report) -> Iterator[tuple[RunSpec, Result]]:
        """The results of a pack; runs at which a process died, or that lack memory, are left to be done alone."""
        specs = list(claims)
        if not any(claim.deaths.any for claim in claims.values()):
            try:
                for run, outcome in self._outcomes(claims, report):
                    if not (isinstance(outcome, Exception) and out_of_memory(outcome)):
                        yield specs[run], result_of(specs[run], outcome)
            except PlanError:
                raise
            except Interrupted:
                pass
            except Exception as error:
                self.options.say(f"apart   {describe_group(list(claims))}, made one by one: {str(error).rstrip('.')}.")
        if self.stop.is_set():
            for spec in list(claims):
                yield spec, Result("stopped")

    def _outcomes(self, claims: Mapping[RunSpec, Claim], report: Report) -> Iterator[tuple[int, Outcome | Exception]]:
        signals = [Signals(self.stop, claim.lost) for claim in claims.values()]
        report = watched(report, *claims.values())
        return self.together(list(claims), self.runtime, report, signals, self.shared)

    def _report(self, what: str) -> None:
        self.options.report(self.summary.finished, self.wanted, what)


def _seconds(result: Result, elapsed: float, count: int) -> float:
    """What a run took; in a pack of `count` runs its start, its share of the training, and its test."""
    if count == 1:
        return elapsed
    record: Mapping[str, Any] = result.record or {}
    return float(sum(record["seconds"].values())) if "seconds" in record else elapsed / count
