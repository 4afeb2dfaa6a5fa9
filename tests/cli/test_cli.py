"""The command as a person uses it: exit codes, messages, and work that is done once."""

import subprocess
import sys
import time

import pytest

from tests.cli.calls import GLIA_FLAGS, SEARCH_FLAGS, TINY_FLAGS, bench, tiny_run
from tests.world import TINY

PLUGIN = '''
"""A method in one file."""
from typing import ClassVar
from bench.models.method import Method, ViewFeature

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


def test_two_commands_make_runs_once_and_a_table(home):
    first = tiny_run()
    assert first.exit_code == 0, first.output
    assert "4 runs planned, 0 done before, 4 to run." in first.output
    before = {path: path.read_bytes() for path in (home / "results" / "runs").iterdir()}
    again = tiny_run()
    assert "4 done before, 0 to run." in again.output
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
    assert "rough, from arithmetic and this machine's rate, often off by two." in " ".join(empty.output.split())
    assert not (home / "results").exists()
    tiny_run("--splits", 1, methods="linear_probe")
    after = tiny_run("--dry-run", methods="linear_probe")
    assert "2 runs planned, 1 done, 1 to run." in after.output
    assert "by the records in results." in after.output
    assert "rough" not in after.output
    both = tiny_run("--dry-run")
    assert "for 1 of them by the records" in both.output


def test_a_dry_run_says_protocol_variant_and_what_is_tested_on_a_row_for_all_sets_alike(home):
    flags = ["run", "-d", "near,far", "--splits", 2, *TINY_FLAGS, "--dry-run"]
    (row,) = _rows(bench(*flags, "-m", "lora", "-p", "main").output, "lora")
    assert row == ["main", "lora", "near, far", "80%", "its test part", "0", "4"]
    rows = _rows(bench(*flags, *GLIA_FLAGS, "-p", "components", "-m", "glia").output, "glia")
    assert len(rows) == 3
    assert all(row[0] == "components" for row in rows)
    assert len({row[1] for row in rows}) == 3, "each variant is named"
    changed = bench(*flags, "-m", "lora,vpt", "-p", "main", "--set", "lora.lr=0.5").output
    assert [row[1] for row in _rows(changed, "lora") + _rows(changed, "vpt")] == ["lora, lr=0.5", "vpt, lr=0.01"]
    both = _rows(bench(*flags, "-m", "lora", "-p", "main,cross").output, "lora")
    assert [row[:5] for row in both] == [
        ["main, cross", "lora", "near", "80%", "its test part, all of far"],
        ["main, cross", "lora", "far", "80%", "its test part, all of near"],
    ]


def _rows(output, method):
    """The cells of a printed grid's rows of a method."""
    rows = [[cell.strip() for cell in line.split("│")] for line in output.splitlines() if "│" in line]
    return [row for row in rows if row[1].partition(",")[0] == method]


def test_a_dry_run_says_when_the_whole_source_is_trained_on(home):
    flags = ["run", "-m", "linear_probe", "-p", "cross", "-d", "near,far", "--splits", 1, *TINY_FLAGS, "--dry-run"]
    rows = _rows(bench(*flags, "--set", "source=all").output, "linear_probe")
    assert rows
    assert all(row[3] == "all" for row in rows)


def test_one_run_is_not_called_runs(home):
    output = tiny_run("--splits", 1, "--dry-run", methods="linear_probe").output
    assert "1 run planned, 0 done, 1 to run." in output


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
        (["run", "--preset", "huge"], "preset='huge' is none of demo, study, paper."),
        (["run", "--selection", "foo"], "selection='foo' is none of last, val, oracle."),
        (["table", "--selection", "bogus"], "selection='bogus' is none of last, val, oracle."),
        (["run", "-m", "glia", "--set", "rank=0", "--dry-run"], "rank=0 must be at least 1."),
        (["run", "--set", "colour=red"], "colour"),
        (["profile", "glia", "--set", "glia.lr=1"], "options of methods"),
        (["run", "--set", "lr=fast"], "lr='fast'"),
        (["run", "--device", "tpu"], "device"),
        (["run", "--precision", "fp64"], "precision"),
        (["run", "--overwrite", "maybe"], "overwrite"),
        (["run", "--weights", "nowhere.pth"], "no such file"),
        (["run", "--plugin", "nowhere.py"], "nowhere.py cannot be read: No such file or directory."),
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
        (["tune", "linear_probe", "-d", "naer", "--preset", "demo"], "Did you mean near"),
        (
            ["tune", "linear_probe", "-d", "near+far", "--preset", "demo"],
            "tune on each of them, with -d far and -d near",
        ),
        (["run", "--size", "natif"], "native is what the backbone was pretrained at"),
        (["profile", "linear_probe", "--against", "nowhere.json"], "nowhere.json"),
        (["data", "check", "naer"], "Did you mean near"),
        (["data", "synthesize", "--photos", "nowhere", "--out", "made"], "nowhere"),
    ],
)
def test_a_wrong_command_line_is_exit_2_with_a_line_that_says_what_to_do(home, words, says):
    result = bench(*words)
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) <= 3


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["run", "--results", "", "--dry-run"], "--results"),
        (["run", "-m", "", "--dry-run"], "--method"),
        (["run", "-d", "near", "-d", " ", "--dry-run"], "--dataset"),
        (["table", "main", "--format", ""], "--format"),
        (["table", "main", "--format", ","], "--format"),
        (["report", "--out", ""], "--out"),
        (["methods", "show", "glia", "--plugin", ""], "--plugin"),
        (["--config", "", "methods"], "--config"),
        (["predict", ""], "PICTURES"),
    ],
)
def test_an_empty_value_as_an_unset_shell_variable_gives_is_refused_in_a_sentence(home, words, name):
    before = sorted(home.rglob("*"))
    result = bench(*words)
    assert result.exit_code == 2, result.output
    assert f"{name} is empty: give it a value" in result.output
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--debug"], "--debug goes before the command: bench --debug run …"),
        (["methods", "show", "--version", "glia"], "--version goes before the command: bench --version methods show …"),
    ],
)
def test_an_option_of_bench_itself_behind_a_command_is_told_where_it_goes(words, said):
    result = bench(*words)
    assert result.exit_code == 2
    assert said in result.output
    assert "Possible" not in result.output


def test_a_failed_run_is_exit_1_recorded_and_made_again_only_when_asked(home):
    broken = tiny_run("--set", "lr=1e12", "--set", "epochs=4", methods="full_finetune")
    assert broken.exit_code == 1
    assert "0 done, 2 failed. `bench status` says why; --overwrite failed tries again." in broken.output
    assert "bench table" not in broken.output  # there is nothing to show
    assert "failed" in bench("status").output
    again = tiny_run("--set", "lr=1e12", "--set", "epochs=4", methods="full_finetune")
    assert "2 runs planned, 0 done before, 2 failed before, 0 to run." in again.output
    assert again.exit_code == 1
    retried = tiny_run("--set", "lr=1e12", "--set", "epochs=4", "--overwrite", "failed", methods="full_finetune")
    assert "2 to run" in retried.output


def test_the_table_that_is_advised_shows_the_runs_that_were_made(home):
    whole = tiny_run("--splits", 1, methods="linear_probe").stderr
    part = tiny_run("--splits", 1, "--set", "fraction=0.4", methods="linear_probe").stderr
    for made, advice in ((whole, "bench table main"), (part, "bench table")):
        assert made.splitlines()[-1].endswith(f"Next: {advice}, or bench report")
    assert "40%" in bench("table").output


def test_a_script_for_no_runs_is_not_written(home):
    tiny_run("--splits", 1, methods="linear_probe")
    result = tiny_run("--splits", 1, "--emit-slurm", "job.sh", methods="linear_probe")
    assert result.exit_code == 0
    assert "Nothing is left to run: job.sh was not written." in result.stderr
    assert not (home / "job.sh").exists()


def test_a_script_and_a_dry_run_are_not_asked_for_at_once(home):
    result = tiny_run("--splits", 1, "--dry-run", "--emit-slurm", "job.sh", methods="linear_probe")
    assert result.exit_code == 2
    assert "--dry-run writes nothing, and --emit-slurm only a script: leave one of them out." in result.stderr


@pytest.mark.parametrize("flags", [frozenset(), frozenset({"avx2", "avx512_bf16"})])
def test_bf16_on_a_cpu_that_only_emulates_it_comes_with_a_warning(home, monkeypatch, flags):
    monkeypatch.setattr("bench.core.machine._cpu_flags", lambda: flags)
    result = tiny_run("--precision", "bf16")
    assert result.exit_code == 0
    assert ("no bf16 instructions" in result.stderr) is not bool(flags)


def test_help_has_a_short_form_everywhere():
    for words in ((), ("run",), ("data", "check"), ("cache", "ls")):
        assert bench(*words, "-h").stdout == bench(*words, "--help").stdout


def test_an_unforeseen_error_is_two_lines_and_the_traceback_is_there_on_request(home, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("nobody thought of this")

    (home / "results").mkdir()
    monkeypatch.setattr("bench.records.results.Results.read", broken)
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


def test_config_says_where_each_value_comes_from(home):
    (home / "bench.toml").write_text((home / "bench.toml").read_text() + "\n[run]\nsplits = 3\n")
    output = bench("config").output
    assert "bench.toml" in output
    assert "built-in" in output
    assert "data.near" in output


def test_several_methods_are_tuned_one_after_the_other_and_a_rate_at_the_edge_is_said_to_be_there(home):
    tuned = bench(
        "tune", "linear_probe,bitfit", "-d", "near", "--lr", "1e-3,1e-1", "--preset", "demo",
        "--backbone", TINY, "--weights", "random", "--splits", 1, *SEARCH_FLAGS[2:],
    )  # fmt: skip
    assert tuned.exit_code == 0, tuned.output
    assert tuned.output.count("Chosen: lr=") == 2
    assert tuned.output.count("stands at the edge of what was tried: widen it with --lr.") == 2


def test_tuning_chooses_on_validation_contents_and_runs_use_it(home):
    tuned = bench(
        "tune", "linear_probe", "-d", "near", "--lr", "1e-3,1e-1", "--preset", "demo",
        "--backbone", TINY, "--weights", "random", "--splits", 2, *SEARCH_FLAGS[2:],
    )  # fmt: skip
    assert tuned.exit_code == 0, tuned.output
    assert "4 candidates for linear_probe on near, 2 in each of 2 splits; 0 tried before." in tuned.output
    assert "Chosen: lr=" in tuned.output
    for rate, split in ((0.001, 0), (0.1, 1)):
        assert f"done    linear_probe on near, split {split}, lr={rate}  SRCC" in tuned.output, (
            "which candidate is said"
        )
    assert "s.e.: standard error of the mean" in tuned.output
    (row,) = [line.split("│") for line in tuned.output.splitlines() if line.startswith("lr=0.1 ") and "│" in line]
    assert 0 < float(row[-1]) < 1
    result = bench(
        "run", "-m", "linear_probe", "-p", "main", "-d", "near", "--splits", 2, "--recipe", "tuned",
        "--backbone", TINY, "--weights", "random", "--preset", "demo", "--set", "size=32", "--set", "epochs=1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    output = " ".join(bench("table", "main", "--notes").output.split())
    assert "Tuned inside each split's training part: lr=" in output
    assert output.count("Linear probe (") == 1, "both splits stand in one row, whatever rate each chose"
    more = bench(
        "run", "-m", "linear_probe", "-p", "main", "-d", "near", "--splits", 3, "--recipe", "tuned", "--dry-run",
        "--backbone", TINY, "--weights", "random", "--preset", "demo", "--set", "size=32",
    )  # fmt: skip
    assert more.exit_code == 2
    assert "tuned in 2 splits of near and not in split 2" in more.output
    beside = bench(
        "run", "-m", "linear_probe,lora,mean", "-p", "main", "-d", "near", "--splits", 2, "--recipe", "tuned",
        "--backbone", TINY, "--weights", "random", "--preset", "demo", "--set", "size=32", "--dry-run",
    )  # fmt: skip
    said = "Not tuned, so as the preset has it: lora. `bench tune lora --preset demo` chooses."
    assert said in beside.output, "the mean learns nothing that could be tuned"


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
    for way_out in ("--preset demo", "--weights random"):
        assert way_out in result.output
    assert not list((home / "results" / "runs").glob("*"))
