"""The log of a training's steps: every step once, written rarely; it goes on with a resumed run and with its record."""

import json
import statistics
import threading

import pytest
import torch

from bench.cli.merging import merge
from bench.core.errors import Interrupted
from bench.execution.orders import ExecutionOptions
from bench.execution.serial import execute_serial
from bench.records.steps import read_steps
from bench.records.store import Store
from bench.training.run import make_run
from bench.training.signals import Signals
from bench.training.step import learning_rate
from bench.training.steplog import MOST_LINES, StepLog
from tests.survive.makers import record_of
from tests.world import make_world, tiny_runtime, tiny_spec


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("sets"))


def made(home, data, *specs, overwrite="changed", **changes):
    """The store after these runs."""
    runtime = tiny_runtime(home, data, **changes)
    assert not execute_serial(specs, runtime, ExecutionOptions(overwrite)).failed
    return Store(runtime.results)


def fill(log, first, last, at=0.5):
    for step in range(first, last + 1):
        log.add(step, 1, 0.1, torch.tensor(at))


@pytest.mark.parametrize("pack", [1, 3])
def test_every_step_of_a_run_has_its_loss_and_its_rate(tmp_path, data, pack):
    specs = [tiny_spec("linear_probe", split, recipe={"epochs": 3}) for split in range(3)]
    store = made(tmp_path, data, *specs, pack=pack)
    for spec in specs:
        record, lines = store.read(store.runs / f"{spec.key}.json"), store.steps(spec.key)
        assert [line["step"] for line in lines] == list(range(1, 10))
        assert [line["epoch"] for line in lines] == [1] * 3 + [2] * 3 + [3] * 3
        for epoch, loss in enumerate(record["loss"], start=1):
            own = [line["loss"] for line in lines if line["epoch"] == epoch]
            assert statistics.fmean(own) == pytest.approx(loss, abs=1e-5)
        rates = [spec.recipe.lr * learning_rate(step, 9, schedule="cosine", warmup=0) for step in range(9)]
        assert [line["lr"] for line in lines] == pytest.approx(rates, rel=1e-4)
        assert all(line["images_s"] > 0 for line in lines)


def stopped_after(steps, spec, runtime):
    stop = threading.Event()

    def report(done, total, what, facts=None):
        if what == "training" and done == steps:
            stop.set()

    with pytest.raises(Interrupted):
        make_run(spec, runtime, report, signals=Signals(stop))


def test_a_resumed_run_goes_on_with_its_log_and_ends_as_one_that_was_never_stopped(tmp_path, data):
    spec = tiny_spec(recipe={"epochs": 3})
    runtime = tiny_runtime(tmp_path / "stopped", data)
    stopped_after(4, spec, runtime)
    store = Store(runtime.results)
    assert len(read_steps(store.training_log(spec))) == 4, "a checkpoint has its log up to it"
    with store.training_log(spec).open("a") as file:  # a process that was killed five steps after its checkpoint
        file.write("".join(json.dumps({"step": step, "loss": 9.0}) + "\n" for step in range(5, 10)) + '{"step": 1')
    resumed = made(tmp_path / "stopped", data, spec).steps(spec.key)
    whole = made(tmp_path / "whole", data, spec).steps(spec.key)
    assert [{**line, "images_s": 0} for line in resumed] == [{**line, "images_s": 0} for line in whole]


def test_the_record_of_a_further_test_has_the_log_of_its_training(tmp_path, data):
    made(tmp_path, data, tiny_spec())
    further = tiny_spec(tests=("near:test", "far:all"))
    store = made(tmp_path, data, further)
    assert store.steps(further.key) == store.steps(tiny_spec().key) != []


def test_where_no_tensors_are_kept_nothing_but_the_records_log_stays(tmp_path, data):
    store = made(tmp_path, data, tiny_spec(), keep_weights="never")
    assert store.steps(tiny_spec().key)
    assert not list((store.root / "states").iterdir())


def test_a_run_made_again_puts_its_old_log_aside_with_the_old_record(tmp_path, data):
    store = made(tmp_path, data, tiny_spec())
    old = store.log_path(tiny_spec().key).read_text()
    made(tmp_path, data, tiny_spec(), overwrite="always")
    assert (store.root / "set_aside" / f"{tiny_spec().key}.0.log.jsonl").read_text() == old
    assert store.log_path(tiny_spec().key).read_text() != old, "speeds differ"
    assert not store.problems
    assert len(list(store.records())) == 1
    assert not store.problems, "a log is no stray file"


def test_a_log_goes_when_its_record_is_removed_and_is_no_record(tmp_path, data):
    store = made(tmp_path, data, tiny_spec())
    (store.runs / f"{tiny_spec().key}.json").unlink()
    store.ready()
    assert not store.log_path(tiny_spec().key).exists()


def test_a_log_whose_record_is_about_to_be_written_stays_when_another_process_starts(tmp_path):
    store, spec = Store(tmp_path), tiny_spec()
    store.runs.mkdir()
    store.log_path(spec.key).write_text("{}\n")
    claim = store.claims.take(spec.training_key, run=spec.key)
    Store(tmp_path).ready()
    assert store.log_path(spec.key).exists()
    claim.release()
    Store(tmp_path).ready()
    assert not store.log_path(spec.key).exists()


def test_a_merge_takes_logs_along(tmp_path, data):
    theirs = made(tmp_path / "theirs", data, tiny_spec())
    ours = Store(tmp_path / "ours")
    merge(ours, theirs)
    assert ours.steps(tiny_spec().key) == theirs.steps(tiny_spec().key) != []


def test_a_record_whose_training_was_not_logged_has_no_steps(tmp_path):
    store = Store(tmp_path)
    spec = tiny_spec()
    store.write(record_of(spec), log=store.training_log(spec))
    assert store.steps(spec.key) == []


def test_a_diverged_loss_is_nothing_that_json_lacks(tmp_path):
    log = StepLog(tmp_path / "log.jsonl", 2)
    fill(log, 1, 1)
    fill(log, 2, 2, at=float("nan"))
    log.write(8.0, end=True)
    lines = [json.loads(text, parse_constant=pytest.fail) for text in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == [0.5, None]


def test_a_long_training_has_lines_of_several_steps_each(tmp_path):
    log = StepLog(tmp_path / "log.jsonl", 2 * MOST_LINES + 1)
    for step in range(1, 2 * MOST_LINES + 2):
        log.add(step, 1, 0.1, torch.tensor(float(step % 3)))
        if step % 1000 == 0:
            log.write(8.0)
    log.write(8.0, end=True)
    lines = read_steps(tmp_path / "log.jsonl")
    assert (len(lines), lines[0]["step"], lines[-1]["step"]) == (1334, 3, 2 * MOST_LINES + 1)
    assert {line["loss"] for line in lines[:-1]} == {1.0}


def test_steps_are_written_in_batches(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("bench.training.steplog.time.monotonic", lambda: now[0])
    log, due = StepLog(tmp_path / "log.jsonl", 100), []
    for step in range(1, 101):
        now[0] += 1
        due.append(log.add(step, 1, 0.1, torch.tensor(0.5)))
        if due[-1]:
            log.write(8.0)
    assert sum(due) == 9
    assert {line["images_s"] for line in read_steps(tmp_path / "log.jsonl")} == {8.0}


def test_a_process_that_lost_its_run_writes_no_more_into_its_log(tmp_path):
    first, second = StepLog(tmp_path / "log.jsonl", 9), StepLog(tmp_path / "log.jsonl", 9)
    fill(first, 1, 3)
    first.write(8.0)
    second.keep_until(2)
    fill(first, 4, 6)
    first.write(8.0)
    assert [line["step"] for line in read_steps(tmp_path / "log.jsonl")] == [1, 2]


def test_a_log_that_cannot_be_written_ends_no_run(tmp_path):
    (tmp_path / "states").write_text("a file where a folder should be")
    log = StepLog(tmp_path / "states" / "x.log.jsonl", 3)
    log.keep_until(0)
    fill(log, 1, 3)
    log.write(8.0, end=True)
