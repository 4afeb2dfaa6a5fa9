"""The harness: plan runs, execute those that are not done, record each, and make tables from records.

`run`, `results`, `table` and `compare` do in Python what the commands of these names do in a shell, and `load` gives a
trained model that scores pictures (docs/python.md).
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.api.frames import compare, results, table
    from bench.api.models import load
    from bench.api.pyiqa_metric import pyiqa_metric
    from bench.api.runs import run
    from bench.core.errors import BenchError

if "OMP_WAIT_POLICY" not in os.environ:
    # Before torch loads OpenMP: its threads wait for one another for microseconds, not milliseconds, before they sleep.
    # On a busy machine the waiting costs ten times the work (docs/performance.md).
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")

__version__ = "0.2.0.dev0"
__all__ = ["BenchError", "__version__", "compare", "load", "pyiqa_metric", "results", "run", "table"]

_FOUND_IN = {
    "BenchError": "bench.core.errors",
    "compare": "bench.api.frames",
    "load": "bench.api.models",
    "pyiqa_metric": "bench.api.pyiqa_metric",
    "results": "bench.api.frames",
    "run": "bench.api.runs",
    "table": "bench.api.frames",
}
"""Where each name of the API is found when it is asked for: importing the package loads neither torch nor pandas."""


def __getattr__(name: str) -> Any:
    if name not in _FOUND_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(_FOUND_IN[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
