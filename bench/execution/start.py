"""A fresh process of this program, with a line to it: one that Ctrl-C finds ready, and that runs nobody's script."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from types import ModuleType
from typing import Any

from bench.core.errors import BenchError, RunError

STOPS = (signal.SIGINT, signal.SIGTERM)


def start(body: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """Start `body(line, *arguments)` in a process of its own; it calls `hear_signals` when it is ready for them."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=body, args=(theirs, *arguments))
    resource_tracker.ensure_running()  # its own start would let the signals through
    with _without_main(), _held_back():
        process.start()
    theirs.close()
    return process, ours


def hear_signals() -> None:
    """Let through what came since the process began."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)


def portable(error: BaseException) -> BaseException:
    """An error as it can be sent; what no user has caused tells where it was."""
    if not isinstance(error, BenchError):
        error.add_note("In a process of its own:\n" + "".join(traceback.format_tb(error.__traceback__)))
    try:
        ForkingPickler.loads(ForkingPickler.dumps(error))  # what the line does with it
    except Exception:
        return RunError(f"{type(error).__name__}: {error}")
    return error


@contextmanager
def _held_back() -> Iterator[None]:
    """Signals wait: the new process inherits that, and no Ctrl-C ends it while it imports."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _without_main() -> Iterator[None]:
    """The new process does not execute the script that asked for it: nobody has to guard theirs."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
