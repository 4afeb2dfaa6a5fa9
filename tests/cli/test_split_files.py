"""Other people's splits on the command line: a run on a file's splits, kept, verified, and held against a rule."""

import re
import shutil

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.records.store import Store
from tests.world import RECIPE, TINY, make_world, toml_of

FLAGS = ["--backbone", TINY, "--weights", "random", "--preset", "demo", "--device", "cpu"]
FLAGS += [word for key, value in (RECIPE | {"epochs": 1}).items() for word in ("--set", f"{key}={value}")]


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with two small sets, and a file that tests on the last of the contents of one."""
    (tmp_path / "bench.toml").write_text(toml_of(make_world(tmp_path / "sets")))
    rows = [f"g{g}_{i}.png,{'test' if g == 5 else 'train'}" for g in range(6) for i in range(4)]
    (tmp_path / "theirs.csv").write_text("\n".join(["image,side", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bench(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    return done.exit_code, " ".join(done.output.split())


def test_a_run_is_made_on_a_files_splits_kept_shown_and_verified(desk):
    code, said = bench("run", "-m", "linear_probe", "-d", "near", "--split-rule", "file:theirs.csv", *FLAGS)
    assert code == 0, said
    rule = re.search(r"file:1:[0-9a-f]{16}", said)[0]
    (record,) = [record for record, _ in Store(desk / "results").sound()]
    train = record["data"]["train"]
    assert record["spec"]["split_rule"] == rule
    assert (train["n_train"], train["n_test"], train["split_rule"]) == (20, 4, f"splits of the file {rule[7:]}")
    assert bench("verify", "--data")[0] == 0
    code, said = bench("table", "main", "--notes")
    assert f"splits of the file {rule[7:]}; split 0 of near: {train['split_hash'][:12]}" in said
    assert f"main_file_{rule[7:15]}_demo" in said
    again = bench("run", "-m", "linear_probe", "-d", "near", "--split-rule", "file:theirs.csv", *FLAGS)[1]
    assert "1 done before, 0 to run" in again
    (desk / "results" / "splits" / f"{rule[7:]}.csv").unlink()
    assert "are not kept in" in bench("verify", "--data")[1]


def test_a_dry_run_says_no_share_of_a_files_splits(desk):
    flags = ["-m", "linear_probe", "-d", "near", "--split-rule", "file:theirs.csv", *FLAGS]
    said = bench("run", *flags, "--dry-run")[1]
    assert "as the split has it" in said
    assert "80%" not in said


def test_merged_results_bring_their_splits(desk):
    bench("run", "-m", "linear_probe", "-d", "near", "--split-rule", "file:theirs.csv", *FLAGS, "--results", "theirs")
    assert bench("merge", "theirs")[0] == 0
    assert bench("verify", "--data")[0] == 0


def test_a_file_is_held_against_a_rule(desk):
    bench("splits", "near", "--split-rule", "kfold:3", "--export", "three.csv")
    code, said = bench("splits", "near", "--rule", "kfold:3", "--check", "three.csv")
    assert (code, "three.csv has the splits of kfold:3." in said) == (0, True)
    code, said = bench("splits", "near", "--rule", "random", "--check", "three.csv")
    assert (code, "does not have the splits of random" in said) == (1, True)
    code, said = bench("splits", "near", "--rule", "loda", "--check", "three.csv")
    assert (code, "LoDa's splits of near cannot be made again: its code does not split it" in said) == (1, True)


def test_exported_splits_come_back_whatever_the_pictures_are_called(desk):
    (desk / "odd").mkdir()
    names = ["a,1.png", 'the "best".png', "c;3.png", "d.png", "é.png"]
    for name in names:
        shutil.copy(desk / "sets" / "near" / "g0_0.png", desk / "odd" / name)
    rows = ['"a,1.png",1', '"the ""best"".png",2', "c;3.png,3", "d.png,4", "é.png,5"]
    (desk / "odd" / "labels.csv").write_text("\n".join(["image,score", *rows]) + "\n")
    with (desk / "bench.toml").open("a") as toml:
        toml.write(f'\n[data.odd]\nloader = "folder"\npath = "{desk / "odd"}"\ncsv = "labels.csv"\n')
    code, said = bench("splits", "odd", "--splits", "3", "--export", "odd.csv")
    assert code == 0, said
    code, said = bench("splits", "odd", "--check", "odd.csv")
    assert (code, "odd.csv has the splits of random." in said) == (0, True), said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--check", "theirs.csv", "--export", "never.csv"], "lists none: leave out --export."),
        (["--check", "theirs.csv", "--split", "0", "--splits", "5"], "lists none: leave out --split and --splits."),
        (["--splits", "3", "--split", "1"], "--split 1 lists one split and --splits 3 the first 3: leave one out."),
    ],
)
def test_flags_that_would_do_nothing_beside_others_are_refused(words, said, desk):
    code, output = bench("splits", "near", *words)
    assert (code, said in output) == (2, True), output
    assert not (desk / "never.csv").exists()


def test_a_files_splits_are_listed(desk):
    code, said = bench("splits", "near", "--rule", "file:theirs.csv")
    assert code == 0
    assert re.search(r"0 │ 20 │ 4 │ 5 │ 1 │ [0-9a-f]{20}", said)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--split-rule", "file:theirs.csv"], "is about one set: name it with --dataset or --train-on."),
        (["-d", "near,far", "--split-rule", "file:theirs.csv"], "or --train-on, not near, far."),
        (["-d", "near", "--split-rule", "file:gone.csv"], "near: there is no split file gone.csv"),
        (["-d", "near", "--split-rule", "lods"], "split_rule='lods' is none of random, official, kfold:K"),
        (["-d", "near", "--split-rule", "loda"], "LoDa's splits of near cannot be made again"),
        (["-d", "near", "--split-rule", "loda", "--splits", "11"], "has the splits 0 to 9, not 10"),
        (["-d", "near", "--split-rule", "official"], "near has no official split"),
        (["-d", "near", "--split-rule", "random", "--set", "split_rule=random"], "say the same thing: leave one out"),
    ],
)
def test_a_wrong_rule_is_refused_before_anything_is_made(words, said, desk):
    code, output = bench("run", "-m", "linear_probe", *words, *FLAGS)
    assert (code in (1, 2), said in output) == (True, True), output
    assert not (desk / "results" / "runs").exists() or not list((desk / "results" / "runs").iterdir())
