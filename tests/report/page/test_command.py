"""`bench report` as it is typed: what it writes, what it says, and what it refuses in a sentence."""

import re
import zipfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.records.results import Results
from bench.records.store import Store
from bench.report.page.sentences import finding
from tests.report.records import body_of, predictions
from tests.report.results import specs_of


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with made-up records of three methods on two sets."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    store = Store(tmp_path / "results")
    for spec in specs_of("main,cross", "demo", "glia,lora,linear_probe", ["demo_a", "demo_b"], splits=3):
        store.write(body_of(spec), predictions(spec))
    return tmp_path


def bench(*words):
    return CliRunner().invoke(app, ["report", *map(str, words)])


def test_it_writes_one_file_and_says_the_sentences_and_how_to_open_it(home):
    from bench.report.page.chapters import chapters

    answer = bench()
    assert answer.exit_code == 0, answer.output
    contests = chapters(Results.read(Store(home / "results")))[0].all_contests
    assert all(finding(contest).sentence in answer.stdout for contest in contests)
    assert "Open it in a browser: file://" in answer.stdout
    assert [path.name for path in (home / "results" / "report").iterdir()] == ["index.html"]


def test_the_page_is_the_same_each_time(home):
    bench()
    before = Path("results/report/index.html").read_bytes()
    bench()
    assert Path("results/report/index.html").read_bytes() == before


def test_out_leaves_the_results_folder_as_it_was(home):
    before = sorted(home.joinpath("results").rglob("*"))
    assert bench("--out", "elsewhere").exit_code == 0
    assert sorted(home.joinpath("results").rglob("*")) == before
    assert Path("elsewhere/index.html").exists()


def test_where_the_page_cannot_be_written_its_sentences_are_said_and_the_way_out(home):
    (home / "results" / "report").write_text("a file where the folder should be")
    answer = bench()
    assert answer.exit_code == 1
    assert "SRCC" in answer.stdout
    assert "--out DIR writes the page elsewhere." in answer.output
    assert bench("--out", "elsewhere").exit_code == 0


def test_only_the_methods_and_sets_that_were_named_are_shown(home):
    bench("-m", "glia,lora", "-d", "demo_a")
    html = Path("results/report/index.html").read_text()
    assert "Linear probe" not in html.partition('data-view="explorer"')[0]
    assert "Demo B" not in html.partition('data-view="explorer"')[0]


def test_the_zip_holds_page_records_and_predictions_and_a_colleague_can_merge_it(home):
    answer = bench("--zip")
    assert answer.exit_code == 0, answer.output
    path = home / "results" / "report" / "report.zip"
    first = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        archive.extractall(home / "colleague")
    assert "glia-bench-report/index.html" in names
    assert "data:image" not in (home / "colleague/glia-bench-report/index.html").read_text()
    keys = {record.key for record in Results.read(Store(home / "results")).records}
    assert {f"glia-bench-report/runs/{key}{end}" for key in keys for end in (".json", ".npz")} <= set(names)
    assert f"({len(keys)} runs with predictions)" in answer.stdout
    merged = CliRunner().invoke(app, ["merge", "colleague/glia-bench-report", "--results", "taken"])
    assert merged.exit_code == 0, merged.output
    assert len(Results.read(Store(home / "taken"))) == len(keys)
    bench("--zip")
    assert path.read_bytes() == first


def test_a_page_of_one_run_is_found_by_the_beginning_of_its_key(home):
    key = Results.read(Store(home / "results")).records[0].key
    answer = bench("--run", key[:12])
    assert answer.exit_code == 0, answer.output
    assert key in Path(f"results/report/run-{key}.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--run", "zzz"], "--run zzz: no run has it"),
        (["--run", ""], "--run is empty"),
        (["--port", "80"], "--port says where --serve listens"),
        (["--serve", "--zip"], "--serve and --zip do not go together"),
        (["--run", "a", "--zip"], "--zip and --run do not go together"),
        (["--serve", "--port", "70000"], "ports go from 0 to 65535"),
        (["-m", "glai"], "Did you mean"),
        (["--results", "nowhere"], "There is no results folder nowhere"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(home, words, said):
    answer = bench(*words)
    assert answer.exit_code == 2
    assert said in answer.output
    assert "Traceback" not in answer.output


def test_without_records_the_command_that_makes_some_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    answer = bench()
    assert answer.exit_code == 2
    assert "This command makes some: bench run -p cross" in answer.output


def test_only_failed_runs_make_a_page_and_a_note(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store(tmp_path / "results")
    for spec in specs_of("main", "demo", "glia", ["demo_a"], splits=2):
        store.write(body_of(spec, error=("DataError", "no such folder")))
    answer = bench()
    assert answer.exit_code == 0
    assert "2 runs here, all of which failed (bench status says why)" in answer.output


def test_pictures_that_are_gone_are_a_note_and_no_failure(home):
    other = Store(home / "results")
    for spec in specs_of("main", "paper", "glia,lora", ["livec"], splits=3):
        other.write(body_of(spec), predictions(spec))
    answer = bench("--pictures", "-d", "livec")
    assert answer.exit_code == 0, answer.output
    assert "No pictures of livec:" in answer.output
    assert re.search(r"No pictures of livec", Path("results/report/index.html").read_text())
