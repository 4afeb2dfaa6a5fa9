"""One of several processes that make a plan together: the serial executor, told of and stopped by another process.

What it tells goes as (event, arguments) through a line of its own, so that one that is killed in the middle of a word
disturbs no other. Where the other process is gone it stops as after Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.core.errors import Interrupted
from bench.core.progress import Report
from bench.core.registry import add_plugin_file
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec
from bench.execution.attempt import AnswersSincePlan, Maker, PackMaker, out_of_memory
from bench.execution.jobs.crew import Room
from bench.execution.orders import ExecutionOptions
from bench.execution.outcome import Result
from bench.execution.serial import SerialExecution
from bench.execution.start import hear_signals, portable
from bench.execution.watching import Position, Underway, Watcher
from bench.training.record import Outcome
from bench.training.shared import Shared
from bench.training.signals import Signals

STOP, AT_ONCE = "stop", "at once"
"""What a worker may be told: to keep where it is after its step, or to leave everything."""
TELL_SECONDS = 0.2


@dataclass(frozen=True)
class Order:
    """What a worker is to do: the runs, how, and which of them first (`share`: i of n)."""

    specs: tuple[RunSpec, ...]
    runtime: Runtime
    overwrite: str
    answers: AnswersSincePlan
    make: Maker
    together: PackMaker
    share: tuple[int, int]
    wait: bool
    alone: bool
    """Whether no other process makes runs beside it: only then is a want of memory the run's own."""
    room: Callable[[], Room | None] | None
    """What is asked after a run is done, where it has to be known how many have room."""


def card_room() -> Room | None:
    """What the last run took of the card, and what is free on it."""
    import torch

    if not torch.cuda.is_available():
        return None
    free, card = torch.cuda.mem_get_info()
    return Room(torch.cuda.max_memory_reserved(), free, card)


class Line:
    """The way to the process that gave the order."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.stop, self._at_once = connection, threading.Event(), False
        self._telling = threading.Lock()

    def tell(self, event: str, *arguments: Any) -> None:
        """Send word; where nobody is left to hear it, nothing."""
        with self._telling, suppress(OSError):
            self.connection.send((event, arguments))

    def obey(self) -> None:
        """From now on do as one is told. Ctrl-C in a terminal comes to all processes, and only one decides on it."""
        signal.signal(signal.SIGINT, self._interrupted)
        signal.signal(signal.SIGTERM, lambda *_: self.stop.set())
        hear_signals()
        threading.Thread(target=self._listen, name="jobs-line", daemon=True).start()

    def _listen(self) -> None:
        word = STOP
        while word == STOP:
            try:
                word = self.connection.recv()
            except (EOFError, OSError):  # the other process is gone
                self.stop.set()
                return
            self.stop.set()
        self._at_once = True
        os.kill(os.getpid(), signal.SIGINT)

    def _interrupted(self, _number: int, _frame: object) -> None:
        if self._at_once:
            raise KeyboardInterrupt


@dataclass
class Relay(Watcher):
    """Passes on what the executor of this process says of its runs."""

    line: Line
    room: Callable[[], Room | None] | None
    crowded: set[str] = field(default_factory=set)
    """Runs that found no memory beside the others: they are to be made again alone."""
    in_words = False
    _told: tuple[float, str] = (0.0, "")

    def begun(self, runs: Underway) -> None:
        """Which."""
        self._told = (0.0, "")
        self.line.tell("begun", runs.specs)

    def moved(self, runs: Underway, position: Position) -> None:
        """How far, not at every step."""
        now, (at, what) = time.monotonic(), self._told
        if what != position.what or now - at >= TELL_SECONDS or position.done >= position.total:
            self._told = now, position.what
            self.line.tell("moved", replace(position, facts=dict(position.facts)))

    def ended(self, spec: RunSpec, result: Result, seconds: float, where: str = "") -> None:
        """How, without the predictions: they are kept."""
        if spec.key in self.crowded:
            self.crowded.discard(spec.key)
            self.line.tell("crowded", spec)
            return
        self.line.tell("ended", spec, replace(result, predictions=None), seconds)
        if result.status == "done" and self.room is not None and (room := self.room()) is not None:
            self.line.tell("room", room)

    def over(self, runs: Underway) -> None:
        """They are under way no more."""
        self.line.tell("over")

    def elsewhere(self, spec: RunSpec, result: Result) -> None:
        """Another process made it: one beside this, or a stranger."""
        self.line.tell("elsewhere", spec)


@dataclass
class BesideOthers:
    """Makes a run as `make` does, but where memory is wanting leaves it: it may have enough when it is alone."""

    make: Maker
    crowded: set[str]

    def __call__(self, spec: RunSpec, runtime: Runtime, report: Report, signals: Signals, shared: Shared, /) -> Outcome:
        """Run the spec."""
        try:
            return self.make(spec, runtime, report, signals, shared)
        except Exception as error:
            if not out_of_memory(error):
                raise
        if "torch" in sys.modules:  # else there is nothing to free
            shared.free_memory()
        self.crowded.add(spec.key)
        raise Interrupted


def work(connection: Connection, order: Order) -> None:
    """Make the runs of an order that no other process has made or is making, and tell of them. A process's body."""
    line = Line(connection)
    line.obey()
    try:
        for plugin in order.runtime.plugins:
            add_plugin_file(Path(plugin))
        _execution(line, order).run()
    except KeyboardInterrupt:
        return
    except BaseException as error:
        line.tell("broken", portable(error))
        return
    line.tell("finished")


def _execution(line: Line, order: Order) -> SerialExecution:
    relay = Relay(line, order.room)
    said = partial(line.tell, "said")
    options = ExecutionOptions(order.overwrite, say=said, watch=relay, share=order.share, wait=order.wait)
    make = order.make if order.alone else BesideOthers(order.make, relay.crowded)
    return SerialExecution(order.specs, order.runtime, options, make, order.together, line.stop, order.answers)
