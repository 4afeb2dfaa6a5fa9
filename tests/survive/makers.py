"""Runs that take no time, for tests of what happens around a run."""

import os
import time

from bench.core.code import code_of
from bench.core.errors import Interrupted, RunError
from bench.core.spec import SCHEMA, RunSpec


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
        "code": code_of(spec.method),
        "run": {"host": "", "pid": os.getpid()},
        **more,
    }


def instant(spec, _runtime, _report, *_rest):
    """A run that is done at once."""
    return record_of(spec), {}


def failing(spec, _runtime, _report, *_rest):
    """Odd splits fail."""
    if spec.split % 2:
        raise RunError(f"split {spec.split} is odd")
    return record_of(spec), {}


def stopped(spec, _runtime, _report, signals, _shared):
    """A run that goes on until somebody asks it to stop."""
    if not signals.stop.wait(30):
        raise TimeoutError
    raise Interrupted


def brief(spec, _runtime, _report, *_rest):
    """A run of a twentieth of a second."""
    time.sleep(0.05)
    return record_of(spec), {}


def noting(spec, runtime, _report, *_rest):
    """A run that says on which card it was made, and from when to when (records round a date to seconds)."""
    begin = time.monotonic()
    time.sleep(0.4)
    facts = {"card": os.environ.get("CUDA_VISIBLE_DEVICES", ""), "begin": begin, "end": time.monotonic()}
    return record_of(spec, **facts, results=str(runtime.results), parts=runtime.parts), {}


def waiting_for_company(spec, runtime, _report, *_rest):
    """A run that lasts until another has begun on its card, but no longer than half a minute."""
    begin, card = time.monotonic(), os.environ.get("CUDA_VISIBLE_DEVICES", "")
    company = runtime.results / f"card_{card}"
    company.mkdir(parents=True, exist_ok=True)
    (company / spec.key).touch()
    while len(list(company.iterdir())) < 2 and time.monotonic() < begin + 30:
        time.sleep(0.05)
    return record_of(spec, card=card, begin=begin, end=time.monotonic()), {}


def logged(spec, runtime, _report, *_rest):
    """A run that leaves a line when it begins and one when it ends, in the shared folder."""
    log(runtime, f"begin {spec.key}")
    time.sleep(0.5)
    log(runtime, f"end {spec.key}")
    return record_of(spec), {}


def endless_away_from_home(spec, runtime, _report, *_rest):
    """A run that is soon done on the node that the file beside the results names, and never on another."""
    import ray

    node = ray.get_runtime_context().get_node_id()
    log(runtime, f"begin {spec.key} {node}")
    time.sleep(0.1 if node == (runtime.results / "home").read_text() else 600)
    log(runtime, f"end {spec.key} {node}")
    return record_of(spec), {}


def deadly(spec, runtime, _report, *_rest):
    """A run that kills its process as often as the file beside the results says."""
    log(runtime, spec.key)
    lives = int((runtime.results / "lives").read_text())
    if spec.split == 0 and (runtime.results / "log").read_text().count(spec.key) <= lives:
        os.kill(os.getpid(), 9)
    return record_of(spec), {}


def failing_and_logged(spec, runtime, _report, *_rest):
    """A run that always fails."""
    log(runtime, spec.key)
    raise RunError("it cannot be done")


def failed_and_lost(spec, runtime, *_rest):
    """A run whose failure is recorded before its process is killed."""
    from bench.records.store import Store

    error = {"kind": "RunError", "message": "no"}
    Store(runtime.results).write(record_of(spec, status="failed", error=error, metrics={}))
    os.kill(os.getpid(), 9)


def log(runtime, line):
    """Append a whole line."""
    with (runtime.results / "log").open("a") as handle:
        handle.write(line + "\n")


def makers_of(runtime):
    """The words of each line."""
    return [line.split() for line in (runtime.results / "log").read_text().splitlines()]
