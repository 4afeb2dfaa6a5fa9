"""One attempt at one run, the same for all executors: claim it, run it, write its record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

from bench.core.claims import Claim, Deaths
from bench.core.code import code_of, made_by_other_code
from bench.core.errors import RunError, StoreError
from bench.core.progress import Report
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec
from bench.execution.outcome import Result, result_of, write_result
from bench.planning.members import members_of, stands_on_runs
from bench.records.store import Store
from bench.training.record import Outcome
from bench.training.shared import Shared
from bench.training.signals import Signals

SPLIT_PARTS = 4
"""A run that ran out of memory is tried once more with its batches computed in this many parts."""
MEMORY_DEATHS = 2
"""A run whose processes were killed for memory so often, the last time with split batches, has failed."""
UNEXPLAINED_DEATHS = 8
"""So many processes in a row that died without getting further (kill -9, power, a crash) make a run failed, too."""


class Maker(Protocol):
    """Runs a spec to its end: its record and predictions, or an exception."""

    def __call__(
        self, spec: RunSpec, runtime: Runtime, report: Report, signals: Signals, shared: Shared, /
    ) -> Outcome: ...


class PackMaker(Protocol):
    """Runs several specs together: yields the number of each and its outcome, as soon as it is there."""

    def __call__(
        self, specs: Sequence[RunSpec], runtime: Runtime, report: Report, signals: Sequence[Signals], shared: Shared, /
    ) -> Iterator[tuple[int, Outcome | Exception]]: ...


class AnswersSincePlan:
    """Which runs others have answered since this plan was begun, and which it has begun anew itself."""

    def __init__(self, store: Store, specs: Sequence[RunSpec], overwrite: str) -> None:
        self.store, self.overwrite = store, overwrite
        self.anew: set[str] = set()
        self.before: dict[str, str] = {}
        for spec in specs:
            repeated = overwrite in ("failed", "always") or stands_on_runs(spec.method)
            record = self._read(spec) if repeated else None
            if record is not None:
                self.before[spec.key] = record["sha256"]

    def given(self, spec: RunSpec) -> bool:
        """Whether there is a sound record, by the code that would make it here, that is not to be repeated."""
        record = self._read(spec)
        if record is None or record["sha256"] == self.before.get(spec.key):
            return False
        own = record.get("code") == code_of(spec.method)  # of a file that was edited since this process read it
        return own or self.overwrite == "never" or not made_by_other_code(record)

    def begin(self, spec: RunSpec) -> None:
        """Where all is to be trained again, put aside what is kept of a claimed run's training: once per plan."""
        if self.overwrite == "always" and spec.key not in self.anew:
            self.store.forget_training(spec)
            self.anew.add(spec.key)

    def _read(self, spec: RunSpec) -> dict[str, Any] | None:
        path = self.store.runs / f"{spec.key}.json"
        try:
            return self.store.read(path) if path.exists() else None
        except StoreError:
            return None


def claim_run(store: Store, spec: RunSpec, answers: AnswersSincePlan, together: int = 1) -> Claim | None:
    """The claim on a run that is still to be done; None where others have done it or are at it.

    `together`: how many runs its owner means to train at once.
    """
    if answers.given(spec):
        return None
    mark = store.progress_mark(spec)
    facts = {"run": spec.key, "method": spec.method, "train": spec.train, "split": spec.split, "together": together}
    facts |= {"preset": spec.preset, "backbone": spec.backbone}
    claim = store.claims.take(spec.training_key, mark, **facts)
    if claim is None:
        return None
    try:
        if not answers.given(spec):  # else it was finished between the look and the claim
            answers.begin(spec)
            return claim
    except BaseException:
        claim.release()
        raise
    claim.release()
    return None


def attempt(spec: RunSpec, runtime: Runtime, report: Report, make: Maker, signals: Signals, shared: Shared) -> Result:
    """Execute one run. Errors that concern every run, and a second Ctrl-C, propagate."""
    try:
        outcome: Outcome | Exception = make(spec, runtime, report, signals, shared)
    except Exception as error:
        outcome = error
    return result_of(spec, outcome)


def finish(store: Store, spec: RunSpec, claim: Claim, result: Result) -> Result:
    """Write a run's record, while the run is still ours, and give its claim back."""
    try:
        if result.is_to_be_kept and not claim.holds():
            return Result("lost")
        write_result(store, spec, result)
        return result
    finally:
        claim.release()


def after_deaths(deaths: Deaths, runtime: Runtime) -> tuple[Runtime, str]:
    """How to do a run at which processes died, and what to say of it; a RunError where it is not to be tried again.

    A process killed for memory is told from one killed by hand by the machine's own count of such kills, where the run
    is taken up soon after its last beat, or died before. Only the former is answered with split batches, which round
    differently: a run that was merely interrupted must end in the very numbers of one that was not.
    """
    if deaths.memory >= MEMORY_DEATHS:
        raise RunError(
            f"The machine killed its process for memory {deaths.memory} times, the last time with batches in "
            f"{SPLIT_PARTS} parts. Use a smaller batch or a machine with more memory, then --overwrite failed."
        )
    if deaths.unexplained >= UNEXPLAINED_DEATHS:
        raise RunError(
            f"Its process died {deaths.unexplained} times in a row without getting further. Look for a crash, or a "
            "kill for memory, in the system's log, then --overwrite failed."
        )
    if deaths.memory:
        said = f"its process was killed for memory; now with batches in {SPLIT_PARTS} parts"
        return replace(runtime, parts=SPLIT_PARTS), said
    if deaths.unexplained > 1:
        return runtime, f"its process died {deaths.unexplained} times in a row without getting further"
    return runtime, ""


def run_once(spec: RunSpec, runtime: Runtime, report: Report, signals: Signals, shared: Shared) -> Outcome:
    """Run a spec."""
    from bench.training.run import make_run

    if stands_on_runs(spec.method):
        runtime = replace(runtime, members=members_of(spec))
    return make_run(spec, runtime, report, signals, shared)


def run_with_retry(spec: RunSpec, runtime: Runtime, report: Report, signals: Signals, shared: Shared) -> Outcome:
    """Run a spec; out of memory, once more with its batches in parts (the gradient stays that of the whole batch)."""
    try:
        return run_once(spec, runtime, report, signals, shared)
    except Exception as error:
        if not out_of_memory(error) or runtime.parts > 1:
            raise
    shared.free_memory()
    return run_once(spec, replace(runtime, parts=SPLIT_PARTS), report, signals, shared)


def run_together(
    specs: Sequence[RunSpec], runtime: Runtime, report: Report, signals: Sequence[Signals], shared: Shared
) -> Iterator[tuple[int, Outcome | Exception]]:
    """Run specs as a pack."""
    from bench.training.packs.loop import make_pack

    return make_pack(specs, runtime, report, signals, shared)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of the device or of the host."""
    text = str(error).lower()
    signs = ("out of memory", "can't allocate memory", "cannot allocate memory", "cublas_status_alloc_failed")
    return isinstance(error, MemoryError) or any(sign in text for sign in signs)
