"""The command as a person uses it: exit codes, messages, and work that is done once."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.console import DEBUG
from tests.world import RECIPE, TINY, make_world, toml_of

RECIPE_FLAGS = [word for key, value in RECIPE.items() for word in ("--set", f"{key}={value}")]
GLIA_FLAGS = [word for key in ("grid=2", "fragment=16", "rank=8", "heads=2") for word in ("--set", f"glia.{key}")]
TINY_FLAGS = ["--backbone", TINY, "--weights", "random", "--preset", "demo", "--device", "cpu", *RECIPE_FLAGS]

PLUGIN = '''
"""A method in one file."""
from typing import ClassVar
from bench.method import Method, ViewFeature

class Shifted(Method):
    """The frozen feature plus a learned shift."""
    name = "shifted"
    title: ClassVar[str] = "Shifted"

    def assemble(self, vit, toolbox):
        return _Shifted(vit)

    def size(self, shape):
        return shape.width

class _Shifted(ViewFeature):
    def __init__(self, vit):
        import torch
        super().__init__(vit)
        self.shift = torch.nn.Parameter(torch.full((vit.shape.width,), 1e-3))

    def forward(self, inputs):
        return super().forward(inputs) + self.shift
'''


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "bench.toml").write_text(toml_of(make_world(tmp_path / "sets")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLIA_BENCH_CACHE", str(tmp_path / "cache"))
    DEBUG["on"] = False
    return tmp_path


def bench(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def tiny_run(*words, methods="glia,linear_probe"):
    flags = GLIA_FLAGS if "glia" in methods else []
    return bench("run", "-m", methods, "-p", "main", "-d", "near", "--splits", 2, *TINY_FLAGS, *flags, *words)


def test_two_commands_make_runs_once_and_a_table(home):
    first = tiny_run()
    assert first.exit_code == 0, first.output
    assert "4 runs wanted, 0 of them done before, 4 to make." in first.output
    before = {path: path.read_bytes() for path in (home / "results" / "runs").iterdir()}
    again = tiny_run()
    assert "4 of them done before, 0 to make." in again.output
    assert before == {path: path.read_bytes() for path in (home / "results" / "runs").iterdir()}
    table = bench("table", "main")
    assert table.exit_code == 0, table.output
    assert "GLIA" in table.output
    assert "Linear probe" in table.output
    assert {p.suffix for p in (home / "results" / "tables").iterdir()} == {".md", ".csv", ".tex", ".json"}
    assert bench("verify", "--data").exit_code == 0
    assert "4 done, 0 failed, 0 running" in bench("status").output
    compared = bench("compare", "glia", "linear_probe")
    assert compared.exit_code == 0, compared.output
    told = [line for line in compared.output.splitlines() if line.startswith("near")]
    assert len(told) == 2  # its row of the table, and a sentence
    assert told[1].startswith("near: 2 common splits cannot tell GLIA")


def test_a_dry_run_makes_nothing_and_estimates_from_records(home):
    empty = tiny_run("--dry-run")
    assert empty.exit_code == 0
    assert "No records to estimate" in empty.output
    assert not (home / "results").exists()
    tiny_run("--splits", 1, methods="linear_probe")
    after = tiny_run("--dry-run", methods="linear_probe")
    assert "2 runs wanted, 1 done, 1 to make." in after.output
    assert "About" in after.output


def test_a_dry_run_says_when_the_whole_source_is_trained_on(home):
    flags = ["run", "-m", "linear_probe", "-p", "cross", "-d", "near,far", "--splits", 1, *TINY_FLAGS, "--dry-run"]
    rows = [line for line in bench(*flags, "--set", "source=all").output.splitlines() if "linear_probe" in line]
    assert rows
    assert all(" all " in row and "80%" not in row for row in rows)


def test_one_run_is_not_called_runs(home):
    output = tiny_run("--splits", 1, "--dry-run", methods="linear_probe").output
    assert "1 run wanted, 0 done, 1 to make." in output


def test_a_method_in_one_new_file_runs_and_appears_in_the_table(home):
    (home / "shifted.py").write_text(PLUGIN)
    run = tiny_run("--plugin", "shifted.py", methods="shifted")
    assert run.exit_code == 0, run.output
    assert "Shifted" in bench("table", "main", "--plugin", "shifted.py").output
    assert "shifted" in bench("methods", "--plugin", "shifted.py").output
    assert (
        "shifted"
        not in subprocess.run(
            [sys.executable, "-m", "bench.cli", "methods"], capture_output=True, text=True, check=True
        ).stdout
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["run", "-m", "gila"], "Did you mean glia"),
        (["run", "-p", "crosss"], "Did you mean cross"),
        (["run", "-d", "naer", "--preset", "demo"], "Did you mean near"),
        (["run", "--preset", "huge"], "preset='huge' is none of demo, paper."),
        (["run", "--selection", "foo"], "selection='foo' is none of last, val, oracle."),
        (["table", "--selection", "bogus"], "selection='bogus' is none of last, val, oracle."),
        (["run", "-m", "glia", "--set", "rank=0", "--dry-run"], "rank=0 must be at least 1."),
        (["run", "--set", "colour=red"], "colour"),
        (["run", "--set", "lr=fast"], "lr='fast'"),
        (["run", "--device", "tpu"], "device"),
        (["run", "--precision", "fp64"], "precision"),
        (["run", "--overwrite", "maybe"], "overwrite"),
        (["run", "--weights", "nowhere.pth"], "no such file"),
        (["run", "--plugin", "nowhere.py"], "nowhere.py"),
        (["run", "--recipe", "tuned"], "bench tune"),
        (["table", "main"], "bench run"),
        (["table", "--format", "docx"], "docx"),
        (["methods", "check", "gila"], "Did you mean glia"),
        (["splits", "nothing"], "nothing"),
        (["new", "method", "glia"], "already"),
        (["new", "planet", "mars"], "planet"),
        (["compare", "glia", "lora"], "bench run"),
        (["cache", "rm", "nothing"], "nothing"),
    ],
)
def test_a_wrong_command_line_is_exit_2_with_a_line_that_says_what_to_do(home, words, says):
    result = bench(*words)
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) <= 3


def test_a_failed_run_is_exit_1_recorded_and_made_again_only_when_asked(home):
    broken = tiny_run("--set", "lr=1e12", "--set", "epochs=4", methods="full_finetune")
    assert broken.exit_code == 1
    assert "2 failed" in broken.output
    assert "failed" in bench("status").output
    again = tiny_run("--set", "lr=1e12", "--set", "epochs=4", methods="full_finetune")
    assert "0 to make" in again.output
    assert again.exit_code == 1
    retried = tiny_run("--set", "lr=1e12", "--set", "epochs=4", "--overwrite", "failed", methods="full_finetune")
    assert "2 to make" in retried.output


def test_a_part_of_a_set_is_announced_with_both_numbers(home):
    (home / "sets" / "near" / "g5_3.png").unlink()
    assert "--partial" in tiny_run("--overwrite", "failed", methods="linear_probe").output
    result = tiny_run("--partial", "--overwrite", "failed", methods="linear_probe")
    assert result.exit_code == 0
    assert "near: partial: 23 of 24 images." in result.stderr


def test_runs_made_with_other_scores_are_not_taken_for_done(home):
    assert tiny_run(methods="linear_probe").exit_code == 0
    assert "2 of them done before" in tiny_run(methods="linear_probe").output
    labels = home / "sets" / "near" / "labels.csv"
    labels.write_text(labels.read_text().replace("g0_0.png,5.0", "g0_0.png,1.5"))
    changed = tiny_run(methods="linear_probe")
    assert changed.exit_code == 2
    assert "near has other names or scores here" in changed.stderr
    assert "--overwrite always" in changed.stderr
    assert tiny_run("--overwrite", "always", methods="linear_probe").exit_code == 0
    assert "2 of them done before" in tiny_run(methods="linear_probe").output


def test_a_run_that_failed_for_want_of_data_is_made_once_the_data_is_mended(home):
    labels = home / "sets" / "near" / "labels.csv"
    whole = labels.read_text()
    labels.write_text(whole.replace("g0_0.png", "gone.png"))
    broken = tiny_run(methods="linear_probe")
    assert broken.exit_code == 1
    assert "Use --partial" in broken.output
    assert "2 failed. The same command makes 2 failed runs again" in broken.output
    assert "0 done, 0 failed, 0 running, 2 pending" in bench("status").output
    part = tiny_run("--partial", "--splits", 1, "--results", "part", methods="linear_probe")
    assert part.exit_code == 0, part.output
    labels.write_text(whole)
    mended = tiny_run(methods="linear_probe")
    assert mended.exit_code == 0, mended.output
    assert "2 made, 0 failed. Next" in mended.output


def test_checking_all_sets_goes_on_behind_a_broken_one(home):
    toml = (home / "bench.toml").read_text()
    (home / "bench.toml").write_text(toml.replace("[data.far]", "[data.far]\npth = 3"))
    checked = bench("data", "check", "all")
    assert checked.exit_code == 1
    assert "no setting 'pth'" in checked.output
    assert any("near" in line and line.rstrip().endswith(" sound") for line in checked.output.splitlines())


@pytest.mark.parametrize("flags", [frozenset(), frozenset({"avx2", "avx512_bf16"})])
def test_bf16_on_a_cpu_that_only_emulates_it_comes_with_a_warning(home, monkeypatch, flags):
    monkeypatch.setattr("bench.machine._cpu_flags", lambda: flags)
    result = tiny_run("--precision", "bf16")
    assert result.exit_code == 0
    assert ("no bf16 instructions" in result.stderr) is not bool(flags)


def test_help_has_a_short_form_everywhere():
    for words in ((), ("run",), ("data", "check"), ("cache", "ls")):
        assert bench(*words, "-h").stdout == bench(*words, "--help").stdout


def test_an_unforeseen_error_is_two_lines_and_the_traceback_is_there_on_request(home, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr("bench.results.Results.read", broken)
    result = bench("table")
    assert result.exit_code == 70
    assert result.stderr.startswith("Error: ZeroDivisionError: nobody thought of this\n")
    assert "--debug" in result.stderr
    assert "Traceback" not in result.stderr
    assert isinstance(bench("--debug", "table").exception, ZeroDivisionError)


def test_a_results_folder_that_cannot_be_made_is_a_clear_error(home):
    (home / "occupied").write_text("")
    result = tiny_run("--results", "occupied")
    assert result.exit_code == 1
    assert "a file stands" in result.output


def test_splits_are_printed_and_exported(home):
    result = bench("splits", "near", "--splits", 3, "--export", "splits.csv")
    assert result.exit_code == 0, result.output
    lines = Path("splits.csv").read_text().splitlines()
    assert lines[0] == "split,side,image"
    assert len(lines) == 1 + 3 * 24


def test_config_says_where_each_value_comes_from(home):
    (home / "bench.toml").write_text((home / "bench.toml").read_text() + "\n[run]\nsplits = 3\n")
    output = bench("config").output
    assert "bench.toml" in output
    assert "built-in" in output
    assert "data.near" in output


def test_tuning_chooses_on_validation_contents_and_runs_use_it(home):
    tuned = bench(
        "tune", "linear_probe", "-d", "near", "--lr", "1e-3,1e-1", "--preset", "demo",
        "--backbone", TINY, "--weights", "random", *RECIPE_FLAGS[2:],
    )  # fmt: skip
    assert tuned.exit_code == 0, tuned.output
    assert "Chosen: lr=" in tuned.output
    result = bench(
        "run", "-m", "linear_probe", "-p", "main", "-d", "near", "--splits", 1, "--recipe", "tuned",
        "--backbone", TINY, "--weights", "random", "--preset", "demo", "--set", "size=32", "--set", "epochs=1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "tuned" in bench("table", "main").output.lower()


@pytest.mark.parametrize("words", [["--help"], ["methods"], ["protocols"], ["datasets"], ["config"], ["run", "--help"]])
def test_listing_imports_nothing_heavy(home, words):
    code = (
        "import sys\nfrom bench.cli import app\n"
        f"try:\n    app({words!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'pandas', 'scipy', 'matplotlib', 'timm', 'typer.rich_utils'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert time.perf_counter() - start < 5  # alone on the machine: under half a second


def test_missing_weights_stop_the_plan_once_and_blame_no_run(home, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    result = bench("run", "-m", "linear_probe,glia", "-p", "main", "-d", "near", "--preset", "paper", "--splits", 2)
    assert result.exit_code == 1
    assert result.output.count("--weights FILE") == 1
    assert not list((home / "results" / "runs").glob("*"))
