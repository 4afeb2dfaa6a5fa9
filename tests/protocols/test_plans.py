"""Every protocol plans what its paper's table needs, shares runs with the others, and plans fast without torch."""

import subprocess
import sys
import time
from collections import Counter

import pytest

from bench.core.errors import UsageError
from bench.core.registry import PROTOCOLS
from bench.planning.budgets import size_to_budget
from bench.planning.presets import DEMO, PAPER
from bench.planning.protocol import MethodChoice, Request, merge
from protocols.ablation import PARTS
from protocols.data_efficiency import DataEfficiency
from protocols.strategies_matched import BUDGETS, KNOBS, SOLVED, solve

SIZED = "strategies_matched"
EVERY = PROTOCOLS.names()
OF_REAL_SETS = ("official", "koniq_cross")
"""Protocols about splits that authors published: no set that is made here has one."""


def plan(name: str, preset=PAPER, methods: str = "", **request):
    """A protocol's plan."""
    options = request.pop("options", {})
    chosen = tuple(MethodChoice(method) for method in methods.split(",") if method)
    wanted = Request(preset, chosen, splits=request.pop("splits", preset.splits), **request)
    return PROTOCOLS.make(name, options).plan(wanted)


def test_main_is_every_method_on_every_set_and_split():
    specs = plan("main", methods="glia,lora")
    assert len(specs) == 2 * 8 * 10
    assert {spec.tests for spec in specs} == {(f"{name}:test",) for name in PAPER.main}
    assert {spec.fraction for spec in specs} == {0.8}


def test_an_unfinished_main_already_compares_all_methods():
    first = plan("main", methods="glia,lora")[:16]
    assert {spec.split for spec in first} == {0}
    assert {spec.method for spec in first} == {"glia", "lora"}


def test_cross_trains_once_for_all_targets_of_a_source():
    specs = plan("cross", methods="glia", splits=1)
    assert {spec.train: spec.tests for spec in specs} == {
        "flive": ("koniq10k:all", "livec:all"),
        "livec": ("koniq10k:all",),
        "koniq10k": ("livec:all",),
        "live": ("csiq:all",),
        "csiq": ("live:all",),
    }


def test_cross_may_use_the_whole_source():
    assert {spec.source for spec in plan("cross", options={"source": "all"}, splits=1)} == {"all"}


def test_cross_pairs_named_datasets_that_no_paper_paired():
    specs = plan("cross", methods="glia", datasets=("spaq", "flive"), splits=1)
    assert {(spec.train, spec.tests) for spec in specs} == {("spaq", ("flive:all",)), ("flive", ("spaq:all",))}


def test_data_efficiency_plans_every_fraction_and_the_full_part():
    fractions = Counter(spec.fraction for spec in plan("data_efficiency", methods="glia", splits=1))
    assert fractions == {0.2: 2, 0.4: 2, 0.6: 2, 0.8: 2}


def test_data_efficiency_takes_other_fractions():
    specs = plan("data_efficiency", methods="glia", splits=1, options={"fractions": "0.05, 0.1"})
    assert {spec.fraction for spec in specs} == {0.05, 0.1, 0.8}


@pytest.mark.parametrize("fractions", ["0", "0.9", "1,x", "-0.2"])
def test_impossible_fractions_are_refused(fractions):
    with pytest.raises(UsageError, match="fractions="):
        DataEfficiency(fractions=fractions).plan(Request(DEMO, splits=1))


def test_in_folds_a_share_that_is_no_part_of_what_they_train_on_is_refused():
    specs = plan("data_efficiency", DEMO, methods="glia", splits=1, options={"fractions": "0.6"})
    assert {spec.fraction for spec in specs} == {0.6, 0.8}
    with pytest.raises(UsageError, match="0.7 of demo_a is no part of what kfold:3 trains on, which is 66.7%"):
        plan("data_efficiency", DEMO, methods="glia", splits=1, options={"fractions": "0.7"})


def test_components_are_the_three_of_glias_table_4():
    specs = plan("components", splits=1, datasets=("csiq",))
    assert [(spec.options["glr"], spec.options["lgf"]) for spec in specs] == [
        (True, False),
        (False, True),
        (True, True),
    ]


def test_guidance_is_the_four_pairings_of_glias_table_5():
    pairs = {(spec.options["guidance"], spec.options["main"]) for spec in plan("guidance", splits=1)}
    assert len(pairs) == 4


def test_modules_are_the_three_of_lodas_table_7():
    specs = plan("modules", splits=1, datasets=("kadid10k",))
    assert [(spec.method, spec.options.get("injector")) for spec in specs] == [
        ("full_finetune", None),
        ("loda", False),
        ("loda", True),
    ]


def test_an_ablation_of_glia_keeps_the_options_the_user_gave_it():
    request = Request(PAPER, (MethodChoice("glia", {"rank": 32}),), splits=1)
    assert {spec.options["rank"] for spec in PROTOCOLS.make("components").plan(request)} == {32}


def test_an_ablation_of_glia_is_empty_when_glia_is_not_asked_for():
    assert plan("components", methods="lora") == []


def test_pretraining_and_scale_vary_the_backbone_only():
    assert {spec.backbone for spec in plan("pretraining", splits=1)} == set(PAPER.backbones)
    assert {spec.backbone for spec in plan("scale", splits=1)} == set(PAPER.scales)


def test_a_preset_with_one_kind_of_pretraining_is_compared_with_none():
    assert {spec.weights for spec in plan("pretraining", DEMO)} == {"pretrained", "random"}


def test_distortions_and_gmad_train_nothing_of_their_own():
    methods = "glia,lora,full_finetune"
    main = {spec.training_key for spec in plan("main", methods=methods)}
    cross = {spec.training_key for spec in plan("cross", methods=methods)}
    assert {spec.training_key for spec in plan("distortions", methods=methods)} <= main
    assert {spec.training_key for spec in plan("gmad", methods=methods)} <= cross


def test_what_two_protocols_share_is_run_once():
    main, cross = plan("main", methods="glia", splits=1), plan("cross", methods="glia", splits=1)
    merged = merge(main + cross)
    assert len(merged) == len(main)
    koniq = next(spec for spec in merged if spec.train == "koniq10k")
    assert koniq.tests == ("koniq10k:test", "livec:all")


def test_the_ablation_is_all_its_parts():
    assert set(PARTS) < set(PROTOCOLS.names())
    parts = merge([spec for name in PARTS for spec in plan(name, DEMO)])
    assert {spec.key for spec in parts} == {spec.key for spec in merge(plan("ablation", DEMO))}


def test_a_matched_strategy_says_its_budget_and_what_cannot_be_sized_is_left_out():
    specs = plan(SIZED, DEMO, "linear_probe,lora,glia", splits=1)
    assert {spec.method for spec in specs} == {"lora", "glia"}
    assert {spec.budget for spec in specs} == {2_000_000}
    plain = plan("strategies", DEMO, "lora", splits=1)[0]
    assert next(spec for spec in specs if spec.method == "lora").options["rank"] > plain.options["rank"]


@pytest.mark.parametrize("preset", [PAPER, DEMO], ids=["paper", "demo"])
def test_the_sizes_known_beforehand_are_those_that_the_budget_solver_finds(preset):
    request = Request(preset, splits=1, sizer=size_to_budget)
    for name, knob in KNOBS.items():
        found = solve(request, MethodChoice(name), preset.backbone, BUDGETS[preset.name])
        assert (found or {}).get(knob) == SOLVED[preset.name].get(name), name


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("preset", [PAPER, DEMO], ids=["paper", "demo"])
def test_every_protocol_has_a_title_and_a_plan_in_both_presets(name, preset):
    assert PROTOCOLS.card(name).facts["title"]
    assert PROTOCOLS.card(name).summary
    if preset is DEMO and name in OF_REAL_SETS:
        return
    specs = plan(name, preset, splits=1)
    assert specs
    assert {spec.preset for spec in specs} == {preset.name}


def test_a_plan_of_thousands_takes_under_two_seconds_and_no_torch():
    """CPU time of a process of its own: every protocol, every method, the paper preset."""
    code = f"""
import sys, time
start = time.process_time()
from bench.planning.presets import PAPER
from bench.planning.protocol import MethodChoice, Request, merge
from bench.core.registry import METHODS, PROTOCOLS
every = [name for name in METHODS.names() if not METHODS.card(name).facts.get("family")]
request = Request(PAPER, tuple(MethodChoice(name) for name in every), splits=10)
specs = merge([spec for name in {EVERY!r} for spec in PROTOCOLS.make(name).plan(request)])
keys = {{spec.key for spec in specs}}
print(len(keys), time.process_time() - start, "torch" in sys.modules or "scipy" in sys.modules)
"""
    best = 99.0
    for _ in range(2):
        begin = time.perf_counter()
        out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
        assert time.perf_counter() - begin < 60
        count, seconds, heavy = int(out[0]), float(out[1]), out[2]
        best = min(best, seconds)
        assert count > 2000
        assert heavy == "False"
    assert best < 2
