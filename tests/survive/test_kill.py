"""Killed at fifty random moments, a plan ends in the very records and tables of an undisturbed one."""

import multiprocessing
import os
import random
import shutil
import signal
import time
from collections import Counter

import pytest

from bench.records.store import Store
from tests.survive.killing import MOMENTS, essence, go
from tests.world import make_world, toml_of

KILLS = 50
PRELOADED = [
    "bench.cli",
    "bench.training.run",
    "bench.cli.execute",
    "bench.report.tables.write",
    "methods.glia",
    "methods.linear_probe",
    "bench.training.packs.loop",
]
PRELOADED += ["protocols.main", "tests.survive.killing", "pandas", "scipy.stats", "torch.utils.flop_counter"]
CONTEXT = multiprocessing.get_context("forkserver")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with sets and a bench.toml, and nothing made yet."""
    home = tmp_path_factory.mktemp("world")
    settings = "[run]\ncheckpoint_minutes = 0.0\nthreads = 1\n"
    (home / "bench.toml").write_text(settings + toml_of(make_world(home / "sets")))
    CONTEXT.set_forkserver_preload(PRELOADED)
    return home


def attempt(home, moment="", seed=0):
    """One process, to its end or its death; whether it was killed."""
    process = CONTEXT.Process(target=go, args=(home, moment, seed))
    process.start()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL), (home / "log.txt").read_text()[-3000:]
    return process.exitcode != 0


def fresh(world, home):
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    shutil.copy(world / "bench.toml", home)
    return home


@pytest.mark.slow
def test_fifty_kills_change_nothing(world, tmp_path):
    calm = fresh(world, tmp_path / "calm")
    assert not attempt(calm)
    wanted = essence(calm / "results")
    assert len(wanted) > 8
    assert any(record["numerics"]["trained"]["packed"] == 2 for record in Store(calm / "results").records())

    chance, killed, rounds = random.Random(7), Counter(), 0
    home = fresh(world, tmp_path / "rough")
    moments = [*MOMENTS, "any time"]
    while killed.total() < KILLS:
        moment = moments[killed.total() % len(moments)]
        if attempt(home, moment, chance.randrange(10**9)):
            killed[moment] += 1
            continue
        rounds += 1
        assert essence(home / "results") == wanted
        home = fresh(world, tmp_path / "rough")
    attempt(home)
    assert essence(home / "results") == wanted
    assert set(killed) == set(moments)
    assert not list((home / "results" / "checkpoints").glob("*.safetensors"))
    assert not Store(home / "results").claims.held()
    assert not (home / "results" / "set_aside").exists()


@pytest.mark.slow
def test_ctrl_c_keeps_where_it_was_and_the_same_command_ends_in_the_same_numbers(world, tmp_path):
    calm, home = fresh(world, tmp_path / "calm"), fresh(world, tmp_path / "rough")
    attempt(calm)
    process = CONTEXT.Process(target=go, args=(home, "", 0))
    process.start()
    while process.is_alive() and not (home / "results" / "checkpoints").exists():
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGINT)
    process.join(120)
    assert process.exitcode == 130
    log = (home / "log.txt").read_text()
    assert "press Ctrl-C again" in log
    assert "The same command goes on from here." in log
    assert not Store(home / "results").claims.held()
    assert not attempt(home)
    assert essence(home / "results") == essence(calm / "results")
