"""The ensemble makes its scores of stored predictions, of the very runs that a plan makes beside it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.cli.status import read_status
from bench.core.errors import DataError, UsageError
from bench.core.registry import METHODS
from bench.core.runtime import Runtime
from bench.execution.attempt import AnswersSincePlan, run_with_retry
from bench.execution.orders import ExecutionOptions
from bench.execution.serial import execute_serial
from bench.planning.members import members_of
from bench.planning.plan import Ask, make_plan
from bench.records.results import Results
from bench.records.store import Store
from bench.report.verify import verify
from bench.training.members import members
from bench.training.shared import Shared
from bench.training.signals import Signals
from tests.survive.makers import record_of
from tests.world import RECIPE, TINY, make_world, tiny_runtime

SETTINGS = tuple(f"{name}={value}" for name, value in RECIPE.items())


def plan(data, *methods, **more):
    ask = Ask(
        methods=methods, protocols=("main",), preset="demo", datasets=("near",), splits=2, data=data,
        backbone=TINY, weights="random", settings=(*SETTINGS, "ensemble.of=linear_probe,ridge"), **more,
    )  # fmt: skip
    return make_plan(ask)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    home = tmp_path_factory.mktemp("world")
    return home, make_world(home)


def test_its_members_are_the_runs_that_are_planned_beside_it_and_it_comes_after_them(world):
    made = plan(world[1], "ensemble", "ridge", "linear_probe")
    by_method = {(spec.method, spec.split): spec for spec in made.specs}
    for split in (0, 1):
        wanted = (by_method["linear_probe", split], by_method["ridge", split])
        assert members_of(by_method["ensemble", split]) == wanted
    assert [spec.method for spec in made.specs][-1] == "ensemble"


def test_its_scores_are_the_mean_of_its_members_standardised_ones(world, tmp_path):
    made, runtime = plan(world[1], "ensemble", "ridge", "linear_probe"), tiny_runtime(tmp_path, world[1])
    summary = execute_serial(made.specs, runtime, ExecutionOptions())
    assert (len(summary.done), summary.failed) == (6, {})
    store = Store(runtime.results)
    records = {(spec.method, spec.split): record for record, spec in store.sound()}
    for split in (0, 1):
        own, probe, ridge = (records[name, split] for name in ("ensemble", "linear_probe", "ridge"))
        assert own["members"] == [probe["key"], ridge["key"]]
        assert own["made_of"] == [probe["sha256"], ridge["sha256"]]
        assert own["parameters"]["trainable"] == probe["parameters"]["trainable"] + ridge["parameters"]["trainable"]
        assert own["gflops"] == pytest.approx(probe["gflops"] + ridge["gflops"], abs=1e-3)
        arrays = [store.predictions(one["key"])["near:test/predicted"] for one in (own, probe, ridge)]
        standard = [(values - values.mean()) / values.std() for values in arrays[1:]]
        assert arrays[0] == pytest.approx(np.mean(standard, axis=0))
    assert verify(store)[1] == []


def test_without_its_members_it_says_what_to_make_and_keeps_no_failure(world, tmp_path):
    (spec,) = (spec for spec in plan(world[1], "ensemble").specs if spec.split == 0)
    with pytest.raises(DataError, match="no done run of linear_probe on near, split 0, under the same settings"):
        run_with_retry(spec, tiny_runtime(tmp_path, world[1]), lambda *_: None, Signals(), Shared())


OLDER = {"method": "0" * 20, "numerics": 1}


def write(store, spec, **more):
    """A made-up record of a run, and its hash."""
    store.write(record_of(spec, **more), {"near:test/predicted": np.arange(3.0)})
    return store.read(store.runs / f"{spec.key}.json")["sha256"]


def test_it_stands_on_runs_by_todays_code_the_newest_of_them(world, tmp_path):
    (ensemble, _), store = plan(world[1], "ensemble").specs, Store(tmp_path)
    probe, ridge = members_of(ensemble)
    for spec in (probe, ridge):
        write(store, spec.with_tests(("near:test", "far:all")), code=OLDER, run={"finished": "2026-03-03"})
    with pytest.raises(DataError, match=r"no done run of linear_probe on near, .* but one by another version of the h"):
        members(store, (probe, ridge))
    for day, extra in (("2026-02-02", "far:all"), ("2026-01-01", "far:validation")):
        for spec in (probe, ridge):
            write(store, spec, run={"finished": "2026-01-01"})
            write(store, spec.with_tests(("near:test", "far:test", extra)), run={"finished": day})
    assert {member.record["run"]["finished"] for member in members(store, (probe, ridge))} == {"2026-02-02"}


@pytest.mark.parametrize("change", [{"code": OLDER}, {"run": {"host": "elsewhere"}}])
def test_it_is_made_again_where_a_member_is_by_other_code_or_was_made_again(world, tmp_path, change):
    (ensemble, _), store = plan(world[1], "ensemble").specs, Store(tmp_path)
    probe, ridge = members_of(ensemble)
    hashes = [write(store, spec) for spec in (probe, ridge)]
    write(store, ensemble, members=[probe.key, ridge.key], made_of=hashes)
    assert store.pending([ensemble]) == []
    write(store, ridge, **change)
    assert store.pending([ensemble]) == [ensemble]
    assert store.made_by == ["older runs of its members"]
    assert not AnswersSincePlan(store, [ensemble], "changed").given(ensemble)
    marked = {record.key: record.other_code for record in Results.read(store).records}
    assert marked[ensemble.key] == "older runs of its members"
    assert read_status(store).total("older code") == 1 + ("code" in change)


def test_the_backbone_of_its_members_is_in_its_name(world):
    tiny, other = (
        make_plan(Ask(("ensemble",), ("main",), "demo", datasets=("near",), data=world[1], backbone=name)).specs[0]
        for name in (TINY, "vit_tiny_patch16_224")
    )
    assert tiny.key != other.key
    assert {spec.backbone for spec in members_of(other)} == {"vit_tiny_patch16_224"}


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ("glia", "at least two"),
        ("glia,glia", "each once"),
        ("glia,ensemble", "stands on other runs"),
        ("glia,lroa", "Did you mean lora"),
    ],
)
def test_what_it_cannot_stand_on_is_refused_when_it_is_planned(world, of, said):
    ask = Ask(("ensemble",), ("main",), "demo", datasets=("near",), data=world[1], settings=(f"ensemble.of={of}",))
    with pytest.raises(UsageError, match=said):
        make_plan(ask)


@pytest.mark.parametrize(
    ("one", "other"),
    [("lora, linear_probe", "linear_probe,lora"), ("glia,lora,linear_probe", "linear_probe,lora,glia")],
)
def test_its_members_in_another_order_are_the_same_run(world, one, other):
    asks = [
        Ask(("ensemble",), ("main",), "demo", datasets=("near",), data=world[1], settings=(f"ensemble.of={of}",))
        for of in (one, other)
    ]
    assert make_plan(asks[0]).specs == make_plan(asks[1]).specs


def test_a_constant_member_adds_nothing_to_the_order():
    stored = np.array([[1.0, 2.0, 4.0], [7.0, 7.0, 7.0]])
    assert list(np.argsort(METHODS.make("ensemble").combine(stored))) == [0, 1, 2]
    assert isinstance(Runtime.members, tuple)
