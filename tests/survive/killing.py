"""A `bench run` and `bench table` in a process that is killed at a chosen moment, and what must be equal afterwards."""

import importlib
import json
import os
import random
import re
import signal
import sys
import threading
from functools import reduce
from pathlib import Path

from bench.records.steps import LOG
from tests.world import RECIPE, TINY

MOMENTS = {
    "planning": [("bench.planning.plan", "sort_settings"), ("bench.records.store", "check_record")],
    "building a store": [("bench.data.pixels.build", "_line")],
    "training": [("bench.training.loop", "_step"), ("bench.training.packs.loop", "_Pack.step")],
    "writing anything": [("os", "replace"), ("os", "fsync"), ("os", "link"), ("bench.records.store", "write_text")],
    "rendering a table": [("bench.report.tables.write", "write_table"), ("bench.core.files", "write_text")],
}
"""What a process is doing → functions whose n-th call it does not survive."""
TIMINGS = re.compile(rb'"(?:train_seconds|images_per_second|memory_bytes)": [-+.e0-9]+')
OPTIONS = {"grid": 2, "fragment": 16, "rank": 8, "heads": 2}
SETTINGS = [f"{k}={v}" for k, v in RECIPE.items()] + [f"glia.{k}={v}" for k, v in OPTIONS.items()]
PLAN = ["run", "-m", "glia,linear_probe", "-p", "main", "-d", "near", "--splits", "2", "--backbone", TINY]
PLAN += ["--weights", "random", "--preset", "demo", "--device", "cpu"]
PLAN += [word for setting in SETTINGS for word in ("--set", setting)]


def go(home: Path, moment: str, seed: int) -> None:
    """The body of a process: run the plan and write the table, killed at a moment ("" for never)."""
    os.chdir(home)
    os.environ["GLIA_BENCH_CACHE"] = str(home / "cache")
    sys.stdout = sys.stderr = (home / "log.txt").open("a")
    chance = random.Random(seed)
    if moment == "any time":
        threading.Timer(chance.uniform(0, 4), die).start()
    elif moment:
        module, name = chance.choice(MOMENTS[moment])
        *inside, name = name.split(".")
        place = reduce(getattr, inside, importlib.import_module(module))
        die_in(place, name, chance.randint(1, 12 if moment == "writing anything" else 4))
    from bench.cli import app
    from bench.core import machine

    machine._git = lambda: ("0" * 40, False)  # records name the commit, and a tree may change during the test
    for words in (PLAN, ["table", "main"]):
        code = app(words, standalone_mode=False)
        if code:
            sys.exit(code)
    sys.stdout.flush()
    os._exit(0)


def die_in(place, name, number):
    """Let a function's n-th call be the process's last."""
    whole, calls = getattr(place, name), 0

    def last(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == number:
            die()
        return whole(*args, **kwargs)

    setattr(place, name, last)


def die():
    """As by kill -9: nothing is flushed, closed or released."""
    os.kill(os.getpid(), signal.SIGKILL)


def essence(results: Path) -> dict[str, object]:
    """Everything a results folder holds that must not depend on when, where and in how many pieces it was made."""
    found: dict[str, object] = {}
    for path in sorted((results / "runs").iterdir()) + sorted((results / "tables").iterdir()):
        if path.parent.name == "runs" and path.suffix == ".json":
            record = json.loads(path.read_text())
            for name in ("sha256", "run", "seconds", "speed", "memory_peak_bytes"):
                del record[name]
            numerics = record["numerics"]  # a run whose neighbour was done before a kill trains on alone, and says so
            record["numerics"] = {name: numerics["trained"][name] for name in numerics["trained"] if name != "packed"}
            found[path.name] = record
        elif path.name.endswith(LOG):
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            found[path.name] = [{name: line[name] for name in line if name != "images_s"} for line in lines]
        else:
            found[path.name] = TIMINGS.sub(b"", path.read_bytes())
    return found
