"""A results folder with trained runs in it, made once: what the tests of the scoring room open."""

import shutil
from pathlib import Path

from bench.records.store import Store
from bench.training.run import make_run
from tests.world import make_world, tiny_runtime, tiny_spec

METHODS = ("glia", "adapter", "linear_probe")


def make_runs(home: Path, methods=METHODS, splits=(0,), **changes):
    """(runtime, {(method, split): key}) of small runs whose weights are kept."""
    runtime = tiny_runtime(home, make_world(home))
    keys = {}
    for method in methods:
        for split in splits:
            spec = tiny_spec(method, split, **changes)
            Store(runtime.results).write(*make_run(spec, runtime))
            keys[method, split] = spec.key
    return runtime, keys


def copied(home: Path, runtime, **changes):
    """The same results in another folder, for a test that changes them."""
    from dataclasses import replace

    shutil.copytree(runtime.results, home / "results")
    return replace(runtime, results=home / "results", **changes)
