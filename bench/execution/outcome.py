"""How a run ended: done, failed, stopped or lost; what is written of it, and what is said."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bench.core.errors import BenchError, ClaimLost, DataError, Interrupted, PlanError, StoreError, UsageError
from bench.core.progress import clock, counted
from bench.core.spec import RunSpec
from bench.records.plans import forget_failure, note_failure
from bench.records.results import FEW_PICTURES
from bench.records.results import Record as Kept
from bench.records.store import Store
from bench.training.record import Outcome, Predictions, Record, failed_record


@dataclass(frozen=True)
class Result:
    """How an attempt at a run ended, before anything is written."""

    status: Literal["done", "failed", "stopped", "lost"]
    record: Record | None = None
    predictions: Predictions | None = None
    said: str = ""
    trace: str = ""
    mendable: bool = False
    """Whether it failed for want of data or settings: no record is kept of that, and the next plan tries again."""

    @property
    def is_to_be_kept(self) -> bool:
        """Whether it changes what is kept of the run, which only the holder of its claim may do."""
        return self.record is not None or self.mendable


def result_of(spec: RunSpec, outcome: Outcome | Exception) -> Result:
    """The result of a run by its record and predictions, or by the exception in their place.

    An error that concerns every run (a full disk) is raised.
    """
    if isinstance(outcome, PlanError):
        raise outcome
    if isinstance(outcome, Interrupted):
        return Result("stopped")
    if isinstance(outcome, ClaimLost):
        return Result("lost")
    if isinstance(outcome, Exception):
        return failure(spec, outcome)
    record, predictions = outcome
    return Result("done", record, predictions, _headline(record))


def failure(spec: RunSpec, error: Exception) -> Result:
    """A run that failed, with the reason. What the user can mend (data, settings) is no answer to the run."""
    mendable = isinstance(error, DataError | UsageError)
    kind = "" if isinstance(error, BenchError) else f"{type(error).__name__}: "
    said = f"{kind}{str(error).strip() or 'no message'}"
    trace = "".join(traceback.format_exception(error))
    return Result("failed", None if mendable else failed_record(spec, error), None, said, trace, mendable)


def recorded(store: Store, spec: RunSpec) -> Result:
    """How a run ended that another process has recorded: nothing of it is to be written again."""
    try:
        kept = Kept.from_dict(store.read(store.runs / f"{spec.key}.json"))
    except StoreError:  # it was there, and is being replaced in this moment
        return Result("done")
    return Result("done") if kept.done else Result("failed", said=kept.error)


def write_result(store: Store, spec: RunSpec, result: Result) -> None:
    """Keep the record of a run that is done or failed; what was kept of it while unfinished goes.

    So it does where no record is kept of a failure: mended data must not go on from what others had taught.
    """
    if result.record is not None:
        store.write(result.record, result.predictions, store.training_log(spec))
        store.drop_training_log(spec)
        forget_failure(store, spec)
    elif result.mendable:
        note_failure(store, spec, result.said)
        store.training_log(spec).unlink(missing_ok=True)
    if result.is_to_be_kept:
        store.checkpoint_path(spec).unlink(missing_ok=True)


def describe_run(spec: RunSpec) -> str:
    """One run in a few words."""
    part = "" if spec.fraction == 0.8 else f" {spec.fraction:.0%}"
    seed = f", seed {spec.recipe.seed}" if spec.recipe.seed else ""
    return f"{spec.method} on {spec.train}{part}, split {spec.split}{seed}"


def describe_group(specs: Sequence[RunSpec]) -> str:
    """One run, or those that are made together, in a few words."""
    if len(specs) == 1:
        return describe_run(specs[0])
    return f"{counted(len(specs), 'run')} of {specs[0].method} on {specs[0].train}"


def describe_result(
    spec: RunSpec, result: Result, seconds: float | None, beside: str = "", *, known: bool = False
) -> str:
    """What is said of a run when it ends; `beside` follows its name. A reason that is `known` is not said again.

    A run of another process has no `seconds`.
    """
    run = ", ".join(filter(None, [describe_run(spec), beside]))
    if result.status == "stopped":
        return f"stopped {run}: kept where it was; the same command goes on from there."
    if result.status == "lost":
        return f"left    {run}: another process took it over."
    said = "for the same reason" if known else reason(spec, result)
    took = "(by another process)" if seconds is None else clock(seconds)
    return f"{result.status:<7} {run}  {said}  {took}"


def reason(spec: RunSpec, result: Result) -> str:
    """What is said of how a run ended, behind its name: the set is not named once more."""
    return result.said.removeprefix(f"{spec.train}: ")


def _headline(record: Mapping[str, Any]) -> str:
    """The run's SRCC on every target, with the number of its pictures where so few say little."""
    said, tests = [], record.get("data", {}).get("tests", {})
    for target, metrics in record["metrics"].items():
        count = tests.get(target, {}).get("n", FEW_PICTURES)
        few = f" ({count} pictures)" if count < FEW_PICTURES else ""
        srcc = "undefined" if metrics["srcc"] is None else f"{metrics['srcc']:z.3f}"
        said.append(f"SRCC {srcc} on {target}{few}")
    return ", ".join(said)
