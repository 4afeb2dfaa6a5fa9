"""`bench profile` between parsing and printing: every method in a fresh process, then one report."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from bench.core.errors import BenchError, RunError, UsageError
from bench.core.progress import Report
from bench.core.registry import METHODS
from bench.core.runtime import Runtime
from bench.core.spec import Scalar
from bench.planning.plan import sort_settings

if TYPE_CHECKING:
    from bench.execution.profiling.measure import Setting


def profile_methods(
    names: Sequence[str],
    settings: Sequence[str],
    setting: Setting,
    runtime: Runtime,
    report: Report,
    own: Mapping[str, Mapping[str, Scalar]] = {},
) -> tuple[dict[str, Any], dict[str, str]]:
    """The report on these methods, or on all that need no variant to be named, and why others have none.

    Each is measured in a process of its own: so the peak memory of one is not another's, and start-up is measured as
    a run meets it. One that fails takes no other's numbers with it. `own`: what bench.toml sets of methods' options.
    """
    from bench.execution.profiling.measure import report_of

    methods = list(names) or [name for name in METHODS.names() if METHODS.card(name).facts["vit_b"] is not None]
    for name in methods:
        METHODS.target(name)  # an unknown name is an error before anything is measured
    sorted_settings = sort_settings(settings, methods, [])
    if sorted_settings.recipe or sorted_settings.recipes or sorted_settings.spec:
        raise UsageError("--set takes options of methods here; a recipe's speed is set by --batch and --size.")
    options = sorted_settings.methods
    measured, failed = {}, {}
    for done, name in enumerate(methods):
        report(done, len(methods), "methods measured")
        try:
            chosen = {**own.get(name, {}), **options.get(name, {})}
            measured[name] = _in_fresh_process(name, chosen, setting, runtime)
        except UsageError:
            raise
        except Exception as error:  # a method's own code, a plugin's among them, may fail in any way
            failed[name] = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
    report(len(methods), len(methods), "methods measured")
    if not measured:
        raise RunError("Nothing could be measured. " + " ".join(f"{n}: {why}" for n, why in failed.items()))
    return report_of(measured, setting), failed


def _in_fresh_process(name: str, options: Mapping[str, Scalar], setting: Setting, runtime: Runtime) -> dict[str, Any]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(_measure, name, dict(options), setting, runtime).result()
        except BrokenProcessPool:
            raise RunError(
                f"The process that measured {name} was killed, most likely for memory: try a smaller --batch."
            ) from None


def _measure(name: str, options: dict[str, Scalar], setting: Setting, runtime: Runtime) -> dict[str, Any]:
    from bench.execution.profiling.measure import profile_method

    return profile_method(name, options, setting, runtime)
