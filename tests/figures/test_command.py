"""`bench figure`: lists what there is, writes into the results folder, and says in a line what is missing."""

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.store import Store
from tests.tables.records import body_of, predictions
from tests.tables.results import specs_of


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, ["figure", *words])


def test_the_list_names_every_figure_without_any_records(bench):
    listed = bench("--list")
    assert listed.exit_code == 0
    assert "attention" in listed.output
    assert "gmad" in listed.output


def test_without_records_the_exit_code_is_that_of_a_usage_error(bench):
    answer = bench("cross")
    assert answer.exit_code == 2
    assert "bench run -p cross" in answer.output


def test_figures_go_into_the_results_folder(bench, tmp_path):
    store = Store(tmp_path / "elsewhere")
    for spec in specs_of("main", "demo", "glia", ["demo_a"], splits=1):
        store.write(body_of(spec), predictions(spec))
    answer = bench("training", "--results", str(store.root), "--format", "svg")
    assert answer.exit_code == 0, answer.output
    assert [path.name for path in (store.root / "figures").iterdir()] == ["training_demo_a_demo.svg"]
