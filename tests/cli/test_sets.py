"""Sets on the command line: missing, changed, broken, small, split; what each command says of them."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.records.store import Store
from tests.cli.calls import bench, tiny_run
from tests.world import TINY


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
    assert "2 done before" in tiny_run(methods="linear_probe").output
    change(home / "sets" / "near")
    changed = tiny_run(methods="linear_probe")
    assert changed.exit_code == 2
    assert says in changed.stderr
    assert "--overwrite always" in changed.stderr
    verified = bench("verify", "--data")
    assert verified.exit_code == 1
    assert "near has other" in verified.output
    assert tiny_run("--overwrite", "always", methods="linear_probe").exit_code == 0
    assert "2 done before" in tiny_run(methods="linear_probe").output


def mean_run(*words):
    return bench("run", "-m", "mean", "--preset", "demo", "--splits", 1, *words)


def test_a_run_stays_done_where_a_set_that_it_does_not_need_has_changed(home):
    assert mean_run("-p", "main", "-d", "near").exit_code == 0
    assert mean_run("-p", "cross", "--train-on", "near", "--test-on", "far").exit_code == 0
    change_a_score(home / "sets" / "far")
    assert "1 done before" in mean_run("-p", "main", "-d", "near").output
    refused = mean_run("-p", "cross", "--train-on", "near", "--test-on", "far")
    assert "1 cannot be taken: far has other names, scores or groups here" in refused.stderr


def test_a_record_of_other_data_is_no_hindrance_where_another_answers_for_the_run(home):
    both = ("-p", "main,cross", "-d", "near,far")
    assert mean_run("-p", "main", "-d", "near,far").exit_code == 0
    change_a_score(home / "sets" / "near")
    assert "2 done, 0 failed" in mean_run(*both).output
    assert "2 done before" in mean_run(*both).output


def break_the_labels(folder):
    labels = folder / "labels.csv"
    labels.write_text(labels.read_text().replace("5.0,g0\n", "good,g0\n"))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (break_the_labels, "near cannot be compared: near:"),
        (lambda folder: (folder / "labels.csv").unlink(), "near cannot be compared: near:"),
        (lambda folder: (folder / "g0_0.png").unlink(), "near has other names, scores or groups"),
    ],
)
def test_verify_names_a_configured_set_that_it_cannot_read(home, change, says):
    assert tiny_run("--splits", 1, methods="linear_probe").exit_code == 0
    change(home / "sets" / "near")
    verified = bench("verify", "--data")
    assert verified.exit_code == 1
    assert says in " ".join(verified.output.replace("│", "").split())


def test_verify_says_which_sets_are_not_here_to_be_compared(home):
    assert tiny_run("--splits", 1, methods="linear_probe").exit_code == 0
    (home / "bench.toml").write_text("")
    verified = bench("verify", "--data")
    assert verified.exit_code == 0
    assert "Not on this machine, so not compared: near." in verified.output


def test_all_is_trained_again_where_weights_of_other_test_views_are_kept(home):
    def trained_seconds(*words):
        views = tiny_run("--splits", 1, *words, methods="linear_probe")
        assert views.exit_code == 0, views.output
        return {record["seconds"]["train"] for record in Store(home / "results").records()}

    assert len(trained_seconds()) == 1
    assert len(trained_seconds("--set", "test_views=3")) == 1, "of one training"
    assert len(trained_seconds("--set", "test_views=3", "--overwrite", "always")) == 2


def test_pictures_with_the_same_bytes_are_the_same_whenever_they_were_written(home):
    assert tiny_run(methods="linear_probe").exit_code == 0
    for path in (home / "sets" / "near").glob("*.png"):
        os.utime(path, (1, 1))
    assert "2 done before" in tiny_run(methods="linear_probe").output
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
    assert "2 done, 0 failed. Next" in mended.output


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


def test_splits_are_printed_and_exported(home):
    result = bench("splits", "near", "--splits", 3, "--export", "splits.csv")
    assert result.exit_code == 0, result.output
    lines = Path("splits.csv").read_text().splitlines()
    assert lines[0] == "split,side,image"
    assert len(lines) == 1 + 3 * 24


@pytest.mark.parametrize(
    ("preset", "words", "rule"),
    [("demo", (), "kfold:3"), ("paper", (), "random"), ("demo", ("--rule", "images"), "images")],
)
def test_splits_are_those_of_the_preset_unless_a_rule_is_named(home, monkeypatch, preset, words, rule):
    seen = []
    monkeypatch.setattr("bench.cli.listings.print_splits", lambda *asked: seen.append((asked[1], asked[4])))
    (home / "bench.toml").write_text(f'[run]\npreset = "{preset}"\n')
    assert bench("splits", "demo_a", *words).exit_code == 0
    assert seen == [("demo_a", rule)]


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


def test_pictures_are_prepared_as_runs_read_them_whatever_the_configuration_and_flags_change(home):
    changes = f'\n[run]\nbackbone = "{TINY}"\n[recipe]\nsize = 32\nshort_side = 48\n'
    (home / "bench.toml").write_text((home / "bench.toml").read_text() + changes)
    flags = ["-d", "near", "--preset", "demo", "--splits", 1, "--weights", "random"]
    for changed in ((), ("--set", "short_side=40"), ("--set", "views=native", "--set", "tokens=4")):
        prepared = bench("data", "prepare", "near", "--preset", "demo", *changed)
        assert prepared.exit_code == 0, prepared.output
        stores = {path.name for path in (home / "cache" / "pixels").iterdir()}
        run = bench("run", "-m", "linear_probe", *flags, "--set", "epochs=1", *changed)
        assert run.exit_code == 0, run.output
        assert {path.name for path in (home / "cache" / "pixels").iterdir()} == stores, "the run made none"
    wrong = bench("data", "prepare", "near", "--set", "split_rule=official")
    assert (wrong.exit_code, "whatever the splits are" in " ".join(wrong.output.split())) == (2, True)


def test_of_a_mix_each_set_is_prepared(home):
    prepared = bench("data", "prepare", "near+far", "--preset", "demo")
    assert prepared.exit_code == 0, prepared.output
    assert [name for name in ("near", "far") if f"{name}: 24 pictures ready" in prepared.stderr] == ["near", "far"]


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
