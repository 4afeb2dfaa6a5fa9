"""`sensitivity`: which runs it plans and shares, what its tables say of made records, and what is undefined."""

from collections import Counter
from dataclasses import replace

import pytest

from bench.core.errors import UsageError
from bench.core.registry import PROTOCOLS
from bench.planning.choices import Choices, Trial
from bench.planning.plan import Ask, make_plan
from bench.planning.presets import DEMO, PAPER, STUDY
from bench.planning.protocol import MethodChoice, Request
from bench.records.results import Results
from bench.report.table import Number
from bench.report.tables.rendering.text import number_text
from protocols.switches import SWITCHES, chosen_switches, setting_of, switches_at
from tests.report.records import body_of, record_of
from tests.report.results import tables_of

DESCENT = 13
"""Rate 2, epoch 2, loss 2, head 1, short side 1, split 1, precision 1; the demo's four crops become 1, 15 and 25."""


def plan(preset=DEMO, methods="lora", datasets=("demo_a",), splits=1, switches="all", **request):
    chosen = tuple(MethodChoice(method) for method in methods.split(",") if method)
    wanted = Request(preset, chosen, datasets, splits, **request)
    return PROTOCOLS.make("sensitivity", {"switches": switches}).plan(wanted)


def changes(base, spec):
    """The fields in which a run differs from another."""
    one, other = base.as_dict(), spec.as_dict()
    recipe = {k: (v, other["recipe"][k]) for k, v in one.pop("recipe").items() if v != other["recipe"][k]}
    return recipe | {k: (v, other[k]) for k, v in one.items() if v != other[k]}


def test_every_run_but_the_first_differs_from_it_in_one_thing():
    base, *others = plan()
    assert len(others) == DESCENT
    turned = [changes(base, spec) for spec in others]
    assert all(len(change) == 1 for change in turned)
    assert Counter(name for change in turned for name in change) == {
        "lr": 2, "test_views": 3, "selection": 2, "head": 1, "loss": 2, "short_side": 1, "split_rule": 1,
        "precision": 1,
    }  # fmt: skip
    assert sorted(change["lr"][1] / base.recipe.lr for change in turned if "lr" in change) == [0.25, 4]
    assert {change["test_views"][1] for change in turned if "test_views" in change} == {1, 15, 25}
    assert next(change for change in turned if "split_rule" in change)["split_rule"] == ("kfold:3", "images:3")


def test_the_runs_as_they_are_are_those_of_main():
    main = PROTOCOLS.make("main").plan(Request(PAPER, (MethodChoice("lora"),), ("csiq",), 10))
    keys = {spec.key for spec in main}
    shared = [spec for spec in plan(PAPER, datasets=("csiq",), splits=10) if spec.key in keys]
    assert len(shared) == len(main) == 10


def test_a_set_whose_pictures_stand_alone_is_split_in_one_way_only():
    assert {spec.split_rule for spec in plan(PAPER, datasets=("koniq10k",))} == {"random"}
    assert {spec.split_rule for spec in plan(PAPER, datasets=("csiq",))} == {"random", "images"}
    assert {spec.split_rule for spec in plan(PAPER, datasets=("of_ones_own",))} == {"random", "images"}


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("ridge", {"test_views", "short_side", "split_rule", "precision"}),
        ("hyperiqa", {"lr", "test_views", "selection", "loss", "short_side", "split_rule", "precision"}),
        ("mean", {"split_rule"}),
    ],
)
def test_a_method_is_turned_only_where_it_notices(method, names):
    base, *others = plan(methods=method)
    assert {name for spec in others for name in changes(base, spec)} == names


@pytest.mark.parametrize("preset", [PAPER, DEMO, STUDY], ids=["paper", "demo", "study"])
def test_each_preset_has_sets_of_its_own_for_it(preset):
    specs = plan(preset, methods="", datasets=())
    assert {spec.train for spec in specs} == set(preset.sensitivity) <= set(preset.main)
    assert len({spec.training_key for spec in specs}) == len(specs)


def test_only_the_named_switches_are_turned():
    base, *others = plan(switches="rate, head")
    assert {name for spec in others for name in changes(base, spec)} == {"lr", "head"}


@pytest.mark.parametrize(
    ("switches", "said"),
    [("rates", "no switch 'rates'"), ("", "names none"), ("plcc", "turns no run"), ("rate,x", "no switch 'x'")],
)
def test_switches_that_turn_nothing_are_refused(switches, said):
    with pytest.raises(UsageError, match=said):
        plan(switches=switches)


def test_what_bench_tune_chose_is_not_turned():
    tuned = Choices({"lora": {"demo_a": {0: [Trial({"lr": 1e-3}, 0.9)]}}})
    with pytest.raises(UsageError, match=r"turns rate, which bench tune chose for lora.*--set switches=crops,"):
        plan(tuned=tuned)
    base, *others = plan(tuned=tuned, switches="head,loss")
    assert {name for spec in others for name in changes(base, spec)} == {"head", "loss"}
    assert {spec.recipe.lr for spec in (base, *others)} == {1e-3}


def test_the_split_is_not_turned_under_what_was_chosen_inside_it():
    tuned = Choices({"lora": {"demo_a": {0: [Trial({"lr": 1e-3}, 0.9)]}}})
    said = r"turns split, inside which bench tune chose for lora: leave out --recipe tuned"
    with pytest.raises(UsageError, match=rf"{said}, or --set switches=head$"):
        plan(tuned=tuned, switches="head,split")
    with pytest.raises(UsageError, match=rf"{said}\.$"):
        plan(tuned=tuned, switches="split")
    elsewhere = Choices({"lora": {"demo_b": {0: [Trial({"lr": 1e-3}, 0.9)]}}})
    assert {spec.split_rule for spec in plan(tuned=elsewhere, switches="split")} == {"kfold:3", "images:3"}


def test_its_cost_is_said_before_it_starts_and_what_is_left_out():
    said = " ".join(make_plan(Ask(("lora", "ridge", "all"), ("sensitivity",), "demo", datasets=("demo_a",))).said)
    methods = make_plan(Ask(("all",), ("sensitivity",), "demo", datasets=("demo_a",))).specs
    count = len({spec.method for spec in methods}) * DEMO.splits
    assert f"sensitivity: {count} runs as they are" in said
    assert f"{len(methods) - count} with one thing changed (rate " in said
    assert "of crops only test again" in said
    assert "Left out of sensitivity: ensemble" in said
    exact = " ".join(make_plan(Ask(("lora",), ("sensitivity",), "demo", datasets=("demo_a",), splits=2)).said)
    assert "2 runs as they are, which main makes too, and 26 with one thing changed (rate 4, crops 6, epoch 4" in exact


def test_a_method_that_stands_on_others_is_refused_where_it_was_typed():
    with pytest.raises(UsageError, match="No run of sensitivity is planned for --method ensemble"):
        make_plan(Ask(("lora", "ensemble"), ("sensitivity",), "demo", datasets=("demo_a",)))


# Tables --------------------------------------------------------------------------------------------------------------

AS_THEY_ARE = {"lora": 0.7, "adapter": 0.8, "glia": 0.9}


def made(spec, srcc, **changed):
    """A record whose SRCC is as wanted, a little higher in each further split; both PLCCs beside it."""
    value = srcc + 0.01 * spec.split
    metrics = dict(body_of(spec)["metrics"]["demo_a:test"]) | {"srcc": value, "plcc": value, "plcc_raw": value - 0.02}
    return record_of(spec, metrics={"demo_a:test": metrics}, **changed)


def records(effects, methods="lora,adapter,glia", switches="all", splits=3):
    """Records of a plan: `effects` say what a change to a text does to which method."""
    specs = plan(methods=methods, switches=switches, splits=splits)
    texts = {
        other: text
        for others in switches_at(dict.fromkeys(map(setting_of, specs))).values()
        for (_, text), other in others.items()
    }
    return [
        made(spec, AS_THEY_ARE[spec.method] + effects.get(texts.get(setting_of(spec), ""), {}).get(spec.method, 0.0))
        for spec in specs
    ]


def rows(table):
    """By its leading cells, the numbers of a row."""
    return {row.lead: row.cells for row in table.rows}


@pytest.fixture(scope="module")
def tables():
    return tables_of("sensitivity", records({"rate × 4": {"lora": 0.15}, "linear head": {"glia": -0.3}}))


def test_each_difference_is_paired_over_splits_with_its_interval(tables):
    before, after, difference = rows(tables["sensitivity_demo"])["rate × 4", "LoRA"]
    assert (before.value, after.value) == pytest.approx((0.71, 0.86))
    assert (difference.value, difference.low, difference.high) == pytest.approx((0.15, 0.15, 0.15))
    assert number_text(difference) == "+0.150 [+0.150, +0.150]"
    assert (difference.n, difference.of) == (3, 3)
    unmoved = rows(tables["sensitivity_demo"])["rate × ¼", "LoRA"][2]
    assert number_text(unmoved) == "+0.000 [+0.000, +0.000]"


def test_each_change_ends_in_tau_between_the_orders(tables):
    found = rows(tables["sensitivity_demo"])
    assert found["rate × 4", "order: tau"][2].value == pytest.approx(1 / 3), "LoRA passes one"
    assert found["linear head", "order: tau"][2].value == pytest.approx(-1 / 3), "GLIA falls behind both"
    assert found["rate × ¼", "order: tau"][2].value == 1
    assert number_text(found["rate × 4", "order: tau"][2]) == "0.333 [0.333, 0.333]"


def test_raw_and_mapped_plcc_come_from_the_same_records(tables):
    before, after, difference = rows(tables["sensitivity_demo"])["raw PLCC", "GLIA"]
    assert (before.value, after.value, difference.value) == pytest.approx((0.91, 0.89, -0.02))
    assert {cell.facts["metric"] for cell in (before, after, difference)} == {"plcc", "plcc_raw", "plcc difference"}


def test_the_summary_names_what_moves_most_and_who_is_first(tables):
    mean, largest, of, tau, pairs, first = rows(tables["sensitivity_order_demo"])["Learning rate", "rate × 4"]
    assert (mean.value, largest.value, of) == (pytest.approx(0.05), pytest.approx(0.15), "LoRA")
    assert (tau.value, pairs, first) == (pytest.approx(1 / 3), "2/1/0", "GLIA")
    assert rows(tables["sensitivity_order_demo"])["Head", "linear head"][5] == "GLIA → Adapter"


def test_all_switches_have_rows_in_their_order(tables):
    titles = dict.fromkeys(row.lead[0] for row in tables["sensitivity_order_demo"].rows)
    assert list(titles) == [switch.title for switch in SWITCHES]


def test_one_method_moves_but_has_no_order():
    found = tables_of("sensitivity", records({"rate × 4": {"lora": 0.15}}, "lora"))
    row = next(row for row in found["sensitivity_demo"].rows if row.lead == ("rate × 4", "order: tau"))
    assert row.cells[2] == "–"
    assert row.notes == ("Order: fewer than two methods have no order.",)
    assert rows(found["sensitivity_demo"])["rate × 4", "LoRA"][2].value == pytest.approx(0.15)


def test_fewer_than_three_splits_have_no_interval():
    table = tables_of("sensitivity", records({"rate × 4": {"lora": 0.15}}, splits=2))["sensitivity_demo"]
    assert number_text(rows(table)["rate × 4", "LoRA"][2]) == "+0.150"
    assert number_text(rows(table)["rate × 4", "order: tau"][2]) == "0.333"
    assert "no interval" in table.notes[0]


def test_a_method_that_a_change_does_not_concern_keeps_its_place_in_the_order():
    specs = plan(methods="lora,ridge", switches="rate", splits=3)
    found = [made(spec, {"ridge": 0.8}.get(spec.method, 0.7) + 0.2 * (spec.recipe.lr > 2e-3)) for spec in specs]
    table = tables_of("sensitivity", found)["sensitivity_demo"]
    assert ("rate × 4", "Ridge") not in rows(table)
    assert rows(table)["rate × 4", "order: tau"][2].value == -1


def test_a_method_whose_changed_run_is_not_made_yet_is_in_no_order_of_that_change():
    found = [record for record in records({}) if not (record.spec.method == "glia" and record.spec.recipe.lr > 2e-3)]
    table = tables_of("sensitivity", found)["sensitivity_demo"]
    assert ("rate × 4", "GLIA") not in rows(table)
    assert isinstance(rows(table)["rate × 4", "order: tau"][2], Number)


def test_without_a_change_there_is_no_table():
    assert tables_of("sensitivity", [r for r in records({}) if r.spec.recipe.lr == 2e-3][:1]) == {}
    assert tables_of("sensitivity", Results([])) == {}


def test_the_first_of_two_settings_is_the_plain_one_and_what_was_turned_is_no_base():
    base, *others = plan(switches="rate")
    settings = [setting_of(spec) for spec in (base, *others)]
    assert list(switches_at(settings)) == [settings[0]]
    assert switches_at([settings[0]]) == {settings[0]: {}}


def test_many_switches_leave_no_rows_in_main_but_one_does():
    main = tables_of("main", records({}))
    assert [row.lead[0].split(" (")[0] for row in main["main_demo"].rows] == ["Adapter", "LoRA", "GLIA"]
    assert {"main_val_demo", "main_oracle_demo", "main_images3_demo"} <= set(main), "other rules, other tables"
    own = tables_of("main", records({}, switches="loss"))["main_demo"]
    assert sum("loss=" in row.label for row in own.rows) == 6


def test_runs_with_another_setting_of_everybody_have_tables_of_their_own():
    specs = plan(switches="rate", splits=3, recipe={"epochs": 1})
    both = [made(spec, 0.5) for spec in specs] + records({}, switches="rate")
    assert {"sensitivity_demo", "sensitivity_epochs1_demo"} <= set(tables_of("sensitivity", both))


def test_seeds_of_folds_are_more_splits_of_one_row():
    specs = [
        replace(s, recipe=replace(s.recipe, seed=seed)) for seed in (0, 1) for s in plan(switches="head", splits=3)
    ]
    table = tables_of("sensitivity", [made(spec, 0.5) for spec in specs])["sensitivity_demo"]
    assert rows(table)["linear head", "LoRA"][2].n == 6


def test_all_is_every_switch():
    assert chosen_switches("all") == list(SWITCHES)
