"""The study: its sets, its plan, and rates that are chosen on photographs which nothing is tested on."""

from dataclasses import replace

import numpy as np
import pytest

from bench.cli.preflight import look_ahead
from bench.core.errors import StoreError, UsageError
from bench.core.registry import METHODS
from bench.data.dataset import Place
from bench.data.sets import study
from bench.data.sets.demo import shipped_photo
from bench.data.sets.study import PHOTOS, RECIPES, StudyMetric
from bench.data.splits import make_split
from bench.planning.choices import NESTED, TRANSFERRED, Choices, Trial, choices_path, chosen_keys
from bench.planning.plan import Ask, make_plan
from bench.planning.presets import DEMO, PRESETS, STUDY
from bench.planning.tuning import Search, candidates, usual_rates
from bench.records.results import Record, Results
from bench.report.compare import compare
from tests.report.records import body_of, record_of, records_of
from tests.report.results import tables_of
from tests.world import make_world, tiny_runtime

SEVEN = ("linear_probe", "full_finetune", "adapter", "lora", "vpt", "loda", "glia")


def plan(*, methods=(), protocols=("strategies",), **more):
    return make_plan(Ask(methods, protocols, "study", **more)).specs


def test_every_shipped_photograph_is_in_one_of_the_two_sets_of_pictures():
    photos = [photo for names in PHOTOS.values() for photo in names]
    assert len(photos) == len(set(photos)) == 17
    for photo in photos:
        assert shipped_photo(photo)[1].is_file()


def test_its_table_is_seven_strategies_on_seven_folds_under_three_seeds():
    specs = plan()
    assert len(specs) == 7 * 7 * 3
    assert {s.method for s in specs} == set(SEVEN)
    assert {(s.split, s.recipe.seed) for s in specs} == {(f, seed) for f in range(7) for seed in range(3)}
    assert {s.split_rule for s in specs} == {"kfold:7"}
    assert [s.recipe.seed for s in specs] == sorted(s.recipe.seed for s in specs), "whole comparisons come first"


def test_all_methods_are_trained_alike_and_see_the_papers_share_of_a_picture():
    recipes = {replace(s.recipe, seed=0) for s in plan() if s.method != "linear_probe"}
    assert len(recipes) == 1
    (recipe,) = recipes
    probes = {replace(s.recipe, seed=0) for s in plan() if s.method == "linear_probe"}
    assert probes == {replace(recipe, epochs=12)}
    assert recipe.clip > 0
    assert recipe.warmup > 0
    assert recipe.size / recipe.short_side == 224 / 384
    assert recipe.test_views >= 4
    glia = next(s.options for s in plan() if s.method == "glia")
    assert (glia["grid"], glia["fragment"]) == (4, 28)


def test_at_the_second_size_fragments_keep_their_two_by_two_patches():
    (spec, *_) = plan(methods=("glia",), settings=("size=196", "short_side=336"))
    assert (spec.options["grid"], spec.options["fragment"]) == (7, 28)


def test_each_method_tries_as_many_rates_and_on_kept_photographs_alone():
    for method in SEVEN:
        assert len(set(usual_rates(STUDY, method))) == 7
        search = Search(method, STUDY.tuning, STUDY, STUDY.tuning_splits, rates=usual_rates(STUDY, method))
        specs = [one.spec for one in candidates(search)]
        assert len(specs) == 21
        assert {(s.train, s.tests, s.split_rule) for s in specs} == {("study_tune", ("study_tune:test",), "random")}
    assert not set(PHOTOS["study"]) & set(PHOTOS["study_tune"])


def test_what_is_chosen_inside_a_fold_has_not_seen_its_test_part_and_holds_for_that_fold_alone():
    search = Search("linear_probe", "study", STUDY, STUDY.splits, rates=[0.01, 0.001])
    specs = [one.spec for one in candidates(search)]
    assert {(s.split, s.tests, s.split_rule) for s in specs} == {
        (fold, ("study:validation",), "kfold:7") for fold in range(7)
    }
    inside = {fold: [Trial({"lr": 0.01}, 0.1 * fold), Trial({"lr": 0.001}, 0.35)] for fold in range(7)}
    kept = {0: [Trial({"lr": 0.03}, 0.6), Trial({"lr": 0.001}, 0.5)]}
    tuned = Choices({"linear_probe": {"study": inside, "study_tune": kept}}, kept="study_tune")
    specs = plan(methods=("linear_probe",), protocols=("main",), tuned=tuned)
    chosen = {(s.train, s.split): (s.recipe.lr, chosen_keys(s.recipe_from)[0]) for s in specs}
    assert chosen["study", 3] == (0.001, NESTED)
    assert chosen["study", 4] == (0.01, NESTED)
    assert {chosen["study_metric", fold] for fold in range(7)} == {(0.03, TRANSFERRED)}


def test_what_was_chosen_there_is_used_in_all_folds_and_on_both_labels():
    trials = {split: [Trial({"lr": 0.01}, 0.6), Trial({"lr": 0.001}, 0.5)] for split in range(3)}
    tuned = Choices({"lora": {"study_tune": trials}})
    for spec in plan(methods=("lora",), protocols=("main",), tuned=tuned):
        assert spec.recipe.lr == 0.01
        assert chosen_keys(spec.recipe_from) == (TRANSFERRED, ("lr",))


def test_choices_under_another_way_to_split_have_a_file_of_their_own(tmp_path):
    assert {choices_path(tmp_path, name).name for name in PRESETS} == {
        "paper.json", "demo_kfold3.json", "study_kfold7.json",
    }  # fmt: skip


def test_seeds_of_a_fold_stand_in_one_row_and_are_all_counted():
    table = tables_of("strategies", records_of(plan(methods=("lora", "glia"))))["strategies_study"]
    assert [row.lead[0] for row in table.rows] == ["LoRA (296K)", "GLIA (8.04M)"]
    assert {(cell.n, cell.of) for row in table.rows for cell in row.cells} == {(21, 21)}
    assert table.title.startswith("Study.")
    assert table.notes[0].startswith("Medians over 7 folds, each fold's number the mean under 3 seeds.")


def counts(table):
    return {row.lead[0].split(" (")[0]: {(cell.n, cell.of) for cell in row.cells} for row in table.rows}


def test_a_first_seed_alone_is_a_whole_table_and_stays_so_while_a_second_one_is_being_run():
    specs = plan(methods=("lora", "glia"))
    one = tables_of("strategies", records_of(s for s in specs if s.recipe.seed == 0))["strategies_study"]
    assert counts(one) == {"LoRA": {(7, 7)}, "GLIA": {(7, 7)}}
    begun = [s for s in specs if s.recipe.seed == 0 or (s.recipe.seed, s.split) == (1, 0)]
    more = tables_of("strategies", records_of(begun))["strategies_study"]
    assert [row.cells for row in more.rows] == [row.cells for row in one.rows]
    assert "Left out until all folds of their seed are in: LoRA (1 run); GLIA (1 run)." in more.notes
    assert not any("Left out" in note for note in one.notes)


def test_rows_with_fewer_seeds_are_whole_and_named():
    specs = [s for s in plan(methods=("lora", "glia")) if s.recipe.seed == 0 or s.method == "glia"]
    table = tables_of("strategies", records_of(specs))["strategies_study"]
    assert counts(table) == {"LoRA": {(7, 7)}, "GLIA": {(21, 21)}}
    assert table.notes[0].startswith("Medians over 7 folds, each fold's number the mean under 3 seeds.")
    assert "Under 1 seed: LoRA. The others: 3 seeds." in table.notes


def with_srcc(spec, value):
    return record_of(spec, metrics={target: {"srcc": value} for target in spec.tests})


def marks(table):
    return {row.lead[0].split(" (")[0]: {(cell.rank, cell.tied) for cell in row.cells} for row in table.rows}


def test_training_a_fold_again_with_the_same_outcome_changes_no_number_and_no_mark():
    specs = plan(methods=("lora", "glia", "vpt"))
    first = {(s.method, s.split): record_of(s).body["metrics"] for s in specs if s.recipe.seed == 0}
    again = [record_of(s, metrics=first[s.method, s.split]) for s in specs]
    one = tables_of("strategies", [r for r in again if r.spec.recipe.seed == 0])["strategies_study"]
    three = tables_of("strategies", again)["strategies_study"]
    for row, repeated in zip(one.rows, three.rows, strict=True):
        for cell, other in zip(row.cells, repeated.cells, strict=True):
            assert (other.n, other.rank, other.tied) == (21, cell.rank, cell.tied)
            ends = (cell.value, cell.mean, cell.std, cell.low, cell.high)
            assert (other.value, other.mean, other.std, other.low, other.high) == pytest.approx(ends)


def test_a_row_with_more_seeds_is_ranked_by_the_number_that_it_shows():
    scores = {"lora": 0.5, "glia": 0.6, "vpt": 0.4}
    specs = [s for s in plan(methods=tuple(scores)) if s.recipe.seed == 0 or s.method == "lora"]
    better = [with_srcc(s, (scores[s.method] if s.recipe.seed == 0 else 0.9) + 0.01 * s.split) for s in specs]
    table = tables_of("strategies", better)["strategies_study"]
    numbers = {row.lead[0].split(" (")[0]: row.cells[0] for row in table.rows}
    values = {name: number.value for name, number in numbers.items()}
    assert values == pytest.approx({"LoRA": (0.53 + 0.93 + 0.93) / 3, "GLIA": 0.63, "VPT": 0.43})
    assert {name: number.rank for name, number in numbers.items()} == {"LoRA": 1, "GLIA": 2, "VPT": 0}


def test_two_folds_under_many_seeds_are_two_splits_and_nothing_is_marked():
    specs = [
        replace(s, split_rule="kfold:2", recipe=replace(s.recipe, seed=seed))
        for s in plan(methods=("lora", "glia"))
        if s.recipe.seed == 0 and s.split < 2
        for seed in range(3)
    ]
    (table,) = tables_of("strategies", records_of(specs)).values()
    assert {(cell.n, cell.of) for row in table.rows for cell in row.cells} == {(6, 6)}
    assert set.union(*marks(table).values()) == {(0, False)}
    assert "Nothing is marked" in table.notes[0]


def test_beside_a_set_in_folds_one_that_is_split_at_random_has_its_own_count():
    folds = plan(methods=("lora", "glia"), protocols=("main",), datasets=("study",))
    own = make_plan(Ask(("lora", "glia"), ("main",), "study", datasets=("holiday",), splits=7)).specs
    first = [s for s in own if s.recipe.seed == 0]
    table = tables_of("main", records_of([*(s for s in folds if s.recipe.seed < 2), *first]))["main_study"]
    assert counts(table) == {"LoRA": {(14, 14), (7, 7)}, "GLIA": {(14, 14), (7, 7)}}
    assert {cell.rank for row in table.rows for cell in row.cells} == {1, 2}


def test_a_row_may_have_more_seeds_in_one_column_than_in_another():
    both = plan(methods=("lora", "glia"), protocols=("main",), datasets=("study", "study_metric"))
    specs = [s for s in both if s.recipe.seed == 0 or (s.method, s.train) == ("glia", "study")]
    table = tables_of("main", records_of(specs))["main_study"]
    assert counts(table) == {"LoRA": {(7, 7)}, "GLIA": {(21, 21), (7, 7)}}
    assert any(note.startswith("Under 3 seeds: GLIA on Study. The others: 1 seed.") for note in table.notes)


def test_a_seed_with_missing_folds_is_not_whole_where_there_is_no_other():
    specs = [s for s in plan(methods=("lora", "glia")) if s.recipe.seed == 0 and (s.split < 3 or s.method == "glia")]
    table = tables_of("strategies", records_of(specs))["strategies_study"]
    assert counts(table) == {"LoRA": {(3, 7)}, "GLIA": {(7, 7)}}


def test_a_users_own_set_is_split_at_random_under_every_preset():
    for preset in PRESETS:
        specs = make_plan(Ask(("lora",), ("main",), preset, datasets=("holiday",))).specs
        assert {s.split_rule for s in specs} == {"random"}
    assert DEMO.rule_for("demo_a") == "kfold:3"


def test_methods_of_the_study_are_registered():
    assert set(SEVEN) <= set(METHODS.names())


@pytest.mark.filterwarnings("ignore:study has the hash")
def test_the_second_labels_are_of_the_same_pictures_and_computed_once(tmp_path, monkeypatch):
    monkeypatch.setitem(study.PHOTOS, "study", ("coins", "camera"))
    monkeypatch.setitem(study.RECIPES, "study", replace(RECIPES["study"], size=(192, 176), per_crop=6, kinds=(1, 11)))
    source = StudyMetric("study_metric", Place(None, tmp_path))
    cells, metric = source.made("study"), source.load()
    assert metric.table["image"].tolist() == cells.table["image"].tolist()
    assert metric.root == cells.root
    scores = metric.table["score"].to_numpy()
    assert (scores.min(), scores.max()) >= (1.0, 1.0)
    assert not np.allclose(scores, cells.table["score"])
    assert any("no opinions" in note for note in metric.notes)
    monkeypatch.setattr("bench.data.synthesis.full_reference.ranked_quality", None)
    assert source.load().table["score"].tolist() == scores.tolist()
    split = make_split(metric, 0, split_rule="kfold:2")
    assert metric.table["group"].iloc[split.test].nunique() == 1


def test_a_comparison_is_over_folds_and_says_what_moves_a_difference_and_what_could_be_seen():
    results = Results(records_of(plan(methods=("lora", "glia"))))
    (found,) = compare(results, "glia", "lora")
    (row,) = found.rows
    assert (row.seeds, row.n) == (3, 7)
    assert row.spread.seeds == 3
    assert row.spread.detectable(14, 3) < row.spread.detectable(7, 3)
    table = tables_of("strategies", results)["strategies_study"]
    assert any("standard deviations by content/seed/pictures: LoRA" in note for note in table.notes)


def test_a_row_whose_predictions_are_lost_silences_no_other_on_what_moves_a_score():
    def lost():
        raise StoreError("its predictions are not there")

    specs = plan(methods=("lora", "glia"))
    records = [Record.from_dict(body_of(s), lost) if s.method == "lora" else record_of(s) for s in specs]
    table = tables_of("strategies", Results(records))["strategies_study"]
    (note,) = [note for note in table.notes if "standard deviations by content/seed/pictures" in note]
    assert "pictures: GLIA " in note
    assert "LoRA" not in note


def test_a_set_without_enough_contents_is_refused_before_the_first_run(tmp_path):
    runtime = tiny_runtime(tmp_path, make_world(tmp_path / "sets"))
    ask = Ask(("linear_probe",), ("main",), "demo", datasets=("near",), splits=1, settings=("split_rule=kfold:99",))
    with pytest.raises(UsageError, match="too few for kfold:99"):
        look_ahead(make_plan(ask), runtime, print)
