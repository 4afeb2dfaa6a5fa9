"""`bench finetune`: from a folder with a csv to a scorer and its honest number, and what it says of wrong folders."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import UsageError
from bench.planning.plan import Ask, make_plan
from bench.records.store import Store
from bench.scoring.own_set import Columns, own_set
from bench.scoring.runs import best_method
from bench.training.states import read_trained
from tests.report.records import body_of
from tests.world import RECIPE, TINY, make_set

QUICK = [f"--set={key}={value}" for key, value in RECIPE.items()]


def bench(*words):
    return CliRunner().invoke(app, [*map(str, words)])


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.toml").write_text(f'[run]\nbackbone = "{TINY}"\ncache = "cache"\n')
    make_set(tmp_path / "holiday", 1)
    return tmp_path


def renamed(folder: Path, header: str, name: str = "votes.csv") -> None:
    """The labels in a file and columns of other names."""
    text = (folder / "labels.csv").read_text()
    (folder / "labels.csv").unlink()
    (folder / name).write_text(text.replace("image,score,group", header))


def test_a_folder_becomes_a_scorer_with_its_honest_number_and_the_line_to_use_it(home):
    renamed(home / "holiday", "filename,MOS,scene")
    result = bench("finetune", "holiday", "--group-column", "scene", "--weights", "random", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert "labels sound" in result.stdout
    assert "Training adapter, the usual choice" in result.stdout
    assert "SRCC" in result.stdout
    assert "on 4 pictures that it had not seen" in result.stdout
    assert "too few to tell it from chance, run " in " ".join(result.stdout.split())
    line = next(line for line in result.stdout.splitlines() if "Next: bench predict" in line)
    key = line.split("--run ")[1].split()[0]
    store = Store(home / "results")
    body = next(store.records())
    assert body["key"].startswith(key)
    assert (body["spec"]["train"], body["spec"]["method"]) == ("holiday", "adapter")
    kept = read_trained(next((home / "results" / "states").iterdir()))
    assert json.loads(kept.about["scale"])["dataset"] == "holiday"
    scored = bench("predict", "holiday", "--run", key, "--sort")
    assert scored.exit_code == 0, scored.stderr
    assert len(scored.stdout.splitlines()) == 25
    assert "scale of holiday" in scored.stderr
    again = bench("finetune", "holiday", "--group-column", "scene", "--weights", "random", *QUICK)
    assert "1 done before" in again.stderr
    assert line in again.stdout


def test_copies_on_both_sides_are_told_before_training_and_beside_the_number(home):
    copies = home / "copies"
    copies.mkdir()
    lines = ["image,score,scene"]
    for number in range(8):
        for name in (f"a{number}.png", f"b{number}.png"):
            shutil.copy(home / "holiday" / f"g{number % 6}_{number % 4}.png", copies / name)
            lines.append(f"{name},{number},{number}")
    (copies / "labels.csv").write_text("\n".join(lines) + "\n")
    flags = ("-m", "linear_probe", "--weights", "random", *QUICK)
    before = bench("finetune", "copies", *flags, "--dry-run")
    assert before.exit_code == 0, before.output
    found = re.search(r"Warning: (\d) pictures held out lie under other names", " ".join(before.stderr.split()))
    assert found, before.stderr
    result = bench("finetune", "copies", *flags)
    assert f", {found[1]} of which it had seen under other names" in " ".join(result.stdout.split())
    assert "that it had not seen" not in result.stdout
    grouped = bench("finetune", "copies", "--group-column", "scene", *flags, "--dry-run")
    assert "under other names" not in grouped.stderr


def test_a_folder_of_so_few_pictures_that_one_would_be_tested_is_refused_before_training(home):
    labels = home / "holiday" / "labels.csv"
    rows = [line.rpartition(",")[0] for line in labels.read_text().splitlines()]
    labels.write_text("\n".join(rows[:8]) + "\n")
    flags = ("-m", "linear_probe", "--weights", "random", "--dry-run", *QUICK)
    refused = bench("finetune", "holiday", *flags)
    assert refused.exit_code == 2
    assert "holiday has 7 pictures, and so one to test on, which measures nothing: it takes 8" in said_by(refused)
    labels.write_text("\n".join(rows[:9]) + "\n")
    planned = bench("finetune", "holiday", *flags)
    assert planned.exit_code == 0, planned.output
    assert "Warning: 2 pictures held out: too few to tell a good model from chance" in said_by(planned)


def test_a_tracker_that_cannot_be_had_is_refused_before_training(home):
    with (home / "bench.toml").open("a") as file:
        file.write('log = "nosuchtracker"\n')
    refused = bench("finetune", "holiday", "-m", "linear_probe", "--weights", "random", *QUICK)
    assert refused.exit_code == 2
    assert "there is no module nosuchtracker here" in said_by(refused)
    assert not (home / "results").exists()


@pytest.mark.slow
def test_the_line_to_use_the_model_names_what_this_command_named(home):
    shutil.move(home / "bench.toml", home / "mine.toml")
    labels = home / "holiday" / "labels.csv"
    labels.write_text("".join(line.rpartition(",")[0] + "\n" for line in labels.read_text().splitlines()[:9]))
    places = ("--config", "mine.toml", "--results", "../else where")
    result = bench("finetune", "holiday", "-m", "ridge", "--weights", "random", *places, *QUICK)
    assert result.exit_code == 0, result.output
    assert "raw numbers: it was trained on 6 pictures, and a scale needs 8" in said_by(result)
    words = shlex.split(result.stdout.partition("Next: bench ")[2].splitlines()[0])
    assert words[-4:] == ["--config", "mine.toml", "--results", "../else where"]
    used = bench(*("holiday" if word == "PICTURES" else word for word in words))
    assert used.exit_code == 0, used.output


def said_by(result):
    return " ".join(result.stderr.split())


def test_large_models_are_kept_too(home):
    (home / "bench.toml").write_text(f'[run]\nbackbone = "{TINY}"\ncache = "cache"\nkeep_weights = "never"\n')
    result = bench("finetune", "holiday", "-m", "linear_probe", "--weights", "random", *QUICK)
    assert result.exit_code == 0, result.stderr
    assert len(list((home / "results" / "states").glob("*.safetensors"))) == 1


def test_a_dry_run_says_what_would_be_done_and_does_nothing(home):
    result = bench("finetune", "holiday", "-m", "lora", "--weights", "random", "--dry-run", "--splits", 2, *QUICK)
    assert result.exit_code == 0, result.stderr
    assert "2 runs planned, 0 done, 2 to run." in result.stdout
    assert "About " in result.stdout
    assert not (home / "results").exists()


def test_a_table_below_the_home_is_found(home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    renamed(home / "holiday", "image,score,group")
    for wish in ("~/holiday/votes.csv", "votes.csv"):
        assert bench("finetune", "holiday", f"--csv={wish}", "--weights", "random", "--dry-run", *QUICK).exit_code == 0


def test_a_table_above_the_folder_is_found(home):
    renamed(home / "holiday", "image,score,group", "../votes.csv")
    for wish in ("../votes.csv", "votes.csv"):
        _, entry = own_set(home / "holiday", Columns(labels=wish), {})
        assert entry["csv"] == str(home / "votes.csv")


def test_a_set_below_the_home_of_nobody_stops_no_other(home):
    with (home / "bench.toml").open("a") as file:
        file.write('[data.trip]\nloader = "folder"\npath = "~nosuch/trip"\n')
    result = bench("finetune", "holiday", "--weights", "random", "--dry-run", *QUICK)
    assert result.exit_code == 0, result.stderr
    named = bench("run", "-m", "mean", "-d", "trip", "--dry-run")
    assert named.exit_code == 1
    assert "there is no folder ~nosuch/trip; correct [data.trip]" in " ".join(named.stderr.split())


def spoilt(folder: Path, how: str) -> None:
    labels = folder / "labels.csv"
    text = labels.read_text()
    if how == "no csv":
        labels.unlink()
    elif how == "two tables":
        renamed(folder, "image,score,group", "a.csv")
        (folder / "b.csv").write_text(text)
    elif how == "odd columns":
        labels.write_text(text.replace("image,score,group", "id,value,group"))
    elif how == "no number":
        labels.write_text(text.replace(",5.0", ",good", 1))
    elif how == "missing picture":
        (folder / "g0_0.png").unlink()
    elif how == "no picture":
        (folder / "g0_0.png").write_text("words")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("no csv", "has no csv or xlsx of scores"),
        ("two tables", "several tables: a.csv, b.csv. --csv FILE says"),
        ("odd columns", "has the columns id, value, group: --image-column NAME says"),
        ("no number", "good"),
        ("missing picture", "g0_0.png"),
        ("no picture", "g0_0.png"),
    ],
)
def test_a_folder_that_cannot_be_trained_on_says_what_to_mend(home, how, why):
    spoilt(home / "holiday", how)
    result = bench("finetune", "holiday", "--weights", "random", *QUICK)
    assert result.exit_code in (1, 2)
    assert why in result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert not (home / "results" / "runs").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("nowhere",), "There is no folder nowhere"),
        (("holiday", "-m", "glioa"), "glia"),
        (("holiday", "-m", "glia,lora"), "trains one method"),
        (("holiday", "--csv", "none.csv"), "no such file"),
        (("holiday", "--score-column", "nope"), "nope"),
        (("holiday", "--weights", "none.pth"), "no such file"),
        (("holiday", "--set", "nonsense=1"), "nonsense"),
    ],
)
def test_a_wrong_wish_is_refused_in_a_line(home, words, why):
    result = bench("finetune", *words, "--dry-run")
    assert result.exit_code in (1, 2)
    assert why in result.stdout + result.stderr
    assert "should not happen" not in result.stderr


def test_a_folder_that_bench_toml_knows_keeps_its_name_and_settings(home):
    data = {"root": "/x", "trip": {"loader": "folder", "path": str(home / "holiday"), "group": "group"}}
    assert own_set(home / "holiday", Columns(), data) == ("trip", data["trip"])
    name, entry = own_set(home / "holiday", Columns(lower_is_better=True), {})
    assert (name, entry["csv"], entry["higher_is_better"]) == ("holiday", "labels.csv", False)


@pytest.mark.parametrize(
    ("flags", "better"),
    [((), "a high score is a good picture (--lower-is-better turns it)"), (("--lower-is-better",), "a low score is a")],
)
def test_which_column_is_taken_and_which_way_it_points_is_said(home, flags, better):
    renamed(home / "holiday", "filename,MOS,scene", "votes.csv")
    result = bench("finetune", "holiday", *flags, "--dry-run", *QUICK)
    assert f"Scores: column MOS of votes.csv, pictures: column filename; {better}" in " ".join(result.stderr.split())


def test_a_folder_of_bench_data_synthesize_needs_no_flags(home):
    flags = ("--width", 32, "--height", 32, "--per-crop", 3)
    assert bench("data", "synthesize", "--photos", "holiday", "--out", "made", *flags).exit_code == 0
    result = bench("finetune", "made", "-m", "ridge", "--weights", "random", "--dry-run", *QUICK)
    assert result.exit_code == 0, result.output
    assert "Scores: column dmos of dmos.csv, pictures: column dist_img; a high score is a good" in said_by(result)
    made = {"loader": "folder", "path": str(home / "made")}
    assert own_set(home / "made", Columns(labels="dmos.csv", score="mos"), {}) == ("made", {**made, "score": "mos"})


def test_a_column_of_scenes_called_photo_is_not_taken_for_that_of_pictures(home):
    renamed(home / "holiday", "path,score,photo")
    assert own_set(home / "holiday", Columns(), {})[1]["image"] == "path"


def test_a_column_called_dmos_is_taken_only_with_a_flag_that_says_which_way_it_points(home):
    renamed(home / "holiday", "image,DMOS,group", "labels.csv")
    with pytest.raises(
        UsageError, match="column DMOS, which may point either way: --score-column DMOS says that a high"
    ):
        own_set(home / "holiday", Columns(), {})
    _, turned = own_set(home / "holiday", Columns(lower_is_better=True), {})
    assert (turned["score"], turned["higher_is_better"]) == ("DMOS", False)
    _, as_it_is = own_set(home / "holiday", Columns(score="DMOS"), {})
    assert "higher_is_better" not in as_it_is


def test_flags_about_a_folder_that_bench_toml_knows_are_to_be_written_there(home):
    with (home / "bench.toml").open("a") as file:
        file.write('[data.holiday]\nloader = "folder"\npath = "holiday"\n')
    result = bench("finetune", "holiday", "--lower-is-better", "--group-column", "group", "--dry-run")
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert 'has this folder as [data.holiday]: write group = "group", higher_is_better = false there' in said
    (home / "elsewhere").mkdir()
    other = {"holiday": {"loader": "folder", "path": str(home / "elsewhere")}}
    with pytest.raises(UsageError, match=r"has another \[data.holiday\]: rename the folder"):
        own_set(home / "holiday", Columns(lower_is_better=True), other)


def test_the_method_is_the_one_that_did_best_on_most_sets_here(tmp_path):
    store = Store(tmp_path)
    assert best_method(store, "demo") == ""
    srcc = {("demo_a", "lora"): 0.8, ("demo_a", "vpt"): 0.7, ("demo_wild", "lora"): 0.6, ("demo_wild", "vpt"): 0.5}
    plan = make_plan(Ask(("lora", "vpt"), ("main",), "demo", datasets=("demo_a", "demo_wild")))
    for spec in plan.specs:
        store.write(body_of(spec, metrics={f"{spec.train}:test": {"srcc": srcc[spec.train, spec.method]}}))
    assert best_method(store, "demo") == "lora"
    assert best_method(store, "paper") == ""


def planned(*words):
    result = bench("finetune", "holiday", "-m", "linear_probe", "--weights", "random", "--dry-run", *words, *QUICK)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_one_model_is_trained_whatever_the_preset_unless_seeds_are_asked_for(home):
    assert "1 run planned" in planned("--preset", "study")
    assert "2 runs planned" in planned("--preset", "study", "--seeds", 2)
    (home / "bench.toml").write_text(f'[run]\nbackbone = "{TINY}"\ncache = "cache"\nseeds = 3\n')
    assert "3 runs planned" in planned("--preset", "demo")
    assert "1 run planned" in planned("--seeds", 1)


def test_the_test_part_may_be_what_a_file_says(home):
    rows = [f"g{g}_{i}.png,{'test' if g == 5 else 'train'}" for g in range(6) for i in range(4)]
    (home / "theirs.csv").write_text("\n".join(["image,side", *rows]) + "\n")
    flags = ["-m", "linear_probe", "--weights", "random", "--set", "split_rule=file:theirs.csv", *QUICK]
    result = bench("finetune", "holiday", *flags)
    assert result.exit_code == 0, result.output
    assert "the split's test part is held out for an honest number" in " ".join(result.stdout.split())
    (record,) = Store(home / "results").records()
    assert record["spec"]["split_rule"].startswith("file:1:")
    assert record["data"]["tests"]["holiday:test"]["n"] == 4
