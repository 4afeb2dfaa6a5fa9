"""`bench import`: scores from elsewhere stand beside the runs, paired and marked, and are never taken for a run."""

import csv
import json
import random
import shutil

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.core.spec import Target
from bench.records.results import Results
from bench.records.store import Store
from tests.world import RECIPE, TINY, make_set, make_world, toml_of

RUN = ["run", "-m", "linear_probe", "-p", "main,cross", "-d", "near,far", "--splits", "3", "--preset", "demo"]
RUN += ["--backbone", TINY, "--weights", "random", "--device", "cpu"]
RUN += [word for key, value in RECIPE.items() for word in ("--set", f"{key}={value}")]


def bench(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder with two sets and six runs of a linear probe: three splits each, tested on both sets."""
    home = tmp_path_factory.mktemp("measured")
    (home / "bench.toml").write_text(toml_of(make_world(home / "sets")))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("GLIA_BENCH_CACHE", str(home / "cache"))
        made = bench(*RUN)
    assert made.exit_code == 0, made.output
    return home


@pytest.fixture
def home(measured, tmp_path, monkeypatch):
    shutil.copytree(measured / "results", tmp_path / "results")
    shutil.copy(measured / "bench.toml", tmp_path)
    monkeypatch.chdir(tmp_path)
    write_scores(tmp_path / "theirs.csv", measured)
    return tmp_path


def write_scores(path, measured, *, without=(), sign=1, name="far"):
    """Noisy copies of a set's labels, as somebody's model would have them."""
    noise = random.Random(0)
    with (measured / "sets" / name / "labels.csv").open() as file:
        rows = [(row["image"], sign * (float(row["score"]) + noise.gauss(0, 0.8))) for row in csv.DictReader(file)]
    lines = [f"{image},{score}" for image, score in rows if image not in without]
    path.write_text("\n".join(["image,score", *lines]) + "\n")


def external(home):
    return [record for record in Results.read(Store(home / "results")).records if record.spec.external]


def take_in(*words, on="far", name="theirs"):
    return bench("import", "theirs.csv", "--name", name, "--on", on, *words)


def test_scores_stand_beside_every_run_on_the_set_split_by_split_on_the_same_pictures(home):
    done = take_in()
    assert done.exit_code == 0, done.output
    assert "external:theirs: 24 of 24 pictures of far scored; higher is better." in done.output
    assert "Written: preset demo, far:test, splits 0 to 2" in done.output
    assert "Written: preset demo, trained on near → far:all, splits 0 to 2" in done.output
    runs = [record for record in Results.read(Store(home / "results")).records if not record.spec.external]
    for record in external(home):
        (target,) = record.spec.tests
        assert record.body["kind"] == "external"
        about = record.section("external")
        assert (about["name"], about["file"], about["lower_is_better"]) == ("theirs", "theirs.csv", False)
        beside = next(r for r in runs if r.spec.train == record.spec.train and r.spec.split == record.spec.split)
        assert record.predictions(target).names.tolist() == beside.predictions(target).names.tolist()
        assert record.predictions(target).human.tolist() == beside.predictions(target).human.tolist()
        assert record.section("data")["train"]["split_hash"] == beside.section("data")["train"]["split_hash"]
    assert len(external(home)) == 6


def test_tables_rank_and_mark_them_and_say_whose_they_are(home):
    assert take_in("--remark", "trained on holiday pictures").exit_code == 0
    assert bench("table", "main,cross").exit_code == 0
    text = (home / "results/tables/main_demo.md").read_text()
    assert "theirs (external)" in text
    assert "External: imported scores, not made here; what the model learned from" in text
    assert "From theirs.csv (sha256 " in text
    assert "higher is better as given" in text
    assert "trained on holiday pictures." in text
    assert "none" not in text  # what stands in its spec for a backbone
    rows = json.loads((home / "results/tables/cross_demo.json").read_text())
    assert "external:theirs" in json.dumps(rows)


def test_a_comparison_is_paired_and_says_that_one_side_was_not_made_here(home):
    take_in()
    done = bench("compare", "linear_probe", "external:theirs")
    assert done.exit_code == 0, done.output
    assert "theirs (external) is better" in done.output
    assert "theirs (external): imported scores, not made here" in done.output
    assert "Linear probe was run with epochs=2" in done.output
    assert "differ in more than the method" not in done.output


def test_they_compete_in_gmad_and_are_drawn_in_figures(home):
    take_in()
    done = bench("table", "gmad")
    assert "theirs (external)" in (home / "results/tables/gmad_near_far_demo.md").read_text(), done.output
    drawn = bench("figure", "scatter", "-d", "far", "--format", "png")
    assert drawn.exit_code == 0, drawn.output
    assert bench("figure", "parameters,training", "-d", "far", "--format", "png").exit_code == 0


def test_verify_recomputes_them_and_finds_an_edited_prediction(home):
    take_in()
    assert bench("verify", "--data").exit_code == 0
    record = external(home)[0]
    (home / "results/runs" / f"{record.key}.npz").write_bytes(b"other")
    assert bench("verify").exit_code == 1


def test_a_colleague_takes_them_over_with_the_runs(home):
    take_in()
    assert bench("merge", "results", "--results", "theirs").exit_code == 0
    assert bench("verify", "--results", "theirs").exit_code == 0
    assert "theirs (external)" in bench("table", "main", "--results", "theirs").output


def test_status_and_a_dry_run_know_them_apart_from_runs(home):
    take_in()
    assert "external:theirs" in bench("status").output
    again = bench(*RUN, "--dry-run")
    assert again.exit_code == 0, again.output
    assert "6 done" in again.output, again.output


def test_the_same_scores_again_write_nothing_and_others_need_to_be_allowed(home, measured):
    take_in()
    before = {path: path.read_bytes() for path in (home / "results/runs").iterdir()}
    again = take_in()
    assert "6 places held these very scores already." in again.output
    assert before == {path: path.read_bytes() for path in (home / "results/runs").iterdir()}
    write_scores(home / "theirs.csv", measured, sign=-1)
    refused = take_in()
    assert refused.exit_code == 2
    assert "external:theirs has other scores of far here, from theirs.csv: --replace" in refused.output
    assert before == {path: path.read_bytes() for path in (home / "results/runs").iterdir()}
    assert take_in("--replace").exit_code == 0
    assert len(list((home / "results/set_aside").glob("*.json"))) == 6


def test_scores_that_fall_with_quality_are_turned_round_on_request_and_doubted_without(home, measured):
    write_scores(home / "theirs.csv", measured, sign=-1)
    doubted = take_in()
    assert "If the scores are the wrong way round: --lower-is-better, and --replace." in doubted.output
    turned = take_in("--lower-is-better", name="turned")
    assert "a low score is a good picture, so they are turned round" in turned.output
    values = {r.spec.method: r.value("far:all", "srcc") for r in external(home) if r.spec.train == "near"}
    assert values["external:turned"] == -values["external:theirs"] > 0


def test_later_runs_are_joined_by_importing_again(home):
    for record in Results.read(Store(home / "results")).records:
        if record.spec.split:
            for path in (home / "results/runs").glob(f"{record.key}.*"):
                path.rename(home / path.name)
    assert "splits 0" not in take_in().output
    for path in (*home.glob("*.json"), *home.glob("*.npz")):
        path.rename(home / "results/runs" / path.name)
    again = take_in()
    assert "Written: preset demo, far:test, splits 1, 2" in again.output, again.output
    assert "2 places held these very scores already." in again.output


def test_without_any_run_they_are_scored_on_the_splits_of_the_preset(home):
    done = take_in("--results", "new", "--preset", "demo")
    assert "Written: preset demo, far:test, splits 0 to 2" in done.output, done.output
    assert "After a `bench run`, import again" in done.output
    assert bench("table", "main", "--results", "new").exit_code == 0
    assert "Nothing here was run: all scores are imported." in (home / "new/tables/main_demo.md").read_text()


def test_more_splits_can_be_asked_for_and_no_more_than_there_are(home):
    assert "far:test, splits 0 to 4" in take_in("--splits", 5, "--preset", "demo").output
    assert "only 6 different test parts" in take_in("--splits", 7, "--preset", "demo", name="more").output


def test_a_picture_of_a_test_part_without_a_score_is_named_and_nothing_is_written(home, measured):
    part = pictures_of(home, "far:test", split=2)
    write_scores(home / "theirs.csv", measured, without=part[:1])
    done = take_in()
    assert done.exit_code == 1
    assert f"theirs.csv lacks 1 picture of far:test: {part[0]}." in done.output
    assert not external(home)


def pictures_of(home, target, split):
    runs = Results.read(Store(home / "results")).records
    run = next(r for r in runs if r.spec.split == split and r.spec.train == Target(target).dataset)
    return run.predictions(target).names.tolist()


def test_scores_of_the_test_parts_alone_stand_there_and_not_where_the_whole_set_is_tested(home, measured):
    tested = {name for split in range(3) for name in pictures_of(home, "far:test", split)}
    whole = {f"g{group}_{level}.png" for group in range(6) for level in range(4)}
    assert tested < whole
    write_scores(home / "theirs.csv", measured, without=whole - tested)
    done = take_in()
    assert done.exit_code == 0, done.output
    assert "Written: preset demo, far:test, splits 0 to 2" in done.output
    assert "Not: preset demo, trained on near → far:all, splits 0 to 2. theirs.csv lacks" in done.output


def test_a_set_that_changed_since_the_runs_were_made_is_refused(home):
    section = json.dumps(str(make_set(home / "elsewhere" / "far", 2)))
    (home / "bench.toml").write_text(f'[data.far]\nloader = "folder"\npath = {section}\ncsv = "labels.csv"\n')
    done = take_in()
    assert done.exit_code == 1
    assert "far has other pictures' names, scores or groups here than when the runs of split 0 were made" in done.output


@pytest.mark.parametrize("name", ["a b", "x:y", "a,b", "-x"])
def test_a_name_that_cannot_stand_in_commands_is_refused(home, name):
    done = bench("import", "theirs.csv", f"--name={name}", "--on", "far")
    assert done.exit_code == 2
    assert "letters, digits" in done.output


def test_nothing_can_be_run_or_registered_under_the_name_of_imported_scores(home):
    take_in()
    done = bench("run", "-m", "external:theirs", "--preset", "demo")
    assert done.exit_code == 2
    assert "stands for scores that `bench import` brought here" in done.output
    with pytest.raises(UsageError, match="the name stands for scores that `bench import` brought here"):
        METHODS.register("external", "somewhere:External", "a plugin")
