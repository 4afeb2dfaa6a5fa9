"""`bench tune` as it is typed: what it takes from bench.toml, what it has candidates for, and what its file says."""

import json

import pytest

from bench.cli.search import _say_what_is_chosen
from bench.core.hashes import file_token
from bench.planning.choices import Trial, write_choices
from bench.planning.presets import DEMO
from bench.planning.tuning import Search
from bench.records.store import Store
from tests.cli.calls import GLIA_FLAGS, SEARCH_FLAGS, bench
from tests.world import RECIPE, TINY

OTHER = "test_vit2.r160_in1k"
WHERE = ["-d", "near", "--preset", "demo", "--splits", 1, "--weights", "random"]
QUICK = [*WHERE, *SEARCH_FLAGS]
CHANGED = {name: value for name, value in RECIPE.items() if name != "lr"}
OF_ANY_SHORT_SIDE = QUICK[:-2]


def configured(home, lines):
    (home / "bench.toml").write_text((home / "bench.toml").read_text() + f"\n[run]\n{lines}\n")


def file_of(home):
    return home / "results" / "tuned" / "demo_kfold3.json"


def written(home):
    return json.loads(file_of(home).read_text())


def tuned(*words):
    result = bench("tune", *words, "--lr", "1e-2", *QUICK)
    assert result.exit_code == 0, result.output
    return result


def planned(*words):
    """The notes of a run that takes what was tuned."""
    flags = ["-p", "main", *QUICK, "--recipe", "tuned", "--dry-run"]
    result = bench("run", "-m", "linear_probe", *flags, *words)
    assert result.exit_code == 0, result.output
    return " ".join(result.stderr.split())


def test_backbone_and_precision_are_those_of_the_configuration_unless_a_flag_says_otherwise(home):
    configured(home, f'backbone = "{TINY}"\nprecision = "bf16"')
    tuned("linear_probe")
    assert written(home)["linear_probe"]["near"]["with"] == {
        "backbone": TINY,
        "weights": "random",
        "precision": "bf16",
        "recipe": CHANGED,
        "options": {},
    }
    tuned("linear_probe", "--precision", "fp32", "--backbone", OTHER)
    assert written(home)["linear_probe"]["near"]["with"] == {
        "backbone": OTHER,
        "weights": "random",
        "precision": "fp32",
        "recipe": CHANGED,
        "options": {},
    }


def test_runs_of_another_network_than_was_tuned_are_told_of_in_one_note_and_those_of_the_same_are_not(home):
    tuned("linear_probe", "--backbone", TINY)
    assert "Tuned otherwise" not in planned("--backbone", TINY)
    said = planned("--backbone", OTHER)
    assert said.count("Tuned otherwise than these runs are made:") == 1
    assert f"linear_probe with backbone {TINY} (here {OTHER})" in said
    assert "linear_probe with precision fp32 (here bf16)" in planned("--backbone", TINY, "--precision", "bf16")
    assert "linear_probe with head as usual (here linear)" in planned("--backbone", TINY, "--set", "head=linear")


def test_what_is_set_goes_before_what_was_tuned_and_that_is_said(home):
    trials = {str(split): [{"settings": {"lr": 0.01}, "srcc": 0.5}] for split in range(3)}
    file_of(home).parent.mkdir(parents=True)
    file_of(home).write_text(json.dumps({"linear_probe": {"near": trials}}))
    said = planned("--backbone", TINY, "--set", "recipe.lr=3e-3")
    assert "What you set goes before what was tuned: lr of linear_probe." in said
    assert "Not tuned" not in said
    assert "goes before" not in planned("--backbone", TINY)


def test_what_nobody_set_is_not_said_to_go_before_what_was_tuned(home):
    for name, settings in (("near", {"lr": 1e-3, "rank": 2}), ("far", {"lr": 1e-3})):
        write_choices(home / "results", "demo", "lora", name, {0: [Trial(settings, 0.5)]})
    flags = ["-m", "lora", "-p", "main", "--preset", "demo", "--splits", 1, "--weights", "random", "--recipe", "tuned"]
    for sets in ("near,far", "far,near"):
        plain, changed = (bench("run", *flags, "-d", sets, *words, "--dry-run") for words in ([], ["--set", "rank=4"]))
        assert (plain.exit_code, changed.exit_code) == (0, 0), plain.output
        assert "goes before" not in plain.stderr
        assert "What you set goes before what was tuned: rank of lora." in " ".join(changed.stderr.split())


def test_choices_that_do_not_say_what_they_were_made_with_are_used_without_a_note(home):
    tuned("linear_probe", "--backbone", TINY)
    choices = written(home)
    del choices["linear_probe"]["near"]["with"]
    file_of(home).write_text(json.dumps(choices))
    assert "Tuned otherwise" not in planned("--backbone", OTHER)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["ridge"], "ridge learns by a fit: there is no rate to choose; --option names another setting."),
        (["linear_probe,mean"], "mean learns by a fit: there is no rate to choose"),
        (["ensemble"], "ensemble learns nothing: there is no rate to choose"),
        (["ensemble", "--option", "of=glia,lora"], "ensemble stands on the runs of other methods, and a search makes"),
        (["distortion_oracle", "--option", "train_views=1,2"], "level of each picture, which near does not tell."),
        (["ridge", "--lr", "1e-3", "--option", "short_side=16,32"], "there is no rate to choose; leave out --lr."),
        (["all", "--option", "colour=red,blue"], "and the recipe have no option 'colour'."),
    ],
)
def test_a_method_with_nothing_to_choose_is_refused_before_any_is_tried(home, words, why):
    result = bench("tune", *words, "--backbone", TINY, *QUICK)
    assert result.exit_code == 2, result.output
    assert why in " ".join(result.output.split())
    assert not (home / "results").exists()


def test_of_all_methods_those_with_nothing_to_choose_are_left_out_with_a_note(home, monkeypatch):
    searched = []
    monkeypatch.setattr("bench.cli.search.run_search", lambda planned, *_: searched.append(planned.search.method) or 0)
    monkeypatch.setattr("bench.cli.search.look_ahead", lambda plan, *_: plan)  # which builds every model
    result = bench("tune", "all", "--backbone", TINY, *QUICK, *GLIA_FLAGS)
    assert result.exit_code == 0, result.output
    assert {"adapter", "glia", "lora"} <= set(searched)
    assert not {"ridge", "mean", "brisque"} & set(searched)
    assert "Left out: ridge learns by a fit: there is no rate to choose" in " ".join(result.stderr.split())


def test_a_method_without_a_rate_is_tried_with_the_values_of_the_option_alone(home):
    result = bench("tune", "ridge", "--option", "short_side=32,40", "--backbone", TINY, *OF_ANY_SHORT_SIDE)
    assert result.exit_code == 0, result.output
    assert "2 candidates for ridge on near, 2 in each of 1 split" in " ".join(result.output.split())
    each = written(home)["ridge"]["near"]["0"]
    assert [one["settings"] for one in each] == [{"short_side": 32}, {"short_side": 40}]


def test_candidates_whose_correlation_is_undefined_have_failed_and_the_next_method_is_tuned(home):
    result = bench(
        "tune", "mean,linear_probe", "--option", "short_side=32,40", "--backbone", TINY, *OF_ANY_SHORT_SIDE
    )  # fmt: skip
    said = " ".join(result.output.split())
    assert result.exit_code == 1, result.output
    assert "Error: mean: No candidate could be trained in split 0: its SRCC is undefined" in said
    assert list(written(home)) == ["linear_probe"]


def test_a_dry_run_says_what_would_be_tried_and_how_long_and_writes_nothing(home):
    rates = ["--lr", "1e-3,1e-2", "--dry-run", "--backbone", TINY]
    result = bench("tune", "linear_probe,ridge_cnn,glia", *rates, *QUICK)
    assert result.exit_code == 2, "the fit has no rate"
    result = bench("tune", "linear_probe,glia", *rates, *QUICK, *GLIA_FLAGS)
    assert result.exit_code == 0, result.output
    rows = [[cell.strip() for cell in line.split("│")] for line in result.stdout.splitlines() if "│" in line]
    assert rows == [[name, "near", "2", "1", "0", "2"] for name in ("linear_probe", "glia")]
    assert "4 candidates to try.\nAbout " in result.stdout
    assert not (home / "results").exists()


def test_a_dry_run_counts_what_was_tried_before(home):
    tuned("linear_probe", "--backbone", TINY)
    again = bench("tune", "linear_probe", "--lr", "1e-2,1e-3", "--dry-run", *QUICK, "--backbone", TINY)
    assert [line.split("│")[2:] for line in again.stdout.splitlines() if "│" in line] == [
        [f" {2:<10} ", f" {1:<6} ", f" {1:<5} ", " 1"]
    ]
    none_left = bench("tune", "linear_probe", "--lr", "1e-2", "--dry-run", *QUICK, "--backbone", TINY)
    assert none_left.stdout.splitlines()[-1] == "0 candidates to try."


def test_a_rate_at_which_training_diverges_is_an_answer_and_no_failure_of_the_search(home):
    words = ["full_finetune", "--lr", "1e-3,1e12", "--backbone", TINY, *QUICK, "--set", "epochs=4"]
    result = bench("tune", *words)
    assert "training diverged" in result.output
    assert "Chosen: lr=0.001" in result.output
    assert result.exit_code == 0, result.output
    only = bench("tune", *["1e12" if word == "1e-3,1e12" else word for word in words])
    assert only.exit_code == 1, "nothing is left to choose"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["lora", "--set", "lr=1e-3"], "--set lr=1e-3: bench tune tries this setting itself; --lr names the values."),
        (["lora", "--set", "lora.lr=1e-3"], "--lr names the values."),
        (["lora", "--set", "recipe.lr=1e-3"], "--lr names the values."),
        (["lora", "--set", "recipe.dropout=.1", "--option", "dropout=0,.2"], "--option names the values."),
        (["lora", "--set", "lora.rank=4", "--option", "rank=2,8"], "--option names the values."),
        (["lora", "--option", "lr=1e-3,1e-2"], "--option lr: rates to try are named with --lr."),
    ],
)
def test_what_a_search_varies_is_not_fixed_beside_it(home, words, why):
    result = bench("tune", *words, "--dry-run", *WHERE, "--backbone", TINY, "--set", "size=32")
    assert result.exit_code == 2, result.output
    assert why in " ".join(result.output.split())


def test_a_rate_or_value_that_is_named_twice_is_tried_once(home):
    twice = ["--lr", "1e-3,0.001,1e-2", "--option", "rank=2,2", "--dry-run", "--backbone", TINY]
    result = bench("tune", "lora", *twice, *WHERE, "--set", "size=32")
    assert "2 candidates to try." in result.stdout


def test_what_one_method_cannot_do_is_refused_before_any_search_begins(home):
    values = ["--lr", "1e-2", "--option", "rank=2,8", "--backbone", TINY]
    result = bench("tune", "lora,glia", *values, *QUICK, *GLIA_FLAGS[:4], "--set", "glia.heads=4")
    assert result.exit_code == 2, result.output
    assert "glia: heads=4 does not divide rank=2" in " ".join(result.output.split())
    assert not (home / "results").exists()


def test_of_all_methods_those_that_cannot_take_a_value_are_left_out_and_the_others_tuned(home, monkeypatch):
    searched = []
    monkeypatch.setattr("bench.cli.search.run_search", lambda planned, *_: searched.append(planned.search.method) or 0)
    values = ["--lr", "1e-2", "--option", "rank=2,8", "--backbone", TINY]
    result = bench("tune", "all", *values, *QUICK, *GLIA_FLAGS[:4], "--set", "glia.heads=4")
    assert result.exit_code == 0, result.output
    assert "Left out: glia: heads=4 does not divide rank=2: choose another." in " ".join(result.stderr.split())
    assert "lora" in searched
    assert "glia" not in searched


def test_of_all_methods_those_that_need_what_the_set_does_not_tell_are_left_out(home, monkeypatch):
    searched = []
    monkeypatch.setattr("bench.cli.search.run_search", lambda planned, *_: searched.append(planned.search.method) or 0)
    monkeypatch.setattr("bench.cli.search.look_ahead", lambda plan, *_: plan)  # which builds every model
    result = bench("tune", "all", "--option", "train_views=1,2", "--backbone", TINY, *QUICK, *GLIA_FLAGS)
    assert result.exit_code == 0, result.output
    assert "Left out: distortion_oracle on near: it needs" in " ".join(result.stderr.split())
    assert {"ridge", "lora"} <= set(searched)
    assert not {"distortion_oracle", "ilniqe", "ensemble"} & set(searched)


@pytest.mark.parametrize(
    ("words", "rows", "said"),
    [
        (["-d", "demo_a", "--preset", "demo"], 3, "bench.toml asks for 5 splits, and demo_a has 3."),
        (["--preset", "study"], 3, "study_tune has 3 contents and so only 3 different test parts"),
    ],
)
def test_a_number_of_splits_in_bench_toml_is_cut_to_those_that_there_are_and_a_typed_one_is_refused(
    home, monkeypatch, words, rows, said
):
    monkeypatch.setattr("bench.cli.search.time_line", lambda *_: "")  # which loads torch
    configured(home, "splits = 5")
    asked = ["tune", "linear_probe", "--lr", "1e-3", "--dry-run", *words]
    result = bench(*asked)
    assert result.exit_code == 0, result.output
    assert said in " ".join(result.stderr.split())
    assert f"{rows} candidates to try." in result.stdout
    assert bench(*asked, "--splits", 5).exit_code == 2


def fail(home, **kinds):
    """Turn the records of rates, named as `at_01`, into those of runs that failed with errors of these kinds."""
    store = Store(home / "results" / "tuning")
    for record in list(store.records()):
        kind = kinds["at_" + f"{record['spec']['recipe']['lr']:g}".partition(".")[2]]
        store.write({**record, "status": "failed", "error": {"kind": kind, "message": "no memory", "traceback": ""}})


def test_what_failed_and_did_not_diverge_is_tried_again_where_overwrite_says_so(home):
    asked = ["tune", "linear_probe", "--lr", "1e-2,1e-3", "--backbone", TINY, *QUICK]
    bench(*asked)
    fail(home, at_01="RunError", at_001="Diverged")
    stays = bench(*asked)
    assert stays.exit_code == 1, stays.output
    assert "2 tried before" in " ".join(stays.output.split())
    assert "with --overwrite failed tries the failed ones again" in " ".join(stays.output.split())
    assert "1 candidate to try." in bench(*asked, "--overwrite", "failed", "--dry-run").stdout
    configured(home, 'overwrite = "failed"')
    again = bench(*asked)
    assert again.exit_code == 0, again.output
    assert "Chosen: lr=0.01" in again.stdout
    assert "--overwrite failed" not in again.output


def test_what_other_code_has_tried_counts_where_nothing_is_to_be_overwritten(home):
    tuned("linear_probe", "--backbone", TINY)
    store = Store(home / "results" / "tuning")
    (record,) = store.records()
    store.write({**record, "code": {**record["code"], "numerics": 1}})
    asked = ["tune", "linear_probe", "--lr", "1e-2", "--backbone", TINY, *QUICK]
    assert "1 candidate to try." in bench(*asked, "--dry-run").stdout
    kept = bench(*asked, "--overwrite", "never")
    assert kept.exit_code == 0, kept.output
    assert "1 tried before" in " ".join(kept.output.split())


def test_a_search_in_which_every_rate_failed_in_some_split_says_what_each_split_chose(home, capsys):
    search = Search("lora", "near", DEMO, 2, rates=(1e-3, 1e-2))
    low, high = ({"lr": rate} for rate in search.rates)
    outcomes = {0: [Trial(low, 0.5), Trial(high, None)], 1: [Trial(low, None), Trial(high, 0.4)]}
    _say_what_is_chosen(search, outcomes, home / "results", {})
    said = capsys.readouterr().out
    assert "Chosen: lr=0.001 in split 0; lr=0.01 in split 1." in said
    assert "edge" not in said
    assert "`bench run … --recipe tuned` uses it" in said
    _say_what_is_chosen(search, {0: outcomes[0]}, home / "results", {})
    assert "lr=0.001 stands at the edge of what was tried: widen it with --lr." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--option", "rank=,"], "--option 'rank=,' is not of the form NAME=VALUE,VALUE."),
        (["--lr", "1e-3,inf"], "--lr '1e-3,inf' must name positive, finite numbers."),
        (["--lr", "nan"], "--lr 'nan' must name positive, finite numbers."),
    ],
)
def test_no_value_and_a_rate_without_end_are_refused(home, words, why):
    result = bench("tune", "lora", *words, "--dry-run", *WHERE, "--backbone", TINY, "--set", "size=32")
    assert result.exit_code == 2, result.output
    assert why in " ".join(result.output.split())


def test_a_file_that_an_option_names_is_known_by_what_is_in_it(home, monkeypatch):
    searched = []
    monkeypatch.setattr("bench.cli.search.run_search", lambda planned, *_: searched.append(planned) or 0)
    monkeypatch.setattr("bench.cli.search.look_ahead", lambda plan, *_: plan)  # which builds every model
    for name in ("a.csv", "b.csv"):
        (home / name).write_text(name)
    result = bench("tune", "rali", "--lr", "1e-2", "--option", "captions=a.csv,b.csv", "--backbone", TINY, *QUICK)
    assert result.exit_code == 0, result.output
    (planned,) = searched
    named = [file_token(home / name) for name in ("a.csv", "b.csv")]
    assert [one.spec.options["captions"] for one in planned.tried] == named
    assert planned.runtime.weight_files == dict(zip(named, [home / "a.csv", home / "b.csv"], strict=True))
    amiss = bench("tune", "rali", "--option", "captions=none.csv", "--backbone", TINY, *QUICK)
    assert "rali.captions=none.csv: there is no such file." in amiss.output
