"""Two runs share a row only if nothing but split and dataset sets them apart."""

from dataclasses import fields, replace

import pytest

from bench.core.spec import RunSpec
from bench.planning.choices import Choices, Trial
from bench.planning.presets import DEMO
from bench.planning.protocol import MethodChoice, Request
from bench.report.arms import Arm, arms_of, count_text
from protocols.switches import setting_of
from tests.report.records import record_of
from tests.report.results import specs_of

EXPERIMENT = {"train", "tests", "split", "fraction", "source"}
"""What a column or a line says of a run; everything else must be in its arm."""


@pytest.fixture(scope="module")
def spec() -> RunSpec:
    """One GLIA run of the paper preset."""
    return specs_of("main", "paper", "glia", ["livec"], splits=1)[0]


def arm_of(spec: RunSpec) -> Arm:
    """The arm of a run."""
    record = record_of(spec)
    return arms_of([record])[record]


def test_no_field_of_a_run_is_forgotten():
    assert {f.name for f in fields(RunSpec)} == EXPERIMENT | {f.name for f in fields(Arm)}


def test_splits_and_datasets_belong_to_one_arm(spec):
    others = specs_of("main,cross", "paper", "glia", splits=3)
    assert {arm_of(other) for other in others} == {arm_of(spec)}
    assert arm_of(spec).run_changes() == arm_of(spec).option_changes() == ()


@pytest.mark.parametrize(
    ("change", "label"),
    [
        ({"backbone": "vit_small_patch16_224"}, "backbone=vit_small_patch16_224"),
        ({"weights": "random"}, "weights=random"),
        ({"cnn_weights": "file:ab"}, "cnn_weights=file:ab"),
        ({"precision": "bf16"}, "precision=bf16"),
        ({"recipe_from": "tuned"}, "recipe_from=tuned"),
        ({"split_rule": "official"}, "split_rule=official"),
        ({"budget": 1000}, "budget=1000"),
        ({"limit": 50}, "limit=50"),
    ],
)
def test_every_other_change_is_an_arm_of_its_own_and_named(spec, change, label):
    arm = arm_of(replace(spec, **change))
    assert arm != arm_of(spec)
    assert arm.run_changes() == (label,)


def test_a_changed_recipe_and_option_are_named(spec):
    changed = replace(spec, options={**spec.options, "rank": 32}, recipe=replace(spec.recipe, lr=1e-3, flips=False))
    arm = arm_of(changed)
    assert arm.option_changes() == ("rank=32",)
    assert arm.run_changes() == ("lr=0.001", "flips=no")


def test_what_follows_from_a_tuned_option_makes_no_arm_of_its_own():
    choices = Choices({"glia": {"demo_a": {s: [Trial({"grid": grid}, 0.5)] for s, grid in enumerate((2, 4))}}})
    request = Request(DEMO, tuned=choices)
    specs = [request.spec(MethodChoice("glia"), "demo_a", ("demo_a:test",), split) for split in (0, 1)]
    assert [spec.options["fragment"] for spec in specs] == [56, 28]
    (arm,) = {arm_of(spec) for spec in specs}
    assert arm.label() == "GLIA, tuned=grid"
    assert setting_of(specs[0]) == setting_of(specs[1])


def test_the_short_side_that_follows_from_a_tuned_size_makes_no_arm_of_its_own_and_one_that_was_set_does():
    choices = Choices({"lora": {"demo_a": {s: [Trial({"size": size}, 0.5)] for s, size in enumerate(("native", 112))}}})

    def arms(**recipe):
        request = Request(DEMO, recipe=recipe, tuned=choices, native=lambda backbone: 224)
        specs = [request.spec(MethodChoice("lora"), "demo_a", ("demo_a:test",), split) for split in (0, 1)]
        return [spec.recipe.short_side for spec in specs], {arm_of(spec).label() for spec in specs}

    assert arms() == ([384, 192], {"LoRA, tuned=size"})
    assert arms(short_side=300) == ([300, 300], {"LoRA, short_side=300, tuned=size"})


@pytest.mark.parametrize(
    ("count", "text"), [(768, "768"), (294_912, "295K"), (8_045_000, "8.04M"), (85_798_656, "85.8M"), (1.2e9, "1.2G")]
)
def test_counts_read_as_in_the_papers(count, text):
    assert count_text(count) == text
