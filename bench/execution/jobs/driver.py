"""A plan's runs side by side on this machine: processes that share it by their claims, and one that tells of them.

No run is handed out: each process executes the same plan as a `bench run` of its own would, and takes what is free.
So a process that dies loses its run to the others, and other `bench run`s on the folder are company like any.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from bench.core.errors import RunError
from bench.core.processes import memory_kills
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec
from bench.execution.attempt import (
    AnswersSincePlan,
    Maker,
    PackMaker,
    run_once,
    run_together,
    run_with_retry,
)
from bench.execution.jobs.crew import Crew, Room, with_room
from bench.execution.jobs.worker import AT_ONCE, STOP, Order, card_room, work
from bench.execution.orders import ExecutionOptions, Summary, report_of, stop_on_ctrl_c, tell, tell_elsewhere
from bench.execution.outcome import Result, describe_group
from bench.execution.serial import ClaimedRuns, execute_serial
from bench.execution.start import start
from bench.execution.watching import Position, Underway
from bench.planning.members import stands_on_runs
from bench.records.store import Store

LOOK_SECONDS = 0.25
"""How soon a wish to stop is passed on."""
SETTLED_SECONDS = 1.0
"""So long after a record was found, every process that had begun with its run has been heard to say so."""
FAREWELL_SECONDS = 10.0
"""How long processes that shall leave everything have to give back their claims."""


def execute_jobs(
    specs: Sequence[RunSpec],
    runtime: Runtime,
    options: ExecutionOptions,
    crew: Crew,
    make: Maker = run_once,
    alone: Maker = run_with_retry,
    together: PackMaker = run_together,
    room: Callable[[], Room | None] = card_room,
) -> Summary:
    """Make the runs, as many at once as the crew has processes; one process alone is the serial executor.

    `make` is what they do with a run beside others, `alone` what one does with a run that found no memory beside them.
    """
    runtime = replace(runtime, threads=crew.threads)
    if crew.count == 1:
        return execute_serial(specs, runtime, options, alone, together)
    Store(runtime.results).ready()
    with stop_on_ctrl_c(options.say) as stop:
        execution = JobsExecution(specs, runtime, options, crew, (make, alone, together), room, stop)
        try:
            return execution.run()
        finally:
            execution.close()


@dataclass(eq=False)
class Worker:
    """A process, and what it is doing."""

    process: BaseProcess
    line: Connection
    number: int
    runs: Underway | None = None
    has_begun: bool = False
    finished: bool = False


class JobsExecution:
    """One plan being made by several processes."""

    def __init__(
        self,
        specs: Sequence[RunSpec],
        runtime: Runtime,
        options: ExecutionOptions,
        crew: Crew,
        makers: tuple[Maker, Maker, PackMaker],
        room: Callable[[], Room | None],
        stop: threading.Event,
    ) -> None:
        self.specs, self.runtime, self.options, self.crew, self.stop = specs, runtime, options, crew, stop
        self.makers, self.room, self.store = makers, room, Store(runtime.results)
        self.answers = AnswersSincePlan(self.store, specs, options.overwrite)
        self.summary, self.ended = Summary(), set[str]()
        self.numbers: dict[str, int] = {}
        """The place of each run among those that were begun; one that is made again keeps it."""
        self.workers: list[Worker] = []
        self.order: Order | None = None
        self.wanted = 1 if crew.measured else crew.count
        """How many processes there shall be: fewer after one was killed for memory."""
        self.unmeasured, self.kills = crew.measured, memory_kills()
        self.crowded: dict[str, RunSpec] = {}
        self.answered: dict[RunSpec, float] = {}
        """Runs of which there is a record that none of these processes has told of yet, and since when."""
        self.broken: BaseException | None = None

    def run(self) -> Summary:
        """Until everything is made, here or elsewhere, or a stop is asked for."""
        if self.options.overwrite == "always":
            self._forget_trainings()
        for stage in self._stages():
            if not self.stop.is_set():
                self._make(stage)
        self.summary.interrupted = self.stop.is_set()
        return self.summary

    def close(self) -> None:
        """End what is still there, after a second Ctrl-C or an error: claims are given back where there is time."""
        for worker in self.workers:
            self._tell(worker, AT_ONCE)
        end = time.monotonic() + FAREWELL_SECONDS
        for worker in self.workers:
            worker.process.join(max(0.0, end - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.line.close()
        self.workers.clear()

    def _stages(self) -> list[list[RunSpec]]:
        """Runs that stand on others come when those are made."""
        stages: tuple[list[RunSpec], list[RunSpec]] = ([], [])
        for spec in self.specs:
            stages[stands_on_runs(spec.method)].append(spec)
        return [stage for stage in stages if stage]

    def _forget_trainings(self) -> None:
        """Where all is to be trained again, put aside what is kept of it before any process begins.

        A process that takes over the run of another must not do so once more.
        """
        for spec in self.specs:
            with ClaimedRuns(self.store) as claimed:
                claimed.take([spec], self.answers)
                claimed.abandon()

    def _make(self, specs: Sequence[RunSpec]) -> None:
        """Make these runs; in the end alone those that found no memory, and with patience those of strangers."""
        self._round(specs, self.wanted, waiting=False)
        while not self.stop.is_set() and (left := [spec for spec in specs if spec.key not in self.ended]):
            crowded = [spec for spec in left if spec.key in self.crowded]
            if crowded:
                self._round(crowded, 1, waiting=self.options.wait, alone=True)
            elif not self.options.wait:
                return
            else:
                self._round(left, min(self.wanted, len(left)), waiting=True)

    def _round(self, specs: Sequence[RunSpec], count: int, *, waiting: bool, alone: bool = False) -> None:
        """Start so many processes on these runs, and stay until the last of them has ended."""
        make, by_itself, together = self.makers
        maker = by_itself if alone else make
        facts = (self.runtime, self.options.overwrite, self.answers, maker, together)
        self.order = Order(tuple(specs), *facts, self._share(0), waiting, alone, self.room if self.unmeasured else None)
        for number in range(min(count, len(specs))):
            self._start(number)
        while self.workers:
            self._look()
        self._settle(0.0)
        if alone:
            self.crowded.clear()
        if self.broken is not None:
            raise self.broken

    def _share(self, number: int) -> tuple[int, int]:
        """Which part of the plan a process begins with, of the part that this one was told to begin with."""
        at, of = self.options.share
        return at + of * (number % self.crew.count), of * self.crew.count

    def _start(self, number: int) -> None:
        assert self.order is not None
        process, line = start(work, replace(self.order, share=self._share(number)))
        self.workers.append(Worker(process, line, number))

    def _look(self) -> None:
        """Hear what there is, pass on a wish to stop, and see who has ended."""
        if self.stop.is_set() or self.broken is not None:
            for worker in self.workers:
                self._tell(worker, STOP)
        heard = [one for worker in self.workers for one in (worker.line, worker.process.sentinel)]
        wait(heard, LOOK_SECONDS)
        for worker in list(self.workers):
            ended = not worker.process.is_alive()
            self._hear(worker)
            if ended:
                self._gone(worker)
        self._settle(SETTLED_SECONDS)

    def _tell(self, worker: Worker, word: str) -> None:
        with suppress(OSError):
            worker.line.send(word)

    def _hear(self, worker: Worker) -> None:
        """Everything that a process has said so far."""
        with suppress(EOFError, OSError):
            while worker.line.poll():
                event, arguments = worker.line.recv()
                getattr(self, f"_on_{event}")(worker, *arguments)

    def _gone(self, worker: Worker) -> None:
        """A process has ended: its work is done, or it died and another takes its place."""
        worker.process.join()
        worker.line.close()
        self.workers.remove(worker)
        if worker.finished:
            return
        lost = worker.runs
        self._on_over(worker)
        if self.stop.is_set() or self.broken is not None:
            return
        if not worker.has_begun:
            if not self.workers:
                self.broken = RunError(f"The processes of --jobs end before they begin (exit code {_code(worker)}).")
            return
        for_memory, self.kills = memory_kills() > self.kills, memory_kills()
        if for_memory:
            self.wanted = max(1, self.wanted - 1)
        if lost is not None:
            why = "was killed for memory" if for_memory else f"is gone ({_code(worker)})"
            self.options.say(f"lost    {describe_group(lost.specs)}: its process {why}; another makes it.")
        if len(self.workers) < self.wanted:
            self._start(worker.number)

    def _on_begun(self, worker: Worker, specs: tuple[RunSpec, ...]) -> None:
        for spec in specs:
            self.numbers.setdefault(spec.key, len(self.numbers) + 1)
        worker.runs = Underway(specs, self.numbers[specs[0].key], len(self.specs))
        worker.has_begun = True
        self.options.report(self.summary.finished, len(self.specs), "runs")
        self.options.watch.begun(worker.runs)

    def _on_moved(self, worker: Worker, position: Position) -> None:
        if worker.runs is not None:
            report_of(worker.runs, self.options)(position.done, position.total, position.what, position.facts)

    def _on_ended(self, worker: Worker, spec: RunSpec, result: Result, seconds: float) -> None:
        self.answered.pop(spec, None)
        if spec.key in self.ended:
            return
        if result.status != "stopped":
            self.ended.add(spec.key)
        tell(spec, result, seconds, self.options, self.summary)

    def _on_crowded(self, worker: Worker, spec: RunSpec) -> None:
        self.crowded[spec.key] = spec
        self.options.say(f"later   {describe_group([spec])}: no memory is left beside the others; it is made alone.")

    def _on_over(self, worker: Worker) -> None:
        if worker.runs is not None:
            self.options.watch.over(worker.runs)
        worker.runs = None

    def _on_elsewhere(self, worker: Worker, spec: RunSpec) -> None:
        if spec.key not in self.ended:
            self.answered.setdefault(spec, time.monotonic())

    def _on_said(self, worker: Worker, text: str) -> None:
        self.options.say(text)

    def _on_broken(self, worker: Worker, error: BaseException) -> None:
        worker.finished = True
        self.broken = self.broken or error

    def _on_finished(self, worker: Worker) -> None:
        worker.finished = True

    def _on_room(self, worker: Worker, room: Room) -> None:
        """A run's memory is known: as many more processes as the card has room for."""
        if not self.unmeasured:
            return
        self.unmeasured = False
        self.wanted = with_room(self.crew, room)
        taken, free = room.reserved / 2**30, room.free / 2**30
        self.options.say(f"One run takes {taken:.1f} GiB of the card and {free:.1f} are free: {self.wanted} at once.")
        for number in range(len(self.workers), self.wanted):
            self._start(number)

    def _settle(self, seconds: float) -> None:
        """Runs with a record that none of these processes has made, or is about to tell of, were made by strangers."""
        making = {spec for worker in self.workers if worker.runs for spec in worker.runs.specs}
        old = time.monotonic() - seconds
        for spec in [spec for spec, since in self.answered.items() if since <= old and spec not in making]:
            del self.answered[spec]
            self.ended.add(spec.key)
            tell_elsewhere([spec], self.store, self.options, self.summary)


def _code(worker: Worker) -> str:
    code: Any = worker.process.exitcode
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
