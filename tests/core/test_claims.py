"""Claims: one holder at a time, dead holders are succeeded, wrong clocks do no harm."""

import json
import multiprocessing
import subprocess
import sys
import time

import pytest

from bench.core.claims import Claims

KEY = "abc"


@pytest.fixture
def claims(tmp_path):
    return Claims(tmp_path, lease=0.3, beat=0.05)


def test_a_held_run_is_not_given_twice(claims):
    held = claims.take(KEY)
    assert claims.take(KEY) is None
    held.release()
    again = claims.take(KEY)
    assert again is not None
    again.release()


def test_a_released_claim_leaves_no_file(claims, tmp_path):
    claims.take(KEY).release()
    assert list(tmp_path.iterdir()) == []


def test_a_dead_process_of_this_machine_is_succeeded_at_once(tmp_path):
    code = (
        "import os, pathlib; from bench.core.claims import Claims;"
        f"Claims(pathlib.Path({str(tmp_path)!r})).take({KEY!r}); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert (tmp_path / KEY / "1").exists()
    heir = Claims(tmp_path).take(KEY)
    assert heir is not None
    assert heir.path.name == "2"
    heir.release()
    assert list(tmp_path.iterdir()) == []


def elsewhere(tmp_path, **facts):
    text = json.dumps({"key": KEY, "host": "another machine", "boot": "b", "pid": 1, "beat": 0, **facts})
    (tmp_path / KEY).mkdir(exist_ok=True)
    (tmp_path / KEY / "1").write_text(text)


def test_a_silent_holder_elsewhere_is_succeeded_after_the_lease(claims, tmp_path):
    elsewhere(tmp_path)
    assert claims.take(KEY) is None
    time.sleep(0.35)
    heir = claims.take(KEY)
    assert heir is not None
    heir.release()


def test_a_beating_holder_elsewhere_is_left_alone(claims, tmp_path):
    for beat in range(5):
        elsewhere(tmp_path, beat=beat)
        assert claims.take(KEY) is None
        time.sleep(0.1)


def test_a_wall_clock_going_backwards_expires_nothing(claims, tmp_path, monkeypatch):
    elsewhere(tmp_path, since=time.time() + 1e6)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert claims.take(KEY) is None


def test_whoever_was_succeeded_notices(claims, tmp_path):
    sleeper = claims.take(KEY)
    (tmp_path / KEY / "2").write_text(json.dumps({"key": KEY, "host": "other", "beat": 0}))
    assert not sleeper.holds()
    assert sleeper.lost.is_set()
    sleeper.release()
    assert (tmp_path / KEY / "2").exists()


@pytest.mark.parametrize("call", ["pathlib.Path.iterdir", "pathlib.Path.read_text"])
def test_a_claim_that_cannot_be_read_for_a_moment_is_neither_lost_nor_written_over(call, claims, monkeypatch):
    def stale(*_args, **_more):
        raise OSError(116, "Stale file handle")

    held = claims.take(KEY)
    with monkeypatch.context() as moment:
        moment.setattr(call, stale)
        before = held.facts["beat"]
        held.beat()
        assert held.holds()
        assert held.facts["beat"] == before
    held.beat()
    assert json.loads(held.path.read_text())["beat"] == held.facts["beat"] > before
    held.release()
    assert not held.path.exists()


def test_an_unreadable_claim_expires_like_a_silent_one(claims, tmp_path):
    (tmp_path / KEY).mkdir()
    (tmp_path / KEY / "1").write_text("{half")
    assert claims.take(KEY) is None
    time.sleep(0.35)
    heir = claims.take(KEY)
    assert heir is not None
    heir.release()


def rush(folder, queue, barrier):
    barrier.wait()
    queue.put(Claims(folder).take(KEY) is not None)
    time.sleep(1.5)


def test_of_many_that_rush_exactly_one_gets_it(tmp_path):
    context = multiprocessing.get_context("fork")
    queue, barrier = context.Queue(), context.Barrier(20)
    crowd = [context.Process(target=rush, args=(tmp_path, queue, barrier)) for _ in range(20)]
    [process.start() for process in crowd]
    won = [queue.get(timeout=20) for _ in crowd]
    [process.join() for process in crowd]
    assert sum(won) == 1
