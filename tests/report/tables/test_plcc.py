"""Both PLCCs of a record as tables: after the logistic, or of the raw scores; and which one printed rows used."""

import csv
import io

import pytest

from bench.records.results import Results
from bench.report.published import epoch_note, plcc_note, rows, run_note
from bench.report.table import Number
from bench.report.tables.fill import dataset_title
from bench.report.tables.rendering.tidy import tidy_csv
from tests.report.records import records_of
from tests.report.results import specs_of, tables_of
from tests.report.tables.test_layout import row_named

LIVEC = dataset_title("livec")


@pytest.fixture(scope="module")
def records():
    return records_of(specs_of("main", "paper", "linear_probe,glia", ["livec"]))


@pytest.fixture(scope="module")
def mapped(records):
    return tables_of("main", records)["main"]


@pytest.fixture(scope="module")
def raw(records):
    return tables_of("main", Results(records, raw_plcc=True))["main_raw_plcc"]


def middle(records, metric):
    values = sorted(record.value("livec:test", metric) for record in records if record.spec.method == "glia")
    return (values[4] + values[5]) / 2


def test_each_table_shows_its_own_plcc_and_the_other_metrics_are_the_same(records, mapped, raw):
    after, before = mapped.header.index((LIVEC, "PLCC")), raw.header.index((LIVEC, "raw PLCC"))
    assert row_named(mapped, "GLIA").cells[after].value == pytest.approx(middle(records, "plcc"))
    assert row_named(raw, "GLIA").cells[before].value == pytest.approx(middle(records, "plcc_raw"))
    assert middle(records, "plcc") != middle(records, "plcc_raw")
    assert row_named(raw, "GLIA").cells[0] == row_named(mapped, "GLIA").cells[0]


def test_printed_rows_stand_beside_both_as_printed_and_the_table_says_which_they_used(mapped, raw):
    for table, at in ((mapped, 2), (raw, 2)):
        printed = row_named(table, "GLIA", "GLIA, Table 1")
        assert [cell.value for cell in printed.cells if isinstance(cell, Number)] == [0.899, 0.913]
        assert table.header[at][1].endswith("PLCC")
        (note,) = [note for note in table.notes if note.startswith("Published PLCC")]
        assert note == (
            'Published PLCC (of GLIA by its word "same settings"): after the logistic in LoDa and GLIA, of the raw '
            "scores in DBCNN, HyperIQA, TReS and DEIQT; of the others it is not known."
        )


def test_a_difference_is_of_plccs_of_one_kind(mapped, raw):
    def deltas(table):
        named = [name for group, name in table.header if group == LIVEC]
        return {named[j - 1] for j, name in enumerate(named) if name == "Δ"}

    assert deltas(mapped) == {"SRCC", "PLCC"}
    assert deltas(raw) == {"SRCC"}, "GLIA's printed PLCC is after the logistic"


def test_the_tidy_file_tells_printed_plccs_apart(mapped):
    lines = list(csv.DictReader(io.StringIO(tidy_csv(mapped))))
    kinds = {(line["block"], line["method"]): line["metric"] for line in lines if line["metric"].startswith("plcc")}
    assert kinds["measured", "glia"] == "plcc"
    assert kinds["GLIA, Table 1", "LoDa"] == "plcc"
    assert kinds["GLIA, Table 1", "HyperIQA"] == "plcc_raw"
    assert kinds["GLIA, Table 1", "MUSIQ"] == "plcc_unstated"


def test_a_table_without_plcc_says_nothing_of_it():
    plan = records_of(specs_of("cross", "paper", "glia"))
    tables = tables_of("cross", Results(plan, raw_plcc=True))
    assert set(tables) == {"cross"}
    assert not any("PLCC" in note for note in tables["cross"].notes)


def test_of_what_the_papers_ran_themselves_the_plcc_is_known():
    assert "not known" not in plcc_note(rows(("GLIA", "6")))
    assert plcc_note(rows(("LoDa", "5"))) == (
        "Published PLCC: after the logistic in LoDa, of the raw scores in HyperIQA and DEIQT."
    )
    assert "not known" in plcc_note(rows(("GLIA", "1")))
    assert plcc_note(rows(("GLIA", "2"))) == "", "it prints no PLCC"


def test_a_table_says_of_which_epoch_the_published_rows_are(mapped):
    assert epoch_note(rows(("LoDa", "5"))) == (
        "Published epoch: the best on the test part in HyperIQA and DEIQT, as their code has it; the last in LoDa, by "
        "LoDa's supplement as others quote it."
    )
    (note,) = [note for note in mapped.notes if note.startswith("Published epoch")]
    assert "the last in LoDa and GLIA" in note
    assert 'GLIA\'s word "same settings"' in note
    assert note.endswith("of the others it is not known.")
    cross = tables_of("cross", records_of(specs_of("cross", "paper", "glia", splits=1)))["cross"]
    assert any(note.startswith("Published epoch") for note in cross.notes), "it holds of SRCC as well"
    assert epoch_note([]) == ""
    demo = tables_of("main", records_of(specs_of("main", "demo", "glia", splits=1)))["main_demo"]
    assert not any(note.startswith("Published") for note in demo.notes)


def test_a_table_says_which_published_rows_are_run_here_and_which_are_quoted():
    assert run_note([("LoDa", "2")]) == (
        "Of the published rows, run here: HyperIQA, DEIQT and LoDa; quoted only: DBCNN (half of it is pretrained on "
        "two further sets), P2P-BM (needs labels of patches) and TReS (its code is for academic use only). More of it: "
        "docs/comparators.md."
    )
    assert run_note([("GLIA", "6")]) == "", "all are run here"
    assert run_note([]) == ""
    plan = records_of(specs_of("main", "paper", "glia", datasets=("koniq10k",)))
    said = [line for line in tables_of("main", Results(plan))["main"].notes if "quoted only" in line]
    assert len(said) == 1
    assert "MUSIQ" in said[0].partition("quoted only")[2]


def test_each_row_that_is_quoted_only_says_why():
    sources = [("GLIA", n) for n in "123"] + [("LoDa", n) for n in "125"]
    quoted = {row.method for source in sources for row in rows(source) if not row.registered}
    said = run_note(sources)
    assert all(f"{name} (" in said for name in quoted if name not in ("DB-CNN", "TreS")), "each in one spelling"
