"""The ensemble makes its scores of stored predictions, of the very runs that a plan makes beside it."""

from __future__ import annotations

import numpy as np
import pytest

from bench.core.errors import DataError, UsageError
from bench.core.registry import METHODS
from bench.core.runtime import Runtime
from bench.execution.attempt import run_with_retry
from bench.execution.orders import ExecutionOptions
from bench.execution.serial import execute_serial
from bench.planning.members import members_of
from bench.planning.plan import Ask, make_plan
from bench.records.store import Store
from bench.report.verify import verify
from bench.training.shared import Shared
from bench.training.signals import Signals
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


def test_a_constant_member_adds_nothing_to_the_order():
    stored = np.array([[1.0, 2.0, 4.0], [7.0, 7.0, 7.0]])
    assert list(np.argsort(METHODS.make("ensemble").combine(stored))) == [0, 1, 2]
    assert isinstance(Runtime.members, tuple)
