"""A tracker that is named is told of each run: its spec, every step, its numbers; and it ends no run."""

import importlib.util
import sys

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import UsageError
from bench.core.runtime import Runtime
from bench.execution.orders import ExecutionOptions
from bench.execution.serial import execute_serial
from bench.records.store import Store
from bench.training.tracking import tell_afterwards, tracker_named
from tests.survive.makers import record_of
from tests.training.test_steplog import stopped_after
from tests.world import make_world, tiny_runtime, tiny_spec

NOTEBOOK = """
told = []
def init(**facts): told.append(("init", facts))
def log(values, step): told.append(("log", step, values))
def finish(): told.append(("finish",))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("sets"))


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Make a module to be imported by name; returns what makes it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def make(text, name="mytracker"):
        (tmp_path / f"{name}.py").write_text(text)
        made.append(name)
        tracker_named.cache_clear()
        return name

    yield make
    tracker_named.cache_clear()
    for name in made:
        sys.modules.pop(name, None)


def made(home, data, *specs, **changes):
    runtime = tiny_runtime(home, data, **changes)
    assert not execute_serial(specs, runtime, ExecutionOptions()).failed
    return Store(runtime.results)


def test_a_run_is_told_of_from_its_spec_to_its_numbers(tmp_path, data, module):
    name, spec = module(NOTEBOOK), tiny_spec()
    store = made(tmp_path, data, spec, log=name)
    begin, *logged, end = tracker_named(name).told
    facts = begin[1]
    assert begin[0] == "init"
    assert (facts["project"], facts["config"]) == ("glia-bench", spec.as_dict())
    assert facts["name"].startswith("glia on near, split 0")
    steps = store.steps(spec.key)
    assert [step for _, step, _ in logged] == [line["step"] for line in steps] + [steps[-1]["step"]]
    assert [set(values) for _, _, values in logged[:-1]] == [{"epoch", "loss", "lr", "images_s"}] * len(steps)
    srcc = store.read(store.runs / f"{spec.key}.json")["metrics"]["near:test"]["srcc"]
    assert logged[-1][2]["srcc on near:test"] == pytest.approx(srcc)
    assert end == ("finish",)


def test_runs_trained_together_are_told_of_one_after_the_other(tmp_path, data, module):
    name = module(NOTEBOOK)
    specs = [tiny_spec("linear_probe", split) for split in range(2)]
    made(tmp_path, data, *specs, pack=2, log=name)
    told = tracker_named(name).told
    words = [entry[0] for entry in told]
    assert words == (["init"] + ["log"] * 7 + ["finish"]) * 2
    assert [entry[1]["config"]["split"] for entry in told if entry[0] == "init"] == [0, 1]


def test_a_resumed_run_is_told_under_the_same_name_from_where_it_goes_on(tmp_path, data, module):
    name, spec = module(NOTEBOOK), tiny_spec(recipe={"epochs": 3})
    stopped_after(4, spec, tiny_runtime(tmp_path, data, log=name))
    made(tmp_path, data, spec, log=name)
    told = tracker_named(name).told
    first, second = (facts for word, *facts in told if word == "init")
    assert first[0]["id"] == second[0]["id"]
    assert [facts["first_step"] for (facts,) in (first, second)] == [1, 5]
    assert [entry[1] for entry in told if entry[0] == "log"] == [*range(1, 10), 9]


def test_a_further_test_is_told_of_with_the_steps_of_its_training(tmp_path, data, module):
    made(tmp_path, data, tiny_spec())
    name = module(NOTEBOOK)
    made(tmp_path, data, tiny_spec(tests=("near:test", "far:all")), log=name)
    assert "srcc on far:all" in tracker_named(name).told[-2][2]
    assert len(tracker_named(name).told) == 1 + 6 + 1 + 1


def test_a_tracker_gets_what_its_own_words_take(tmp_path, module):
    text = "told = []\ndef init(project, config): told.append(project)\n"
    name = module(f"{text}def log(values): told.append(values)\ndef finish(quiet=False): told.append(quiet)\n")
    tell_afterwards(tiny_spec(), Runtime(tmp_path, tmp_path, log=name), record_of(tiny_spec()))
    assert tracker_named(name).told == ["glia-bench", {"srcc on demo_a:test": 0.5}, False]


def test_a_tracker_that_fails_is_told_no_more_and_the_run_is_done(tmp_path, data, module, capsys):
    name = module(NOTEBOOK.replace('told.append(("log", step, values))', 'raise OSError("no network")'))
    store = made(tmp_path, data, tiny_spec(), log=name)
    assert len(list(store.records())) == 1
    assert [entry[0] for entry in tracker_named(name).told] == ["init"]
    assert capsys.readouterr().err.count("OSError: no network") == 1


def told_of_a_run(tmp_path, name):
    tell_afterwards(tiny_spec(), Runtime(tmp_path, tmp_path, log=name), record_of(tiny_spec()))


def test_a_tracker_that_ends_the_program_ends_no_run(tmp_path, module, capsys):
    told_of_a_run(tmp_path, module("def init(): raise SystemExit('no key')\ndef log(values): 1 / 0\nfinish = init\n"))
    assert "SystemExit: no key (this run is told of no more)" in capsys.readouterr().err


def test_what_a_tracker_prints_is_kept_off_the_standard_output(tmp_path, module, capsys):
    told_of_a_run(tmp_path, module("print('here')\ndef init(): print('begun')\ndef log(values): pass\nfinish = init\n"))
    out, err = capsys.readouterr()
    assert (out, err) == ("", "here\nbegun\nbegun\n")


def test_a_tracker_s_file_may_hold_a_dataclass(tmp_path):
    path = tmp_path / "held.py"
    held = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n@dataclass\nclass Held:\n    x: int\n"
    )
    path.write_text(held + NOTEBOOK)
    assert tracker_named(str(path)).Held(3).x == 3


def test_a_tracker_may_be_a_file(tmp_path):
    path = tmp_path / "told here.py"
    path.write_text(NOTEBOOK)
    tell_afterwards(tiny_spec(), Runtime(tmp_path, tmp_path, log=str(path)), record_of(tiny_spec()))
    assert [entry[0] for entry in tracker_named(str(path)).told] == ["init", "log", "finish"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "there is no module nosuch here. Install it (pip install nosuch)"),
        ("def init(): pass\nfinish = 3\n", "it lacks log, finish"),
        ("1 / 0\n", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_a_tracker_that_cannot_be_had_is_refused_before_anything_begins(tmp_path, monkeypatch, module, text, why):
    name = "nosuch" if text is None else module(text, "broken")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["run", "-m", "glia", "-p", "main", "--preset", "demo", "--log", name])
    assert result.exit_code == 2, result.output
    assert why in " ".join(result.stderr.split())
    assert not (tmp_path / "results").exists()


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UsageError, match="there is no such file"):
        tracker_named(str(tmp_path / "x.py"))


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_shows_every_step_and_a_resumed_run_once(tmp_path, data):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    spec = tiny_spec(recipe={"epochs": 3})
    stopped_after(4, spec, tiny_runtime(tmp_path, data, log="tensorboard"))
    store = made(tmp_path, data, spec, log="tensorboard")
    (folder,) = (store.root / "tensorboard").iterdir()
    assert folder.name.startswith(spec.key)
    events = EventAccumulator(str(folder)).Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 10))
    losses = [line["loss"] for line in store.steps(spec.key)]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(losses, rel=1e-5)
    assert len(events.Scalars("srcc on near:test")) == 1
