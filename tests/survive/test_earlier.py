"""A results folder of the commit before schema 2: read, verified and shown as what it is, and never taken for done.

tests/fixtures_old holds four runs made by it on the tiny world: two linear probes whose precision was left to the
machine (it was bf16), an adapter in fp32, and one that failed.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.cli.status import read_status
from bench.records.earlier import spec_of
from bench.records.plans import note_plan, planned
from bench.records.results import Results
from bench.records.store import Store, record_hash, record_text
from bench.report.tables.write import make_tables
from bench.report.verify import verify
from tests.report.records import record_of
from tests.world import make_world, tiny_spec, toml_of

OLD = Path(__file__).resolve().parents[1] / "fixtures_old"


@pytest.fixture
def store(tmp_path):
    shutil.copytree(OLD, tmp_path / "results")
    return Store(tmp_path / "results")


def bench(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_every_old_record_is_sound_under_its_own_name(store):
    assert len(list(store.records())) == 4
    assert store.problems == []
    assert verify(store) == (4, [])


def test_an_old_record_has_the_precision_that_was_recorded(store):
    found = {(spec.method, spec.split): spec.precision for _, spec in store.sound()}
    assert found == {
        ("linear_probe", 0): "bf16",
        ("linear_probe", 1): "bf16",
        ("adapter", 0): "fp32",
        ("adapter", 1): "fp32",
    }


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_run_is_done_by_an_old_record(store, precision):
    wanted = [tiny_spec("linear_probe", split=split, precision=precision) for split in range(2)]
    assert store.pending(wanted) == wanted
    for spec in wanted:
        assert all(have.training_key != spec.training_key for _, have in store.sound())


def test_old_and_new_records_of_one_method_have_rows_of_their_own(store):
    new = [record_of(tiny_spec("linear_probe", split=split)) for split in range(2)]
    (written,) = make_tables(Results([*new, *Results.read(store).records]), ["main"])
    rows = {row.label: row for row in written.table.rows}
    (fresh,) = (row for label, row in rows.items() if label.startswith("Linear probe") and "schema" not in label)
    (old,) = (row for label, row in rows.items() if label.startswith("Linear probe") and "schema=1" in label)
    assert "precision=bf16" in old.label
    assert "Made by an earlier version: code and pixels unknown." in old.notes
    assert not any("earlier version" in note for note in fresh.notes)
    assert [cell.n for cell in fresh.cells] == [cell.n for cell in old.cells] == [2, 2]
    assert old.cells[0].value == pytest.approx(-0.4)
    assert not any(" set: they are not" in note for note in written.table.notes), "hashes of two schemas say nothing"
    assert len(rows) == 3, "the adapter's failed run was to be in fp32 too"


def test_status_counts_old_records_apart(store, capsys):
    status = read_status(store)
    assert (status.earlier, status.counts, status.failed) == (4, {}, ())
    said = bench("status", "--results", store.root).output
    assert "4 records made by an earlier version: code and pixels unknown" in said
    assert "0 done, 0 failed" in said


def test_verify_says_what_it_cannot_know_of_old_records(store, tmp_path, monkeypatch):
    (tmp_path / "bench.toml").write_text(toml_of(make_world(tmp_path / "sets")))
    monkeypatch.chdir(tmp_path)
    result = bench("verify", "--data")
    assert result.exit_code == 0, result.output
    assert "4 records checked: everything fits" in result.output
    assert "4 records made by an earlier version" in result.output
    labels = tmp_path / "sets" / "near" / "labels.csv"
    labels.write_text(labels.read_text().replace("g0_0.png,5.0", "g0_0.png,1.5"))
    changed = bench("verify", "--data")
    assert changed.exit_code == 1
    assert "near has other names or scores here" in " ".join(changed.output.split())


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda record: record["spec"].update(split=7), "name that does not fit its spec"),
        (lambda record: record["spec"]["recipe"].update(lr=0.5), "name that does not fit its spec"),
        (lambda record: record.update(schema=2), "precision"),
        (lambda record: record["spec"].update(recipe=[]), "recipe"),
        (lambda record: record.update(run={"precision": "fp8"}), "precision"),
    ],
)
def test_an_old_record_that_was_edited_is_named(store, change, why):
    path = next(
        p for p in store.runs.glob("*.json") if '"precision": "auto"' in p.read_text() and "bf16" in p.read_text()
    )
    record = json.loads(path.read_text())
    change(record)
    path.write_text(record_text({**record, "sha256": record_hash(record)}))
    assert len(list(store.records())) == 3
    assert why in store.problems[0].why


def test_an_old_record_without_its_machine_is_read_all_the_same(store):
    for path in store.runs.glob("*.json"):
        record = json.loads(path.read_text())
        record["run"] = None
        path.write_text(record_text({**record, "sha256": record_hash(record)}))
    assert {spec.precision for _, spec in store.sound()} == {"fp32"}
    assert make_tables(Results.read(store), ["main"])


def test_plans_noted_by_an_earlier_version_are_not_pending_for_ever(store):
    old = store.root / "plans" / "0123456789ab.json"
    old.parent.mkdir()
    old.write_text(json.dumps([["key", "training", "glia", "near"]]))
    assert planned(store) == {}
    spec = tiny_spec("linear_probe")
    note_plan(store, [spec])
    assert list(planned(store)) == [spec.key]


def test_a_record_of_this_version_is_read_as_such():
    record = record_of(tiny_spec("adapter"))
    assert spec_of(record.body) == record.spec
    assert replace(record.spec, schema=1).key != record.spec.key
