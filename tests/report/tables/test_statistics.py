"""Costs, rankings, comparisons in words, published numbers, and the errors of asking for what is not there."""

import time
from dataclasses import replace

import pytest

from bench.core.errors import StoreError, UsageError
from bench.metrics.contents import ModelScores, standard_error
from bench.records.results import Experiment, Results
from bench.records.store import Store, record_hash, record_text
from bench.report import published
from bench.report.cells import Cell
from bench.report.table import Number
from bench.report.tables.costs import HEADER, pareto_rows, with_cost
from bench.report.tables.ranking import ranking_table
from bench.report.tables.write import make_tables
from tests.report.records import body_of, record_of, records_of
from tests.report.results import results_of, specs_of, tables_of


@pytest.fixture(scope="module")
def results():
    """Four methods on the demo sets, four splits."""
    return results_of("main", "demo", "linear_probe,lora,loda,glia", splits=3)


def test_unreadable_predictions_cost_only_the_tables_that_need_them(results, tmp_path):
    store = Store(tmp_path)
    (tmp_path / "runs").mkdir()
    key = results.records[0].key
    (store.runs / f"{key}.npz").write_bytes(b"no archive")
    damaged = Results(replace(record, arrays=lambda: store.predictions(key)) for record in results.records)
    heard: list[str] = []
    names = [written.table.name for written in make_tables(damaged, [], complain=heard.append)]
    assert "main_demo" in names
    assert heard
    assert all(f"remove {key}.json, and `bench run` repeats that run" in line for line in heard)
    with pytest.raises(StoreError, match="cannot be read"):
        make_tables(damaged, ["distortions"], complain=heard.append)


def test_cost_columns_stand_beside_the_quality_and_mark_the_front(results):
    table = tables_of("main", results)["main_demo"]
    costly = with_cost(table)
    assert tuple(name for group, name in costly.header if group == "Cost") == HEADER
    cheapest = next(i for i, row in enumerate(table.rows) if row.label.startswith("Linear probe"))
    front = pareto_rows(table)
    assert front[cheapest]
    beaten = next(i for i, row in enumerate(table.rows) if row.label.startswith("LoDa"))
    assert not front[beaten]  # the made-up LoDa is larger and worse than the made-up GLIA


def test_a_row_with_gaps_is_neither_on_the_front_nor_off_it(results):
    some = results.where(lambda r: not (r.spec.method == "glia" and r.spec.train == "demo_a" and r.spec.split == 0))
    table = tables_of("main", some)["main_demo"]
    glia = next(i for i, row in enumerate(table.rows) if row.label.startswith("GLIA"))
    assert glia not in pareto_rows(table)
    assert with_cost(table).rows[glia].cells[-1] == "–"


def test_the_ranking_leaves_out_rows_without_every_number(results):
    some = results.where(lambda r: not (r.spec.method == "lora" and r.spec.train == "demo_b"))
    ranking = ranking_table(tables_of("main", some)["main_demo"])
    assert ranking is not None
    assert len(ranking.rows) == 3
    assert any("Left out" in note and "LoRA" in note for note in ranking.notes)
    assert [cell.value for row in ranking.rows for cell in row.cells if isinstance(cell, Number)] == [1, 2, 3]


def test_one_dataset_gives_no_ranking():
    table = tables_of("main", results_of("main", "demo", "lora,glia", ["demo_a"]))["main_demo"]
    assert ranking_table(table) is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"error": ("RunError", "no")}, r"3 failed runs here and no.*--overwrite failed"),
        ({}, "selection=oracle"),
    ],
)
def test_nothing_to_show_says_why(change, says):
    records = [record_of(s, **change) for s in specs_of("gmad", "demo", "glia", splits=3) if s.train == "demo_a"]
    with pytest.raises(UsageError, match=says):
        make_tables(Results(records), ["gmad"], selection=None if change else "oracle")


def test_tables_of_one_selection_rule_have_files_of_their_own(results, tmp_path):
    plan = specs_of("main", "demo", "glia,loda", splits=3)
    chosen = records_of(replace(spec, recipe=replace(spec.recipe, selection="val")) for spec in plan)
    both = Results([*results.records, *chosen])
    names = {item.table.name for item in make_tables(both, ["main"], out=tmp_path)}
    assert {"main_demo", "main_val_demo"} <= names
    names = {item.table.name for item in make_tables(both, ["main"], selection="val", out=tmp_path)}
    assert names == {"main_val_demo", "main_val_ranking_demo"}


def test_all_published_numbers_are_there():
    sources = [("GLIA", str(i)) for i in range(1, 7)] + [("LoDa", str(i)) for i in range(1, 8)]
    assert sum(len(row.values) for source in sources for row in published.rows(source)) == 674
    glia = next(row for row in published.rows(("GLIA", "1")) if row.method == "GLIA")
    assert glia.values["tid2013", "tid2013", "srcc"] == 0.913
    assert glia.label == "GLIA (8M)"


def test_every_known_oddity_is_about_something_that_is_printed():
    for source, notes in published.NOTES.items():
        names = {""} | {name for row in published.rows(source) for name in (row.method, row.variant)}
        assert set(notes) <= names, source


def test_asking_for_a_table_without_records_names_the_command():
    with pytest.raises(UsageError, match="there are no records yet.*bench run -p main,cross"):
        make_tables(Results([]), ["main", "cross"])


def test_asking_for_a_table_that_other_records_do_not_make_says_so(results):
    with pytest.raises(UsageError, match="36 records here, of other tables"):
        make_tables(results, ["cross"])


def test_a_selection_narrows_the_tables(results):
    with pytest.raises(UsageError, match="--selection val"):
        make_tables(results, ["main"], selection="val")
    assert make_tables(results, ["main"], selection="last")


def test_an_unknown_format_is_named(results):
    with pytest.raises(UsageError, match="Unknown table format pdf"):
        make_tables(results, ["main"], formats=["pdf"])


def test_all_protocols_are_tried_when_none_is_named(results):
    names = [written.table.name for written in make_tables(results, [])]
    assert "main_demo" in names
    assert len(names) == len(set(names))
    assert names[0] == "main_demo"
    assert "strategies_demo" not in names  # the same numbers are in main_demo
    assert [written.table.name for written in make_tables(results, ["strategies"])] == ["strategies_demo"]


def test_a_thousand_records_are_read_and_shown_in_a_tenth_of_the_promised_time(tmp_path):
    """Ten thousand records in under 3 s, in CPU time of this process, for other processes may be busy."""
    store = Store(tmp_path)
    store.runs.mkdir()
    specs = specs_of("main", "paper", "lora", ["livec"], splits=10)
    body = body_of(specs[0])
    for spec in (replace(spec, recipe=replace(spec.recipe, seed=seed)) for seed in range(100) for spec in specs):
        record = {**body, "spec": spec.as_dict(), "key": spec.key}
        record["sha256"] = record_hash(record)
        (store.runs / f"{spec.key}.json").write_text(record_text(record))
    make_tables(Results([record_of(specs[0])]), ["main"])  # imports and caches are not what is measured
    best = 9.0
    for _ in range(3):
        start = time.process_time()
        make_tables(Results.read(store), ["main"], out=tmp_path / "tables")
        best = min(best, time.process_time() - start)
    assert best < 0.6, f"{best:.2f} s for 1,000 records (0.3 s is meant; twice that allows for a busy machine)"


def error_of(table, dataset: str) -> str:
    """What a table's note says of the standard error of a set."""
    (line,) = (note for note in table.notes if note.startswith("Standard error"))
    return line.partition(f"{dataset} ")[2].partition(",")[0].partition(". Smaller")[0]


def of_set(table, dataset: str) -> Number:
    """The number of the column's best median."""
    place = next(j for j, (group, _) in enumerate(table.header) if group == dataset)
    return max((row.cells[place] for row in table.rows), key=lambda number: number.value)


def test_the_error_of_a_split_is_by_content_where_the_test_part_has_any(results):
    table = tables_of("main", results)["main_demo"]
    best = of_set(table, "Demo A").facts["method"]
    runs = [r for r in results.records if r.spec.train == "demo_a" and r.spec.method == best]
    assert len(runs) == 3
    parts = [r.predictions("demo_a:test") for r in runs]
    expected = standard_error([ModelScores.of("srcc", p.predicted, p.human, p.group) for p in parts])
    assert error_of(table, "Demo A") == f"{expected:.3f}"


def with_contents(results: Results, contents: int) -> Results:
    """The same results as if the test part of Demo A had so many contents."""

    def changed(record):
        data = record.body["data"]
        tests = {target: {**test, "contents": contents} for target, test in data["tests"].items()}
        return replace(record, body={**record.body, "data": {**data, "tests": tests}})

    return Results(changed(record) for record in results.records)


def test_the_error_of_pictures_that_stand_alone_is_that_of_the_best_median(results):
    table = tables_of("main", with_contents(results, 60))["main_demo"]
    best = of_set(table, "Demo A").value
    error = (1 - best**2) * ((1 + best**2 / 2) / (60 - 3)) ** 0.5
    assert error_of(table, "Demo A") == f"{error:.3f}"


def test_without_predictions_the_error_is_at_least_that_of_pictures_that_stand_alone(results, tmp_path):
    lost = Results(replace(record, arrays=lambda: Store(tmp_path).predictions("lost")) for record in results.records)
    assert error_of(tables_of("main", lost)["main_demo"], "Demo A").startswith("at least 0.0")


@pytest.mark.parametrize(
    ("source", "train", "ratio"),
    [
        ("split", {"n": 600, "n_train": 48, "n_test": 120}, 0.25),  # an old record; a tenth is learned from
        ("split", {"n": 600, "n_test": 110, "contents": 30, "contents_test": 6}, 0.25),  # unequal groups
        ("split", {"n": 600, "n_test": 120, "contents": 30, "contents_test": 10}, 0.5),
        (
            "split",
            {"n": 300, "n_train": 240, "n_test": 60, "contents": 100, "contents_train": 98, "contents_test": 52},
            0.25,
        ),  # pictures were dealt: contents stand on both sides
        ("split", {}, 0.25),  # nothing is known
        ("all", {"n": 600, "n_test": 120, "contents": 30, "contents_test": 6}, 0.0),
    ],
)
def test_splits_overlap_as_the_source_is_split_whatever_is_learned_from_or_tested_on(source, train, ratio):
    spec = specs_of("cross", "demo", "glia", splits=1)[0]
    record = record_of(spec, data={"train": train, "tests": {}})
    for fraction in (0.1, 0.8):
        cell = Cell.of([record], Experiment(spec.train, spec.tests[0], fraction, source), "srcc")
        assert cell.overlap() == ratio


def test_a_logistic_that_did_not_converge_is_a_footnote_of_its_row(results):
    def damaged(record, ok: bool, **changes):
        found = record.body["metrics"]["demo_a:test"]
        return replace(
            record, body={**record.body, "metrics": {"demo_a:test": {**found, "logistic_ok": ok, **changes}}}
        )

    here = [r for r in results.records if r.spec.train == "demo_a" and r.spec.method in ("glia", "lora")]
    raw = next(r for r in here if r.spec.method == "glia" and r.spec.split == 0).value("demo_a:test", "plcc_raw")
    made = Results(
        damaged(r, False, plcc=raw)
        if (r.spec.method, r.spec.split) == ("glia", 0)
        else damaged(r, r.spec.method != "glia" or r.spec.split != 1)
        for r in here
    )
    glia, lora = (
        next(row for row in tables_of("main", made)["main_demo"].rows if row.label.startswith(name))
        for name in ("GLIA", "LoRA")
    )
    assert [note for note in glia.notes if note.startswith("PLCC")] == [
        "PLCC: the logistic did not converge in 1 of 3 splits of Demo A: its best curve is used.",
        "PLCC: no logistic could be fitted in 1 of 3 splits of Demo A: the raw PLCC stands in.",
    ]
    assert not any(note.startswith("PLCC") for note in lora.notes)


def test_of_a_constant_nothing_is_said_of_a_logistic(results):
    nothing = {"demo_a:test": {"srcc": None, "plcc": None, "plcc_raw": None, "logistic_ok": False}}
    records = [record_of(s, metrics=nothing) for s in specs_of("main", "demo", "mean", ["demo_a"], splits=3)]
    ((row,),) = (table.rows for table in tables_of("main", records).values())
    assert not any(note.startswith("PLCC") for note in row.notes)


def test_below_three_splits_nothing_is_marked_and_the_legend_says_so():
    two, three = (
        tables_of("main", results_of("main", "paper", "glia,loda", ["live"], n, split_rule="official"))["main_official"]
        for n in (2, 3)
    )
    marked = [any(cell.rank or cell.tied for row in table.rows for cell in row.cells) for table in (two, three)]
    assert marked == [False, True]
    assert any("Nothing is marked: with fewer than 3 splits" in note for note in two.notes)
    assert not any("Nothing is marked" in note for note in three.notes)
