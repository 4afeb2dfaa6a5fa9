"""Numbers of unlike split rules or selections share no column, no rank and no mark; the oracle's are never ranked."""

from dataclasses import replace

import pytest

from bench.core.errors import UsageError
from bench.records.results import Results
from bench.report.compare import compare
from bench.report.figures.scene import Wish, scenes
from bench.report.table import MEASURED, Number
from bench.report.tables.write import make_tables
from tests.report.records import RANDOM, body_of, record_of, records_of
from tests.report.results import specs_of, tables_of

METHODS = "linear_probe,lora,glia"
UNUSUAL = {
    "main_official": {"split_rule": "official"},
    "main_val": {"selection": "val"},
    "main_oracle": {"selection": "oracle"},
    "main_official_oracle": {"split_rule": "official", "selection": "oracle"},
}


def changed(spec, split_rule="random", selection="last"):
    return replace(spec, split_rule=split_rule, recipe=replace(spec.recipe, selection=selection))


@pytest.fixture(scope="module")
def specs():
    return specs_of("main", "paper", METHODS, ["koniq10k", "flive"])


@pytest.fixture(scope="module")
def tables(specs):
    """The tables of runs under the usual rules and under each of the others."""
    unusual = [changed(spec, **rules) for rules in UNUSUAL.values() for spec in specs]
    return tables_of("main", records_of(specs + unusual))


def measured(table):
    return [row for row in table.rows if row.block == MEASURED]


def numbers(table):
    return [cell for row in measured(table) for cell in row.cells if isinstance(cell, Number)]


def test_each_set_of_rules_has_a_table_of_its_own_with_its_own_rows_only(tables):
    assert set(UNUSUAL) | {"main"} <= set(tables)
    for name in ("main", *UNUSUAL):
        assert len(measured(tables[name])) == 3, name
        assert not any("=" in row.label for row in measured(tables[name])), name


def test_a_table_of_the_usual_rules_is_the_same_whatever_else_there_is(specs, tables):
    assert tables_of("main", records_of(specs))["main"] == tables["main"]


@pytest.mark.parametrize("name", ["main", "main_official", "main_val"])
def test_rows_under_one_set_of_rules_are_ranked_among_themselves(tables, name):
    for j in range(len(tables[name].header)):
        cells = [row.cells[j] for row in measured(tables[name])]
        if all(isinstance(cell, Number) for cell in cells):
            assert sorted(cell.rank for cell in cells) == [0, 1, 2]


@pytest.mark.parametrize("name", ["main_oracle", "main_official_oracle"])
def test_the_oracles_numbers_have_neither_rank_nor_mark_nor_ranking(tables, name):
    assert numbers(tables[name])
    assert not any(cell.rank or cell.tied for cell in numbers(tables[name]))
    assert any("neither ranked nor compared" in note for note in tables[name].notes)
    assert not any("Best in bold" in note or "≈" in note for note in tables[name].notes)
    assert f"{name}_ranking" not in tables
    assert "main_ranking" in tables


def test_titles_say_what_is_not_as_usual(tables):
    assert tables["main_official"].title.endswith("Official split.")
    assert tables["main_val"].title.endswith("Epoch chosen on validation contents.")
    assert tables["main_oracle"].title.endswith("Epoch chosen on the TEST part.")
    assert "split" not in tables["main"].title


def test_published_numbers_of_random_splits_do_not_stand_beside_official_ones(tables):
    assert {row.block for row in tables["main_official"].rows} == {MEASURED}
    assert {row.block for row in tables["main_oracle"].rows} > {MEASURED}


def test_one_training_on_the_official_split_is_a_whole_number(specs):
    once = [changed(spec, "official") for spec in specs if spec.split == 0]
    table = tables_of("main", records_of(once))["main_official"]
    assert all(cell.complete and cell.of == 1 for cell in numbers(table))


def test_every_protocols_tables_keep_the_rules_apart():
    plan = specs_of("cross,components,data_efficiency,strategies", "demo", "linear_probe,loda,glia")
    oracle = [changed(spec, selection="oracle") for spec in plan]
    for protocol in ("cross", "components", "data_efficiency", "strategies", "distortions", "gmad"):
        usual = tables_of(protocol, records_of(plan))
        both = tables_of(protocol, records_of(plan + oracle))
        assert {name: both[name] for name in usual} == usual, protocol
        apart = [both[name] for name in set(both) - set(usual)]
        assert apart, protocol
        assert not any(cell.rank or cell.tied for table in apart for cell in numbers(table)), protocol


def test_runs_that_are_official_in_name_only_are_in_no_table(specs, tmp_path):
    named = [changed(spec, "official") for spec in specs]
    bodies = [body_of(spec) for spec in named]
    data = [{**body["data"], "train": {**body["data"]["train"], "split_rule": RANDOM}} for body in bodies]
    odd = [record_of(spec, data=part) for spec, part in zip(named, data, strict=True)]
    assert tables_of("main", odd) == {}
    assert "main_official" not in tables_of("main", [*records_of(specs), *odd])
    with pytest.raises(UsageError, match="Nothing to show"):
        make_tables(Results(odd), ["main"], out=tmp_path)


def test_official_and_random_runs_are_never_paired_in_a_comparison(specs):
    glia = [spec for spec in specs if spec.method == "glia"]
    lora = [changed(spec, "official") for spec in specs if spec.method == "lora"]
    with pytest.raises(UsageError, match="no two finished runs"):
        compare(Results(records_of(glia + lora)), "glia", "lora")


def test_figures_keep_the_rules_apart_in_files_titles_and_numbers(specs):
    oracle = [changed(spec, "official", "oracle") for spec in specs]
    (usual, _), (unusual, _) = scenes(Results(records_of(specs + oracle)), Wish())
    assert (usual.stem("scatter"), usual.headline("Scatter")) == ("scatter", "Scatter")
    assert unusual.stem("scatter") == "scatter_official_oracle"
    assert unusual.headline("Scatter") == "Official split. Epoch chosen on the TEST part. Scatter"
    for scene, rule in ((usual, "random"), (unusual, "official")):
        (experiment, *_) = scene.own_tests()
        subjects = scene.subjects([experiment])
        shown = [r for s in subjects for r in scene.done(s.arm, experiment).values()]
        assert {record.spec.split_rule for record in shown} == {rule}
    below = " ".join(unusual.conditions(unusual.subjects(unusual.own_tests()), unusual.own_tests(), how="."))
    assert "neither ranked nor compared" in below
