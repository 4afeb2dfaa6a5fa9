"""Several sets at once: which runs are planned, what is refused, the table, and small runs from the command line."""

import numpy as np
import pytest

from bench.core.errors import UsageError
from bench.core.registry import PROTOCOLS
from bench.planning.plan import Ask, make_plan
from bench.planning.presets import DEMO, PAPER, STUDY
from bench.planning.protocol import MethodChoice, Request
from bench.planning.which_sets import WhichSets
from bench.report.arms import arm_of
from bench.report.narrowing import Narrowing, narrowed
from bench.report.page.commands import commands_of
from tests.protocols.test_field import FLAGS, bench, desk  # noqa: F401 (a fixture)
from tests.report.results import results_of, tables_of
from tests.world import RECIPE, TINY, make_world, toml_of


def plan(preset=PAPER, methods="glia", options=None, **request):
    chosen = tuple(MethodChoice(method) for method in methods.split(","))
    return PROTOCOLS.make("joint", options or {}).plan(Request(preset, chosen, splits=1, **request))


def ask(**changes):
    usual = {"methods": ["glia"], "protocols": ["joint"], "preset": "paper", "splits": 1}
    return make_plan(Ask(**(usual | changes)))


def test_the_papers_mix_is_tested_on_its_own_test_parts_and_on_all_other_sets_whole():
    (spec,) = plan()
    assert spec.train == "kadid10k+koniq10k+spaq"
    own = {"kadid10k:test", "koniq10k:test", "spaq:test"}
    assert set(spec.tests) == own | {f"{name}:all" for name in PAPER.matrix if name not in spec.trained_on}


@pytest.mark.parametrize(("preset", "train"), [(DEMO, "demo_a+demo_wild"), (STUDY, "study+study_metric")])
def test_presets_of_made_sets_have_a_mix_too(preset, train):
    (spec,) = plan(preset)
    assert (spec.train, spec.split_rule) == (train, preset.split_rule)


def test_the_sets_that_are_named_are_mixed():
    (spec,) = plan(datasets=("livec", "csiq"))
    assert (spec.train, spec.tests) == ("csiq+livec", ("csiq:test", "livec:test"))


def test_sources_are_mixes_and_targets_are_tested_whole():
    plan_made = ask(train_on=["koniq10k+csiq", "livec+live"], test_on=["spaq", "csiq"])
    assert {(spec.train, spec.tests) for spec in plan_made.specs} == {
        ("csiq+koniq10k", ("csiq:test", "koniq10k:test", "spaq:all")),
        ("live+livec", ("csiq:all", "live:test", "livec:test", "spaq:all")),
    }


def test_shares_are_part_of_what_is_trained():
    equal, by_size = (ask(datasets=["csiq+live"], settings=setting).specs[0] for setting in ([], ["shares=size"]))
    assert (equal.train, by_size.train) == ("csiq+live", "csiq+live@size")
    assert equal.training_key != by_size.training_key


def test_own_sets_are_tested_on_and_absent_ones_leave_the_mix():
    (spec,) = plan(sets=WhichSets(own=("mine",), absent=frozenset({"spaq", "pipal"})))
    assert spec.train == "kadid10k+koniq10k"
    assert "mine:all" in spec.tests
    assert not {"pipal:all", "spaq:all"} & set(spec.tests)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"train_on": ["csiq"]}, r"'csiq' is no mix: name at least two sets"),
        ({"datasets": ["csiq"]}, r"'csiq' is no mix"),
        (
            {"protocols": ["joint", "cross"], "train_on": ["csiq+live"]},
            r"--protocol joint does that, and cross does not",
        ),
        ({"protocols": ["main"], "datasets": ["csiq+live"]}, r"csiq\+live is several sets"),
        ({"train_on": ["csiq+live"], "test_on": ["spaq+livec"]}, r"tested on one set at a time"),
        ({"datasets": ["csiq", "live"], "settings": ["batch=3"]}, r"batch=3 leaves 2 sets fewer .* at least batch=4"),
        ({"datasets": ["csiq", "live"], "settings": ["shares=half"]}, r"half"),
        ({"train_on": ["csiq+lvie"], "data": {}}, r"Unknown dataset 'lvie'"),
    ],
)
def test_what_cannot_be_mixed_is_refused_in_a_sentence(changes, said):
    with pytest.raises(UsageError, match=said):
        ask(**changes)


def test_its_table_says_which_sets_are_in_the_mix_and_which_are_not():
    results = results_of("joint", "demo", "lora,glia", splits=3)
    table = tables_of("joint", results)["joint_demo_a_demo_wild_demo"]
    assert table.header == (
        ("Trained on: test part", "Demo A"),
        ("Trained on: test part", "Demo wild"),
        ("Not trained on: whole", "Demo B"),
    )
    assert len(table.rows) == 2
    found = [r.value("demo_wild:test", "srcc") for r in results.records if r.spec.method == "glia"]
    (row,) = [row for row in table.rows if row.lead[0].startswith("GLIA")]
    assert row.cells[1].value == pytest.approx(np.median(found))


@pytest.mark.parametrize(
    "named", ["demo_a,demo_wild,demo_b", "demo_a+demo_wild,demo_b", "demo_wild+demo_a@size,demo_b"]
)
def test_a_mix_is_shown_where_all_of_its_sets_are_named_one_by_one_or_as_the_mix(named):
    results = results_of("joint", "demo", "lora,glia", splits=3)
    chosen = narrowed(results, Narrowing(datasets=tuple(named.split(","))), {}, pytest.fail)
    assert [record.spec for record in chosen.records] == [record.spec for record in results.records]


def test_of_a_mix_only_the_tests_on_the_named_sets_are_shown_and_nothing_where_one_of_its_sets_is_not_named():
    results = results_of("joint", "demo", "lora,glia", splits=3)
    chosen = narrowed(results, Narrowing(datasets=("demo_a", "demo_wild")), {}, pytest.fail)
    assert {record.spec.tests for record in chosen.records} == {("demo_a:test", "demo_wild:test")}
    with pytest.raises(UsageError, match="Nothing to show: .* and none of --dataset demo_a,demo_b"):
        narrowed(results, Narrowing(datasets=("demo_a", "demo_b")), {}, pytest.fail)


def test_no_other_table_takes_a_mix_for_a_set():
    records = results_of("joint", "demo", "lora,glia", splits=3).records
    records += results_of("matrix", "demo", "lora,glia", splits=3).records
    for name in ("matrix", "cross", "main"):
        for table in tables_of(name, records).values():
            assert not any("+" in lead for row in table.rows for lead in row.lead)
            assert not any("+" in text for header in table.header for text in header)


def test_the_report_names_the_command_that_makes_a_joint_run_again():
    (spec,) = ask(datasets=["csiq+live"], test_on=["spaq"], settings=["shares=size"]).specs
    (command,) = commands_of(spec, arm_of(spec))
    assert "-p joint --train-on csiq+live --set shares=size --test-on spaq" in command


def test_joint_runs_from_the_command_line_are_made_shown_and_verified(tmp_path, monkeypatch):
    data = make_world(tmp_path / "sets")
    (tmp_path / "bench.toml").write_text(toml_of(data))
    monkeypatch.chdir(tmp_path)
    flags = ["--preset", "demo", "--backbone", TINY, "--weights", "random", "--device", "cpu", "--splits", "2"]
    flags += [word for key, value in (RECIPE | {"epochs": 1}).items() for word in ("--set", f"{key}={value}")]
    words = ["-m", "linear_probe,mean", "-p", "joint", "-d", "near+far", *flags]
    code, said = bench("run", *words)
    assert code == 0, said
    assert "4 done, 0 failed" in " ".join(said.split())
    assert "near share no picture" in " ".join(said.split())
    code, said = bench("table", "joint")
    assert (code, "Trained on: test part" in said) == (0, True), said
    assert "everything fits" in bench("verify")[1]
    assert "0 to run" in bench("run", *words)[1]
    code, said = bench("run", *words, "--pack", "2")
    assert code == 2
    assert "far+near are made one by one" in " ".join(said.split())


def test_a_split_file_is_about_one_set_and_no_mix(tmp_path, monkeypatch):
    (tmp_path / "bench.toml").write_text(toml_of(make_world(tmp_path / "sets")))
    monkeypatch.chdir(tmp_path)
    code, said = bench("run", "-m", "mean", "-p", "joint", "--train-on", "near+far", "--split-rule", "file:x.csv")
    assert (code, "is about one set" in " ".join(said.split())) == (2, True)


def test_a_mix_of_authors_trees_is_run_on_their_own_official_parts(desk):  # noqa: F811
    desk("bid", "csiq", "agiqa3k")
    code, said = bench("run", "-m", "linear_probe", "-p", "joint", "--train-on", "bid+csiq", *FLAGS)
    assert code == 0, said
    assert "agiqa3k:all" in said
