"""Executors: make the pending runs of a plan, one after the other here, or spread by Ray (bench/ray_executor.py)."""

from __future__ import annotations

import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bench.claims import Claim
from bench.errors import BenchError, StoreError
from bench.progress import Report, clock, silent
from bench.runtime import Runtime
from bench.spec import RunSpec
from bench.store import Store

Say = Callable[[str], None]
SPLIT_PARTS = 4
"""A run that ran out of memory is tried once more with its batches computed in this many parts."""
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


def execute_serial(specs: Sequence[RunSpec], runtime: Runtime, orders: Orders) -> Summary:
    """Make the runs one by one; runs that another process holds are left to it and waited for."""
    store, summary = Store(runtime.results), Summary()
    store.ready()
    queue, finished = list(specs), 0
    with stop_on_ctrl_c(orders.say) as stop:
        while queue and not stop.is_set():
            waiting: list[RunSpec] = []
            for spec in queue:
                if stop.is_set():
                    break
                claim = _claim(store, spec, orders)
                if claim is None and _answered(store, spec, orders):
                    summary.elsewhere.append(spec.key)
                elif claim is None:
                    waiting.append(spec)
                    continue
                else:
                    orders.report(finished, len(specs), "runs")
                    _make(spec, store, runtime, orders, claim, stop, summary)
                finished += 1
            queue = waiting
            if queue and not stop.is_set():
                orders.report(finished, len(specs), f"waiting for {len(queue)} runs of other processes")
                stop.wait(POLL_SECONDS)
        summary.interrupted = stop.is_set()
    return summary


def _answered(store: Store, spec: RunSpec, orders: Orders) -> bool:
    """Whether another process has made the run in the meantime."""
    if orders.overwrite == "always":
        return False
    try:
        record = store.read(store.runs / f"{spec.key}.json")
    except StoreError:
        return False
    return record["status"] == "done" or orders.overwrite == "never"


def _claim(store: Store, spec: RunSpec, orders: Orders) -> Claim | None:
    """The claim on a run that still has to be made."""
    if _answered(store, spec, orders):
        return None
    claim = store.claims.take(spec.training_key, run=spec.key, method=spec.method, train=spec.train, split=spec.split)
    if claim is not None and _answered(store, spec, orders):  # finished between the look and the claim
        claim.release()
        return None
    return claim


def _make(
    spec: RunSpec,
    store: Store,
    runtime: Runtime,
    orders: Orders,
    claim: Claim,
    stop: threading.Event,
    summary: Summary,
) -> None:
    from bench.train import ClaimLost, Interrupted

    begin = time.monotonic()
    try:
        record, predictions = run_with_retry(spec, runtime, watched(orders.report, claim), stop=stop, lost=claim.lost)
        if not claim.holds():
            raise ClaimLost
        store.write(record, predictions)
        store.checkpoint_path(spec).unlink(missing_ok=True)
        summary.done.append(spec.key)
        orders.say(f"done    {describe_run(spec)}  {_headline(record)}  {clock(time.monotonic() - begin)}")
    except Interrupted:
        orders.say(f"stopped {describe_run(spec)}: kept where it was; the same command goes on from there.")
    except ClaimLost:
        orders.say(f"left    {describe_run(spec)}: another process took it over.")
        summary.elsewhere.append(spec.key)
    except StoreError:
        raise
    except Exception as error:
        _record_failure(spec, store, error, orders)
        summary.failed[spec.key] = str(error)
    finally:
        claim.release()


def _record_failure(spec: RunSpec, store: Store, error: Exception, orders: Orders) -> None:
    from bench.run import failed_record

    if orders.debug:
        orders.say("".join(traceback.format_exception(error)))
    store.write(failed_record(spec, error))
    kind = "" if isinstance(error, BenchError) else f"{type(error).__name__}: "
    orders.say(f"failed  {describe_run(spec)}: {kind}{str(error).strip() or 'no message'}")


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


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, of the device or of the host."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def free_memory() -> None:
    """Give back what a failed run held."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def watched(report: Report, claim: Claim) -> Report:
    """A report that also lets `bench status` of other processes see how far the run is."""

    def both(done: int, total: int, what: str) -> None:
        claim.facts |= {"doing": what, "of": total, "at": done}
        report(done, total, what)

    return both


def describe_run(spec: RunSpec) -> str:
    """One run in a few words."""
    part = "" if spec.fraction == 0.8 else f" {spec.fraction:.0%}"
    return f"{spec.method} on {spec.train}{part}, split {spec.split}"


def _headline(record: dict[str, Any]) -> str:
    return ", ".join(f"SRCC {m['srcc']:.3f} on {target}" for target, m in record["metrics"].items())


@contextmanager
def stop_on_ctrl_c(say: Say) -> Iterator[threading.Event]:
    """The first Ctrl-C asks for a stop after the current step, the second stops at once."""
    stop = threading.Event()

    def first(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
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
