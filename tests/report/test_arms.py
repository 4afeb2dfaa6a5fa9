"""Two runs share a row only if nothing but split and dataset sets them apart."""

from dataclasses import fields, replace

import pytest

from bench.core.spec import RunSpec
from bench.report.arms import Arm, arms_of, count_text
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


@pytest.mark.parametrize(
    ("count", "text"), [(768, "768"), (294_912, "295K"), (8_045_000, "8.04M"), (85_798_656, "85.8M"), (1.2e9, "1.2G")]
)
def test_counts_read_as_in_the_papers(count, text):
    assert count_text(count) == text
