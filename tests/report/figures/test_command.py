"""`bench figure`: lists what there is, says where it wrote, and says in a line what could not be drawn."""

from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import UsageError
from bench.records.store import Store
from tests.report.records import RANDOM, body_of, predictions
from tests.report.results import specs_of


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, ["figure", *map(str, words)])


@pytest.fixture
def results(tmp_path):
    """The records of two methods in a results folder."""
    store = Store(tmp_path / "elsewhere")
    for spec in specs_of("main", "demo", "lora,glia", ["demo_a"], splits=1):
        store.write(body_of(spec), predictions(spec))
    return store.root


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_list_names_every_figure_what_it_needs_and_whence_it_is_without_any_records(bench):
    listed = bench("--list")
    assert listed.exit_code == 0
    rows = {line.split()[0]: line for line in listed.output.splitlines() if line.strip()}
    assert "pictures, kept weights" in rows["attention"]
    assert "runs of gmad, pictures" in rows["gmad"]
    assert rows["scatter"].rstrip().endswith("built-in")


def test_without_records_the_exit_code_is_that_of_a_usage_error(bench):
    for words in (["cross"], []):
        answer = bench(*words)
        assert answer.exit_code == 2
        assert f"bench run -p {(words or ['main'])[0]}" in answer.output
    Path("results").mkdir()
    for words in (["cross"], []):
        answer = bench(*words)
        assert answer.exit_code == 2
        assert "there are no records yet" in answer.output
        assert f"bench run -p {(words or ['main'])[0]}" in answer.output
    several = bench("cross", "gmad")
    assert several.exit_code == 2
    assert [line.split(":")[1] for line in several.output.splitlines()] == [" cross", " gmad"]


def test_figures_go_into_the_results_folder_and_their_place_is_printed(bench, results):
    answer = bench("training", "--results", results, "--format", "svg")
    assert answer.exit_code == 0, answer.output
    assert names_in(results / "figures") == ["training_demo_a_demo.svg"]
    assert f"Written: {results / 'figures' / 'training_demo_a_demo.svg'}" in answer.output


def test_with_no_name_given_the_figures_without_records_are_one_line(bench, results):
    answer = bench("--results", results, "--format", "svg")
    assert answer.exit_code == 0, answer.output
    names = "cross, data_efficiency, gmad, koniq_cross, attention, spectra"
    said = f"Nothing to draw for {names}; `bench figure NAME` says why."
    assert said in answer.output


def test_out_leaves_the_results_folder_as_it_was(bench, results, tmp_path):
    before = sorted(results.rglob("*"))
    answer = bench("training", "--results", results, "--out", tmp_path / "mine", "--format", "pdf")
    assert answer.exit_code == 0, answer.output
    assert names_in(tmp_path / "mine") == ["training_demo_a_demo.pdf"]
    assert sorted(results.rglob("*")) == before


def test_a_results_folder_that_cannot_be_written_gives_advice_that_works(bench, results, tmp_path, monkeypatch):
    sound = Store.__init__

    def in_a_sealed_folder(self, root):
        sound(self, root)
        monkeypatch.setattr("bench.core.files.tempfile.NamedTemporaryFile", refuse)

    def refuse(*_, dir, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Store, "__init__", in_a_sealed_folder)
    answer = bench("training", "--results", results)
    assert answer.exit_code == 1
    assert f"Error: {results / 'figures'} cannot be written; --out DIR puts the figures elsewhere." in answer.output


def test_what_is_typed_several_times_or_with_commas_is_all_meant(bench, results, tmp_path):
    words = ("training,scatter", "parameters", "-m", "lora", "-m", "glia", "--format", "svg", "--format", "pdf")
    answer = bench(*words, "--results", results, "--out", tmp_path / "mine")
    assert answer.exit_code == 0, answer.output
    stems = ("parameters", "scatter", "training")
    assert names_in(tmp_path / "mine") == [f"{s}_demo_a_glia_lora_demo.{e}" for s in stems for e in ("pdf", "svg")]
    assert bench("training", "-m", "all", "--results", results, "--out", tmp_path / "all").exit_code == 0
    assert names_in(tmp_path / "all") == ["training_demo_a_demo.png", "training_demo_a_demo.svg"]


def test_what_could_not_be_drawn_is_a_line_the_others_are_written_and_the_status_is_one(bench, results, monkeypatch):
    def fail(*_):
        raise RuntimeError("gone")

    monkeypatch.setattr("bench.report.figures.parameters.Parameters.draw", fail)
    answer = bench("parameters", "training", "cross", "--results", results, "--format", "svg")
    assert answer.exit_code == 1
    assert "Written: " in answer.output
    assert "Not drawn: parameters (Demo A): RuntimeError: gone\n" in answer.output
    assert "Not drawn: cross: Nothing to draw for cross: 2 records here" in answer.output
    assert names_in(results / "figures") == ["training_demo_a_demo.svg"]


def test_a_figure_that_was_asked_for_amiss_has_the_status_of_a_wrong_command(bench, results, monkeypatch):
    def refuse(*_):
        raise UsageError("--image 'nope' is neither a file nor a picture of demo_a.")

    monkeypatch.setattr("bench.report.figures.scatter.Scatter.draw", refuse)
    answer = bench("scatter", "--results", results)
    assert answer.exit_code == 2
    assert "Not drawn: scatter (Demo A): --image 'nope' is neither" in answer.output


def test_a_missing_results_folder_is_an_error_that_names_every_protocol_asked_for(bench):
    answer = bench("cross,gmad", "scatter,training")
    assert answer.exit_code == 2
    assert "There is no results folder results. `bench run -p cross,gmad,main` makes it" in answer.output


def test_views_are_for_the_figures_that_take_them(bench, results):
    for words, said in (
        (["training", "--views", "own"], "for spectra, not for training"),
        (["--views", "x"], "same or"),
    ):
        answer = bench(*words, "--results", results)
        assert answer.exit_code == 2
        assert said in answer.output
    assert bench("training", "--views", "same", "--results", results, "--format", "svg").exit_code == 0


def test_runs_that_are_official_in_name_only_are_counted_and_in_no_figure(bench, results):
    [spec] = specs_of("main", "demo", "vpt", ["demo_a"], splits=1)
    body = body_of(replace(spec, split_rule="official"))
    body["data"]["train"]["split_rule"] = RANDOM
    Store(results).write(body, predictions(spec))
    answer = bench("training", "--results", results, "--format", "svg")
    assert answer.exit_code == 0, answer.output
    assert "Left out: 1 run made on a random split under split_rule=official" in answer.output
    assert names_in(results / "figures") == ["training_demo_a_demo.svg"]


def test_what_a_plain_figure_does_not_say_is_printed(bench, results):
    answer = bench("training", "--plain", "--results", results, "--format", "svg")
    assert answer.exit_code == 0, answer.output
    assert "Demo. Training on Demo A. Loss: plcc, mean of each epoch. One split. Preset demo; backbone" in answer.output


def test_a_figure_of_a_plugin_file_is_drawn(bench, results, tmp_path, monkeypatch):
    from bench.report.figures import FIGURES

    monkeypatch.setattr(FIGURES, "_targets", dict(FIGURES._table()))
    monkeypatch.setattr(FIGURES, "_origin", dict(FIGURES._origin))
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from bench.report.figures import Figure\n"
        "from bench.report.figures.style import panels\n"
        "class Mine(Figure):\n"
        "    'Nothing much.'\n"
        "    def draw(self, scene, experiment):\n"
        "        figure, _ = panels(1, columns=1, size=(3, 2))\n"
        "        subjects = scene.subjects([experiment])\n"
        "        yield scene.drawing(('mine', experiment.train), figure, 'Mine', subjects, [experiment], how='')\n"
    )
    assert "Nothing much." in bench("--list", "--plugin", plugin).output
    answer = bench("mine", "--plugin", plugin, "--results", results, "--format", "svg")
    assert answer.exit_code == 0, answer.output
    assert names_in(results / "figures") == ["mine_demo_a_demo.svg"]
