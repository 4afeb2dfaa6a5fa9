"""`bench predict` as a user types it: good pictures, bad ones, odd names, wrong models, and what it prints of them."""

import csv
import io
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import UsageError
from bench.records.store import Store
from bench.scoring.model_file import read_model, write_model
from bench.training.record import failed_record
from bench.training.states import keep_beside
from tests.scoring.worlds import make_runs
from tests.world import tiny_spec, toml_of

SPLITS = (0, 4)
"""Those in which the tiny models have learned enough to have a scale."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    home = tmp_path_factory.mktemp("predict")
    runtime, keys = make_runs(home, ("adapter", "linear_probe"), splits=SPLITS)
    (home / "bench.toml").write_text(f'[run]\ncache = "{home / "cache"}"\n' + toml_of(dict(runtime.data)))
    return home, keys


@pytest.fixture
def home(world, monkeypatch):
    monkeypatch.chdir(world[0])
    return world[0]


@pytest.fixture
def keys(world):
    return world[1]


def predict(*words, stdin=None):
    return CliRunner().invoke(app, ["predict", *map(str, words)], input=stdin)


def rows(result):
    return [line.split(maxsplit=1) for line in result.stdout.splitlines()[1:]]


def test_a_folder_is_scored_with_all_below_it_and_sorted_best_first(home, keys, tmp_path):
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    for number in range(3):
        shutil.copy(home / "far" / f"g0_{number}.png", below / f"{number}.PNG")
    (tmp_path / "notes.txt").write_text("no picture")
    result = predict(tmp_path, "--run", keys["adapter", 0], "--sort")
    assert result.exit_code == 0, result.stderr
    scores = [float(score) for score, _ in rows(result)]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert "scale of near, 2 to 5.05 in training, higher is better" in result.stderr
    assert "3 pictures scored" in result.stderr
    assert result.stderr.count("random weights") == 1, "a caution is said once"


def test_files_patterns_and_a_list_on_the_input_mean_the_same_pictures(home, keys):
    run = ("--run", keys["adapter", 0])
    files = sorted(Path("far").glob("g1_*.png"))
    by_name = predict(*files, *run).stdout
    assert by_name == predict("far/g1_*.png", *run).stdout
    assert by_name == predict("-", *run, stdin="\n".join(map(str, files)) + "\n").stdout
    assert by_name == predict("-", *run, stdin="\0".join(map(str, files))).stdout
    assert by_name == predict(*files, files[0], *run).stdout, "each picture once"


def test_several_runs_give_their_mean_and_spread(home, keys, tmp_path):
    out = tmp_path / "out.csv"
    both = predict("far/g1_1.png", "--best", "near/adapter", "--csv", out)
    assert both.exit_code == 0, both.stderr
    assert "2 runs with kept weights" in both.stderr
    row = next(csv.DictReader(io.StringIO(out.read_text())))
    each = [float(row[f"score_{keys['adapter', split][:8]}"]) for split in SPLITS]
    assert float(row["score"]) == pytest.approx(np.mean(each))
    assert float(row["spread"]) == pytest.approx(np.std(each, ddof=1))
    named = predict("far/g1_1.png", "--run", f"{keys['adapter', 0]},{keys['adapter', SPLITS[1]]}", "--json")
    assert json.loads(named.stdout)["pictures"][0]["score"] == float(row["score"])


def test_with_models_of_one_set_the_best_of_it_needs_no_name(home):
    result = predict("far/g1_1.png")
    assert result.exit_code == 0, result.stderr
    assert " on near, SRCC " in result.stderr


@pytest.fixture
def one_without_a_scale(tmp_path, monkeypatch):
    """(the run of split 0, which has a scale; that of split 1, whose numbers do not follow its training scores)."""
    runtime, keys = make_runs(tmp_path, ("adapter",), splits=(0, 1))
    (tmp_path / "bench.toml").write_text(f'[run]\ncache = "{tmp_path / "cache"}"\n' + toml_of(dict(runtime.data)))
    monkeypatch.chdir(tmp_path)
    return keys["adapter", 0], keys["adapter", 1]


def test_a_model_without_a_scale_among_named_ones_is_told_with_the_way_to_do_without_it(one_without_a_scale):
    sound, lost = one_without_a_scale
    refused = predict("far/g1_1.png", "--run", f"{sound},{lost}")
    assert refused.exit_code == 2
    said = " ".join(refused.stderr.split())
    assert f"split 1 (run {lost}) is on no scale (its numbers do not follow the scores" in said
    assert f"(--run {sound[:8]})." in said
    assert "make the training set known" not in said
    assert predict("far/g1_1.png", "--run", sound[:8]).exit_code == 0


def test_a_model_without_a_scale_is_told_to_need_its_training_set_where_that_is_not_known(one_without_a_scale):
    sound, lost = one_without_a_scale
    assert predict("far/g1_1.png", "--run", sound).exit_code == 0  # its scale is kept from now on
    Path("bench.toml").write_text(f'[run]\ncache = "{Path("cache").resolve()}"\n')
    refused = predict("far/g1_1.png", "--run", f"{sound},{lost}")
    assert refused.exit_code == 2
    assert "make the training set known, so that its scale can be learned" in " ".join(refused.stderr.split())


def exported(key, path):
    assert CliRunner().invoke(app, ["export", key, "--to", str(path)]).exit_code == 0
    return path


@pytest.fixture
def without_sets(world, tmp_path, monkeypatch):
    """A copy of the results in a folder whose bench.toml knows no set: nothing has a scale."""
    shutil.copytree(world[0] / "results", tmp_path / "results")
    for path in (tmp_path / "results" / "states").glob("*.safetensors"):
        keep_beside(path, scale="")
    (tmp_path / "bench.toml").write_text(f'[run]\ncache = "{world[0] / "cache"}"\n')
    monkeypatch.chdir(tmp_path)


def test_raw_numbers_of_unlike_models_have_no_mean(world, keys, without_sets, tmp_path):
    picture, unlike = world[0] / "far" / "g1_1.png", [keys["adapter", 0], keys["linear_probe", 0]]
    refused = predict(picture, "--run", ",".join(unlike))
    assert refused.exit_code == 2
    said = " ".join(refused.stderr.split())
    assert "so there is no mean of all these models. Name models of one method, head and loss, or make the" in said
    assert "training set known, so that its scale can be learned." in said
    files = [word for key in unlike for word in ("--model", exported(key, tmp_path / f"{key}.safetensors"))]
    refused = predict(picture, *files)
    assert refused.exit_code == 2
    assert "or export each again where its training set is known" in " ".join(refused.stderr.split())


def test_models_of_two_sets_that_are_called_alike_have_no_mean(home, keys, tmp_path):
    ours, theirs = (exported(keys["adapter", split], tmp_path / f"{split}.safetensors") for split in SPLITS)
    both = ("far/g1_1.png", "--model", ours, "--model", theirs)
    assert predict(*both).exit_code == 0
    about, tensors = read_model(theirs)
    write_model(theirs, replace(about, data={**about.data, "hash": "of other pictures"}), tensors)
    refused = predict(*both)
    assert refused.exit_code == 2
    said = " ".join(refused.stderr.split())
    assert "unlike pictures, scores or groups that are all called near: their scores have no common scale" in said
    assert predict("far/g1_1.png", "--model", theirs).exit_code == 0


def test_raw_numbers_of_models_of_one_kind_have_a_mean(world, keys, without_sets):
    alike = ",".join(keys["adapter", split] for split in SPLITS)
    result = predict(world[0] / "far" / "g1_1.png", "--run", alike, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["scale"] is None


@pytest.mark.parametrize("words", [(), ("--best", "near")])
def test_a_model_without_a_scale_that_nobody_named_is_left_out_and_the_others_predict(one_without_a_scale, words):
    sound, lost = one_without_a_scale
    result = predict("far/g1_1.png", "--json", *words)
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stderr.split())
    assert f"split 1 (run {lost}) is left out, for it is on no scale: its numbers do not follow the scores" in said
    assert [model["run"] for model in json.loads(result.stdout)["models"]] == [sound]


def test_json_and_csv_hold_every_digit(home, keys, tmp_path):
    out = tmp_path / "numbers.csv"
    result = predict("far/g1_*.png", "--run", keys["adapter", 0], "--top", 2, "--csv", out, "--json")
    said = json.loads(result.stdout)
    written = list(csv.DictReader(io.StringIO(out.read_text())))
    assert (len(said["pictures"]), len(written)) == (2, 4)
    assert [float(row["score"]) for row in written[:2]] == [one["score"] for one in said["pictures"]]
    assert said["models"] == [{"run": keys["adapter", 0], "method": "adapter", "trained_on": "near", "split": 0}]
    assert said["scale"]["dataset"] == "near"


def test_the_csv_goes_where_a_link_leads_and_into_a_pipe(home, keys, tmp_path):
    (tmp_path / "link.csv").symlink_to("real.csv")
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE, text=True) as reader:
        for name in ("link.csv", "pipe"):
            result = predict("far/g1_1.png", "--run", keys["adapter", 0], "--csv", tmp_path / name)
            assert result.exit_code == 0, result.stderr
        read = reader.communicate(timeout=60)[0]
    assert (tmp_path / "link.csv").is_symlink()
    assert read.splitlines() == (tmp_path / "real.csv").read_text().splitlines()
    assert {path.name for path in tmp_path.iterdir()} == {"link.csv", "real.csv", "pipe"}


def bad_pictures(folder: Path) -> dict[str, str]:
    """Files that are no sound pictures, and what is said of each."""
    noise = np.random.RandomState(0).randint(0, 255, (64, 64, 3), dtype=np.uint8)
    sound = io.BytesIO()
    Image.fromarray(noise).save(sound, "JPEG")
    (folder / "truncated.jpg").write_bytes(sound.getvalue()[: len(sound.getvalue()) // 2])
    (folder / "text.jpg").write_text("this is a letter")
    (folder / "empty.png").write_bytes(b"")
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    return {
        "truncated.jpg": "does not decode",
        "text.jpg": "not a picture",
        "empty.png": "0 bytes",
        "huge.png": "80,000,000 pixels",
        "missing.png": "no such file",
    }


def test_bad_pictures_are_named_and_the_others_scored(home, keys, tmp_path):
    said = bad_pictures(tmp_path)
    words = [tmp_path / name for name in said]
    result = predict(*words[:2], "far/g0_0.png", *words[2:], "--run", keys["adapter", 0])
    assert result.exit_code == 1
    assert [name for _, name in rows(result)] == ["far/g0_0.png"]
    for name, why in said.items():
        line = next(line for line in result.stderr.splitlines() if name in line)
        assert line.startswith("Not scored: ")
        assert why in line
    assert "1 picture scored" in result.stderr
    assert "5 could not be" in result.stderr


def test_odd_but_sound_pictures_are_scored(home, keys, tmp_path):
    noise = np.random.RandomState(0).randint(0, 255, (64, 48, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg")
    picture.save(tmp_path / "moving.gif", save_all=True, append_images=[picture.rotate(90)])
    Image.new("RGB", (1, 1), (200, 10, 10)).save(tmp_path / "one pixel.png")
    picture.save(tmp_path / "two\nlines and spaces.png")
    picture.save(os.fsencode(tmp_path) + b"/latin-\xe9.png".replace(b".png", b".bmp"))
    result = predict(tmp_path, "--run", keys["adapter", 0], "--csv", tmp_path / "out.csv")
    assert result.exit_code == 0, result.stderr
    assert len(rows(result)) == 5
    assert "two\\nlines and spaces.png" in result.stdout, "a name stays on its line"
    names = [row["picture"] for row in csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text()))]
    assert str(tmp_path / "two\nlines and spaces.png") in names
    listed = predict("-", "--run", keys["adapter", 0], stdin=f"{tmp_path / 'two'}\nlines and spaces.png\0")
    assert listed.exit_code == 0, listed.stderr


def odd_names(folder: Path) -> list[str]:
    """Pictures whose names begin with "~", one of them there, and a name that is too long to be one."""
    shutil.copy("far/g0_0.png", folder / "~tmp.png")
    return ["~tmp.png", "~gone.png", "a" * 300 + ".png", str(Path("far/g0_1.png").resolve())]


@pytest.mark.parametrize("how", ["named", "lines", "NUL bytes"])
def test_names_that_no_home_or_file_system_knows_stop_no_other(home, keys, tmp_path, monkeypatch, how):
    names = odd_names(tmp_path)
    where = ("--results", home / "results", "--run", keys["adapter", 0])
    shutil.copy("bench.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    if how == "named":
        result = predict(*names, *where)
    else:
        result = predict("-", *where, stdin=("\0" if how == "NUL bytes" else "\n").join(names))
    assert result.exit_code == 1
    assert [name for _, name in rows(result)] == [names[0], names[3]]
    said = [line for line in result.stderr.splitlines() if line.startswith("Not scored: ")]
    assert len(said) == 2
    assert "there is no such file" in said[0]
    assert "File name too long" in said[1]


def test_a_mark_of_utf_8_before_a_list_belongs_to_no_name(home, keys):
    result = predict("-", "--run", keys["adapter", 0], stdin="\ufefffar/g0_0.png\nfar/g0_1.png\n".encode())
    assert result.exit_code == 0, result.stderr
    assert [name for _, name in rows(result)] == ["far/g0_0.png", "far/g0_1.png"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("nothing here",), "could not be"),
        (("*.xyz",), "Nothing is called"),
        (("far", "--csv", "/proc/nowhere/out.csv"), "Cannot write"),
        (("far", "--csv", "far"), "is a folder"),
        (("far", "--run", "deadbeef"), "There is no run deadbeef"),
        (("far", "--run", "abc"), "There is no run abc"),
        (("far", "--best", "koniq10k"), "no kept model of koniq10k"),
        (("far", "--best", "near/lora"), "no kept model of near by lora"),
        (("far", "--model", "no.safetensors"), "There is no model file"),
        (("far", "--model", "a.safetensors", "--run", "b"), "give one of them"),
        (("far", "--weights", "no-file"), "no such file"),
        (("-", "--best", "near"), "No picture was named"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line_without_traceback(home, words, why):
    result = predict(*words, stdin="")
    assert result.exit_code in (1, 2)
    assert why in result.stderr
    assert "Traceback" not in result.stderr
    assert "should not happen" not in result.stderr


def test_a_folder_without_pictures_is_said_to_have_none(home, tmp_path):
    (tmp_path / ".hidden.png").write_bytes(b"")
    result = predict(tmp_path, "--best", "near")
    assert result.exit_code == 1
    assert "has no pictures in it or below it" in result.stderr


def test_a_run_that_failed_has_no_model(home):
    spec = tiny_spec("lora", 0)
    store = Store(home / "results")
    store.write(failed_record(spec, ValueError("no luck")))
    try:
        result = predict("far", "--run", spec.key)
    finally:
        store.set_aside(spec.key)
    assert result.exit_code == 2
    assert "failed (ValueError: no luck)" in result.stderr


def test_explanations_are_written_for_what_is_shown(home, keys, tmp_path):
    result = predict("far/g0_*.png", "--run", keys["linear_probe", 0], "--top", 2, "--explain", tmp_path / "why")
    assert result.exit_code == 0, result.stderr
    shown = {f"{Path(name).name}.explain.png" for _, name in rows(result)}
    assert {path.name for path in (tmp_path / "why").iterdir()} == shown
    with Image.open(tmp_path / "why" / next(iter(shown))) as figure:
        assert figure.width > 3 * 300


def test_a_model_without_a_vit_is_refused_to_be_explained_before_it_scores(home, keys, tmp_path, monkeypatch):
    def has_none(_, method):
        raise UsageError(f"{method} has no ViT to look into.")

    monkeypatch.setattr("bench.scoring.scorer.vit_in", has_none)
    result = predict("far/g0_0.png", "--run", keys["adapter", 0], "--explain", tmp_path / "why")
    assert result.exit_code == 2
    assert "adapter has no ViT to look into." in result.stderr
    assert "scored" not in result.stderr
