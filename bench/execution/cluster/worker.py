"""What a Ray worker does with one run, and the board on which all workers say how far they are."""

from __future__ import annotations

import getpass
import os
import platform
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from bench.core.claims import still_held
from bench.core.errors import PlanError
from bench.core.progress import NO_FACTS, Facts
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec
from bench.execution.attempt import Maker, attempt
from bench.execution.outcome import Result, write_result
from bench.records.store import Store
from bench.training.shared import Shared
from bench.training.signals import Signals

TELL_SECONDS = 1.0


@dataclass(frozen=True)
class Task:
    """One run as it is sent to a worker: with the driver's claim on it and the proof of a shared folder.

    A worker that reads `secret` in the file `token` shares the results folder; any other keeps what it needs until
    the run is done in a folder of its own, named `home`; `anew` says that what lies there is not to be used.
    """

    spec: RunSpec
    runtime: Runtime
    make: Maker
    claim: Path
    claim_id: str
    token: Path
    secret: str
    home: str
    anew: bool = False


@dataclass(frozen=True)
class Delivery:
    """What comes back: the result (its record only where the worker could not write it), and what was learnt."""

    result: Result
    where: str
    seconds: float
    facts: dict[str, Any]
    unwritable: str = ""
    log: bytes = b""
    """The log of its steps, where the worker has no share in the results folder."""


class ProgressBoard:
    """How far all workers are, and whether they shall stop; lives as one small actor beside the driver."""

    def __init__(self) -> None:
        self.lines: dict[str, dict[str, Any]] = {}
        self.stopping = False

    def tell(self, key: str, facts: dict[str, Any]) -> bool:
        """A worker's news; the answer is whether to stop."""
        self.lines[key] = facts
        return self.stopping

    def read(self, stopping: bool) -> dict[str, dict[str, Any]]:
        """The news since the driver last looked; it says on the way whether workers shall stop."""
        self.stopping = stopping
        news, self.lines = self.lines, {}
        return news


class Reporter:
    """A thread that takes the newest progress to the board and brings back the wish to stop."""

    def __init__(self, key: str, where: str, board: Any) -> None:
        self.key, self.board = key, board
        self.facts: dict[str, Any] = {"where": where}
        self.stop, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __call__(self, done: int, total: int, what: str, facts: Facts = NO_FACTS, /) -> None:
        self.facts = {"where": self.facts["where"], "at": done, "of": total, "doing": what, "facts": dict(facts)}

    def __enter__(self) -> Reporter:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()

    def _run(self) -> None:
        import ray

        while not self._over.wait(TELL_SECONDS):
            with suppress(ray.exceptions.RayError):  # a board that moves house is no reason to end a run
                if ray.get(self.board.tell.remote(self.key, self.facts), timeout=10):
                    self.stop.set()


def work(task: Task, board: Any) -> Delivery:
    """Make one run on this worker; its record goes to the shared folder, or back to the driver where there is none."""
    begin, where = time.monotonic(), place()
    shared = _is_shared(task)
    runtime = task.runtime if shared else replace(task.runtime, results=own_results(task))
    if task.anew and not shared:
        Store(runtime.results).forget_training(task.spec)
    with Reporter(task.spec.key, where, board) as report:
        try:
            result = attempt(task.spec, runtime, report, task.make, Signals(report.stop), shared_by_worker())
            facts = _facts(result)
            if shared and result.is_to_be_kept:
                result = _write(task, result)
        except PlanError as error:
            return Delivery(Result("stopped"), where, time.monotonic() - begin, {}, str(error))
    log = b"" if shared else _log(Store(runtime.results).training_log(task.spec), result)
    return Delivery(result, where, time.monotonic() - begin, facts, log=log)


def _log(path: Path, result: Result) -> bytes:
    """The log of a run that is over, from a folder of this machine's own."""
    try:
        return path.read_bytes() if result.is_to_be_kept else b""
    except OSError:
        return b""


@cache
def shared_by_worker() -> Shared:
    """What the runs of this worker's process share: Ray sends it several, one after the other."""
    return Shared()


def place() -> str:
    """This worker in a few words: its machine and its cards."""
    cards = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return f"{platform.node()} GPU {cards}" if cards else platform.node()


def own_results(task: Task) -> Path:
    """A folder of this machine's own for what an unfinished run needs, where the results folder is not shared."""
    return Path(tempfile.gettempdir()) / f"glia-bench-{getpass.getuser()}" / task.home


def _is_shared(task: Task) -> bool:
    try:
        return task.token.read_text() == task.secret
    except OSError:
        return False


def _write(task: Task, result: Result) -> Result:
    if still_held(task.claim, task.claim_id) is False:
        return Result("lost")
    write_result(Store(task.runtime.results), task.spec, result)
    return replace(result, record=None, predictions=None)


def _facts(result: Result) -> dict[str, Any]:
    """What shares are learnt from, of a record."""
    record: Mapping[str, Any] = result.record or {}
    return {name: record[name] for name in ("spec", "status", "memory_peak_bytes", "numerics") if name in record}
