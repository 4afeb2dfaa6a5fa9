"""The Ray executor: one task per run, on as many machines as the cluster has; records stay the truth.

The driver claims a run, sends it, and beats for it. Workers write records to the results folder where they share it
with the driver and hand them back where not. Ray's own retries are off: the driver tells a lost worker (the run is
sent again) from a failed run (it is recorded), and a worker killed for memory from both.
"""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.core.claims import Claim, Deaths
from bench.core.errors import PlanError, RunError, UsageError
from bench.core.files import write_bytes, write_text
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec
from bench.execution.attempt import AnswersSincePlan, Maker, after_deaths, claim_run, finish, run_with_retry
from bench.execution.cluster.probe import look_at_cluster
from bench.execution.cluster.shares import Shares
from bench.execution.cluster.worker import Delivery, ProgressBoard, Task, work
from bench.execution.orders import (
    POLL_SECONDS,
    ExecutionOptions,
    Summary,
    in_order,
    report_of,
    stop_on_ctrl_c,
    tell,
    tell_elsewhere,
    watched,
)
from bench.execution.outcome import Result, describe_run, failure, recorded
from bench.execution.watching import Underway
from bench.records.store import Store

READ_BOARD_SECONDS = 2.0
LOOK_SECONDS = 20.0


def execute_ray(
    specs: Sequence[RunSpec],
    runtime: Runtime,
    options: ExecutionOptions,
    address: str | None = None,
    make: Maker = run_with_retry,
) -> Summary:
    """Make the runs on a Ray cluster: the one at `address`, or one of this machine's own."""
    store = Store(runtime.results)
    store.ready()
    runtime = replace(runtime, results=runtime.results.resolve(), cache=runtime.cache.resolve())
    with _connected(address) as ray, _token(runtime.results) as (token, secret), stop_on_ctrl_c(options.say) as stop:
        execution = ClusterExecution(ray, Store(runtime.results), runtime, options, make, token, secret, stop, specs)
        try:
            return execution.run()
        finally:
            execution.close()


@dataclass
class InFlight:
    """A run that is with a worker, or waits for one."""

    spec: RunSpec
    claim: Claim
    deaths: Deaths
    mark: str
    begin: float = field(default_factory=time.monotonic)
    """When a worker began with it, as far as that is known; before, when it was claimed."""
    where: str = ""
    runs: Underway | None = None
    """How the plan's watcher knows it, once a worker has begun with it."""
    number: int = 0
    """Its place among those that were begun."""
    anew: bool = False
    """Whether it is trained from the start, whatever its worker keeps of it; not when it is sent again."""


class ClusterExecution:
    """One plan being made on a cluster."""

    def __init__(
        self,
        ray: Any,
        store: Store,
        runtime: Runtime,
        options: ExecutionOptions,
        make: Maker,
        token: Path,
        secret: str,
        stop: threading.Event,
        specs: Sequence[RunSpec],
    ) -> None:
        self.ray, self.store, self.runtime, self.options, self.make = ray, store, runtime, options, make
        self.token, self.secret, self.stop, self.wanted = token, secret, stop, len(specs)
        self.answers = AnswersSincePlan(store, specs, options.overwrite)
        self.queue = deque(in_order(specs, store, options))
        self.flying: dict[Any, InFlight] = {}
        self.waiting: list[RunSpec] = []
        self.summary, self.begun = Summary(), 0
        self.shares = Shares(runtime.threads).learn_all(store.records())
        self.cluster = look_at_cluster(ray, cards=any(key[0] == "cuda" for key in self.shares.peaks))
        self.looked_at = self.read_at = time.monotonic()
        self.board = _beside_driver(ray, ProgressBoard, max_restarts=-1).remote()
        self.work = ray.remote(work)
        self.home = hashlib.sha256(f"{platform.node()}:{runtime.results}".encode()).hexdigest()[:20]

    def run(self) -> Summary:
        """Until everything is made, here or elsewhere, or a stop is asked for."""
        while self.queue or self.flying or self.waiting:
            if not self.stop.is_set():
                self._fill()
            elif not self.flying:
                break
            self._land()
            self._look()
            if not self.queue and not self.flying and self.waiting:
                if not self.options.wait:
                    break
                self.stop.wait(POLL_SECONDS)
            if not self.queue and self.waiting:
                self.queue, self.waiting = deque(self.waiting), []
        self.summary.interrupted = self.stop.is_set()
        return self.summary

    def close(self) -> None:
        """Give back what is still held, after a stop at once or an error."""
        for reference, flight in self.flying.items():
            with suppress(Exception):
                self.ray.cancel(reference, force=True)
            flight.claim.release()
        with suppress(Exception):
            self.ray.kill(self.board)

    def _fill(self) -> None:
        """Send runs until the cluster is busy and a few wait at its door; the rest is free for other processes."""
        while self.queue:
            slots = self.shares.slots(self.queue[0], self.cluster)
            if len(self.flying) >= slots + slots // 4 + 2:
                return
            spec = self.queue.popleft()
            claim = claim_run(self.store, spec, self.answers)
            if claim is not None:
                mark, anew = self.store.progress_mark(spec), spec.key in self.answers.anew
                self._send(InFlight(spec, claim, claim.deaths, mark, anew=anew))
            elif self.answers.given(spec):
                tell_elsewhere([spec], self.store, self.options, self.summary)
            else:
                self.waiting.append(spec)

    def _send(self, flight: InFlight) -> None:
        try:
            runtime, warning = after_deaths(flight.deaths, self.runtime)
        except RunError as error:
            self._settle(flight, failure(flight.spec, error))
            return
        if warning:
            self.options.say(f"again   {describe_run(flight.spec)}: {warning}.")
        wishes = self.shares.wishes(flight.spec, self.cluster)
        runtime = replace(runtime, threads=runtime.threads or int(wishes["num_cpus"]))
        claim = flight.claim
        share = (self.token, self.secret, self.home)
        task = Task(flight.spec, runtime, self.make, claim.path, claim.facts["id"], *share, flight.anew)
        flight.anew = False
        sent = self.work.options(max_retries=0, name=describe_run(flight.spec), **wishes)
        self.flying[sent.remote(task, self.board)] = flight

    def _land(self) -> None:
        """Take in what has come back."""
        if not self.flying:
            return
        ready, rest = self.ray.wait(list(self.flying), num_returns=1, timeout=1.0)
        if ready and rest:
            more, _ = self.ray.wait(rest, num_returns=len(rest), timeout=0)
            ready += more
        for reference in ready:
            flight = self.flying.pop(reference)
            try:
                self._received(flight, reference)
            except BaseException:
                self.flying[reference] = flight  # its claim is given back by close()
                raise

    def _received(self, flight: InFlight, reference: Any) -> None:
        errors = self.ray.exceptions
        try:
            delivery: Delivery = self.ray.get(reference)
        except errors.RayTaskError as error:  # it could not even be begun: plugin or package missing there
            self._settle(flight, failure(flight.spec, error.cause if isinstance(error.cause, Exception) else error))
        except errors.TaskCancelledError:
            self._settle(flight, Result("stopped"))
        except errors.RayError as error:
            self._lost(flight, error, memory=isinstance(error, errors.OutOfMemoryError))
        else:
            if delivery.unwritable:
                raise PlanError(f"{delivery.where}: {delivery.unwritable}")
            self.shares.learn(delivery.facts)
            flight.where = delivery.where
            if delivery.log:
                write_bytes(self.store.training_log(flight.spec), delivery.log)
            self._settle(flight, delivery.result, delivery.seconds)

    def _lost(self, flight: InFlight, error: Exception, memory: bool) -> None:
        """A worker is gone: its run is done if its record is there, and sent again if not."""
        if self.answers.given(flight.spec):
            result = recorded(self.store, flight.spec)
            said = ", ".join(filter(None, [result.said, "recorded by a worker that was lost afterwards"]))
            self._settle(flight, replace(result, said=said))
            return
        mark = self.store.progress_mark(flight.spec)
        before = flight.deaths if mark == flight.mark else Deaths()
        flight.deaths = Deaths(before.memory + memory, before.unexplained + (not memory))
        flight.mark = mark
        why = "for memory" if memory else type(error).__name__
        if flight.runs is not None:
            self.options.watch.over(flight.runs)
            flight.runs = None
        self.options.say(f"lost    {describe_run(flight.spec)}: its worker is gone ({why}); it is sent again.")
        if self.stop.is_set():
            self._settle(flight, Result("stopped"))
        else:
            self._send(flight)

    def _settle(self, flight: InFlight, result: Result, seconds: float | None = None) -> None:
        """The end of a run: write what a worker could not, let go of the claim, say so.

        `seconds`: what its worker took, who alone knows how long the run had waited before.
        """
        result = finish(self.store, flight.spec, flight.claim, result)
        taken = time.monotonic() - flight.begin if seconds is None else seconds
        tell(flight.spec, result, taken, self.options, self.summary, flight.where)
        self.options.report(self.summary.finished, self.wanted, "runs")

    def _look(self) -> None:
        """From time to time: what the workers say, which of them to call back, and how large the cluster is now."""
        now = time.monotonic()
        if now - self.read_at > READ_BOARD_SECONDS or self.stop.is_set():
            self.read_at = now
            with suppress(self.ray.exceptions.RayError):
                self._show(self.ray.get(self.board.read.remote(self.stop.is_set()), timeout=5))
        if now - self.looked_at > LOOK_SECONDS:
            self.looked_at = now
            self.cluster = replace(look_at_cluster(self.ray, cards=False), card_bytes=self.cluster.card_bytes)

    def _show(self, news: dict[str, dict[str, Any]]) -> None:
        flights = {flight.spec.key: (reference, flight) for reference, flight in self.flying.items()}
        for key, facts in news.items():
            if key not in flights:
                continue
            reference, flight = flights[key]
            if flight.claim.lost.is_set():  # this process slept and another took the run over
                self.ray.cancel(reference)
            report = watched(report_of(self._underway(flight, facts["where"]), self.options), flight.claim)
            report(facts.get("at", 0), facts.get("of", 0) or 1, facts.get("doing", "beginning"), facts.get("facts", {}))

    def _underway(self, flight: InFlight, where: str) -> Underway:
        """A run that a worker has begun with, as the plan's watcher knows it; told of when it is new."""
        if flight.runs is None:
            flight.claim.note(where=where)
            flight.where, flight.begin = where, time.monotonic()
            if not flight.number:  # else it is sent again
                self.begun = flight.number = self.begun + 1
            flight.runs = Underway((flight.spec,), flight.number, self.wanted, where)
            self.options.watch.begun(flight.runs)
        return flight.runs


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray, connected to a cluster; disconnected again if it was not before."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UsageError("--executor ray needs Ray: pip install 'glia-bench[ray]'.") from None
    if ray.is_initialized():
        yield ray
        return
    _answers(address)
    local = {} if address or os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
    try:
        ray.init(address=address, logging_level="error", log_to_driver=False, **local)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UsageError(
            f"No Ray cluster answers at {address or 'this machine'}: {str(error).splitlines()[0]}"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _answers(address: str | None) -> None:
    """Ray waits for minutes for a cluster that is not there; a closed port tells at once."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise UsageError(f"No Ray cluster answers at {address}: {error.strerror or error}.") from None


@contextmanager
def _token(results: Path) -> Iterator[tuple[Path, str]]:
    """A file with a secret in the results folder: a worker that can read it shares the folder."""
    secret = uuid.uuid4().hex
    token = results / f".shared-{secret[:12]}"
    write_text(token, secret)
    try:
        yield token, secret
    finally:
        token.unlink(missing_ok=True)


def _beside_driver(ray: Any, actor: type, **options: Any) -> Any:
    """An actor class that lives on the driver's own node, so that no other node's end takes it along."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    return ray.remote(actor).options(num_cpus=0, scheduling_strategy=here, **options)
