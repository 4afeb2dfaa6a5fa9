"""`import bench`: light, free of clashes, and the commands' numbers as DataFrames."""

import json
import pkgutil
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest

import bench
from bench.api.frames import COLUMNS, COMPARED, METRICS
from bench.core.errors import RunError, UsageError
from bench.records.results import Results
from bench.records.store import Store
from tests.report.records import body_of, predictions
from tests.report.results import specs_of
from tests.world import RECIPE, TINY, make_set

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"
TOY = {"backbone": TINY, "weights": "random", "device": "cpu", "preset": "demo", "settings": RECIPE}


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLIA_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def made_up(home):
    """Made-up records of two methods on two demo sets, in three splits."""
    store = Store(home / "results")
    for spec in specs_of("main", methods="glia,lora", datasets=("demo_a", "demo_b"), splits=3):
        store.write(body_of(spec), predictions(spec))
    return store


@pytest.fixture
def holiday(home):
    make_set(home / "holiday", 3)
    return {"holiday": {"path": home / "holiday", "csv": "labels.csv", "group": "group"}}


# The import ----------------------------------------------------------------------------------------------------------


def test_importing_and_looking_around_loads_nothing_heavy():
    code = "import bench, sys; dir(bench); bench.results; bench.run; bench.table; bench.compare; bench.BenchError; "
    heavy = "{'torch', 'pandas', 'numpy', 'scipy', 'timm', 'typer', 'rich', 'matplotlib', 'tqdm'}"
    assert run_python(code + f"print(sorted({heavy} & set(sys.modules)))").strip() == "[]"


def test_looking_at_results_loads_no_torch(made_up):
    code = "import bench, sys; bench.results(); bench.table('main'); bench.compare('glia', 'lora'); "
    assert run_python(code + "print('torch' in sys.modules)").strip() == "False"


def test_no_name_of_the_api_is_also_a_package_s():
    rooms = {module.name for module in pkgutil.iter_modules(bench.__path__)}
    assert "records" in rooms
    assert not rooms & set(bench.__all__)


def test_every_name_of_the_api_is_found_listed_and_documented_and_others_are_not():
    for name in bench.__all__:
        assert getattr(bench, name) is not None
        assert name in dir(bench)
    text = PAGE.read_text()
    for name in set(bench.__all__) - {"__version__"}:
        assert f"bench.{name}" in text, name
        assert getattr(bench, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        bench.nothing  # noqa: B018


def test_the_page_names_every_column():
    text = PAGE.read_text()
    for name in (*COLUMNS, *COMPARED, *METRICS):
        assert f"`{name}`" in text, name


# Results -------------------------------------------------------------------------------------------------------------


def test_results_hold_one_number_a_row_and_all_of_them(made_up):
    frame = bench.results()
    assert tuple(frame.columns) == COLUMNS
    records = Results.read(made_up).records
    stored = {(r.key, t, m): r.value(t, m) for r in records for t in r.spec.tests for m in METRICS}
    assert len(frame) == len(stored)
    assert not frame["value"].isna().any()
    for row in frame.itertuples():
        assert row.value == stored[row.key, f"{row.test}:{row.part}", row.metric]
    assert set(frame["title"]) == {"GLIA", "LoRA"}
    assert set(frame["kind"]) == {"run"}


def test_a_failed_run_has_no_row_and_a_folder_without_runs_gives_the_columns_alone(made_up, home):
    spec = specs_of("main", methods="vpt", datasets=("demo_a",), splits=1)[0]
    made_up.write(body_of(spec, error=("RunError", "it diverged")))
    assert "vpt" not in set(bench.results()["method"])
    (home / "empty").mkdir()
    assert tuple(bench.results("empty").columns) == COLUMNS
    assert bench.results("empty").empty


def test_a_folder_that_is_not_there_is_an_error_that_names_it_and_an_unusable_file_is_warned_of(made_up, home):
    with pytest.raises(UsageError, match="There is no results folder nowhere"):
        bench.results("nowhere")
    (made_up.runs / "odd.json").write_text("{")
    with pytest.warns(UserWarning, match="Not used: odd.json"):
        assert len(bench.results())


def test_the_settings_are_those_of_the_nearest_file_or_of_the_one_that_is_named(made_up, home, monkeypatch):
    (home / "below").mkdir()
    (home / "bench.toml").write_text('[run]\nresults = "elsewhere"\n')
    (home / "other.toml").write_text(f"[run]\nresults = {json.dumps(str(home / 'results'))}\n")
    monkeypatch.chdir(home / "below")
    for _ in range(2):  # what one call names holds for that call
        with pytest.raises(UsageError, match="elsewhere"):
            bench.results()
        assert len(bench.results(config=home / "other.toml"))


# Tables --------------------------------------------------------------------------------------------------------------


def test_a_table_holds_the_medians_that_the_command_prints(made_up):
    frame, numbers = bench.table("main"), bench.results()
    srcc = numbers[(numbers["metric"] == "srcc") & (numbers["method"] == "glia") & (numbers["train"] == "demo_a")]
    (label,) = [label for label in frame.index if label.startswith("GLIA")]
    assert frame.loc[label, ("Demo A", "SRCC")] == pytest.approx(srcc["value"].median())
    assert frame.index.name == "Method"
    assert frame.attrs["name"] == "main_demo"
    assert frame.attrs["tables"] == ["main_ranking_demo"]
    assert any("Medians over 3 folds" in line for line in frame.attrs["notes"])
    assert any(line.startswith("Preset: demo") for line in frame.attrs["footer"])


def test_a_table_goes_by_its_own_name_too_and_a_wrong_one_is_suggested(made_up):
    assert "Mean rank" in bench.table("main_ranking_demo").columns.get_level_values(1)
    with pytest.raises(UsageError, match="Did you mean main_ranking_demo"):
        bench.table("main_rankin")


def test_published_rows_stand_beside_measured_ones_on_request(home):
    store = Store(home / "results")
    for spec in specs_of("main", "paper", methods="glia", datasets=("koniq10k",), splits=10):
        store.write(body_of(spec), predictions(spec))
    assert bench.table("main", preset="paper").index.nlevels == 1
    both = bench.table("main", published=True)
    assert both.index.names[-1] == "source"
    assert {"measured"} < set(both.index.get_level_values("source"))


def test_a_selection_keeps_these_rows_and_says_of_names_without_records(made_up):
    frame = bench.table("main", methods="glia,adapter", datasets=["demo_a"])
    assert len(frame) == 1
    assert list(frame.columns.get_level_values(0).unique()) == ["Demo A"]
    assert "No record here is of adapter." in frame.attrs["notes"]


def test_a_folder_of_no_name_is_refused_and_not_taken_for_the_working_folder(made_up):
    with pytest.raises(UsageError, match="results is empty: name the folder"):
        bench.results("")


def test_a_way_of_choosing_the_epoch_that_there_is_not_is_refused_with_those_that_there_are(made_up):
    with pytest.raises(UsageError, match="selection='best' is none of last, val, oracle"):
        bench.table("main", selection="best")


def test_a_notebook_shows_title_table_and_first_notes_and_pieces_are_plain_frames(made_up):
    frame = bench.table("main")
    assert len(frame.attrs["notes"]) == 5
    frame.attrs["notes"] += ["a sixth & last one"]
    shown = frame._repr_html_()
    assert shown.startswith("<p><b>Demo. Performance comparison")
    assert "<table" in shown
    assert "Medians over 3 folds" in shown
    assert "<li>2 more in <code>attrs['notes']</code>" in shown
    assert type(frame.head(1)) is pd.DataFrame


# Comparisons ---------------------------------------------------------------------------------------------------------


def test_a_comparison_is_paired_by_split_and_says_who_is_better(made_up):
    frame = bench.compare("glia", "lora")
    assert tuple(frame.columns) == COMPARED
    numbers = bench.results()
    srcc = numbers[numbers["metric"] == "srcc"].pivot(index=["train", "split"], columns="method", values="value")
    gap = (srcc["glia"] - srcc["lora"]).groupby("train").mean()
    assert frame.set_index("train")["difference"].to_dict() == pytest.approx(gap.to_dict())
    assert (frame["splits"] == 3).all()
    assert set(frame["better"]) <= {"GLIA", "LoRA", ""}
    assert any("GLIA" in line for line in frame.attrs["notes"])
    assert "minus" in frame._repr_html_()


@pytest.mark.parametrize(
    ("a", "b", "metric"), [("glia", "gila", "srcc"), ("glia", "lora", "mse"), ("glia", "glia", "srcc")]
)
def test_what_cannot_be_compared_is_an_error_of_the_bench(made_up, a, b, metric):
    with pytest.raises(bench.BenchError):
        bench.compare(a, b, metric=metric)


# Runs ----------------------------------------------------------------------------------------------------------------


def test_runs_are_made_once_and_their_numbers_are_those_of_the_results(home, holiday, capsys):
    first = bench.run("linear_probe", "main", holiday, splits=2, **TOY)
    assert "2 done, 0 failed." in capsys.readouterr().err
    assert set(first["train"]) == {"holiday"}
    assert len(first) == 2 * len(METRICS)
    again = bench.run(["linear_probe"], ["main"], holiday, splits=2, **TOY)
    assert "0 to run" in capsys.readouterr().err
    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(first, bench.results())
    one = bench.run("linear_probe", "main", {"holiday": home / "holiday"} | holiday, splits=1, quiet=True, **TOY)
    assert set(one["split"]) == {0}
    assert capsys.readouterr().err == ""


def test_a_run_has_rows_of_what_was_asked_for_though_its_record_holds_more_tests(home, holiday):
    make_set(home / "far", 4)
    both = holiday | {"far": {"path": home / "far", "group": "group"}}
    bench.run("linear_probe", "main,cross", both, splits=1, quiet=True, **TOY)
    asked = bench.run("linear_probe", "main", both, splits=1, quiet=True, **TOY)
    assert set(asked["part"]) == {"test"}


def test_settings_become_options_and_make_another_run(home, holiday):
    changed = TOY | {"settings": RECIPE | {"flips": False, "adapter.bottleneck": 8}}
    frame = bench.run("adapter", data=holiday, splits=1, quiet=True, **changed)
    assert set(frame["options"]) == {"bottleneck=8"}
    assert "flips=no" in frame["changes"].iloc[0]


def test_what_makes_no_sense_is_refused_before_anything_is_run(home, holiday):
    for wrong in (
        {"methods": "glai"},
        {"protocol": "mian"},
        {"data": "nothing"},
        {"data": {"holiday": 3}},
        {"data": {"holiday": {"path": "holiday", "colour": "red"}}},
        {"device": "abacus"},
        {"methods": [1]},
        {"splits": 1.5},
        {"splits": True},
        {"limit": 3.5},
        {"limit": -4},
    ):
        with pytest.raises(UsageError):
            bench.run(**({"methods": "linear_probe", "data": holiday, "quiet": True} | TOY | wrong))
    assert not (home / "results").exists()


def test_failed_runs_are_warned_of_and_are_the_error_where_there_is_nothing_else(home, holiday, monkeypatch):
    def fails(*_):
        raise RunError("it diverged")

    with monkeypatch.context() as patch:
        patch.setattr("bench.training.run._score", fails)
        with pytest.raises(bench.BenchError, match="1 of 1 run failed: RunError: it diverged"):
            bench.run("linear_probe", data=holiday, splits=1, quiet=True, **TOY)
    with pytest.warns(UserWarning, match="1 of 2 runs failed"):
        frame = bench.run("linear_probe", data=holiday, splits=2, quiet=True, **TOY)
    assert set(frame["split"]) == {1}


def test_runs_that_fail_for_what_can_be_mended_are_warned_of_too_until_it_is(home, holiday):
    make_set(home / "far", 4)
    both = holiday | {"far": {"path": home / "far", "group": "group"}}
    picture = home / "far" / "g0_0.png"
    sound = picture.read_bytes()
    picture.write_text("words")
    with pytest.raises(bench.BenchError, match=r"^1 of 1 run failed: .*g0_0\.png cannot be used: it is not a picture"):
        bench.run("linear_probe", "main", {"far": both["far"]}, splits=1, quiet=True, **TOY)
    with pytest.warns(UserWarning, match=r"^1 of 2 runs failed: .*g0_0\.png"):
        frame = bench.run("linear_probe", "main", both, splits=1, quiet=True, **TOY)
    assert set(frame["train"]) == {"holiday"}
    picture.write_bytes(sound)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = bench.run("linear_probe", "main", both, splits=1, quiet=True, **TOY)
    assert set(frame["train"]) == {"holiday", "far"}


def test_a_run_that_another_process_is_making_has_not_failed(home, holiday, monkeypatch):
    def other_takes(plan, runtime, *_, **__):
        Store(runtime.results).claims.take(plan.specs[0].training_key, "", run=plan.specs[0].key)
        return 0

    monkeypatch.setattr("bench.cli.execute.execute", other_takes)
    assert bench.run("linear_probe", data=holiday, splits=1, quiet=True, **TOY).empty
    with pytest.raises(bench.BenchError, match="1 of 2 runs failed: it left no record"):
        bench.run("linear_probe", data=holiday, splits=2, quiet=True, **TOY)


# The page ------------------------------------------------------------------------------------------------------------


def test_the_worked_example_runs_as_it_stands_and_its_model_is_on_a_scale_where_its_set_is_named(home, capsys):
    make_set(home / "holiday", 3)
    names: dict[str, object] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
            exec(block, names)
    said = capsys.readouterr().out
    assert "Medians over 3 splits" in said
    assert "Linear probe" in said
    assert len(names["everything"]) == len(names["numbers"]) == 2 * 3 * len(METRICS)
    assert list(names["difference"]["train"]) == ["holiday"]
    assert names["scorer"].scale.dataset == "holiday"
    with pytest.warns(UserWarning, match="Scores are raw numbers, higher is better: its scale is not known"):
        bench.load(names["numbers"]["key"].iloc[-1])


# What bench.toml and the command have too ----------------------------------------------------------------------------


def test_a_title_that_no_later_call_would_know_is_refused(home, holiday):
    with pytest.raises(bench.BenchError, match=r"the title of holiday belongs in \[data.holiday\] of bench.toml"):
        bench.run("mean", data={"holiday": {**holiday["holiday"], "title": "Holiday pictures"}}, quiet=True, **TOY)


def test_seeds_are_those_of_the_configuration_or_of_the_call(home, holiday):
    (home / "bench.toml").write_text("[run]\nseeds = 2\n")
    quick = {**TOY, "splits": 1, "quiet": True}
    assert bench.run("linear_probe", data=holiday, **quick)["seed"].nunique() == 2
    assert bench.run("linear_probe", data=holiday, seeds=1, **quick)["seed"].nunique() == 1


def test_method_and_protocol_are_those_of_the_configuration_or_of_the_call(home, holiday, monkeypatch):
    (home / "bench.toml").write_text('[run]\nmethod = ["mean"]\nprotocol = ["matrix"]\n')
    asked = []

    def refuses(ask):
        asked.append((ask.methods, ask.protocols))
        raise UsageError("enough")

    monkeypatch.setattr("bench.planning.plan.make_plan", refuses)
    for words in ((), ("linear_probe", "main")):
        with pytest.raises(UsageError, match="enough"):
            bench.run(*words, data=holiday, **TOY)
    assert asked == [(("mean",), ("matrix",)), (("linear_probe",), ("main",))]


def test_what_a_plan_leaves_out_is_told_as_the_command_tells_it(home, holiday, capsys):
    (home / "bench.toml").write_text("[run]\nsplits = 5\n")
    folds = TOY | {"settings": RECIPE | {"split_rule": "kfold:3"}}
    bench.run("mean", data=holiday, **folds)
    assert "bench.toml asks for 5 splits, and there are 3" in capsys.readouterr().err
    bench.run("mean", data=holiday, quiet=True, **folds)
    assert capsys.readouterr().err == ""


def test_a_tracker_that_cannot_be_had_is_refused_before_any_run(home, holiday, capsys):
    (home / "bench.toml").write_text('[run]\nlog = "nosuchtracker"\n')
    with pytest.raises(UsageError, match="there is no module nosuchtracker here"):
        bench.run("linear_probe", data=holiday, splits=1, **TOY)
    assert "failed" not in capsys.readouterr().err


def test_splits_may_be_those_of_a_file(home, holiday):
    rows = [f"g{g}_{i}.png,{'test' if g == 5 else 'train'}" for g in range(6) for i in range(4)]
    (home / "theirs.csv").write_text("\n".join(["image,side", *rows]) + "\n")
    quick = {**TOY, "settings": {**RECIPE, "split_rule": "file:theirs.csv"}, "quiet": True}
    numbers = bench.run("linear_probe", data=holiday, **quick)
    (rule,) = set(numbers["split_rule"])
    assert rule.startswith("file:1:")
    with pytest.raises(UsageError, match="is about one set"):
        bench.run("linear_probe", data={**holiday, "other": holiday["holiday"]}, **quick)
