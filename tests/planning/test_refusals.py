"""Nothing that was typed is dropped, and nothing is trained that no table would show."""

import pytest

from bench.core.errors import UsageError
from bench.core.registry import METHODS, PROTOCOLS
from bench.planning.choices import Choices, Trial
from bench.planning.plan import Ask, Settings, make_plan
from bench.planning.presets import DEMO, PAPER
from bench.planning.protocol import MethodChoice, Request

SMALL = "vit_small_patch16_224.augreg_in21k_ft_in1k"
STANDS_ON = ("ensemble", "lora", "glia", "linear_probe")


def plan(protocol, *methods, preset="paper", **more):
    return make_plan(Ask(methods=methods, protocols=(protocol,), preset=preset, splits=1, **more))


@pytest.mark.parametrize(
    ("protocols", "asked", "says"),
    [
        (
            ("pretraining", "scale", "ablation"),
            {"backbone": SMALL},
            r"takes no --backbone: it goes through backbones of its own, and --protocol main takes any\.$",
        ),
        (("pretraining", "scale", "ablation"), {"weights": "random"}, "takes no --weights: it goes through weights"),
        (
            ("components", "guidance", "modules", "pretraining", "scale", "ablation"),
            {"budget": "2M"},
            "takes no --budget: --protocol strategies_matched --budget 2000000 makes and shows sized runs",
        ),
        (
            (
                "data_efficiency", "cross", "joint", "gmad", "matrix", "sensitivity", "distortions", "components",
                "guidance", "modules", "ablation",
            ),
            {"settings": ("fraction=0.3",)},
            "takes no --set fraction: --protocol data_efficiency --set fractions=0.3 makes and shows smaller",
        ),
    ],
)  # fmt: skip
def test_what_a_protocol_would_override_or_no_table_would_show_is_refused_with_what_to_type(protocols, asked, says):
    for name in protocols:
        with pytest.raises(UsageError, match=f"Protocol {name} {says}"):
            plan(name, "glia", **asked)


def test_a_protocol_names_in_what_it_refuses_nothing_else_than_can_be_refused():
    named = {wish for name in PROTOCOLS.names() for wish in PROTOCOLS.card(name).facts["refuses"]}
    assert named == {"backbone", "weights", "fraction", "budget"}


def test_a_protocol_that_has_its_own_value_for_what_was_asked_for_says_so():
    asked = Request(DEMO, common={"fraction": 0.3, "weights": "pretrained"})
    own = {"fraction": 0.5, "weights": "random"}
    with pytest.raises(UsageError, match=r"fraction=0\.3 was asked for, and the protocol has its own: fraction=0\.5"):
        asked.spec(MethodChoice("lora"), "demo_a", ["demo_a:test"], 0, **own)
    plain = Request(DEMO, common={"weights": "pretrained"})
    assert plain.spec(MethodChoice("lora"), "demo_a", ["demo_a:test"], 0, **own).weights == "random", "nobody asked"


def test_a_backbone_that_stands_in_bench_toml_is_for_the_protocols_that_take_one():
    standing = {"backbone": SMALL, "standing": frozenset({"backbone"}), "datasets": ("koniq10k",)}
    assert {spec.backbone for spec in plan("pretraining", "lora", **standing).specs} == set(PAPER.backbones)
    assert {spec.backbone for spec in plan("main", "lora", **standing).specs} == {SMALL}


def test_a_method_that_stands_in_bench_toml_is_for_the_protocols_that_take_it():
    standing = {"standing": frozenset({"method"}), "datasets": ("koniq10k",)}
    made = plan("components", "glia", "lora", **standing)
    assert ({spec.method for spec in made.specs}, made.unfit) == (
        {"glia"},
        ("lora of bench.toml: no run of components is planned for it",),
    )
    assert plan("main", "glia", "lora", **standing).unfit == ()
    with pytest.raises(UsageError, match=r"no run with \[run\] method=lora of bench\.toml; without it there are"):
        plan("components", "lora", **standing)


def test_the_budget_that_was_typed_is_that_of_every_matched_strategy():
    assert {spec.budget for spec in plan("strategies_matched", "lora", budget="1M").specs} == {1_000_000}
    with pytest.raises(UsageError, match="budget=1000000 was asked for, and the protocol has its own: budget=2000000"):
        plan("strategies_matched", "lora", budget="1M", settings=("budget=2000000",))


@pytest.mark.parametrize("typed", [{"settings": ("lora.rank=32",)}, {"file": Settings(methods={"lora": {"rank": 32}})}])
def test_a_budget_goes_before_a_size_that_was_set(typed):
    free = plan("main", "lora", budget="300K", datasets=("koniq10k",)).specs[0]
    usual = free.options | {"rank": METHODS.card("lora").defaults()["rank"]}
    assert plan("main", "lora", budget="300K", datasets=("koniq10k",)).specs[0].options == usual, "the default fits"
    assert plan("main", "lora", budget="300K", datasets=("koniq10k",), **typed).specs[0].options == usual


def test_a_budget_leaves_out_what_all_methods_bring_and_refuses_what_was_typed():
    made = plan("main", "all", budget="2M", datasets=("koniq10k",))
    assert {"lora", "adapter"} <= {spec.method for spec in made.specs}
    assert "bitfit has no option that changes its size, so it cannot be fitted to a budget" in made.unfit
    with pytest.raises(UsageError, match="bitfit has no option that changes its size"):
        plan("main", "lora", "bitfit", budget="2M")
    with pytest.raises(UsageError, match="adapter cannot be fitted to 3 parameters"):
        plan("main", "all", budget="3")


def test_a_budget_without_a_method_is_refused_where_nothing_would_be_sized():
    with pytest.raises(UsageError, match="--budget sizes the methods that are named: say which with --method"):
        plan("main", budget="2M")


@pytest.fixture
def tuned():
    """What bench tune would have chosen in every split of KonIQ-10k."""
    trials = dict.fromkeys(range(10), [Trial({"lr": 1e-4}, 0.5), Trial({"lr": 1e-3}, 0.7)])
    return Choices({name: {"koniq10k": trials} for name in STANDS_ON[1:]})


def test_an_ensemble_that_would_not_stand_on_the_runs_beside_it_is_refused(tuned):
    on_koniq = {"datasets": ("koniq10k",)}
    assert len(plan("main", *STANDS_ON, **on_koniq).specs) == 4
    with pytest.raises(
        UsageError, match=r"usual run of linear_probe, and the one beside it has .*lr=0\.001.*Leave out"
    ):
        plan("main", *STANDS_ON, tuned=tuned, **on_koniq)
    with pytest.raises(UsageError, match="usual run of deiqt, and the one beside it has recipe_from=own"):
        plan("main", "ensemble", "hyperiqa", "deiqt", own_recipes=True, settings=("ensemble.of=hyperiqa,deiqt",))
    with pytest.raises(UsageError, match=r"usual run of glia, and the one beside it has rank=32\. Leave out ensemble"):
        plan("main", *STANDS_ON, settings=("glia.rank=32",), **on_koniq)
    with pytest.raises(UsageError, match=r"usual run of vpt, and the one beside it has dropout=0\.5\. "):
        plan("main", "ensemble", "vpt", "lora", settings=("ensemble.of=vpt,lora", "vpt.dropout=0.5"), **on_koniq)
    with pytest.raises(UsageError, match=r"usual run of linear_probe, and .* epochs=4, lr=0\.002"):
        plan("main", *STANDS_ON, preset="demo", settings=("lr=0.002", "epochs=4"), datasets=("demo_a",))


def test_all_methods_leave_such_an_ensemble_out_and_say_why(tuned):
    made = plan("main", "all", tuned=tuned, datasets=("koniq10k",))
    assert "ensemble" not in {spec.method for spec in made.specs}
    assert any(line.startswith("ensemble on koniq10k: it stands on the usual run of") for line in made.unfit)


def test_a_cnn_of_ones_own_is_in_the_name_of_no_run_that_has_none(tmp_path):
    file = tmp_path / "cnn.safetensors"
    file.write_bytes(b"c" * 100)
    methods = ("lora", "glia", "full_finetune", "ridge", "loda", "hyperiqa", "ridge_cnn", "ensemble")
    asked = {"datasets": ("koniq10k",)}
    plain, other = (plan("main", *methods, **asked, **more) for more in ({}, {"cnn_weights": file}))
    renamed = {spec.method for spec in other.specs} - {
        spec.method for spec in other.specs if spec.key in {one.key for one in plain.specs}
    }
    assert renamed == {"loda", "hyperiqa", "ridge_cnn", "ensemble"}, "an ensemble may stand on them"
    with pytest.raises(UsageError, match="--cnn-weights: none of the planned methods has a CNN"):
        plan("main", "lora", "glia", cnn_weights=file, **asked)


def test_a_share_that_is_all_that_a_fold_trains_on_is_refused_and_not_trained_under_another_key():
    with pytest.raises(UsageError, match=r"^fraction=0\.7 of demo_a is no part of what kfold:3 trains on, which is 66"):
        plan("main", "lora", preset="demo", settings=("fraction=0.7",))
    for sound in ("fraction=0.6", "fraction=0.8"):
        assert plan("main", "lora", preset="demo", settings=(sound,)).specs


def test_a_preset_without_any_set_for_a_protocol_is_named_and_not_the_methods():
    with pytest.raises(UsageError, match=r"^Protocol official has no run with preset demo\.$"):
        plan("official", "lora", preset="demo")


def test_sets_that_are_named_beside_a_mix_are_tested_on():
    (spec,) = plan("joint", "lora", train_on=("koniq10k+livec",), datasets=("csiq",)).specs
    assert set(spec.tests) == {"koniq10k:test", "livec:test", "csiq:all"}
