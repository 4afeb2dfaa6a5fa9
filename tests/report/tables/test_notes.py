"""Few notes, and the right ones: what the screen shows of what the files hold whole."""

import re
import textwrap
from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bench.cli import app
from bench.core.code import NUMERICS
from bench.records.results import Results
from bench.records.store import Store
from bench.report.table import Number, Row, Table
from bench.report.tables.rendering.notes import CAUTIONS, LINES, on_screen
from bench.report.tables.rendering.terminal import bands, terminal
from bench.report.tables.rendering.text import below
from tests.report.records import body_of, predictions, record_of, records_of
from tests.report.results import results_of, specs_of, tables_of


def table_of(name="t", notes=(), footer=(), row_notes=()):
    row = Row(("GLIA",), (Number(0.5, n=1, of=1),), notes=tuple(row_notes))
    return Table(name, name, ("Method",), (("", "SRCC"),), (row,), notes=tuple(notes), footer=tuple(footer))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with records of three tables: the comparison, its ranking, and across datasets."""
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "results")
    for spec in specs_of("main,cross", "demo", "glia,lora,linear_probe", ["demo_a", "demo_b"], splits=2):
        store.write(body_of(spec), predictions(spec))
    return tmp_path


def bench(*words, width=100):
    return CliRunner().invoke(app, list(words), env={"COLUMNS": str(width)})


def below_the_tables(text):
    """What stands under each table: the lines from behind its last row to the next table's title."""
    parts = re.split(r"^(?:Demo\. |Of several|Written)", text, flags=re.MULTILINE)[1:]
    lines = [part.rstrip().split("\n") for part in parts]
    return [[line for line in part[1:] if line and not line.startswith(" ")] for part in lines]


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_screen_shows_at_most_three_lines_under_a_table(home, width):
    shown = below_the_tables(bench("table", "main,cross", width=width).stdout)
    assert len(shown) >= 4
    titles = 1  # of a title that is broken at this width
    assert all(len(lines) <= LINES + titles for lines in shown)


def test_the_screen_says_where_the_other_notes_stand(home):
    alone = bench("table", "cross").stdout.splitlines()
    assert re.fullmatch(r"\d+ more notes: --notes, or results/tables/cross_demo\.md", alone[-1])
    several = bench("table", "main,cross").stdout.splitlines()
    assert several[-1].endswith("more notes: --notes, or results/tables/*.md")
    some = bench("table", "cross", "-m", "glia").stdout.splitlines()
    assert some[-1].endswith("more notes: --notes")  # nothing was written


def test_all_notes_are_in_the_files_and_on_the_screen_when_asked_for_there_each_once(home):
    assert bench("table", "main,cross").exit_code == 0
    whole = " ".join(bench("table", "main,cross", "--notes", width=200).stdout.split())
    assert "more note" not in whole
    results = Results.read(Store(home / "results"))
    tables = {**tables_of("main", results), **tables_of("cross", results)}
    said = {note for table in tables.values() for note in below(table)}
    assert len(said) > 10
    for note in said:
        assert whole.count(note) == 1, note
    text = (home / "results" / "tables" / "cross_demo.md").read_text()
    for start in ("Medians over 2 of 3 folds", "Demo: labels are", "Backbone: ", "Made with: ", "Commit: "):
        assert start in text


def test_what_tables_of_one_call_share_is_said_once(home):
    text = bench("table", "main,cross").stdout
    for note in ("Medians over 2 of 3 folds", "Preset: demo"):
        assert text.count(note) == 1
    assert "Of several of these tables:" in text
    assert "Of several" not in bench("table", "cross").stdout


def test_notes_that_contradict_one_another_stay_under_their_tables():
    one = table_of("one", ["Medians over 2 splits."], ["Preset: demo"])
    two = table_of("two", ["Medians over 2 splits."], ["Preset: demo, changed: epochs=7"])
    three = table_of("three", ["Medians over 2 splits."], ["Preset: demo"])
    shown = on_screen([one, two, three], 100)
    assert shown.shared == ("Medians over 2 splits.",)
    assert shown.under == (("Preset: demo",), ("Preset: demo, changed: epochs=7",), ("Preset: demo",))


def test_a_number_of_a_footnote_means_one_thing_where_it_is_shared():
    same = on_screen([table_of(row_notes=["A note."]), table_of(row_notes=["A note."])], 100)
    assert (same.under, same.shared) == (((), ()), ("[1] A note.",))
    other = on_screen([table_of(row_notes=["A note."]), table_of(row_notes=["Another."])], 100)
    assert other.under == (("[1] A note.",), ("[1] Another.",))


def test_cautions_go_before_all_else_and_a_long_one_is_there_with_its_beginning():
    long = "Few pictures in a test part: X (9). " + "Correlations over so few change much. " * 9
    table = table_of(notes=["Medians over 2 splits.", "Mode: a fraction.", long.strip()], footer=["Preset: demo"])
    shown = on_screen([table], 60)
    assert shown.under[0] == ("Medians over 2 splits.", "Few pictures in a test part: X (9). …", "Preset: demo")
    assert shown.left == 2


def test_what_a_sign_means_and_what_was_changed_are_there_at_any_width():
    records = records_of(
        replace(s, weights="random") for s in specs_of("main", "demo", "glia,lora", ["demo_a"], splits=3)
    )
    changed = [
        record_of(replace(r.spec, recipe=replace(r.spec.recipe, epochs=10, batch=8, weight_decay=0.02)))
        for r in records
    ]
    table = tables_of("main", changed)["main_demo"]
    marked = replace(
        table,
        notes=(
            *(note for note in table.notes if note.startswith("Random")),
            "Medians over 4 splits.",
            "≈: not distinguishable from the best " + "of its column " * 20,
        ),
    )
    for width in (60, 80, 200):
        (lines,) = on_screen([marked], width).under
        assert sum(len(textwrap.wrap(line, width)) for line in lines) <= LINES
        assert lines[0].startswith("Random weights")
        assert any(line.startswith("Preset: demo, changed: epochs=10") for line in lines)
    (lines,) = on_screen([replace(marked, footer=())], 200).under
    assert lines[-1].startswith("≈: not distinguishable")
    assert lines[-1].endswith(" …")


def test_a_footnote_of_every_row_is_said_once_below_and_marks_none():
    specs = specs_of("main", "demo", "glia,lora", ["demo_a"], splits=3)
    table = tables_of("main", records_of(replace(s, weights="random") for s in specs))["main_demo"]
    assert all(not row.notes for row in table.rows)
    assert sum(note.startswith("Random weights: ") for note in table.notes) == 1
    mixed = [replace(s, weights="random") if s.method == "glia" else s for s in specs]
    table = tables_of("main", records_of(mixed))["main_demo"]
    assert [any(note.startswith("Random weights: ") for note in row.notes) for row in table.rows] == [False, True]


def notes_of(**changes):
    """All that stands below the tables of one method, some of whose runs are changed."""
    specs = specs_of("main", "demo", "glia", ["demo_a"], splits=3, **changes.pop("common", {}))
    specs = [replace(s, recipe=replace(s.recipe, **changes.pop("recipe", {}))) for s in specs]
    tables = tables_of("main", [record_of(spec, **changes) for spec in specs])
    return [re.sub(r"^\[\d+\] ", "", note) for table in tables.values() for note in below(table)]


@pytest.mark.parametrize(
    ("changes", "begins"),
    [
        ({"common": {"limit": 40}}, "Smoke run"),
        ({"common": {"weights": "random"}}, "Random weights"),
        ({"recipe": {"selection": "oracle"}}, "Optimistic"),
        ({"loss": [0.5, 0.49]}, "Hardly trained"),
        ({"error": ("RunError", "no")}, "Failed"),
        ({"code": {"method": "another", "numerics": NUMERICS}}, "3 of 3 runs were made by"),
    ],
)
def test_what_tables_say_against_their_own_numbers_counts_as_a_caution(changes, begins):
    cautions = [note for note in notes_of(**changes) if CAUTIONS.match(note)]
    assert any(note.startswith(begins) for note in cautions)
    assert not [note for note in notes_of() if CAUTIONS.match(note)]


def learning(*curves):
    """The notes on learning below a table of GLIA, split by split."""
    specs = specs_of("main", "demo", "glia", ["demo_a"], splits=len(curves))
    records = [record_of(spec, loss=list(curve)) for spec, curve in zip(specs, curves, strict=True)]
    notes = tables_of("main", records)["main_demo"].notes
    return [note for note in notes if note.startswith("Still learning")]


def test_a_table_says_which_curves_had_not_flattened_when_training_ended():
    flat, steep = (0.3, 0.2, 0.19), (0.3, 0.2, 0.15)
    assert learning(flat, flat, flat) == []
    assert "the one before): GLIA (1 of 3 runs)." in learning(flat, flat, steep)[0]
    assert "the one before): GLIA." in learning(steep, steep, steep)[0]


def test_the_standard_error_is_that_of_the_best_median_that_is_ranked():
    def error(results):
        return [note for note in tables_of("main", results)["main_demo"].notes if note.startswith("Standard error")]

    methods = results_of("main", "demo", "lora,glia", ["demo_a"], splits=3)
    oracle = results_of("main", "demo", "distortion_oracle", ["demo_a"], splits=3).records
    known = [{t: {**m, "srcc": 0.9999} for t, m in record.body["metrics"].items()} for record in oracle]
    told = [replace(r, body={**r.body, "metrics": metrics}) for r, metrics in zip(oracle, known, strict=True)]
    assert error(methods)
    assert error(Results([*methods.records, *told])) == error(methods)


def test_a_run_of_one_epoch_has_no_curve_to_judge():
    assert learning((0.3,), (0.3,)) == []


def test_a_caution_is_on_the_screen_of_the_command(home):
    store = Store(home / "other")
    for spec in specs_of("main", "demo", "glia,lora", splits=2):
        store.write(body_of(spec, loss=[0.5, 0.49]), predictions(spec))
    text = bench("table", "main", "--results", "other", width=80).stdout
    assert text.count("Hardly trained in 6 of 6 runs: the training loss ends above 0.4") == 1


def test_at_two_splits_nothing_is_marked_and_nothing_is_ranked():
    few = tables_of("main", results_of("main", "demo", "glia,lora,loda", splits=2))
    many = tables_of("main", results_of("main", "demo", "glia,lora,loda", splits=3))
    assert "main_ranking_demo" not in few
    assert [name for _, name in many["main_ranking_demo"].header] == ["Mean rank", "Behind the best", "≈ best"]
    for table in few.values():
        numbers = [cell for row in table.rows for cell in row.cells if isinstance(cell, Number)]
        assert numbers
        assert not any(number.rank or number.tied for number in numbers)
        assert "≈" not in " ".join(below(table))


def test_a_ranking_by_srcc_repeats_no_note_about_plcc():
    specs = specs_of("main", "demo", "glia,lora", splits=3)
    metrics = [{t: {**m, "logistic_ok": False} for t, m in body_of(s)["metrics"].items()} for s in specs]
    tables = tables_of("main", [record_of(s, metrics=m) for s, m in zip(specs, metrics, strict=True)])
    assert "PLCC: the logistic" in " ".join(below(tables["main_demo"]))
    assert "PLCC: the logistic" not in " ".join(below(tables["main_ranking_demo"]))


@pytest.mark.parametrize(
    ("methods", "splits", "said"),
    [("glia", 1, None), ("glia", 3, "Intervals are about training"), ("glia,lora,loda", 2, None)],
)
def test_across_datasets_the_note_on_marks_speaks_only_of_those_there_are(methods, splits, said):
    table = tables_of("cross", results_of("cross", "demo", methods, splits=splits))["cross_demo"]
    notes = [note for note in table.notes if "about training" in note]
    assert [note.startswith(said) for note in notes] == ([True] if said else [])


def test_across_datasets_a_mark_is_said_to_be_about_training_and_intervals_over_contents_are_not():
    specs = specs_of("cross", "demo", "glia,lora", splits=3)
    alike = [record_of(s, metrics={t: {"srcc": 0.9 + (hash_of(s) % 7) / 1000} for t in s.tests}) for s in specs]
    notes = " ".join(tables_of("cross", alike)["cross_demo"].notes)
    assert "Intervals and ≈ are about training" in notes
    over_contents = tables_of("cross", Results(alike, intervals=True))["cross_demo"]
    assert "≈ is about training" in " ".join(over_contents.notes)


def hash_of(spec):
    return int(spec.key[:8], 16)


def test_a_setting_that_the_preset_gives_one_method_anyway_is_shared_with_those_it_was_set_for():
    specs = specs_of("main", "demo", "glia,lora,linear_probe", ["demo_a"], splits=2)
    changed = [replace(s, recipe=replace(s.recipe, epochs=12, batch=8)) for s in specs]
    table = tables_of("main", records_of(changed))["main_demo"]
    assert [row.label.partition(" (")[0] for row in table.rows] == ["Linear probe", "LoRA", "GLIA"]
    assert not [row.label for row in table.rows if "=" in row.label]
    assert "Preset: demo, changed: batch=8, epochs=12" in table.footer


def test_a_band_of_a_narrow_terminal_keeps_differences_beside_their_numbers_and_no_empty_rows():
    table = tables_of("main", results_of("main", "paper", "glia,loda", ["live", "csiq"], splits=10))["main"]
    assert ("LIVE", "Δ") in table.header
    for band in bands(table, 60):
        assert not table.header[band[0]][1].startswith("Δ")
    console = Console(width=60, record=True, file=StringIO())
    console.print(terminal(table, 60))
    text = console.export_text().partition("Of the published rows")[0]
    assert text.count("BRISQUE") == len([band for band in bands(table, 60) if table.header[band[0]][0] == "LIVE"])
    assert text.count("GLIA (8.04M)") == len(bands(table, 60))


def test_the_tables_of_several_protocols_may_be_named_one_after_the_other(home):
    assert bench("table", "main", "cross").stdout == bench("table", "main,cross").stdout
    assert "LoRA" in bench("table", "cross", "-m", "glia", "-m", "lora").stdout
