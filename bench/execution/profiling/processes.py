"""`bench profile` between parsing and printing: every method in a fresh process, then one report."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BenchError, RunError, UsageError
from bench.core.progress import Report, Say, clock
from bench.core.registry import METHODS, add_plugin_file
from bench.core.runtime import Runtime
from bench.core.spec import Scalar
from bench.execution.start import hear_signals, portable, start
from bench.planning.plan import sort_settings

if TYPE_CHECKING:
    from bench.execution.profiling.measure import Setting

QUIET = "99"
"""A level above all that torch's profiler would write among our lines."""


def profile_methods(
    names: Sequence[str],
    settings: Sequence[str],
    setting: Setting,
    runtime: Runtime,
    report: Report,
    own: Mapping[str, Mapping[str, Scalar]] = {},
    say: Say = lambda _: None,
) -> tuple[dict[str, Any], dict[str, str]]:
    """The report on these methods, or on all that need no variant to be named, and why others have none.

    Each is measured in a process of its own: so the peak memory of one is not another's, and start-up is measured as
    a run meets it. One that fails takes no other's numbers with it. `own`: what bench.toml sets of methods' options.
    `say` is told what is being measured, and how long that has taken so far.
    """
    from bench.execution.profiling.measure import report_of

    usual = [name for name in METHODS.names() if METHODS.card(name).facts["vit_b"] is not None]
    methods = list(names) or [name for name in usual if _steps_alone(name)]
    for name in methods:
        METHODS.target(name)  # an unknown name is an error before anything is measured
        if not _steps_alone(name):
            raise UsageError(
                f"{name} learns by more or by other than training steps, which are what is measured here: its runs "
                "say what they took (bench table --cost)."
            )
    sorted_settings = sort_settings(settings, methods, [])
    if sorted_settings.recipe or sorted_settings.recipes or sorted_settings.spec:
        raise UsageError("--set takes options of methods here; a recipe's speed is set by --batch and --size.")
    options = sorted_settings.methods
    measured, failed, begin = {}, {}, time.monotonic()
    for done, name in enumerate(methods):
        report(done, len(methods), "methods measured")
        try:
            chosen = {**own.get(name, {}), **options.get(name, {})}
            at = partial(_say, say, begin, f"{done + 1}/{len(methods)} {name}")
            measured[name] = _in_fresh_process(name, chosen, setting, runtime, at)
        except UsageError:
            raise
        except Exception as error:  # a method's own code, a plugin's among them, may fail in any way
            failed[name] = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
    report(len(methods), len(methods), "methods measured")
    if not measured:
        raise RunError("Nothing could be measured. " + " ".join(f"{n}: {why}" for n, why in failed.items()))
    return report_of(measured, setting), failed


def _steps_alone(name: str) -> bool:
    """Whether a method learns by gradient descent from the start, and by nothing else."""
    return bool(METHODS.card(name).facts["learns"] == "descent")


def _say(say: Say, begin: float, name: str, what: str) -> None:
    """What is being measured, in a line, and how long all has taken."""
    say(f"{clock(time.monotonic() - begin):>6}  {name}: {what}")


def _in_fresh_process(
    name: str, options: Mapping[str, Scalar], setting: Setting, runtime: Runtime, at: Say
) -> dict[str, Any]:
    at("a fresh process")
    process, line = start(_measure, name, dict(options), setting, runtime)
    try:
        while True:
            event, said = line.recv()
            if event == "at":
                at(said)
            elif event == "failed":
                raise said
            else:
                measured: dict[str, Any] = said
                return measured
    except EOFError:
        raise RunError(
            f"The process that measured {name} was killed, most likely for memory: try a smaller --batch."
        ) from None
    finally:
        line.close()
        process.join(1)
        process.kill()
        process.join()


def _measure(line: Connection, name: str, options: dict[str, Scalar], setting: Setting, runtime: Runtime) -> None:
    """The body of the fresh process."""
    os.environ.setdefault("KINETO_LOG_LEVEL", QUIET)
    try:
        hear_signals()
        for plugin in runtime.plugins:
            add_plugin_file(Path(plugin))
        from bench.execution.profiling.measure import profile_method

        measured = profile_method(name, options, setting, runtime, lambda what: line.send(("at", what)))
        line.send(("measured", measured))
    except KeyboardInterrupt:
        return
    except Exception as error:
        line.send(("failed", portable(error)))
