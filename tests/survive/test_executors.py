"""The serial executor: each run once, whatever happens to the process or beside it."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench.core import processes as holders
from bench.core.claims import LEASE_SECONDS, Claims
from bench.core.errors import DataError, StoreError, UsageError
from bench.core.runtime import Runtime
from bench.execution import attempt
from bench.execution.attempt import MEMORY_DEATHS, SPLIT_PARTS, UNEXPLAINED_DEATHS
from bench.execution.orders import ExecutionOptions
from bench.execution.serial import execute_serial
from bench.records.store import Store
from tests.survive.makers import brief, failing, instant, record_of, specs, stopped

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def runtime(tmp_path):
    return Runtime(tmp_path / "results", tmp_path / "cache")


def test_every_run_is_made_once_and_leaves_nothing_but_its_record(runtime):
    summary = execute_serial(specs(5), runtime, ExecutionOptions(), instant)
    assert summary.done == [spec.key for spec in specs(5)]
    assert sorted(p.suffix for p in runtime.results.rglob("*") if p.is_file()) == [".json"] * 5
    again = execute_serial(specs(5), runtime, ExecutionOptions(), instant)
    assert (again.done, len(again.elsewhere)) == ([], 5)


def test_a_failed_run_is_recorded_with_its_reason_and_the_others_go_on(runtime):
    said = []
    summary = execute_serial(specs(4), runtime, ExecutionOptions(say=said.append), failing)
    assert len(summary.done) == 2
    assert list(summary.failed.values()) == ["split 1 is odd", "split 3 is odd"]
    errors = [r["error"] for r in Store(runtime.results).records() if r["status"] == "failed"]
    assert {"kind": "RunError", "message": "split 1 is odd"} in errors
    assert any("split 1 is odd" in line for line in said)


def test_a_run_that_failed_in_another_process_has_failed_here_too(runtime):
    execute_serial(specs(4), runtime, ExecutionOptions(), failing)
    said = []
    summary = execute_serial(specs(4), runtime, ExecutionOptions(say=said.append), instant)
    assert summary.elsewhere == [specs(4)[split].key for split in (0, 2)]
    assert summary.failed == {specs(4)[split].key: f"RunError: split {split} is odd" for split in (1, 3)}
    assert said[0] == "failed  glia on demo_a, split 1  RunError: split 1 is odd  (by another process)"
    assert summary.finished == 4


@pytest.mark.parametrize("error", [DataError("labels.csv, row 2: no picture"), UsageError("no such column")])
def test_what_the_user_can_mend_is_no_answer_and_is_tried_again_by_the_next_plan(runtime, error):
    store, said = Store(runtime.results), []
    checkpoint = store.checkpoint_path(specs(1)[0])
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"taught by other labels")

    def wanting(spec, *rest):
        if spec.split == 0:
            raise error
        return failing(spec, *rest)

    summary = execute_serial(specs(3), runtime, ExecutionOptions(say=said.append), wanting)
    assert (len(summary.done), len(summary.failed)) == (1, 2)
    assert summary.mendable == [specs(1)[0].key]
    assert any(str(error) in line for line in said)
    assert store.pending(specs(3)) == specs(1)
    assert not checkpoint.exists()
    assert execute_serial(specs(1), runtime, ExecutionOptions(), instant).done == [specs(1)[0].key]


def test_a_run_that_another_process_took_over_keeps_that_ones_checkpoint(runtime):
    checkpoint = Store(runtime.results).checkpoint_path(specs(1)[0])

    def overtaken(spec, *rest):
        (runtime.results / "claims" / spec.training_key / "2").write_text('{"id": "another", "host": "elsewhere"}')
        checkpoint.parent.mkdir(parents=True)
        checkpoint.write_bytes(b"theirs")
        raise DataError("the disk was unplugged")

    summary = execute_serial(specs(1), runtime, ExecutionOptions(wait=False), overtaken)
    assert (summary.elsewhere, summary.failed) == ([specs(1)[0].key], {})
    assert checkpoint.exists()


def test_failed_runs_alone_are_made_again_when_asked(runtime):
    execute_serial(specs(4), runtime, ExecutionOptions(), failing)
    store = Store(runtime.results)
    pending = store.pending(specs(4), "failed")
    assert [spec.split for spec in pending] == [1, 3]
    summary = execute_serial(pending, runtime, ExecutionOptions(overwrite="failed"), instant)
    assert len(summary.done) == 2
    assert {r["status"] for r in store.records()} == {"done"}


def test_overwriting_everything_makes_each_run_once_more_and_no_more(runtime):
    execute_serial(specs(3), runtime, ExecutionOptions(), instant)
    made = Counter()

    def counting(spec, *rest):
        made[spec.key] += 1
        return record_of(spec, note="new"), {}

    execute_serial(specs(3), runtime, ExecutionOptions(overwrite="always"), counting)
    assert set(made.values()) == {1}
    assert {r["note"] for r in Store(runtime.results).records()} == {"new"}


def work(root, count, queue):
    made = []

    def noting(spec, *rest):
        made.append(spec.key)
        return brief(spec, *rest)

    execute_serial(specs(count), Runtime(root, root), ExecutionOptions(), noting)
    queue.put(made)


def test_several_processes_share_a_plan_and_make_no_run_twice(runtime):
    queue = FORK.Queue()
    crowd = [FORK.Process(target=work, args=(runtime.results, 40, queue)) for _ in range(4)]
    [process.start() for process in crowd]
    shares = [queue.get(timeout=60) for _ in crowd]
    [process.join() for process in crowd]
    assert sorted(key for share in shares for key in share) == sorted(spec.key for spec in specs(40))
    assert sum(bool(share) for share in shares) > 1


def test_a_killed_maker_is_succeeded_and_nothing_is_made_twice(runtime):
    def kill_in_the_third(spec, *rest):
        if spec.split == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return instant(spec, *rest)

    process = FORK.Process(target=execute_serial, args=(specs(5), runtime, ExecutionOptions(), kill_in_the_third))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert execute_serial(specs(5), runtime, ExecutionOptions(), instant).done == [spec.key for spec in specs(5)[2:]]


def test_the_first_ctrl_c_stops_after_the_step_and_says_how_to_go_on(runtime):
    said = []
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    summary = execute_serial(specs(3), runtime, ExecutionOptions(say=said.append), stopped)
    assert summary.interrupted
    assert not summary.failed
    assert "Ctrl-C again" in said[0]
    assert "goes on from there" in said[1]
    assert list(Store(runtime.results).records()) == []
    assert not Claims(runtime.results / "claims").held()


def test_the_second_ctrl_c_stops_at_once_and_lets_go_of_the_run(runtime):
    def deaf(spec, *rest):
        time.sleep(30)

    for after in (0.2, 0.6):
        threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT)).start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        execute_serial(specs(3), runtime, ExecutionOptions(), deaf)
    assert time.monotonic() - begin < 10
    assert not Claims(runtime.results / "claims").held()


def die(root, count, kills=0):
    """Let `count` processes take the same run and die in it."""
    text = str(root / "claims")
    code = (
        "import os, sys; from pathlib import Path; from bench.core import claims\n"
        "claims.memory_kills = lambda: int(sys.argv[3])\n"
        "assert claims.Claims(Path(sys.argv[1])).take(sys.argv[2]); os._exit(9)"
    )
    for number in range(count):
        command = [sys.executable, "-c", code, text, specs(1)[0].training_key, str(kills * number)]
        assert subprocess.run(command, check=False).returncode == 9


def parts_seen(runtime, monkeypatch, kills):
    monkeypatch.setattr("bench.core.claims.memory_kills", lambda: kills)
    seen = []

    def noting(spec, its, *rest):
        seen.append(its.parts)
        return record_of(spec), {}

    summary = execute_serial(specs(1), runtime, ExecutionOptions(), noting)
    return seen, summary


def test_a_run_killed_for_memory_is_tried_once_more_with_split_batches(runtime, monkeypatch):
    die(runtime.results, 1, kills=1)
    seen, summary = parts_seen(runtime, monkeypatch, kills=5)
    assert seen == [SPLIT_PARTS]
    assert len(summary.done) == 1


def test_a_run_killed_for_memory_even_so_has_failed_with_the_reason(runtime, monkeypatch):
    die(runtime.results, MEMORY_DEATHS, kills=1)
    seen, summary = parts_seen(runtime, monkeypatch, kills=5)
    assert seen == []
    assert "for memory 2 times" in next(iter(summary.failed.values()))


def long_ago(root):
    """Let the last process at the only run have died longer than a lease ago."""
    claim = max((root / "claims").glob("*/*"), key=lambda path: int(path.name))
    facts = json.loads(claim.read_text())
    claim.write_text(json.dumps(facts | {"alive": facts["alive"] - 2 * LEASE_SECONDS}))


def test_a_kill_for_memory_long_after_a_death_is_not_that_deaths(runtime, monkeypatch):
    die(runtime.results, 1, kills=1)
    long_ago(runtime.results)
    seen, _ = parts_seen(runtime, monkeypatch, kills=5)
    assert seen == [1]


def test_the_second_death_in_a_row_with_a_kill_for_memory_splits_batches_however_late(runtime, monkeypatch):
    die(runtime.results, 2)
    long_ago(runtime.results)
    seen, _ = parts_seen(runtime, monkeypatch, kills=5)
    assert seen == [SPLIT_PARTS]


def test_a_run_killed_by_hand_is_made_as_before_and_fails_only_after_many_deaths_in_a_row(runtime, monkeypatch):
    die(runtime.results, UNEXPLAINED_DEATHS - 1)
    seen, _ = parts_seen(runtime, monkeypatch, kills=0)
    assert seen == [1]
    next(runtime.results.glob("runs/*")).unlink()
    die(runtime.results, UNEXPLAINED_DEATHS)
    seen, summary = parts_seen(runtime, monkeypatch, kills=0)
    assert seen == []
    assert "died 8 times in a row" in next(iter(summary.failed.values()))


def test_getting_further_forgives_earlier_deaths(runtime, monkeypatch):
    die(runtime.results, UNEXPLAINED_DEATHS)
    checkpoint = Store(runtime.results).checkpoint_path(specs(1)[0])
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_bytes(b"further")
    seen, summary = parts_seen(runtime, monkeypatch, kills=0)
    assert seen == [1]
    assert len(summary.done) == 1


def test_a_run_that_outlived_two_makers_is_made_last(runtime):
    die(runtime.results, 2)
    order = execute_serial(specs(3), runtime, ExecutionOptions(), instant).done
    assert order == [specs(3)[i].key for i in (1, 2, 0)]


def test_out_of_memory_is_answered_once_with_split_batches(runtime, monkeypatch):
    tried = []

    def hungry(spec, its, *rest):
        tried.append(its.parts)
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 MiB")

    monkeypatch.setattr("bench.training.run.make_run", hungry)
    summary = execute_serial(specs(1), runtime, ExecutionOptions(), attempt.run_with_retry)
    assert tried == [1, SPLIT_PARTS]
    assert "out of memory" in next(iter(summary.failed.values()))


def test_a_disk_that_fills_up_ends_the_plan_and_loses_nothing_finished(runtime, monkeypatch):
    def fill(spec, *rest):
        if spec.split == 2:
            monkeypatch.setattr("os.fsync", full)
        return instant(spec, *rest)

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="disk is full"):
        execute_serial(specs(4), runtime, ExecutionOptions(), fill)
    monkeypatch.undo()
    assert len(list(Store(runtime.results).records())) == 2
    assert not list(runtime.results.rglob("*.tmp"))
    assert execute_serial(specs(4), runtime, ExecutionOptions(), instant).done == [spec.key for spec in specs(4)[2:]]


def test_a_read_only_folder_is_told_before_any_work(runtime, monkeypatch):
    def read_only(*_args, **_more):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", read_only)
    made = []
    with pytest.raises(StoreError, match="--results DIR"):
        execute_serial(specs(2), runtime, ExecutionOptions(), lambda spec, *_: made.append(spec))
    assert made == []


def test_whoever_was_taken_for_dead_writes_nothing(runtime):
    def overtaken(spec, *rest):
        folder = runtime.results / "claims" / spec.training_key
        (folder / "2").write_text('{"id": "another", "host": "elsewhere"}')
        return instant(spec, *rest)

    summary = execute_serial(specs(1), runtime, ExecutionOptions(wait=False), overtaken)
    assert summary.elsewhere == [specs(1)[0].key]
    assert list(Store(runtime.results).records()) == []


def test_a_run_that_ends_while_its_claim_cannot_be_read_is_recorded(runtime, monkeypatch):
    real, failing_reads = Path.read_text, []

    def once(path, *args, **more):
        if failing_reads and path.parent.parent.name == "claims":
            raise failing_reads.pop()
        return real(path, *args, **more)

    def ending(spec, *rest):
        failing_reads.append(OSError(5, "Input/output error"))
        return instant(spec, *rest)

    monkeypatch.setattr(Path, "read_text", once)
    summary = execute_serial(specs(1), runtime, ExecutionOptions(), ending)
    assert (summary.done, summary.elsewhere) == ([specs(1)[0].key], [])
    assert len(list(Store(runtime.results).records())) == 1


def test_a_run_that_is_finished_between_the_look_and_the_claim_is_not_made_again(runtime, monkeypatch):
    store, (spec,) = Store(runtime.results), specs(1)
    take = store.claims.take

    def late(*args, **facts):
        store.write(record_of(spec), {})
        return take(*args, **facts)

    monkeypatch.setattr(store.claims, "take", late)
    assert attempt.claim_run(store, spec, attempt.AnswersSincePlan(store, [spec], "never")) is None
    assert store.claims.held() == {}


def test_a_share_of_the_plan_comes_first_and_the_rest_is_helped_with(runtime):
    summary = execute_serial(specs(5), runtime, ExecutionOptions(share=(1, 2)), instant)
    assert summary.done == [specs(5)[i].key for i in (1, 3, 0, 2, 4)]


def test_a_member_of_an_array_does_not_wait_for_what_others_make(runtime):
    held = Claims(runtime.results / "claims").take(specs(2)[0].training_key)
    summary = execute_serial(specs(2), runtime, ExecutionOptions(wait=False), instant)
    held.release()
    assert summary.done == [specs(2)[1].key]


def test_the_count_of_memory_kills_is_read_where_the_machine_keeps_one(monkeypatch):
    assert holders.memory_kills() >= 0


def test_scheduling_costs_at_most_20_ms_a_run(in_memory):
    wanted = [replace(spec, train=f"demo_{n}", tests=(f"demo_{n}:test",)) for n in range(20) for spec in specs(100)]
    begin = time.perf_counter()
    summary = execute_serial(wanted, Runtime(in_memory, in_memory), ExecutionOptions(), instant)
    assert len(summary.done) == 2000
    assert (time.perf_counter() - begin) / len(wanted) < 0.02
