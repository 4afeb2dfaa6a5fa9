"""How far a plan is, as executors tell of it, and how long its rest takes by runs of the same kind."""

from dataclasses import replace

import pytest

from bench.core.runtime import Runtime
from bench.execution.orders import ExecutionOptions
from bench.execution.outcome import Result
from bench.execution.serial import execute_serial
from bench.execution.standing import Standing, TimeLeft
from bench.execution.watching import Position, Underway, Watcher
from bench.records.store import Store
from bench.records.times import Times, kind_of
from tests.survive.makers import failing, instant, record_of, specs
from tests.world import tiny_spec


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("bench.execution.standing.time.monotonic", lambda: now[0])
    return now


class Notes(Watcher):
    """Everything that an executor tells, in order."""

    def __init__(self):
        self.told = []

    def begun(self, runs):
        self.told.append(("begun", runs.place(), runs.name()))

    def moved(self, runs, position):
        self.told.append(("moved", runs.place(), position.what))

    def ended(self, spec, result, seconds, where=""):
        self.told.append(("ended", spec.split, result.status))

    def over(self, runs):
        self.told.append(("over", runs.place()))

    def elsewhere(self, spec, result):
        self.told.append(("elsewhere", spec.split, result.status))


def run(number=1, *specs, of=3):
    return Underway(specs, number, of)


def test_an_executor_tells_how_each_run_begins_and_ends(tmp_path):
    notes = Notes()
    wanted = specs(2)
    execute_serial(wanted, Runtime(tmp_path, tmp_path), ExecutionOptions(watch=notes), failing)
    name = f"{wanted[0].method} on {wanted[0].train}, split 0"
    assert notes.told[0] == ("begun", "run 1 of 2", name)
    kinds = [told[0] for told in notes.told if told[0] != "moved"]
    assert kinds == ["begun", "ended", "over"] * 2
    assert {told[2] for told in notes.told if told[0] == "ended"} == {"failed", "done"}


def test_runs_that_others_made_meanwhile_are_told_of(tmp_path):
    notes, runtime = Notes(), Runtime(tmp_path, tmp_path)
    execute_serial(specs(2), runtime, ExecutionOptions(), failing)
    execute_serial(specs(3), runtime, ExecutionOptions(watch=notes), instant)
    assert {("elsewhere", 0, "done"), ("elsewhere", 1, "failed")} <= set(notes.told)


def test_a_watcher_of_facts_needs_no_lines(tmp_path):
    said, notes = [], Notes()
    notes.in_words = False
    execute_serial(specs(1), Runtime(tmp_path, tmp_path), ExecutionOptions(say=said.append, watch=notes), instant)
    assert not said


def test_counts_go_with_the_runs(clock):
    one, two, three, four = (tiny_spec(split=split) for split in range(4))
    standing = Standing([one, two, three, four])
    standing.begun(run(1, one))
    assert (standing.finished, len(standing.making)) == (0, 1)
    standing.ended(one, Result("done"), 5.0)
    standing.over(run(1, one))
    standing.begun(run(2, two))
    standing.ended(two, Result("failed"), 5.0)
    standing.elsewhere(three, Result("done"))
    standing.elsewhere(four, Result("failed"))
    assert (standing.done, standing.failed, standing.made_elsewhere, standing.making) == (1, 2, 1, {})
    assert standing.finished == standing.wanted


def test_the_time_left_is_by_records_of_the_same_kind_and_counts_what_the_run_has_had(clock):
    wanted = [tiny_spec(split=split) for split in range(3)]
    standing = Standing(wanted, Times({kind_of(wanted[0]): 60.0}))
    assert standing.time_left() == TimeLeft(180.0, whole=True)
    standing.begun(run(1, wanted[0]))
    clock[0] += 20
    assert standing.time_left() == TimeLeft(160.0, whole=True)
    standing.ended(wanted[0], Result("done"), 30.0)
    assert standing.time_left() == TimeLeft(60.0, whole=True), "this plan's own runs go before earlier records"


def test_two_runs_at_once_take_half_the_time(clock):
    wanted = [tiny_spec(split=split) for split in range(4)]
    standing = Standing(wanted, Times({kind_of(wanted[0]): 60.0}))
    standing.begun(run(1, wanted[0]))
    standing.begun(run(2, wanted[1]))
    assert standing.time_left() == TimeLeft(120.0, whole=True)


def test_kinds_that_were_never_seen_make_it_a_least_time_and_nothing_known_is_no_time(clock):
    known, new = tiny_spec(), tiny_spec("linear_probe")
    standing = Standing([known, new], Times({kind_of(known): 60.0}))
    assert standing.time_left() == TimeLeft(60.0, whole=False)
    assert Standing([new]).time_left() is None


def test_a_run_of_a_new_kind_is_judged_by_its_own_steps(clock):
    spec = tiny_spec()
    standing = Standing([spec])
    standing.begun(run(1, spec, of=1))
    standing.moved(run(1, spec, of=1), Position(2, 10, "training"))
    assert standing.time_left() is None, "one look says nothing of the speed"
    clock[0] += 30
    standing.moved(run(1, spec, of=1), Position(5, 10, "training"))
    assert standing.time_left() == TimeLeft(50.0, whole=True)


def test_runs_that_could_not_be_made_together_wait_again(clock):
    wanted = [tiny_spec("linear_probe", split) for split in range(3)]
    standing = Standing(wanted, Times({kind_of(wanted[0]): 10.0}))
    standing.begun(run(1, *wanted))
    standing.ended(wanted[0], Result("done"), 10.0)
    standing.over(run(1, *wanted))
    assert not standing.making
    assert standing.time_left() == TimeLeft(20.0, whole=True)


def test_times_are_the_middle_of_the_records_of_a_kind(tmp_path):
    store = Store(tmp_path)
    for spec, seconds in zip(specs(3), (9.0, 4.0, 70.0), strict=True):
        store.write(record_of(spec, seconds={"setup": 1.0, "train": seconds}))
    assert Times.read(store).of(kind_of(specs(1)[0])) == 10.0
    assert Times.read(store).of(kind_of(tiny_spec("linear_probe"))) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"tests": ("near:test", "far:all")},
        {"precision": "bf16"},
        {"options": {"rank": 3}},
        *({"recipe": {name: value}} for name, value in (("batch", 3), ("short_side", 99), ("selection", "oracle"))),
    ],
)
def test_runs_that_test_or_compute_otherwise_are_of_another_kind(changes):
    spec = tiny_spec()
    changes = {"tests": spec.tests} | changes
    recipe = replace(spec.recipe, **changes.pop("recipe", {}))
    assert kind_of(replace(spec, recipe=recipe, **changes)) != kind_of(spec)
    assert kind_of(replace(spec, split=1)) == kind_of(spec)
