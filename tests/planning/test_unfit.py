"""Runs that cannot be are left out with a line where nobody insists on them, and refused where somebody does."""

import pytest

from bench.cli.preflight import look_ahead
from bench.core.errors import UsageError
from bench.core.registry import DATASETS
from bench.planning.plan import Ask, make_plan
from tests.world import make_world, tiny_runtime

BACKBONE = "vit_pwee_patch16_reg1_gap_256"


def plan(methods, preset="demo", protocols=("main",), **more):
    return make_plan(Ask(methods=methods, protocols=protocols, preset=preset, splits=1, **more))


def runs(made):
    return {(spec.method, spec.train) for spec in made.specs}


def test_all_leaves_out_what_a_set_does_not_tell_and_says_so():
    made = plan(("all",))
    assert ("distortion_oracle", "demo_wild") not in runs(made)
    assert {("distortion_oracle", "demo_a"), ("niqe", "demo_wild"), ("mean", "demo_wild")} <= runs(made)
    why = "it needs the distortion and level of each picture, which demo_wild does not tell"
    assert made.unfit[1:] == (f"distortion_oracle on demo_wild: {why}",)
    assert made.unfit[0].startswith("rali: its first stage aligns to a text about each picture: name a file of them")


def test_a_named_method_keeps_the_sets_that_fit_and_loses_a_protocols_others():
    assert runs(plan(("niqe",), "paper")) == {("niqe", name) for name in ("live", "csiq", "tid2013", "kadid10k")}


@pytest.mark.parametrize(
    ("methods", "sets", "said"),
    [
        (("niqe",), ("livec",), "niqe on livec: it needs the undistorted pictures, which livec does not tell"),
        (("niqe", "glia"), ("live", "koniq10k"), "niqe on koniq10k"),
    ],
)
def test_a_method_and_a_set_that_were_both_named_are_refused_with_the_reason(methods, sets, said):
    with pytest.raises(UsageError, match=said):
        plan(methods, "paper", datasets=sets)


def test_a_set_that_is_only_tested_on_must_tell_the_distortion_but_need_not_have_originals():
    made = plan(("niqe", "distortion_oracle"), protocols=("cross",))
    assert {(spec.method, target.dataset) for spec in made.specs for target in spec.tests} == {
        ("niqe", "demo_b"), ("niqe", "demo_wild"), ("distortion_oracle", "demo_b"),
    }  # fmt: skip


def test_own_pictures_tell_nothing_but_scores(tmp_path):
    with pytest.raises(UsageError, match="distortion_oracle on near"):
        plan(("distortion_oracle",), datasets=("near",), data=make_world(tmp_path))


def test_all_leaves_out_what_does_not_take_the_backbone_and_a_name_is_refused(tmp_path, own_methods):
    """Attention of this backbone has no fused map that LoRA could adapt."""
    data = make_world(tmp_path)
    runtime = tiny_runtime(tmp_path, data)
    asked = {"backbone": BACKBONE, "datasets": ("near",), "data": data, "weights": "random", "settings": ("size=256",)}
    made = look_ahead(plan(("all",), **asked), runtime, print)
    methods = {spec.method for spec in made.specs}
    assert "lora" not in methods
    assert {"linear_probe", "mean", "ridge"} <= methods
    assert [why for why in made.unfit if why.startswith("lora: peft's LORA cannot be put into this ViT")]
    with pytest.raises(UsageError, match="lora: "):
        look_ahead(plan(("lora",), **asked), runtime, print)


@pytest.mark.parametrize("name", ["live", "csiq", "tid2013", "kadid10k", "demo_a", "demo_wild"])
def test_a_set_that_says_it_has_originals_is_synthetic(name):
    facts = DATASETS.card(name).facts
    assert "originals" in facts["tells"]
    assert facts["kind"] == "synthetic"
