"""Every two of several methods: which differ, corrected for how many pairs were looked at, and the README's table."""

from __future__ import annotations

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import UsageError
from bench.metrics.comparisons import holm
from bench.records.results import Results
from bench.records.store import Store
from bench.report.compare import compare
from bench.report.pairs import all_pairs
from bench.report.readme import CLOSE, CROSS_CLOSE, CROSS_OPEN, OPEN, cross_lines, study_lines, write_readme
from tests.report.records import body_of, predictions, records_of
from tests.report.results import results_of, specs_of

SEVEN = "linear_probe,full_finetune,adapter,lora,vpt,loda,glia"


@pytest.fixture(scope="module")
def study():
    return results_of("strategies", "study", SEVEN + ",ridge,ssf", splits=7)


def test_each_pair_is_that_of_compare_with_the_better_one_first(study):
    (table,) = all_pairs(study, ["lora", "glia", "loda"])
    assert (table.over, table.count, len(table.pairs)) == ("contents", 12, 3)
    assert [pair.difference for pair in table.pairs] == sorted((p.difference for p in table.pairs), reverse=True)
    rows = {
        frozenset(pair): compare(study, *pair)[0].rows[0]
        for pair in (("lora", "glia"), ("lora", "loda"), ("glia", "loda"))
    }
    titles = {"lora": "LoRA", "glia": "GLIA", "loda": "LoDa"}
    for names, row in rows.items():
        (pair,) = (p for p in table.pairs if {p.better, p.worse} == {titles[name] for name in names})
        ends = sorted(abs(end) for end in (row.contents.low, row.contents.high))
        assert pair.difference == pytest.approx(abs(row.contents.estimate))
        assert sorted(map(abs, (pair.low, pair.high))) == pytest.approx(ends)
        assert pair.low <= pair.difference <= pair.high


def test_p_is_corrected_for_all_pairs_that_were_looked_at(study):
    (table,) = all_pairs(study, ["lora", "full_finetune", "vpt", "loda"])
    pairs = [
        ("lora", "full_finetune"),
        ("lora", "vpt"),
        ("lora", "loda"),
        ("full_finetune", "vpt"),
        ("full_finetune", "loda"),
        ("vpt", "loda"),
    ]
    single = sorted(holm([compare(study, *pair)[0].rows[0].contents.p for pair in pairs]))
    assert sorted(pair.p for pair in table.pairs) == pytest.approx(single)


def test_a_summary_counts_the_pairs_that_are_told_apart_and_says_how_far_the_rest_may_differ(study):
    (table,) = all_pairs(study, ["adapter", "vpt", "loda", "glia"])
    apart = sum(pair.told_apart for pair in table.pairs)
    assert 0 < apart < 6
    assert f"of 6 pairs {apart} can be told apart (α = 0.05 after Holm, over 12 contents)." in table.summary
    assert "may be equal, or differ by up to 0." in table.summary


def with_options(specs, **options):
    return [replace(spec, options={**spec.options, **options}) for spec in specs]


def test_settings_are_named_where_several_are_of_one_method():
    lora = specs_of("strategies", "study", "lora", splits=7)
    plan = [*specs_of("strategies", "study", "glia", splits=7), *lora, *with_options(lora, rank=2)]
    (table,) = all_pairs(Results(records_of(plan)), ["glia", "lora,rank=2", "lora"])
    names = {name for pair in table.pairs for name in (pair.better, pair.worse)}
    assert names == {"GLIA", "LoRA", "LoRA, rank=2"}


def at_rate(specs, lr):
    return [replace(spec, recipe=replace(spec.recipe, lr=lr)) for spec in specs]


def test_a_method_stands_in_all_pairs_as_one_and_the_same_trained_like_the_others():
    adapter, vpt = (specs_of("strategies", "study", name, splits=7) for name in ("adapter", "vpt"))
    ridge = specs_of("strategies", "study", "ridge", splits=7)
    found = Results(records_of([*adapter, *at_rate(adapter, 0.003), *at_rate(vpt, 0.003), *ridge]))
    (table,) = all_pairs(found, ["ridge", "adapter", "vpt"])
    assert table.shared == ("lr=0.003",)
    by_pair = {frozenset((p.better, p.worse)): p for p in table.pairs}
    assert set(by_pair) == {frozenset(pair) for pair in (("Ridge", "Adapter"), ("Ridge", "VPT"), ("Adapter", "VPT"))}
    lead = {name: by_pair[frozenset(("Ridge", name))] for name in ("Adapter", "VPT")}
    signed = {name: pair.difference if pair.better == name else -pair.difference for name, pair in lead.items()}
    third = by_pair[frozenset(("Adapter", "VPT"))]
    between = third.difference if third.better == "VPT" else -third.difference
    assert between == pytest.approx(signed["VPT"] - signed["Adapter"]), "three means of the same three rows"


def test_pairs_of_other_split_rules_are_another_family():
    both = [*specs_of("strategies", "study", "lora,glia,vpt", splits=7)]
    other = [replace(s, split_rule="kfold:6") for s in both if s.split < 6]
    tables = all_pairs(Results(records_of([*both, *other])), ["lora", "glia", "vpt"])
    assert [(table.count, bool(table.rules)) for table in tables] == [(12, False), (12, True)]
    parted = [s for s in other if s.method != "vpt"] + [s for s in both if s.method != "glia"]
    with pytest.raises(UsageError):
        all_pairs(Results(records_of(parted)), ["lora", "glia", "vpt"])


def test_without_intervals_over_contents_pairs_are_over_splits(study):
    lost = Results(replace(record, arrays=None) for record in study.records)
    (table,) = all_pairs(lost, ["lora", "glia", "loda"])
    assert (table.over, table.count) == ("splits", 7)


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        (["lora", "glia", "lora"], "named twice"),
        (["lora", "glia", "bitfit"], "bitfit"),
    ],
)
def test_what_cannot_be_compared_is_said(study, wishes, says):
    with pytest.raises(UsageError, match=says):
        all_pairs(study, wishes)


@pytest.fixture
def stored(tmp_path):
    store = Store(tmp_path / "results")
    store.ready()
    for spec in specs_of("strategies", "study", "lora,glia,loda", splits=7):
        store.write(body_of(spec), predictions(spec))
    return store


def test_the_command_takes_three_methods_and_prints_all_pairs(stored):
    told = CliRunner().invoke(app, ["compare", "lora", "glia", "loda", "--results", str(stored.root)])
    assert told.exit_code == 0
    assert "Study: every two methods, SRCC, preset study" in told.stdout
    assert "Study: of 3 pairs" in told.stdout


def test_the_command_wants_two_methods_at_least(stored):
    told = CliRunner().invoke(app, ["compare", "lora", "--results", str(stored.root)])
    assert told.exit_code == 2
    assert "at least two methods" in told.output


def test_the_readmes_table_has_the_strategies_with_intervals_and_their_lead_over_ridge(study):
    lines = study_lines(study)
    rows = [line for line in lines if line.startswith("| ")][2:]
    assert [row.split(" (")[0].removeprefix("| ") for row in rows] == [
        "Ridge", "Linear probe", "Full fine-tune", "Adapter", "LoRA", "VPT", "LoDa", "GLIA", "SSF",
    ]  # fmt: skip
    (pairs,) = all_pairs(study, ["ridge", *SEVEN.split(",")])
    over = compare(study, "glia", "ridge")[0].rows[0].contents
    assert rows[7].endswith(f"| {over.estimate:+.3f} [{over.low:+.3f}, {over.high:+.3f}] |")
    over = compare(study, "adapter", "ridge")[0].rows[0].contents
    assert over.estimate < 0
    assert rows[3].endswith(f"| {over.estimate:+.3f} [{over.low:+.3f}, {over.high:+.3f}] |")
    assert rows[0].endswith("| – |")
    assert rows[8].endswith("|  |")
    assert pairs.summary in lines[-1]


def test_nothing_is_shown_before_every_strategy_has_all_folds(study):
    some = study.where(lambda record: not (record.spec.method == "vpt" and record.spec.split == 3))
    assert study_lines(some) == []


def test_the_table_goes_between_its_marks_and_nothing_else_is_touched(study, tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"before\n{OPEN}\nstale\n{CLOSE}\nafter\n")
    assert write_readme(page, study)
    text = page.read_text()
    assert text.startswith(f"before\n{OPEN}\n| Method |")
    assert text.endswith(f"{CLOSE}\nafter\n")
    assert "stale" not in text
    page.write_text("no marks\n")
    assert not write_readme(page, study)


def test_the_readme_has_a_line_for_each_pair_of_sets_with_the_ends_of_the_strategies_means(tmp_path):
    results = results_of("cross", "demo", SEVEN, splits=3)
    lines = cross_lines(results)
    assert [line.partition(":")[0] for line in lines] == [
        "- Demo A → Demo B",
        "- Demo A → Demo wild",
    ]
    means = {}
    for record in results.records:
        means.setdefault(record.spec.method, []).append(record.body["metrics"]["demo_b:all"]["srcc"])
    means = sorted(sum(values) / len(values) for values in means.values())
    assert f"Mean SRCC from {means[0]:.3f} (" in lines[0]
    assert f") to {means[-1]:.3f} (" in lines[0]
    assert all(pairs.summary in line for pairs, line in zip(all_pairs(results, SEVEN.split(",")), lines, strict=True))
    assert cross_lines(results_of("cross", "demo", "lora,glia", splits=3)) == []
    page = tmp_path / "README.md"
    page.write_text(f"{CROSS_OPEN}\nstale\n{CROSS_CLOSE}\nafter\n")
    assert write_readme(page, results)
    assert page.read_text() == "\n".join([CROSS_OPEN, *lines, CROSS_CLOSE]) + "\nafter\n"
    assert not write_readme(page, results), "it says that already"
