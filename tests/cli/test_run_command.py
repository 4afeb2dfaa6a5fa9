"""`bench run` as it is typed: nothing that is named is dropped, own sets are paired, and errors come first."""

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.cli.console import DEBUG
from bench.core.errors import RunError
from bench.records.plans import note_plan
from bench.training.record import failed_record
from tests.survive.makers import record_of
from tests.world import RECIPE, TINY, make_world, toml_of

RECIPE_FLAGS = [word for key, value in RECIPE.items() for word in ("--set", f"{key}={value}")]
TINY_FLAGS = ["--backbone", TINY, "--weights", "random", "--preset", "demo", "--device", "cpu", *RECIPE_FLAGS]


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "bench.toml").write_text(toml_of(make_world(tmp_path / "sets")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLIA_BENCH_CACHE", str(tmp_path / "cache"))
    DEBUG["on"] = False
    return tmp_path


def bench(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def rows(output):
    """The cells of a printed grid."""
    lines = [line for line in output.splitlines() if "│" in line]
    return [[cell.strip() for cell in line.split("│")] for line in lines]


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "glia", "-m", "lora", "-p", "main", "-p", "cross", "-d", "near", "-d", "far"],
        ["-m", "glia,lora", "-p", "main,cross", "-d", "near,far"],
        ["-m", "glia, lora", "-p", "main", "-p", "cross,main", "-d", "near,far", "-d", "far"],
    ],
)
def test_names_may_be_repeated_or_stand_in_a_list(home, words):
    result = bench("run", *words, "--preset", "demo", "--splits", 1, "--dry-run")
    assert result.exit_code == 0, result.output
    assert {row[1] for row in rows(result.output)[1:]} | {"glia"} == {"glia", "lora"}
    assert "main, cross; preset demo" in result.output
    assert "4 runs planned" in result.output


def test_names_in_the_configuration_are_used_and_replaced_by_those_typed(home):
    (home / "bench.toml").write_text((home / "bench.toml").read_text() + '\n[run]\nmethod = ["glia", "lora"]\n')
    flags = ["-d", "near", "--preset", "demo", "--splits", 1, "--dry-run"]
    assert "2 runs planned" in bench("run", *flags).output
    assert "1 run planned" in bench("run", "-m", "vpt", *flags).output


def test_a_flag_beside_a_setting_of_the_same_thing_is_refused_and_neither_is_dropped(home):
    for flag, setting in (
        (["--size", 112], "size=140"),
        (["--selection", "val"], "recipe.selection=oracle"),
        (["--split-rule", "images"], "split_rule=random"),
    ):
        result = bench("run", "-m", "lora", "-d", "near", *flag, "--set", setting, "--dry-run")
        assert result.exit_code == 2
        assert f"{flag[0]} {flag[1]} and --set {setting} say the same thing: leave one out." in result.output


def test_bare_words_are_answered_with_how_several_names_are_written(home):
    for words, said in (
        (["-m", "glia", "lora", "vpt"], "Several names are written with commas: -m glia,lora,vpt"),
        (["--dataset", "near", "far"], "--dataset near,far"),
        (["glia"], "-m glia"),
    ):
        result = bench("run", *words)
        assert result.exit_code == 2
        assert said in result.output


def test_settings_with_blanks_or_without_their_option_are_answered_with_how_they_are_written():
    for words, said in (
        (["--set", "epochs", "=", "3"], "Write it without spaces: --set epochs=3"),
        (["--set", "epochs", "=3"], "Write it without spaces: --set epochs=3"),
        (["--set", "lr=0.01", "epochs=3"], "Each setting has an option of its own: --set lr=0.01 --set epochs=3"),
    ):
        result = bench("run", "-m", "mean", *words)
        assert result.exit_code == 2
        assert said in result.output


def test_tables_may_be_narrowed_by_repeated_options_and_who_takes_one_set_refuses_two(home):
    bench("run", "-m", "linear_probe,bitfit", "-p", "main", "--splits", 1, "-d", "near,far", *TINY_FLAGS)
    table = bench("table", "main", "-m", "linear_probe", "-m", "bitfit", "-d", "near", "-d", "far").output
    for word in ("Linear probe", "BitFit", "near", "far"):
        assert word in table
    for command in ("tune", "profile"):
        result = bench(command, "linear_probe", "-d", "near", "-d", "far")
        assert result.exit_code == 2
        assert f"bench {command} takes one set at a time, not near, far" in result.output


def test_without_a_name_the_plan_is_what_is_configured_and_one_line_says_what_is_left_out(home):
    result = bench("run", "-m", "linear_probe", "--splits", 1, "--dry-run", "--weights", "random")
    assert result.exit_code == 0, result.output
    assert "Preset paper: 2 runs over far, near." in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if "left out" in line]
    assert line == "Not configured, so left out: csiq, flive, kadid10k, koniq10k, live, livec, spaq, tid2013."


def test_a_wrong_name_is_said_before_any_plan_is_announced(home):
    for words in (["-d", "naer"], ["-p", "cross", "--test-on", "naer"]):
        result = bench("run", "-m", "linear_probe", *words)
        assert result.exit_code == 2
        assert result.stderr.startswith("Error: Unknown dataset 'naer'. Did you mean near or far?")


def test_a_dry_run_refuses_what_the_run_would_refuse(home):
    (home / "bench.toml").write_text((home / "bench.toml").read_text() + f'\n[data.csiq]\npath = "{home / "gone"}"\n')
    flags = ["run", "-m", "linear_probe", "--weights", "random"]
    for wish in (["-d", "csiq"], ["-d", "near", "--backbone", "resnet18"], ["-d", "near", "--splits", 9]):
        real, dry = bench(*flags, *wish), bench(*flags, *wish, "--dry-run")
        assert (real.exit_code, real.output) == (dry.exit_code, dry.output)
        assert real.output.count("Error") == 1
        assert "Preset" not in real.output, "a plan that is refused was never announced"
        assert real.exit_code in (1, 2)
    assert not (home / "results").exists()


def test_own_sets_are_paired_and_the_tables_of_cross_and_gmad_show_them(home):
    flags = ["-m", "linear_probe,bitfit", "--splits", 2, *TINY_FLAGS]
    made = bench("run", "-p", "cross,gmad", "--train-on", "near", "--test-on", "far", *flags)
    assert made.exit_code == 0, made.output
    assert "4 done, 0 failed" in made.output
    tables = bench("table", "cross,gmad")
    assert tables.exit_code == 0, tables.output
    assert "SRCC results on cross-dataset evaluation." in tables.output
    assert "→ far" in tables.output
    assert "gMAD competition: trained on near, tested on far." in tables.output


@pytest.fixture
def meanwhile(monkeypatch):
    """What another process writes of every run that is wanted here, before any of them begins."""

    def set_to(record):
        def noted(store, specs):
            for spec in specs:
                store.write(record(spec))
            return note_plan(store, specs)

        monkeypatch.setattr("bench.cli.execute.note_plan", noted)

    return set_to


def gone_wrong(spec):
    return failed_record(spec, RunError("it went wrong"))


WIDE = ["run", "-m", "linear_probe", "-p", "main,cross", "-d", "near,far", "--splits", 1, *TINY_FLAGS]
NARROW = ["run", "-m", "linear_probe", "-p", "main", "-d", "near", "--splits", 1, *TINY_FLAGS]


def test_a_run_that_fails_in_another_process_ends_the_command_with_status_1(home, meanwhile):
    meanwhile(gone_wrong)
    result = bench(*NARROW)
    assert result.exit_code == 1
    assert "0 done, 1 failed. `bench status` says why" in result.stderr
    assert "RunError: it went wrong" in result.stderr


def test_runs_of_more_tests_that_failed_are_said_to_have_failed_before(home, meanwhile):
    meanwhile(gone_wrong)
    bench(*WIDE)
    again = bench(*NARROW)
    assert "1 run planned, 0 done before, 1 failed before, 0 to run." in again.stderr
    assert again.exit_code == 1


def test_a_run_that_failed_is_done_once_one_of_more_tests_is(home, meanwhile, monkeypatch):
    monkeypatch.setattr("bench.cli.execute.refuse_other_data", lambda *_: None)  # those records are of no data
    meanwhile(gone_wrong)
    bench(*NARROW)
    meanwhile(record_of)
    bench(*WIDE)
    again = bench(*NARROW)
    assert "1 run planned, 1 done before, 0 to run." in again.stderr
    assert again.exit_code == 0


def test_pairs_are_refused_for_protocols_that_do_not_pair(home):
    result = bench("run", "-m", "linear_probe", "-p", "main", "--train-on", "near", *TINY_FLAGS)
    assert result.exit_code == 2
    assert (
        "--train-on and --test-on are for protocols that pair sets (cross, gmad, joint, koniq_cross, matrix); "
        "main does not" in result.output
    )


def test_tune_refuses_once_what_would_fail_for_every_candidate(home):
    result = bench("tune", "linear_probe", "-d", "near", "--preset", "demo", "--splits", 9, "--weights", "random")
    assert result.exit_code == 2
    assert result.output.count("at most --splits 6") == 1
    assert not (home / "results").exists()
