"""Tuning: what is chosen for a run never rests on contents that the run is tested on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import UsageError
from bench.core.spec import RunSpec
from bench.planning.budgets import sized_to
from bench.planning.choices import Choices, Trial, best, choices_path, made_with, read_choices, write_choices
from bench.planning.plan import Ask, make_plan
from bench.planning.presets import DEMO, PAPER, STUDY
from bench.planning.protocol import MethodChoice, Request
from bench.planning.tuning import Search, candidates, trials
from bench.records.store import Store
from bench.report.arms import arms_of
from bench.report.table import MEASURED
from bench.training.run import make_run
from bench.training.session import prepare
from tests.report.records import records_of
from tests.report.results import tables_of
from tests.world import RECIPE, TINY, make_world, tiny_runtime

FAST, SLOW = {"lr": 1e-1}, {"lr": 1e-3}


def tried(*srccs):
    """Two candidates in each split, with these SRCCs of the fast one where the slow one has .5."""
    return {split: [Trial(FAST, srcc), Trial(SLOW, 0.5)] for split, srcc in enumerate(srccs)}


def spec_of(choices, train="live", tests=("live:test",), split=0, preset=PAPER, method="lora", **request):
    options = request.pop("options", {})
    return Request(preset, tuned=choices, **request).spec(MethodChoice(method, options), train, tests, split)


def test_every_candidate_of_a_split_is_trained_and_scored_inside_its_training_part(tmp_path):
    runtime = tiny_runtime(tmp_path, make_world(tmp_path / "sets"))
    common = {"backbone": TINY, "weights": "random"}
    search = Search("linear_probe", "near", DEMO, 3, rates=(1e-2, 1e-1), common=common, recipe=RECIPE)
    found = candidates(search)
    assert [(one.split, one.settings["lr"]) for one in found] == [(s, lr) for s in range(3) for lr in (1e-2, 1e-1)]
    for candidate in found:
        session = prepare(candidate.spec, runtime)
        _, scored = session.target("near:validation")
        groups = session.dataset.table["group"].to_numpy()
        tested = set(groups[session.split.test])
        assert len(scored)
        assert not tested & {*groups[scored], *groups[session.split.train]}
        assert not set(groups[scored]) & set(groups[session.split.train])
        plain = prepare(candidate.spec.with_tests(("near:test",)), runtime).split
        assert np.array_equal(plain.test, session.split.test)


@pytest.mark.parametrize(
    "said", [{"recipe": {"selection": "oracle"}}, {"option": "selection", "values": ("last", "oracle")}]
)
def test_no_candidate_s_epoch_is_chosen_by_the_test_part_of_its_split(said):
    with pytest.raises(UsageError, match="selection=oracle lets the test part of a split choose the epoch"):
        candidates(Search("lora", "near", DEMO, 1, **said))
    assert candidates(Search("lora", "study_tune", STUDY, 1, **said)), "nothing else is tested on a set that is kept"


def test_trials_are_read_from_records_by_split(tmp_path):
    runtime = tiny_runtime(tmp_path, make_world(tmp_path / "sets"))
    store = Store(runtime.results)
    common = {"backbone": TINY, "weights": "random"}
    found = candidates(Search("linear_probe", "near", DEMO, 2, rates=(1e-1,), common=common, recipe=RECIPE))
    store.write(*make_run(found[0].spec, runtime))
    by_split = trials(found, store, {found[1].spec.key: "no memory"})
    assert by_split[0][0].srcc is not None
    assert (by_split[1][0].srcc, by_split[1][0].why) == (None, "no memory")


def test_each_split_takes_what_was_chosen_in_it():
    choices = Choices({"lora": {"live": tried(0.6, 0.4)}})
    specs = [spec_of(choices, split=split) for split in (0, 1)]
    assert [(spec.recipe.lr, spec.recipe_from) for spec in specs] == [(0.1, "nested:lr"), (0.001, "nested:lr")]


def test_a_split_in_which_nothing_was_chosen_takes_no_other_splits_choice():
    with pytest.raises(UsageError, match=r"tuned in 2 splits of live and not in split 2.*bench tune lora -d live"):
        spec_of(Choices({"lora": {"live": tried(0.6, 0.4)}}), split=2)


def test_another_set_takes_what_did_best_over_all_splits_of_the_tuned_ones():
    choices = Choices({"lora": {"live": tried(0.6, 0.1), "csiq": tried(0.7)}})
    spec = spec_of(choices, "tid2013", ("tid2013:test",), 7)
    assert (spec.recipe.lr, spec.recipe_from) == (0.1, "transferred:lr"), ".35 and .7 over the sets, against .5"


@pytest.mark.parametrize("train", ["study_tune", "study+study_tune"])
def test_a_run_on_the_set_that_is_kept_for_tuning_takes_nothing_of_what_its_test_parts_chose(train):
    tests = [f"{name}:test" for name in train.split("+")]
    choices = Choices({"lora": {"study": tried(0.4), "study_tune": tried(0.6)}}, kept="study_tune")
    with pytest.raises(UsageError, match=r"study_tune is kept for tuning: lora's settings did best on its test parts"):
        spec_of(choices, train, tests, preset=STUDY)
    assert spec_of(choices, train, tests, preset=STUDY, method="vpt").recipe_from == "default", "never tuned"


def test_a_set_that_a_run_is_tested_on_has_no_say_in_its_recipe():
    choices = Choices({"lora": {"livec": tried(0.9)}})
    with pytest.raises(UsageError, match=r"tuned on livec alone, on which a model trained on koniq10k is tested"):
        spec_of(choices, "koniq10k", ("koniq10k:test", "livec:all"))
    both = Choices({"lora": {"livec": tried(0.9), "csiq": tried(0.2)}})
    assert spec_of(both, "koniq10k", ("koniq10k:test", "livec:all")).recipe.lr == 0.001
    assert spec_of(both, "koniq10k", ("koniq10k:test",)).recipe.lr == 0.1, ".55 over both sets"


def test_a_mix_takes_what_did_best_inside_the_same_split_of_all_its_sets():
    known = Choices({"lora": {"live": tried(0.9, 0.4), "csiq": tried(0.3, 0.45)}})
    tests = ("live:test", "csiq:test", "koniq10k:all")
    chosen = [spec_of(known, train="csiq+live", tests=tests, split=split) for split in (0, 1)]
    assert [(spec.recipe.lr, spec.recipe_from) for spec in chosen] == [(0.1, "nested:lr"), (0.001, "nested:lr")]


def test_a_mix_one_of_whose_sets_was_not_tuned_says_which():
    known = Choices({"lora": {"live": tried(0.9)}})
    with pytest.raises(UsageError, match=r"not tuned in split 0 of csiq: a mix takes .*bench tune lora -d csiq"):
        spec_of(known, train="csiq+live", tests=("live:test", "csiq:test"))


def test_candidates_that_were_not_tried_everywhere_are_not_compared():
    other = {0: [Trial({"lr": 0.5}, 0.9)]}
    with pytest.raises(UsageError, match="No candidate of lora was tried in all splits of csiq, live"):
        spec_of(Choices({"lora": {"live": tried(0.6), "csiq": other}}), "tid2013", ("tid2013:test",))


@pytest.mark.parametrize("common", [{"limit": 50}, {"split_rule": "official"}])
def test_a_choice_made_in_random_splits_of_a_whole_set_holds_for_no_other_splits_of_it(common):
    choices = Choices({"lora": {"live": tried(0.6)}})
    with pytest.raises(UsageError, match="in other splits of it that choice has seen test parts"):
        spec_of(choices, common=common)
    assert spec_of(choices, "csiq", ("csiq:test",), common=common).recipe_from == "transferred:lr"


@pytest.mark.parametrize("common", [{}, {"split_rule": "kfold:3"}, {"split_rule": "random"}])
def test_a_mix_of_sets_that_are_split_otherwise_takes_no_choice_made_in_the_splits_of_either(common):
    choices = Choices({"lora": {"demo_a": tried(0.6), "near": tried(0.6)}})
    with pytest.raises(UsageError, match=r"splits of the whole of (demo_a|near): in other splits .*--recipe tuned\.$"):
        spec_of(choices, "demo_a+near", ("demo_a:test", "near:test"), preset=DEMO, common=common)


def test_what_the_user_sets_goes_before_what_was_chosen_and_is_not_called_chosen():
    choices = Choices({"lora": {"live": {0: [Trial({"lr": 0.1, "rank": 2}, 0.5)]}}})
    assert spec_of(choices).recipe_from == "nested:lr,rank"
    rate = spec_of(choices, recipe={"lr": 0.2})
    assert (rate.recipe.lr, rate.options["rank"], rate.recipe_from) == (0.2, 2, "nested:rank")
    alone = spec_of(choices, recipes={"lora": {"lr": 0.3}}, options={"rank": 4})
    assert (alone.recipe.lr, alone.options["rank"], alone.recipe_from) == (0.3, 4, "default")


def test_a_budget_s_size_stands_although_another_was_tuned_and_even_where_it_is_the_default():
    def size(name, options, backbone, budget):
        return {**options, "rank": budget}

    choices = Choices({"lora": {"live": {0: [Trial({"lr": 0.1, "rank": 4}, 0.5)]}}})
    for rank in (8, 16):
        (sized,), _ = sized_to(rank, [MethodChoice("lora")], ["lora"], PAPER, "", size)
        spec = spec_of(choices, options=sized.options, common={"budget": rank})
        assert (spec.options["rank"], spec.recipe_from) == (rank, "nested:lr")


def test_a_budget_that_was_solved_without_a_tuned_option_is_refused_beside_it():
    choices = Choices({"adapter": {"live": {0: [Trial({"position": "pfeiffer"}, 0.5)]}}})
    ask = Ask(("adapter",), ("strategies_matched",), "paper", datasets=("live",), splits=1, tuned=choices)
    with pytest.raises(UsageError, match=r"position of adapter was tuned, and a budget sizes it without that: set it"):
        make_plan(ask)
    ask = replace(ask, protocols=("main",))
    assert make_plan(ask).specs[0].recipe_from == "nested:position"


@pytest.mark.parametrize("half", [{"options": {"dropout": 0.1}}, {"recipe": {"dropout": 0.1}}])
def test_a_name_that_was_tuned_in_recipe_and_method_alike_is_set_in_both_or_in_neither(half):
    choices = Choices({"lora": {"live": {0: [Trial({"lr": 0.1, "dropout": 0.2}, 0.5)]}}})
    with pytest.raises(UsageError, match=r"set both of them \(--set dropout=…\) or neither"):
        spec_of(choices, **half)
    assert spec_of(choices).recipe_from == "nested:dropout,lr"
    both = spec_of(choices, options={"dropout": 0.1}, recipe={"dropout": 0.1})
    assert (both.recipe_from, both.recipe.dropout, both.options["dropout"]) == ("nested:lr", 0.1, 0.1)


def test_a_method_that_was_never_tuned_keeps_its_recipe():
    assert spec_of(Choices({"lora": {"live": tried(0.6)}}), method="vpt").recipe_from == "default"


def test_of_two_equals_the_earlier_is_chosen_and_a_failed_one_never():
    assert best([Trial(FAST, None), Trial(SLOW, 0.5), Trial(FAST, 0.5)]).settings == SLOW
    with pytest.raises(UsageError, match="No candidate"):
        best([Trial(FAST, None)])


def test_what_was_tried_is_written_and_read_back_set_by_set(tmp_path):
    write_choices(tmp_path, "demo", "lora", "live", tried(0.1, 0.2))
    write_choices(tmp_path, "demo", "lora", "csiq", tried(0.3))
    write_choices(tmp_path, "demo", "lora", "live", tried(0.9))
    choices = read_choices(tmp_path, "demo")
    assert choices.trials["lora"]["live"] == tried(0.9), "the later search replaces the earlier one of the same set"
    assert choices.trials["lora"]["csiq"] == tried(0.3)


def test_a_choice_of_an_older_tune_which_saw_other_splits_test_parts_is_refused(tmp_path):
    path = choices_path(tmp_path, "demo")
    path.parent.mkdir(parents=True)
    old = {"lora": {"settings": {"lr": 0.1}, "chosen_on": "live, validation contents of split 0", "srcc": 0.5}}
    path.write_text(json.dumps(old))
    for attempt in (
        lambda: read_choices(tmp_path, "demo"),
        lambda: write_choices(tmp_path, "demo", "vpt", "live", tried(0.5)),
    ):
        with pytest.raises(UsageError, match="had seen the others' test parts. Remove it and choose again"):
            attempt()


@pytest.mark.parametrize("text", ["[1, 2]", "{", '{"lora": 3}', '{"lora": {"live": {"x": []}}}'])
def test_a_broken_file_of_choices_is_a_clear_error(text, tmp_path):
    path = choices_path(tmp_path, "demo")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(UsageError, match="cannot be read"):
        read_choices(tmp_path, "demo")


@pytest.mark.parametrize("text", ["best", "nested", "nested:", "tuned:lr", "nested:lr;rank"])
def test_a_spec_names_nothing_else_as_the_origin_of_its_recipe(text):
    with pytest.raises(UsageError, match="is none of default, own, nested:KEYS"):
        RunSpec("lora", "live", ("live:test",), recipe_from=text)


@pytest.fixture(scope="module")
def table():
    """LoRA under the usual recipe, and tuned: in ten splits of LIVEC, of which three chose another rate."""
    srccs = [0.6] * 7 + [0.4] * 3
    ask = Ask(("lora",), ("main",), "paper", datasets=("livec", "csiq"))
    chosen = make_plan(replace(ask, tuned=Choices({"lora": {"livec": tried(*srccs)}}))).specs
    return tables_of("main", records_of([*make_plan(ask).specs, *chosen]))["main"]


def test_splits_that_chose_differently_stand_in_one_row_that_says_what_they_chose(table):
    rows = [row for row in table.rows if row.block == MEASURED]
    assert [row.lead[0] for row in rows] == ["LoRA (296K)", "LoRA (296K), tuned=lr"]
    assert all(cell.complete for cell in rows[1].cells if not isinstance(cell, str))
    assert rows[1].notes == (
        "Tuned inside each split's training part: lr=0.001 (3 runs), lr=0.1 (7 runs).",
        "Tuned on sets that the run is not tested on: lr=0.1 (10 runs).",
    )


def test_a_tuned_row_shows_no_difference_from_a_published_number():
    ask = Ask(("loda",), ("main",), "paper", datasets=("livec",))
    same = {split: [Trial({"lr": 3e-4}, 0.5)] for split in range(10)}
    specs = make_plan(replace(ask, tuned=Choices({"loda": {"livec": same}}))).specs
    assert not any("Δ" in name for _, name in tables_of("main", records_of(specs))["main"].header)
    assert any("Δ" in name for _, name in tables_of("main", records_of(make_plan(ask).specs))["main"].header)


def test_a_record_of_the_older_tune_is_still_read_and_says_what_it_is():
    spec = replace(make_plan(Ask(("lora",), ("main",), "paper", datasets=("livec",))).specs[0], recipe_from="tuned")
    (arm,) = set(arms_of(records_of([spec])).values())
    assert arm.run_changes() == ("recipe_from=tuned",)
    (row,) = [r for r in tables_of("main", records_of([spec]))["main"].rows if r.block == MEASURED]
    assert "on contents that other splits are tested on" in row.notes[0]


def test_a_search_takes_recipe_and_options_for_all_its_candidates():
    search = Search(
        "lora",
        "live",
        PAPER,
        1,
        rates=(0.1,),
        option="rank",
        values=("2", "4"),
        recipe={"epochs": 3},
        options={"alpha": 5},
    )
    found = candidates(search)
    assert [(one.spec.options["rank"], one.settings) for one in found] == [
        (2, {"lr": 0.1, "rank": 2}),
        (4, {"lr": 0.1, "rank": 4}),
    ]
    assert {(one.spec.recipe.epochs, one.spec.options["alpha"], one.spec.recipe.lr) for one in found} == {(3, 5, 0.1)}


def test_the_committed_choices_of_the_study_say_no_network_and_hold_as_they_are(tmp_path):
    committed = Path(__file__).resolve().parents[2] / "results" / "reference" / "tuned" / "study_kfold7.json"
    choices_path(tmp_path, "study").parent.mkdir(parents=True)
    choices_path(tmp_path, "study").write_bytes(committed.read_bytes())
    choices = read_choices(tmp_path, "study")
    specs = make_plan(Ask(("adapter", "linear_probe"), ("main",), "study", datasets=("study",), tuned=choices)).specs
    assert {spec.recipe_from for spec in specs} == {"nested:lr", "transferred:lr"}
    assert [choices.otherwise(spec) for spec in specs] == [[] for _ in specs]


def test_what_was_tuned_on_another_network_says_so_of_the_runs_that_take_it(tmp_path):
    there = {"backbone": "vit_tiny", "weights": "pretrained", "precision": "fp32"}
    write_choices(tmp_path, "paper", "lora", "live", tried(0.9), there)
    write_choices(tmp_path, "paper", "lora", "csiq", tried(0.9), made_with(spec_of(Choices(), "csiq"), FAST))
    choices = read_choices(tmp_path, "paper")
    assert choices.otherwise(spec_of(choices)) == [("backbone", "vit_tiny", PAPER.backbone)]
    assert choices.otherwise(spec_of(choices, "csiq", ("csiq:test",))) == []
    assert choices.otherwise(spec_of(choices, "tid2013", ("tid2013:test", "live:all"))) == [], "csiq's alone counts"
    assert choices.otherwise(spec_of(choices, "tid2013", ("tid2013:test",))) == [
        ("backbone", "vit_tiny", PAPER.backbone)
    ]


def test_what_was_tuned_with_another_recipe_or_option_says_so_of_the_runs_that_take_it(tmp_path):
    search = Search("lora", "live", PAPER, 1, option="rank", values=("2", "4"))
    with_both = replace(search, recipe={"head": "linear", "seed": 3}, options={"alpha": 5})
    for dataset, one in (("live", with_both), ("csiq", replace(search, dataset="csiq"))):
        first = candidates(one)[0]
        outcomes = {0: [Trial(first.settings, 0.9)]}
        write_choices(tmp_path, "paper", "lora", dataset, outcomes, made_with(first.spec, first.settings))
    choices = read_choices(tmp_path, "paper")
    assert choices.otherwise(spec_of(choices)) == [("head", "linear", "as usual"), ("alpha", "5", "as usual")]
    alike = spec_of(choices, recipe={"head": "linear"}, options={"alpha": 5, "rank": 16})
    assert choices.otherwise(alike) == [], "what was varied and what was set before it are no difference"
    plain = spec_of(choices, "csiq", ("csiq:test",), recipe={"loss": "l1"})
    assert choices.otherwise(plain) == [("loss", "as usual", "l1")]


def test_what_follows_from_a_tuned_option_is_not_said_to_be_otherwise(tmp_path):
    first, second = candidates(Search("glia", "demo_a", DEMO, 1, rates=(0.1,), option="grid", values=("2", "8")))
    made = made_with(first.spec, first.settings)
    assert (made["recipe"], made["options"]) == ({}, {})
    write_choices(tmp_path, "demo", "glia", "demo_a", {0: [Trial(second.settings, 0.9)]}, made)
    choices = read_choices(tmp_path, "demo")
    spec = spec_of(choices, "demo_a", ("demo_a:test",), preset=DEMO, method="glia")
    assert spec.options["fragment"] == 14
    assert choices.otherwise(spec) == []
