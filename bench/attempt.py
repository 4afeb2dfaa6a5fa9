"""One attempt at one run: claim it, make it, write its record; shared by every executor."""

from __future__ import annotations

import platform
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from bench.claims import Claim, Deaths
from bench.code import code_of, made_by_other_code
from bench.errors import BenchError, ClaimLost, DataError, Interrupted, PlanError, RunError, StoreError, UsageError
from bench.planned import forget_failure, note_failure
from bench.progress import Report, clock
from bench.results import FEW_PICTURES
from bench.runtime import Runtime
from bench.spec import SCHEMA, RunSpec
from bench.store import Store

Maker = Callable[..., tuple[dict[str, Any], dict[str, Any]]]
"""make(spec, runtime, report, stop=..., lost=...) → (record, predictions)"""
Made = tuple[dict[str, Any], dict[str, Any]] | Exception
PackMaker = Callable[..., Iterator[tuple[int, Made]]]
"""make(specs, runtime, report, stop=..., lost=[...]) → which run, and what came of it, as each is done"""
SPLIT_PARTS = 4
"""A run that ran out of memory is tried once more with its batches computed in this many parts."""
MEMORY_DEATHS = 2
"""A run whose makers were killed for memory so often, the last time with split batches, has failed."""
UNEXPLAINED_DEATHS = 8
"""So many makers in a row that died without getting further (kill -9, power, a crash) make a run failed, too."""


@dataclass(frozen=True)
class Result:
    """What came of making a run, before anything is written."""

    status: Literal["done", "failed", "stopped", "lost"]
    record: dict[str, Any] | None = None
    predictions: dict[str, Any] | None = None
    said: str = ""
    trace: str = ""
    mendable: bool = False
    """Whether it failed for want of data or settings: no record is kept of that, and the next plan tries again."""


class Answers:
    """Which of the wanted runs others have made since this plan was begun, and which it has begun anew itself."""

    def __init__(self, store: Store, specs: Sequence[RunSpec], overwrite: str) -> None:
        self.store, self.overwrite = store, overwrite
        self.anew: set[str] = set()
        self.before: dict[str, str] = {}
        for spec in specs if overwrite in ("failed", "always") else ():
            record = self._read(spec)
            if record is not None:
                self.before[spec.key] = record["sha256"]

    def given(self, spec: RunSpec) -> bool:
        """Whether there is a sound record, by the code that would make it here, that is not to be made again."""
        record = self._read(spec)
        if record is None or record["sha256"] == self.before.get(spec.key):
            return False
        own = record.get("code") == code_of(spec.method)  # of a file that was edited since this process read it
        return own or self.overwrite == "never" or not made_by_other_code(record)

    def begin(self, spec: RunSpec) -> None:
        """Where all is to be trained again, put aside what is kept of a claimed run's training: once a plan."""
        if self.overwrite == "always" and spec.key not in self.anew:
            self.store.forget_training(spec)
            self.anew.add(spec.key)

    def _read(self, spec: RunSpec) -> dict[str, Any] | None:
        path = self.store.runs / f"{spec.key}.json"
        try:
            return self.store.read(path) if path.exists() else None
        except StoreError:
            return None


def claim_run(store: Store, spec: RunSpec, answers: Answers, together: int = 1) -> Claim | None:
    """The claim on a run that still has to be made; None where it is made, or being made, by others.

    `together`: how many runs its maker means to make at once.
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


def make_result(
    spec: RunSpec,
    runtime: Runtime,
    report: Report,
    make: Maker,
    *,
    stop: threading.Event,
    lost: threading.Event,
) -> Result:
    """Make a run and return what came of it; what every run lacks, or a second Ctrl-C, is raised."""
    try:
        made: Made = make(spec, runtime, report, stop=stop, lost=lost)
    except Exception as error:
        made = error
    return result_of(spec, made)


def result_of(spec: RunSpec, made: Made) -> Result:
    """What a record and predictions, or the exception in their place, mean for a run."""
    if isinstance(made, PlanError):
        raise made
    if isinstance(made, Interrupted):
        return Result("stopped")
    if isinstance(made, ClaimLost):
        return Result("lost")
    if isinstance(made, Exception):
        return failure(spec, made)
    record, predictions = made
    return Result("done", record, predictions, _headline(record))


def failure(spec: RunSpec, error: Exception) -> Result:
    """A run that failed, with the reason. What the user can mend (data, settings) is no answer to the run."""
    mendable = isinstance(error, DataError | UsageError)
    kind = "" if isinstance(error, BenchError) else f"{type(error).__name__}: "
    said = f"{kind}{str(error).strip() or 'no message'}"
    trace = "".join(traceback.format_exception(error))
    return Result("failed", None if mendable else failed_record(spec, error), None, said, trace, mendable)


def failed_record(spec: RunSpec, error: BaseException) -> dict[str, Any]:
    """The record of a run that failed: its spec and why."""
    return {
        "schema": SCHEMA,
        "key": spec.key,
        "spec": spec.as_dict(),
        "status": "failed",
        "error": {"kind": type(error).__name__, "message": str(error).strip()[:2000]},
        "metrics": {},
        "code": code_of(spec.method),
        "run": {"host": platform.node(), "finished": datetime.now(UTC).isoformat(timespec="seconds")},
    }


def write_result(store: Store, spec: RunSpec, result: Result) -> None:
    """Keep the record of a run that is done or failed; what was kept of it while unfinished goes.

    So it does where no record is kept of a failure: mended data must not go on from what others had taught.
    """
    if result.record is not None:
        store.write(result.record, result.predictions)
        forget_failure(store, spec)
    elif result.mendable:
        note_failure(store, spec, result.said)
    if result.record is not None or result.mendable:
        store.checkpoint_path(spec).unlink(missing_ok=True)


def after_deaths(deaths: Deaths, runtime: Runtime) -> tuple[Runtime, str]:
    """How to make a run whose makers died, and what to say of it; a RunError where it is to be made no more.

    A maker killed for memory is told from one killed by hand by the machine's own count of such kills. Only the
    former is answered with split batches, which round differently: a run that was merely interrupted must end in
    the very numbers of one that was not.
    """
    if deaths.memory >= MEMORY_DEATHS:
        raise RunError(
            f"The machine killed its process for memory {deaths.memory} times, the last time with batches in "
            f"{SPLIT_PARTS} parts. Use a smaller batch or a machine with more memory, then --overwrite failed."
        )
    if deaths.unexplained >= UNEXPLAINED_DEATHS:
        raise RunError(
            f"Its process died {deaths.unexplained} times in a row without getting further. Look for a crash in the "
            "system's log, then --overwrite failed."
        )
    if deaths.memory:
        said = f"its process was killed for memory; now with batches in {SPLIT_PARTS} parts"
        return replace(runtime, parts=SPLIT_PARTS), said
    if deaths.unexplained > 1:
        return runtime, f"its process died {deaths.unexplained} times in a row without getting further"
    return runtime, ""


def run_with_retry(spec: RunSpec, runtime: Runtime, report: Report, **events: Any) -> Any:
    """Make a run; out of memory, once more with its batches in parts (the gradient stays that of the whole batch)."""
    from bench.run import make_run

    try:
        return make_run(spec, runtime, report, **events)
    except Exception as error:
        if not out_of_memory(error) or runtime.parts > 1:
            raise
    free_memory()
    return make_run(spec, replace(runtime, parts=SPLIT_PARTS), report, **events)


def run_together(
    specs: Sequence[RunSpec], runtime: Runtime, report: Report, **events: Any
) -> Iterator[tuple[int, Made]]:
    """Make runs as a pack."""
    from bench.packed import make_pack

    return make_pack(specs, runtime, report, **events)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of the device or of the host."""
    text = str(error).lower()
    signs = ("out of memory", "can't allocate memory", "cannot allocate memory", "cublas_status_alloc_failed")
    return isinstance(error, MemoryError) or any(sign in text for sign in signs)


def free_memory() -> None:
    """Give back what a failed run held, and the stores that runs share."""
    import gc

    import torch

    from bench.data.placed import give_back

    give_back()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def describe_run(spec: RunSpec) -> str:
    """One run in a few words."""
    part = "" if spec.fraction == 0.8 else f" {spec.fraction:.0%}"
    return f"{spec.method} on {spec.train}{part}, split {spec.split}"


def describe_result(spec: RunSpec, result: Result, seconds: float, beside: str = "") -> str:
    """What is said of a run when it ends; `beside` follows its name."""
    run = ", ".join(filter(None, [describe_run(spec), beside]))
    if result.status == "stopped":
        return f"stopped {run}: kept where it was; the same command goes on from there."
    if result.status == "lost":
        return f"left    {run}: another process took it over."
    said = result.said.removeprefix(f"{spec.train}: ")  # the set was just named
    return f"{result.status:<7} {run}  {said}  {clock(seconds)}"


def _headline(record: dict[str, Any]) -> str:
    """The run's SRCC on every target, with the number of its pictures where so few say little."""
    said, tests = [], record.get("data", {}).get("tests", {})
    for target, metrics in record["metrics"].items():
        count = tests.get(target, {}).get("n", FEW_PICTURES)
        few = f" ({count} pictures)" if count < FEW_PICTURES else ""
        said.append(f"SRCC {metrics['srcc']:z.3f} on {target}{few}")
    return ", ".join(said)
