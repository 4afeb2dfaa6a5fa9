"""The command as a person uses it: exit codes, messages, and work that is done once."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.cli import app
from bench.cli.console import DEBUG
from tests.world import RECIPE, TINY, make_world, toml_of

RECIPE_FLAGS = [word for key, value in RECIPE.items() for word in ("--set", f"{key}={value}")]
GLIA_FLAGS = [word for key in ("grid=2", "fragment=16", "rank=8", "heads=2") for word in ("--set", f"glia.{key}")]
TINY_FLAGS = ["--backbone", TINY, "--weights", "random", "--preset", "demo", "--device", "cpu", *RECIPE_FLAGS]

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
    assert "rough, from arithmetic and this machine's rate, often off by two." in " ".join(empty.output.split())
    assert not (home / "results").exists()
    tiny_run("--splits", 1, methods="linear_probe")
    after = tiny_run("--dry-run", methods="linear_probe")
    assert "2 runs wanted, 1 done, 1 to make." in after.output
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


def test_a_failed_run_is_exit_1_recorded_and_made_again_only_when_asked(home):
    broken = tiny_run("--set", "lr=1e12", "--set", "epochs=4", methods="full_finetune")
    assert broken.exit_code == 1
    assert "0 made, 2 failed. `bench status` says why; --overwrite failed tries again." in broken.output
    assert "bench table" not in broken.output  # there is nothing to show
    assert "failed" in bench("status").output
    again = tiny_run("--set", "lr=1e12", "--set", "epochs=4", methods="full_finetune")
    assert "2 runs wanted, 0 of them done before, 2 failed before, 0 to make." in again.output
    assert again.exit_code == 1
    retried = tiny_run("--set", "lr=1e12", "--set", "epochs=4", "--overwrite", "failed", methods="full_finetune")
    assert "2 to make" in retried.output


def test_a_part_of_a_set_is_announced_with_both_numbers(home):
    (home / "sets" / "near" / "g5_3.png").unlink()
    assert "--partial" in tiny_run("--overwrite", "failed", methods="linear_probe").output
    result = tiny_run("--partial", "--overwrite", "failed", methods="linear_probe")
    assert result.exit_code == 0
    assert "near: partial: 23 of 24 images." in result.stderr


def change_a_score(folder):
    labels = folder / "labels.csv"
    labels.write_text(labels.read_text().replace("g0_0.png,5.0", "g0_0.png,1.5"))


def regroup(folder):
    labels = folder / "labels.csv"
    labels.write_text(labels.read_text().replace("5.0,g0\n", "5.0,g1\n"))


def exchange_two_pictures(folder):
    first, second, aside = folder / "g0_0.png", folder / "g4_3.png", folder / "aside.png"
    first.rename(aside)
    second.rename(first)
    aside.rename(second)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (change_a_score, "near has other names, scores or groups here"),
        (regroup, "near has other names, scores or groups here"),
        (exchange_two_pictures, "near has other pictures here, under the same names"),
    ],
)
def test_runs_made_with_other_data_are_not_taken_for_done(home, change, says):
    assert tiny_run(methods="linear_probe").exit_code == 0
    assert "2 of them done before" in tiny_run(methods="linear_probe").output
    change(home / "sets" / "near")
    changed = tiny_run(methods="linear_probe")
    assert changed.exit_code == 2
    assert says in changed.stderr
    assert "--overwrite always" in changed.stderr
    verified = bench("verify", "--data")
    assert verified.exit_code == 1
    assert "near has other" in verified.output
    assert tiny_run("--overwrite", "always", methods="linear_probe").exit_code == 0
    assert "2 of them done before" in tiny_run(methods="linear_probe").output


def test_pictures_with_the_same_bytes_are_the_same_whenever_they_were_written(home):
    assert tiny_run(methods="linear_probe").exit_code == 0
    for path in (home / "sets" / "near").glob("*.png"):
        os.utime(path, (1, 1))
    assert "2 of them done before" in tiny_run(methods="linear_probe").output
    assert bench("verify", "--data").exit_code == 0


def test_broken_labels_stop_a_plan_once_before_anything_is_made(home):
    labels = home / "sets" / "near" / "labels.csv"
    whole = labels.read_text()
    labels.write_text(whole.replace("g0_0.png", "gone.png"))
    for words in ((), ("--dry-run",)):
        broken = tiny_run(*words, methods="linear_probe")
        assert broken.exit_code == 1
        assert broken.output.count("labels.csv, row 2") == 1
        assert "Use --partial" in broken.output
        assert not (home / "results").exists()
    part = tiny_run("--partial", "--splits", 1, "--results", "part", methods="linear_probe")
    assert part.exit_code == 0, part.output


def test_a_run_that_failed_for_want_of_data_is_made_once_the_data_is_mended(home):
    picture = home / "sets" / "near" / "g0_0.png"
    whole = picture.read_bytes()
    picture.write_bytes(b"")
    broken = tiny_run(methods="linear_probe")
    assert broken.exit_code == 1
    assert "2 failed. The same command makes 2 failed runs again, once the cause is mended." in broken.output
    assert ".." not in broken.output
    assert broken.output.count("names all such files") == 2, "once for both apart, once for the first that failed"
    assert "failed  linear_probe on near, split 1  for the same reason" in broken.output
    said = bench("status").output
    assert said.count("the file is empty") == 1
    assert "tried   linear_probe on near, split 0 and 1 more run: near: " in " ".join(said.split("\n"))
    assert "bench table" not in broken.output
    assert "0 done, 0 failed, 0 running, 2 pending" in bench("status").output
    picture.write_bytes(whole)
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


def test_sets_that_nobody_configured_are_one_line_and_no_failure(home):
    checked = bench("data", "check", "all")
    assert checked.exit_code == 0, checked.output
    for word in ("error", "not found", "has errors", "NOT SOUND"):
        assert word not in checked.output
    (line,) = [line for line in checked.output.splitlines() if "csiq" in line]
    assert line.startswith("not configured: agiqa3k, aigciqa2023, bid, csiq, flive, ")
    assert "labels sound: the pictures' heads were read, not decoded (--deep decodes every picture)." in checked.output
    deep = bench("data", "check", "near", "--deep")
    assert "heads" not in deep.output


def test_a_root_without_any_set_is_a_failure(home):
    (home / "empty").mkdir()
    (home / "bench.toml").write_text('[data]\nroot = "empty"\n')
    checked = bench("data", "check", "all")
    assert checked.exit_code == 1
    assert "not below empty: agiqa3k, aigciqa2023, bid, csiq, " in checked.output


def test_the_error_of_a_bad_picture_says_how_to_find_all_of_them(home):
    for picture in ("g0_0.png", "g1_0.png"):
        (home / "sets" / "near" / picture).write_bytes(b"")
    for words in ((), ("--limit", "20")):
        failed = tiny_run("--splits", 1, *words, methods="linear_probe")
        assert failed.exit_code == 1
        assert "`bench data check near --deep` names all such files." in failed.output


def test_a_test_of_few_pictures_is_said_to_be_one(home):
    output = tiny_run("--splits", 1, "--limit", 12, methods="linear_probe").output
    assert "on near:test (2 pictures)" in output
    assert "Next: bench table main --smoke" in output


def test_the_table_that_is_advised_shows_the_runs_that_were_made(home):
    whole = tiny_run("--splits", 1, methods="linear_probe").stderr
    part = tiny_run("--splits", 1, "--set", "fraction=0.4", methods="linear_probe").stderr
    for made, advice in ((whole, "bench table main"), (part, "bench table")):
        assert made.splitlines()[-1].endswith(f"Next: {advice}")
    assert "40%" in bench("table").output


def test_a_script_for_no_runs_is_not_written(home):
    tiny_run("--splits", 1, methods="linear_probe")
    result = tiny_run("--splits", 1, "--emit-slurm", "job.sh", methods="linear_probe")
    assert result.exit_code == 0
    assert "Nothing is left to make: job.sh was not written." in result.stderr
    assert not (home / "job.sh").exists()


def test_one_wrong_loader_does_not_hide_the_other_sets(home):
    toml = (home / "bench.toml").read_text()
    (home / "bench.toml").write_text(toml.replace('[data.far]\nloader = "folder"', '[data.far]\nloader = "foldr"'))
    listed = bench("datasets")
    assert listed.exit_code == 2
    assert "[data.far] loader: Unknown dataset 'foldr'. Did you mean folder?" in listed.stderr
    assert {"near", "far", "csiq"} <= set(listed.stdout.split())


def test_a_title_is_shown_wherever_the_set_is(home):
    toml = (home / "bench.toml").read_text()
    (home / "bench.toml").write_text(toml.replace("[data.near]", '[data.near]\ntitle = "Close up"'))
    assert "Close up" in bench("datasets").stdout
    assert tiny_run("--splits", 1, methods="linear_probe").exit_code == 0
    assert "Close up" in bench("table", "main").stdout


def test_a_typo_among_the_settings_of_data_stops_every_command(home):
    (home / "bench.toml").write_text((home / "bench.toml").read_text() + '\n[data]\nrot = "/x"\n')
    for words in (["datasets"], ["config"], ["run", "--dry-run"], ["data", "check"]):
        result = bench(*words)
        assert result.exit_code == 2
        assert "[data] has no setting 'rot'. Did you mean root?" in result.stderr


def test_what_synthesize_says_for_bench_toml_can_be_copied_into_it(home):
    (home / "photos").mkdir()
    for number in range(3):
        pixels = np.random.RandomState(number).randint(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(home / "photos" / f"{number}.png")
    flags = ["--width", 32, "--height", 32, "--per-crop", 2]
    made = bench("data", "synthesize", "--photos", "photos", "--out", "my made set", *flags)
    assert made.exit_code == 0, made.output
    (home / "bench.toml").write_text(made.stdout.split("\n", 1)[1])
    assert "6 " in next(line for line in bench("data", "check").stdout.splitlines() if line.startswith("my_made_set"))


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


def test_splits_are_printed_and_exported(home):
    result = bench("splits", "near", "--splits", 3, "--export", "splits.csv")
    assert result.exit_code == 0, result.output
    lines = Path("splits.csv").read_text().splitlines()
    assert lines[0] == "split,side,image"
    assert len(lines) == 1 + 3 * 24


def test_a_plan_for_the_official_split_of_a_set_without_one_is_refused_before_any_run(home):
    for words in ((), ("--dry-run",)):
        result = tiny_run("--set", "split_rule=official", *words, methods="linear_probe")
        assert result.exit_code == 2, result.output
        assert "--set split_rule=official: near has no official split." in result.output
    demo = bench("run", "-m", "linear_probe", "-d", "demo_a", "--preset", "demo", "--set", "split_rule=official")
    assert "demo_a has no official split." in demo.output
    assert not (home / "cache" / "demo").exists(), "nothing need be made to know it"
    assert not (home / "results").exists()


def test_a_plan_for_a_part_of_an_official_split_is_refused(home):
    result = tiny_run("--set", "split_rule=official", "--set", "fraction=0.2", "--dry-run", methods="linear_probe")
    assert result.exit_code == 2
    assert "leave out fraction and source" in result.output


def test_a_set_of_few_contents_shows_the_splits_it_has(home):
    result = bench("splits", "near")
    assert result.exit_code == 0, result.output
    assert "near has 6 contents and so only 6 different test parts: these are all its splits." in result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines() if "20 " in line] == list("012345")
    for words in (("--splits", 7), ("--split", 6)):
        asked = bench("splits", "near", *words)
        assert asked.exit_code == 2
        assert "near has 6 contents and so only 6 different test parts. Ask for at most --splits 6" in asked.output


def test_pictures_in_their_own_size_are_prepared_when_asked_for(home):
    plain = bench("data", "prepare", "near", "--preset", "paper")
    assert plain.exit_code == 0, plain.output
    assert "short 0 square 0" not in plain.stderr
    both = bench("data", "prepare", "near", "--preset", "paper", "--original")
    assert "near: short 0 square 0 min 224" in both.stderr
    assert both.stderr.count("24 pictures ready") == 3


def test_a_folder_under_the_name_of_a_registered_set_is_refused_everywhere(home):
    toml = (home / "bench.toml").read_text()
    (home / "bench.toml").write_text(toml.replace("[data.near]", "[data.csiq]"))
    for words in (
        ("run", "-m", "linear_probe", "-d", "csiq", "--preset", "demo", "--dry-run"),
        ("data", "check", "csiq"),
        ("splits", "csiq"),
    ):
        result = bench(*words)
        assert result.exit_code in (1, 2), result.output
        assert "[data.my_csiq]" in result.output.replace("\n", ""), result.output
    listed = bench("datasets")
    assert listed.exit_code == 2
    assert "[data.my_csiq]" in listed.output.replace("\n", "")


def test_config_says_where_each_value_comes_from(home):
    (home / "bench.toml").write_text((home / "bench.toml").read_text() + "\n[run]\nsplits = 3\n")
    output = bench("config").output
    assert "bench.toml" in output
    assert "built-in" in output
    assert "data.near" in output


def test_several_methods_are_tuned_one_after_the_other_and_a_rate_at_the_edge_is_said_to_be_there(home):
    tuned = bench(
        "tune", "linear_probe,bitfit", "-d", "near", "--lr", "1e-3,1e-1", "--preset", "demo",
        "--backbone", TINY, "--weights", "random", "--splits", 1, *RECIPE_FLAGS[2:],
    )  # fmt: skip
    assert tuned.exit_code == 0, tuned.output
    assert tuned.output.count("Chosen: lr=") == 2
    assert tuned.output.count("stands at the edge of what was tried: widen it with --lr.") == 2


def test_tuning_chooses_on_validation_contents_and_runs_use_it(home):
    tuned = bench(
        "tune", "linear_probe", "-d", "near", "--lr", "1e-3,1e-1", "--preset", "demo",
        "--backbone", TINY, "--weights", "random", "--splits", 2, *RECIPE_FLAGS[2:],
    )  # fmt: skip
    assert tuned.exit_code == 0, tuned.output
    assert "4 candidates for linear_probe on near, 2 in each of 2 splits; 0 tried before." in tuned.output
    assert "Chosen: lr=" in tuned.output
    for rate, split in ((0.001, 0), (0.1, 1)):
        assert f"done    linear_probe on near, split {split}, lr={rate}  SRCC" in tuned.output, (
            "which candidate is said"
        )
    assert "s.e.: standard error of the mean" in tuned.output
    (row,) = [line.split("│") for line in tuned.output.splitlines() if line.startswith("lr=0.001 ") and "│" in line]
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
