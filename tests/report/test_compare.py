"""bench compare: pairs of runs on identical splits, and what their differences mean."""

from dataclasses import replace

import pytest

from bench.core.code import NUMERICS
from bench.core.errors import UsageError
from bench.metrics.comparisons import corrected_paired_test
from bench.planning.plan import Ask, make_plan
from bench.records.results import Experiment, Record, Results
from bench.records.store import Store
from bench.report.cells import Cell
from bench.report.compare import compare
from tests.report.records import body_of, predictions, record_of, records_of
from tests.report.results import results_of, specs_of


@pytest.fixture(scope="module")
def results():
    """Four methods on the demo sets, four splits."""
    return results_of("main", "demo", "linear_probe,lora,loda,glia", splits=3)


def test_compare_pairs_by_split_and_says_what_it_means(results):
    (found,) = compare(results, "glia", "loda")
    row = next(row for row in found.rows if row.experiment.train == "demo_a")
    values = {
        (record.spec.method, record.spec.split): record.value("demo_a:test", "srcc")
        for record in results.records
        if record.spec.train == "demo_a"
    }
    expected = corrected_paired_test([values["glia", s] - values["loda", s] for s in range(3)], 12 / 48)
    assert (row.effect, row.low, row.high, row.p, row.n) == pytest.approx(
        (expected.effect, expected.low, expected.high, expected.p, 3)
    )
    assert row.p_holm >= row.p
    assert row.verdict == 1
    assert found.sentences[0].startswith("Demo A: GLIA is better than LoDa by 0.")
    assert found.summary.startswith("Of 3 comparisons, GLIA is better in 3")


def test_compare_says_once_what_each_dataset_shows():
    records = [*results_of("cross", "demo", "glia,loda", splits=3).records]
    (one_source,) = compare(Results(records), "glia", "loda")
    assert len(one_source.rows) == 2
    assert one_source.sentences == ()
    assert one_source.summary.startswith("Of 2 comparisons, ")
    records += results_of("main", "demo", "glia,loda", ["demo_b"], splits=3).records
    (found,) = compare(Results(records), "glia", "loda")
    assert len(found.rows) == 3
    assert [sentence.partition(":")[0] for sentence in found.sentences] == ["Demo A", "Demo B"]


def test_compare_says_over_contents_what_splits_alone_cannot():
    (found,) = compare(results_of("main", "demo", "glia,loda", ["demo_a"], splits=2), "glia", "loda")
    (row,) = found.rows
    assert (row.verdict, row.verdict_over_contents, row.contents.contents) == (0, 1, 12)
    assert found.sentences[0].endswith(
        "2 common splits cannot tell GLIA from LoDa "
        f"(they differ by {row.effect:.3f} SRCC); over contents GLIA is better."
    )


def test_compare_without_stored_predictions_is_over_splits_alone(results, tmp_path):
    lost = Results(replace(record, arrays=lambda: Store(tmp_path).predictions("lost")) for record in results.records)
    (found,) = compare(lost, "glia", "loda")
    assert all(row.contents is None and row.verdict == 1 for row in found.rows)


def test_compare_takes_the_mean_over_the_seeds_that_both_have():
    plan = specs_of("main", "paper", "glia,lora", ["live"], splits=4)
    seeds = [replace(s, recipe=replace(s.recipe, seed=seed)) for s in plan for seed in range(3)]
    alone = [s for s in seeds if not (s.method == "lora" and s.recipe.seed == 2)]
    (both,), (one,) = (
        compare(Results(records_of(alone)), "glia", "lora"),
        compare(Results(records_of(alone)), "glia,seed=1", "lora"),
    )
    assert (both.seeds, one.seeds) == ((2, 2), (1, 1))
    values = {
        (r.spec.method, r.spec.split, r.spec.recipe.seed): r.value("live:test", "srcc") for r in records_of(alone)
    }
    means = [sum(values["glia", s, seed] - values["lora", s, seed] for seed in (0, 1)) / 2 for s in range(4)]
    expected = corrected_paired_test(means, 12 / 48)
    assert (both.rows[0].effect, both.rows[0].p, both.rows[0].n) == pytest.approx((expected.effect, expected.p, 4))
    assert both.rows[0].contents.estimate == pytest.approx(expected.effect)
    assert one.rows[0].effect == pytest.approx(sum(values["glia", s, 1] - values["lora", s, 1] for s in range(4)) / 4)


def test_compare_turns_round_with_its_arguments(results):
    (forth,), (back,) = compare(results, "glia", "lora"), compare(results, "lora", "glia")
    assert [row.effect for row in forth.rows] == pytest.approx([-row.effect for row in back.rows])


def test_a_lower_error_is_the_better_one(results):
    (found,) = compare(results, "glia", "loda", metric="rmse")
    assert all(row.effect < 0 for row in found.rows)
    assert {row.verdict for row in found.rows} == {1}
    assert found.sentences[0].startswith("Demo A: GLIA is better")


def test_a_failed_first_split_changes_no_interval_of_the_others():
    specs = specs_of("main", "paper", "glia,lora", ["live"], splits=4)
    sizes = {"train": {**body_of(specs[0])["data"]["train"], "n_train": 100, "n_test": 100}}
    records = [
        record_of(s, data={}, error=("RunError", "no"))
        if (s.method, s.split) == ("glia", 0)
        else record_of(s, data={**body_of(s)["data"], **sizes})
        for s in specs
    ]
    (forth,), (back,) = compare(Results(records), "glia", "lora"), compare(Results(records), "lora", "glia")
    assert (forth.rows[0].low, forth.rows[0].high) == pytest.approx((-back.rows[0].high, -back.rows[0].low))


def test_compare_prefers_like_with_like_and_warns_of_what_else_differs(results):
    small = [replace(s, backbone="vit_tiny") for s in specs_of("main", "demo", "glia,lora", splits=3)]
    both = Results([r for r in results.records if r.spec.method != "lora"] + records_of(small))
    (found,) = compare(both, "glia", "lora")
    assert (found.a, found.b, found.shared) == ("GLIA", "LoRA", ("backbone=vit_tiny",))
    assert not found.cautions
    (mixed,) = compare(both, "loda", "lora")
    assert "differ in more than the method" in mixed.cautions[0]


def test_compare_says_which_runs_other_code_has_made(results):
    older = {"method": "another", "numerics": NUMERICS}
    plan = specs_of("main", "demo", "glia", ["demo_a"], splits=3)
    aged = [record_of(spec, code=older) for spec in plan[:2]]
    others = [record for record in results.records if record.key not in {old.key for old in aged}]
    (found,) = compare(Results([*aged, *others]), "glia", "loda")
    assert found.cautions == ("Warning: 2 runs were made by an older glia.py.",)
    (found,) = compare(Results([*aged, *others]), "lora", "loda")
    assert found.cautions == ()


def test_compare_marks_the_oracle_as_optimistic(results):
    plan = specs_of("main", "demo", "vpt", splits=3)
    specs = [replace(spec, recipe=replace(spec.recipe, selection="oracle")) for spec in plan]
    (found,) = compare(Results([*results.records, *records_of(specs)]), "vpt", "glia")
    assert any(caution.startswith("Optimistic: VPT") for caution in found.cautions)


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ("glia", "glia", "name two different"),
        ("glia", "glai", "Did you mean glia"),
        ("glia,rank=3", "lora", "No record of glia has rank=3"),
    ],
)
def test_compare_says_which_wish_it_cannot_meet(results, a, b, says):
    with pytest.raises(UsageError, match=says):
        compare(results, a, b)


def test_switches_may_be_written_as_true_and_false(results):
    without = [replace(s, options={**s.options, "lgf": False}) for s in specs_of("main", "demo", "glia", splits=3)]
    (found,) = compare(Results([*results.records, *records_of(without)]), "glia,lgf=False", "loda")
    assert found.a == "GLIA, lgf=no"


def test_compare_finds_an_arm_by_its_changed_option(results):
    specs = [replace(s, recipe=replace(s.recipe, lr=1e-4)) for s in specs_of("main", "demo", "glia", splits=3)]
    both = Results([*results.records, *records_of(specs)])
    (found,) = compare(both, "glia", "glia,lr=0.0001")
    assert (found.a, found.b) == ("GLIA", "GLIA, lr=0.0001")


def test_one_common_split_says_nothing():
    (found,) = compare(results_of("main", "demo", "glia,lora", ["demo_a"], splits=1), "glia", "lora")
    assert (found.rows[0].p, found.rows[0].low, found.rows[0].verdict) == (None, None, 0)
    assert "1 common split cannot tell GLIA from LoRA" in found.sentences[0]


def test_compare_without_common_runs_names_the_command(results):
    with pytest.raises(UsageError, match="bench run -m glia,vpt"):
        compare(results, "glia", "vpt")


def test_each_set_says_how_many_seeds_it_is_a_mean_over():
    plan = make_plan(Ask(("glia", "lora"), ("main",), "study", datasets=("study", "study_metric"), seeds=2)).specs
    some = [s for s in plan if s.train == "study" or s.recipe.seed == 0]
    (found,) = compare(Results(records_of(some)), "glia", "lora")
    assert {row.experiment.train: row.seeds for row in found.rows} == {"study": 2, "study_metric": 1}
    assert found.seeds == (1, 2)


def test_folds_of_seeds_that_are_not_whole_are_said_to_be_left_out_and_not_to_be_missing():
    plan = make_plan(Ask(("glia", "lora"), ("main",), "study", datasets=("study",), seeds=2)).specs
    whole = {"glia": 0, "lora": 1}
    some = [s for s in plan if s.recipe.seed == whole[s.method] or s.split < 5]
    with pytest.raises(UsageError, match="no seed of which both have all folds"):
        compare(Results(records_of(some)), "glia", "lora")


def test_a_set_whose_labels_differ_between_two_methods_takes_no_other_set_down():
    specs = specs_of("main", "demo", "glia,lora", ["demo_a", "demo_b"], splits=3)
    arrays = {s.key: predictions(s) for s in specs}
    for s in specs:
        if (s.method, s.train) == ("lora", "demo_b"):
            arrays[s.key]["demo_b:test/human"] = arrays[s.key]["demo_b:test/human"][::-1]
    records = [Record.from_dict(body_of(s), lambda key=s.key: arrays[key]) for s in specs]
    (found,) = compare(Results(records), "glia", "lora")
    why = {row.experiment.train: row.contents.why for row in found.rows}
    assert why == {"demo_a": "", "demo_b": "the two were tested on other pictures, or under other labels"}


def test_a_constant_that_has_no_number_is_said_to_have_none():
    specs = specs_of("main", "demo", "mean,glia", ["demo_a"], splits=3)
    records = [
        record_of(s, metrics={"demo_a:test": {"srcc": None}}) if s.method == "mean" else record_of(s) for s in specs
    ]
    with pytest.raises(UsageError, match="a constant correlates with nothing"):
        compare(Results(records), "glia", "mean")


def test_of_two_searches_the_later_one_counts():
    specs = specs_of("main", "study", "glia", ["study"], splits=7)
    tuned = [
        replace(s, recipe_from="transferred:lr", recipe=replace(s.recipe, lr=lr)) for s in specs for lr in (1e-3, 3e-3)
    ]
    days = {1e-3: "2026-11-02T00:00:00+00:00", 3e-3: "2026-11-01T00:00:00+00:00"}
    records = [record_of(s, run={"finished": days[s.recipe.lr]}) for s in tuned]
    cell = Cell.of(records, Experiment("study", "study:test"), "srcc")
    assert {record.spec.recipe.lr for record in cell.records} == {1e-3}
