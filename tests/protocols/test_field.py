"""Official splits, KonIQ-10k onto all, and every set onto every set: plans, tables, figures, and small runs of each."""

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import UsageError
from bench.core.registry import PROTOCOLS
from bench.planning.presets import DEMO, PAPER
from bench.planning.protocol import MethodChoice, Request
from bench.planning.which_sets import WhichSets
from protocols import matrix
from tests.data.trees import SMALL
from tests.fixtures_data import build, overwrite
from tests.report.figures.drawn import drawings, panels_of
from tests.report.results import results_of, tables_of
from tests.world import RECIPE, TINY, toml_of


def plan(name, preset=PAPER, methods="glia", **request):
    chosen = tuple(MethodChoice(method) for method in methods.split(","))
    return PROTOCOLS.make(name).plan(Request(preset, chosen, splits=request.pop("splits", 1), **request))


def test_official_is_the_authors_split_of_the_sets_that_have_one():
    specs = plan("official", methods="glia,lora")
    assert {(spec.train, spec.tests) for spec in specs} == {
        (name, (f"{name}:test",)) for name in ("koniq10k", "flive", "uhdiqa")
    }
    assert {spec.split_rule for spec in specs} == {"official"}
    assert plan("official", preset=DEMO) == []


def test_official_shares_its_runs_with_main_under_the_official_rule():
    own = {spec.key for spec in plan("official", datasets=("koniq10k",))}
    assert own == {spec.key for spec in plan("main", datasets=("koniq10k",), common={"split_rule": "official"})}


def test_koniq_cross_trains_once_on_the_official_part_and_tests_on_seven_other_sets_whole():
    (spec,) = plan("koniq_cross")
    assert (spec.train, spec.split_rule, spec.source) == ("koniq10k", "official", "split")
    others = ("spaq", "kadid10k", "pipal", "livec", "agiqa3k", "csiq", "flive")
    assert set(spec.tests) == {"koniq10k:test", *(f"{name}:all" for name in others)}


def test_koniq_cross_tests_on_sets_that_are_there_and_on_ones_own():
    there = WhichSets(own=("mine",), absent=frozenset({"pipal", "flive"}))
    (spec,) = plan("koniq_cross", sets=there)
    assert {"mine:all", "spaq:all"} <= set(spec.tests)
    assert not {"pipal:all", "flive:all"} & set(spec.tests)
    (named,) = plan("koniq_cross", sets=WhichSets(targets=("tid2013",)))
    assert set(named.tests) == {"koniq10k:test", "tid2013:all"}


@pytest.mark.parametrize("name", ["official", "koniq_cross"])
def test_another_rule_is_refused_and_not_dropped(name):
    with pytest.raises(UsageError, match=rf"Protocol {name} is about official splits: leave out --split-rule loda"):
        plan(name, common={"split_rule": "loda"})


def test_matrix_trains_once_a_set_and_tests_on_its_own_part_and_on_all_others():
    specs = plan("matrix")
    assert {spec.train for spec in specs} == set(PAPER.matrix)
    assert len(specs) == len(PAPER.matrix) == 13
    for spec in specs:
        assert set(spec.tests) == {f"{n}:{'test' if n == spec.train else 'all'}" for n in PAPER.matrix}


def test_matrix_takes_the_sets_that_are_named():
    specs = plan("matrix", datasets=("live", "csiq"))
    assert {(spec.train, spec.tests) for spec in specs} == {
        ("live", ("csiq:all", "live:test")),
        ("csiq", ("csiq:test", "live:all")),
    }


def test_matrix_runs_are_main_runs_with_more_tests():
    trained = {spec.training_key for spec in plan("main", splits=2)}
    assert trained <= {spec.training_key for spec in plan("matrix", splits=2)}


def test_official_has_a_table_of_official_runs_alone():
    mixed = (
        results_of("official", "paper", "glia,lora", splits=2).records
        + results_of("main", "paper", "glia", ["koniq10k"], splits=2).records
    )
    tables = tables_of("official", mixed)
    assert set(tables) == {"official"}
    groups = list(dict.fromkeys(group for group, _ in tables["official"].header))
    assert groups == ["KonIQ-10k", "FLIVE", "UHD-IQA"]
    assert not any(row.block for row in tables["official"].rows), "the papers' numbers are of random splits"


def test_koniq_cross_has_one_table_in_the_order_of_the_papers_that_have_it():
    table = tables_of("koniq_cross", results_of("koniq_cross", "paper", "glia,lora", splits=1))["koniq_cross"]
    groups = list(dict.fromkeys(group for group, _ in table.header))
    assert groups == ["KonIQ-10k", "SPAQ", "KADID-10k", "PIPAL", "LIVEC", "AGIQA-3K", "CSIQ", "FLIVE"]
    assert table.header[:2] == (("KonIQ-10k", "SRCC"), ("KonIQ-10k", "PLCC"))
    assert [row.block for row in table.rows] == ["", ""]


def test_matrix_has_a_row_for_each_set_and_method_with_its_own_part_in_its_column():
    results = results_of("matrix", "demo", "lora,glia", splits=3)
    table = tables_of("matrix", results)["matrix_demo"]
    assert [row.lead[0] for row in table.rows] == ["Demo A", "Demo A", "Demo B", "Demo B", "Demo wild", "Demo wild"]
    assert [name for _, name in table.header] == ["Demo A", "Demo B", "Demo wild"]
    for row, train in zip(table.rows[::2], ("demo_a", "demo_b", "demo_wild"), strict=True):
        facts = [cell.facts for cell in row.cells]
        assert {fact["train"] for fact in facts} == {train}
        assert {fact["test"] for fact in facts if fact["test"].startswith(train)} == {f"{train}:test"}
    cell = table.rows[0].cells[1]
    found = [
        record.value("demo_b:all", "srcc")
        for record in results.records
        if record.spec.train == "demo_a" and table.rows[0].lead[1].startswith(record.spec.method.title()[:2])
    ]
    assert cell.value == pytest.approx(np.median(found))


def test_rows_of_one_training_set_are_ranked_among_themselves():
    table = tables_of("matrix", results_of("matrix", "demo", "lora,glia,linear_probe", splits=3))["matrix_demo"]
    for start in range(0, 9, 3):
        ranks = [row.cells[0].rank for row in table.rows[start : start + 3]]
        assert sorted(ranks) == [0, 1, 2]


def test_retention_is_the_mean_on_other_sets_over_the_frozen_backbones(monkeypatch):
    table = tables_of("matrix", results_of("matrix", "demo", "linear_probe,glia,ridge", splits=3))["matrix_demo"]
    assert table.header[-1] == ("", "Retention")
    assert any(note.startswith("Retention: mean SRCC") for note in table.notes)
    rows = {row.lead[1].split(" (")[0]: row for row in table.rows if row.lead[0] == "Demo B"}
    elsewhere = {name: np.mean([row.cells[0].value, row.cells[2].value]) for name, row in rows.items()}
    assert rows["Ridge"].cells[-1].value == pytest.approx(1)
    assert rows["GLIA"].cells[-1].value == pytest.approx(elsewhere["GLIA"] / elsewhere["Ridge"])
    monkeypatch.setattr(matrix, "FROZEN", "lora")
    without = tables_of("matrix", results_of("matrix", "demo", "linear_probe,glia", splits=3))["matrix_demo"]
    assert without.header[-1] != ("", "Retention")


def test_the_heat_map_of_koniq_cross_has_a_row_for_each_method(tmp_path):
    records = results_of("koniq_cross", "paper", "linear_probe,glia,lora", splits=1).records
    (drawing,) = drawings("koniq_cross", records, tmp_path)
    (panel,) = panels_of(drawing)
    assert [label.get_text() for label in panel.get_yticklabels()] == ["Linear probe", "LoRA", "GLIA"]
    names = [label.get_text() for label in panel.get_xticklabels()]
    assert (names[0], names[1], len(names)) == ("KonIQ-10k (test)", "SPAQ", 8)
    assert drawing.stem == "koniq_cross_koniq10k_official"


def test_the_heat_map_of_a_matrix_is_that_of_cross(tmp_path):
    records = results_of("matrix", "demo", "linear_probe,glia", splits=3).records
    (drawing,) = [each for each in drawings("cross", records, tmp_path) if each.stem.startswith("cross_demo")]
    assert [axes.get_title() for axes in panels_of(drawing)] == ["Linear probe", "GLIA"]


TREES = sorted(SMALL)
FLAGS = ["--preset", "paper", "--backbone", TINY, "--weights", "random", "--device", "cpu", "--splits", "1"]
FLAGS += [word for key, value in (RECIPE | {"epochs": 1, "train_views": 1, "test_views": 1}).items()
          for word in ("--set", f"{key}={value}")]  # fmt: skip


def bench(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, done.output


@pytest.fixture
def desk(trees, tmp_path, monkeypatch):
    """A folder whose bench.toml knows small trees of some sets, as their authors ship them."""

    def made(*names):
        homes = {name: trees.fresh(name, monkeypatch) for name in names}
        (tmp_path / "bench.toml").write_text(toml_of({name: {"path": home} for name, home in homes.items()}))
        monkeypatch.chdir(tmp_path)
        return homes

    return made


def test_matrix_is_run_looked_over_for_shared_pictures_and_shown(desk):
    desk("bid", "uhdiqa", "agiqa3k")
    code, said = bench("run", "-m", "linear_probe,ridge", "-p", "matrix", *FLAGS)
    assert code == 0, said
    assert "6 done, 0 failed" in " ".join(said.split())
    assert "have a twin among" in " ".join(said.split()), "fixture trees share their two dozen pictures"
    code, said = bench("table", "matrix")
    assert code == 0
    assert "Retention" in said


def test_a_dry_run_looks_for_no_shared_pictures(desk):
    desk("bid", "agiqa3k")
    said = bench("run", "-m", "linear_probe", "-p", "matrix", "--dry-run", *FLAGS)[1]
    assert "twin" not in said


def test_koniq_cross_and_official_are_run_and_shown(desk):
    homes = desk("koniq10k", "bid", "uhdiqa", "csiq")
    sheet = homes["koniq10k"] / "koniq10k_distributions_sets.csv"  # sixty pictures, all of the training part
    lines = sheet.read_text().splitlines()
    lines = [line.replace("training", "test") if i > 45 else line for i, line in enumerate(lines)]
    overwrite(sheet, "\n".join(lines) + "\n")
    code, said = bench("run", "-m", "linear_probe", "-p", "koniq_cross,official", *FLAGS)
    assert code == 0, said
    assert "2 done, 0 failed" in " ".join(said.split()), "KonIQ's run is shared; UHD-IQA has a split too"
    for name, seen in (("koniq_cross", "CSIQ"), ("official", "UHD-IQA")):
        code, said = bench("table", name)
        assert (code, seen in said) == (0, True), said
    code, said = bench("figure", "koniq_cross")
    assert code == 0, said


@pytest.mark.slow
def test_all_three_plan_on_full_size_trees_of_all_sets(tmp_path, monkeypatch):
    for name in TREES:
        build(name, tmp_path, **({"official": True} if name == "flive" else {}))
    (tmp_path / "bench.toml").write_text(f'[data]\nroot = "{tmp_path}"\n')
    monkeypatch.chdir(tmp_path)
    words = ["-m", "glia,lora", "-p", "koniq_cross,matrix,official,joint", "--preset", "paper", "--dry-run"]
    code, said = bench("run", *words)
    assert code == 0, said
    assert "340 runs" in " ".join(said.split())


def test_a_model_is_held_against_the_frozen_backbone_of_its_own_kind_alone():
    def rows(records):
        table = tables_of("matrix", records)["matrix"]
        return {row.lead: row.cells[-1].value for row in table.rows}

    asked = ("matrix", "paper", "lora,ridge", ("livec", "csiq"), 10)
    usual = results_of(*asked).records
    larger = results_of(*asked[:2], "ridge", *asked[3:], backbone="vit_large_patch14_clip_336.openai").records
    both = rows([*usual, *larger])
    assert {lead: both[lead] for lead in rows(usual)} == rows(usual)
    assert {value for (_, label), value in both.items() if label.startswith("Ridge")} == {1.0}
    alone = rows([*results_of(*asked[:2], "lora", *asked[3:]).records, *larger])
    assert {value for (_, label), value in alone.items() if label.startswith("LoRA")} == {None}


def test_koniq_cross_tests_on_the_sets_that_are_named_and_always_learns_koniq():
    for named in (("livec",), ("livec", "spaq"), ("flive", "uhdiqa"), ("koniq10k", "livec")):
        (spec,) = plan("koniq_cross", datasets=named)
        assert spec.train == "koniq10k"
        assert set(spec.tests) == {"koniq10k:test", *(f"{name}:all" for name in named if name != "koniq10k")}
