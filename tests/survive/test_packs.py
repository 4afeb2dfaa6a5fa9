"""Runs that are made together, when things go wrong: each answers for itself, and none for its neighbours."""

import multiprocessing
import os
import signal

import pytest

from bench.core.claims import Claims
from bench.core.errors import ClaimLost, Interrupted, RunError, UsageError
from bench.core.runtime import Runtime
from bench.execution.attempt import UNEXPLAINED_DEATHS
from bench.execution.orders import ExecutionOptions
from bench.execution.serial import execute_serial
from bench.records.store import Store
from tests.survive.makers import instant, record_of, specs

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def runtime(tmp_path):
    return Runtime(tmp_path / "results", tmp_path / "cache", device="cpu")


def probes(count):
    return specs(count, "linear_probe")


def together(wanted, runtime, _report, *_rest):
    """A pack that is made at once."""
    for run, spec in enumerate(wanted):
        yield run, (record_of(spec, size=len(wanted)), {})


def refused(*_rest):
    """Runs that cannot be made together."""
    raise UsageError("they are shy")
    yield


def sizes(runtime):
    return [
        record.get("size", 1) for record in sorted(Store(runtime.results).records(), key=lambda r: r["spec"]["split"])
    ]


def test_ten_go_together_and_the_others_after_them(runtime):
    summary = execute_serial(probes(12), runtime, ExecutionOptions(), instant, together)
    assert sorted(summary.done) == sorted(spec.key for spec in probes(12))
    assert sizes(runtime) == [10] * 10 + [2] * 2


def test_what_cannot_be_made_together_is_made_one_by_one_and_the_line_says_why(runtime):
    said = []
    summary = execute_serial(probes(3), runtime, ExecutionOptions(say=said.append), instant, refused)
    assert summary.done == [spec.key for spec in probes(3)]
    assert "made one by one: they are shy." in said[0]
    assert not Claims(runtime.results / "claims").held()


def test_a_run_that_kills_its_maker_is_the_only_one_of_its_pack_that_fails(runtime):
    def fatal_pack(*_rest):
        os.kill(os.getpid(), signal.SIGKILL)
        yield

    def fatal_first(spec, *rest):
        if spec.split == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return instant(spec, *rest)

    ends = []
    while 0 not in ends and len(ends) < 20:
        process = FORK.Process(
            target=execute_serial, args=(probes(5), runtime, ExecutionOptions(), fatal_first, fatal_pack)
        )
        process.start()
        process.join(60)
        ends.append(process.exitcode)
    assert len(ends) == 1 + UNEXPLAINED_DEATHS + 1, "the pack's death is nobody's own"
    records = {r["spec"]["split"]: r for r in Store(runtime.results).records()}
    assert [records[split]["status"] for split in range(5)] == ["failed", *["done"] * 4]
    assert f"died {UNEXPLAINED_DEATHS} times" in records[0]["error"]["message"]


def test_a_pack_killed_for_memory_is_made_one_by_one_with_whole_batches(runtime, monkeypatch):
    kills = [0]
    monkeypatch.setattr("bench.core.claims.memory_kills", lambda: kills[0])

    def fatal(*_rest):
        os.kill(os.getpid(), signal.SIGKILL)
        yield

    process = FORK.Process(target=execute_serial, args=(probes(3), runtime, ExecutionOptions(), instant, fatal))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    kills[0], parts = 1, []

    def noting(spec, its, *rest):
        parts.append(its.parts)
        return instant(spec, its, *rest)

    assert len(execute_serial(probes(3), runtime, ExecutionOptions(), noting, fatal).done) == 3
    assert parts == [1, 1, 1]


def test_while_one_of_a_refused_pack_is_made_the_others_are_free(runtime):
    free = []

    def looking(spec, *rest):
        free.append(len(Claims(runtime.results / "claims").held()))
        return instant(spec, *rest)

    execute_serial(probes(4), runtime, ExecutionOptions(), looking, refused)
    assert free == [1, 1, 1, 1]


def test_only_the_own_share_is_packed_and_others_are_helped_one_by_one(runtime):
    execute_serial(probes(8), runtime, ExecutionOptions(share=(1, 2), wait=False), instant, together)
    assert sizes(runtime) == [1, 4, 1, 4, 1, 4, 1, 4]


def test_what_cannot_be_written_is_no_reason_to_lose_a_run(runtime, monkeypatch):
    def full(_store, record, _predictions=None, _log=None):
        raise ValueError("Out of range float values are not JSON compliant")

    monkeypatch.setattr(Store, "write", full)
    with pytest.raises(ValueError, match="Out of range"):
        execute_serial(probes(2), runtime, ExecutionOptions(), instant, together)
    assert not Claims(runtime.results / "claims").held()


def test_a_stop_in_a_pack_leaves_the_others_where_they_are(runtime):
    def stopping(wanted, _runtime, _report, signals, _shared):
        yield 0, (record_of(wanted[0]), {})
        yield 1, RunError("it diverged")
        yield 2, ClaimLost()
        signals[0].stop.set()
        raise Interrupted

    said = []
    summary = execute_serial(probes(5), runtime, ExecutionOptions(say=said.append), instant, stopping)
    assert summary.interrupted
    assert summary.done == [probes(5)[0].key]
    assert list(summary.failed.values()) == ["it diverged"]
    assert summary.elsewhere == [probes(5)[2].key]
    assert sum("goes on from there" in line for line in said) == 2
    assert not Claims(runtime.results / "claims").held()
