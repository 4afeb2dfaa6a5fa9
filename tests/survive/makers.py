"""Runs that take no time, for tests of what happens around a run."""

import os
import time

from bench.errors import Interrupted, RunError
from bench.spec import SCHEMA, RunSpec


def specs(count, method="glia"):
    return [RunSpec(method, "demo_a", ("demo_a:test",), split=split) for split in range(count)]


def record_of(spec, **more):
    return {
        "schema": SCHEMA,
        "key": spec.key,
        "spec": spec.as_dict(),
        "status": "done",
        "error": None,
        "metrics": {"demo_a:test": {"srcc": 0.5}},
        "seconds": {"train": 0.0},
        "run": {"host": "", "pid": os.getpid()},
        **more,
    }


def instant(spec, _runtime, _report, **_events):
    """A run that is done at once."""
    return record_of(spec), {}


def failing(spec, _runtime, _report, **_events):
    """Odd splits fail."""
    if spec.split % 2:
        raise RunError(f"split {spec.split} is odd")
    return record_of(spec), {}


def stopped(spec, _runtime, _report, *, stop, **_events):
    """A run that goes on until somebody asks it to stop."""
    if not stop.wait(30):
        raise TimeoutError
    raise Interrupted


def brief(spec, _runtime, _report, **_events):
    """A run of a twentieth of a second."""
    time.sleep(0.05)
    return record_of(spec), {}
