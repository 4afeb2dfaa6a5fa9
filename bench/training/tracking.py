"""Telling a tracker of each run where one is named: wandb, trackio, TensorBoard, or any module with the same words.

Those words are `init`, `log` and `finish`. No tracker is a dependency of ours: it is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.core.code import code_of
from bench.core.errors import UsageError
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec
from bench.core.streams import write_line
from bench.records.steps import Line, read_steps
from bench.records.store import Store

OURS = {"tensorboard": "bench.training.tensorboard"}
"""Trackers that have other words of their own, and the module here that speaks for them."""
WORDS = ("init", "log", "finish")
PROJECT = "glia-bench"


@cache
def tracker_named(name: str) -> ModuleType:
    """The module of a tracker; one that cannot be had, or lacks a word, is a UsageError."""
    try:
        with redirect_stdout(sys.stderr):
            module = _imported(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        raise UsageError(
            f"--log {name}: there is no module {missing} here. Install it (pip install {missing}), or name a file that "
            f"ends in .py."
        ) from None
    except (Exception, SystemExit) as error:
        raise UsageError(f"--log {name} cannot be imported: {type(error).__name__}: {error}") from error
    if lacking := [word for word in WORDS if not callable(getattr(module, word, None))]:
        raise UsageError(f"--log {name}: a tracker has init, log and finish, and it lacks {', '.join(lacking)}.")
    return module


def _imported(name: str) -> ModuleType:
    path = Path(name)
    if path.suffix != ".py":
        return importlib.import_module(OURS.get(name, name))
    if not path.is_file():
        raise UsageError(f"--log {path}: there is no such file.")
    spec = importlib.util.spec_from_file_location(f"bench_tracker_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where a dataclass in it looks
    spec.loader.exec_module(module)
    return module


class Tracked:
    """One run as its tracker is told of it. A tracker that fails is told nothing more: no run ends for its sake."""

    def __init__(self, module: ModuleType, name: str, spec: RunSpec, results: Path) -> None:
        self.module, self.name, self.spec, self.results = module, name, spec, results
        self.begun = self.broken = False
        self.last = 0

    def steps(self, lines: Sequence[Line]) -> None:
        """Steps and their losses."""
        for line in lines:
            self.last = line["step"]
            self._begin(line["step"])
            self._ask("log", {name: value for name, value in line.items() if name != "step"}, step=line["step"])

    def result(self, record: Mapping[str, Any]) -> None:
        """The test's numbers."""
        self._begin(self.last)
        metrics = {
            f"{metric} on {target}": value
            for target, values in record.get("metrics", {}).items()
            for metric, value in values.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
        self._ask("log", metrics, step=self.last)

    def end(self) -> None:
        """Nothing more will come."""
        if self.begun:
            self._ask("finish")

    def _begin(self, first_step: int) -> None:
        if self.begun:
            return
        self.begun = True
        spec = self.spec
        name = f"{spec.method} on {spec.train}, split {spec.split} ({spec.key[:8]})"
        identity = "-".join([spec.key, *filter(None, [str(code_of(spec.method)["method"])[:8]])])
        about = {"project": PROJECT, "name": name, "config": spec.as_dict(), "id": identity, "resume": "allow"}
        self._ask("init", **about, dir=str(self.results), first_step=first_step)

    def _ask(self, word: str, *given: Any, **named: Any) -> None:
        """Call the tracker with as much of what is named as it takes."""
        if self.broken:
            return
        function = getattr(self.module, word)
        try:
            with redirect_stdout(sys.stderr):  # ours may hold JSON lines
                function(*given, **_taken(function, named))
        except (Exception, SystemExit) as error:
            self.broken = True
            why = str(error).splitlines()[0] if str(error) else "no message"
            write_line(f"--log {self.name}: {type(error).__name__}: {why} (this run is told of no more).", sys.stderr)


def _taken(function: Callable[..., Any], named: Mapping[str, Any]) -> dict[str, Any]:
    """Of named arguments those that a function takes."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return dict(named)
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return dict(named)
    return {name: value for name, value in named.items() if name in parameters}


@contextmanager
def tracked(spec: RunSpec, runtime: Runtime) -> Iterator[Tracked | None]:
    """A run's tracker, finished in any case; None where none is named."""
    if not runtime.log:
        yield None
        return
    told = Tracked(tracker_named(runtime.log), runtime.log, spec, runtime.results)
    try:
        yield told
    finally:
        told.end()


def tell_afterwards(spec: RunSpec, runtime: Runtime, record: Mapping[str, Any]) -> None:
    """Tell of a run that was trained together with others: trackers know one run at a time."""
    with tracked(spec, runtime) as told:
        if told is not None:
            told.steps(read_steps(Store(runtime.results).training_log(spec)))
            told.result(record)
