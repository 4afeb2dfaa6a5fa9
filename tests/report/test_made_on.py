"""A record tells on what its run was trained and tested, whoever took it up, and its page names every field of it."""

import json
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from bench.core.errors import Interrupted, RunError
from bench.core.machine import KERNEL_LIMITS
from bench.core.spec import RunSpec, Target
from bench.data.labels.scores import Scores
from bench.data.locate import load_dataset
from bench.records.external import Import, Origin, Place
from bench.records.store import Store
from bench.training.record import failed_record
from bench.training.run import make_run
from bench.training.signals import Signals
from tests.cli.calls import TINY_FLAGS, bench
from tests.cli.conftest import home
from tests.methods.vits import SMALL_CNN
from tests.training.instruction_sets import OLDER_CPU, python
from tests.world import make_world, tiny_runtime, tiny_spec

__all__ = ["home"]
PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "records.md"
ANY_NAMES = (
    "spec",
    "error",
    "data.tests",
    "data.train.sets",
    "weights.further",
    "metrics",
    "run.versions",
    "numerics.begun",
    "numerics.tested",
)
"""Fields whose own fields are named by what they hold, or described elsewhere."""

COMMAND = "import os, sys; os.chdir(sys.argv.pop(1)); from bench.cli import app; app()"


@pytest.fixture
def data(tmp_path):
    return make_world(tmp_path / "sets")


@pytest.fixture
def machine(monkeypatch):
    """Say with which instructions this machine computes from now on."""

    def become(instructions):
        monkeypatch.setattr("bench.core.machine.instruction_set", lambda: instructions)

    become("old")
    return become


def interrupted(spec, runtime):
    stop = threading.Event()

    def stop_in_training(done, total, what, shown=""):
        if what == "training":
            stop.set()

    with pytest.raises(Interrupted):
        make_run(spec, runtime, stop_in_training, signals=Signals(stop))


def test_a_run_made_in_one_place_names_it_once(tmp_path, data, machine):
    about = make_run(tiny_spec("adapter"), tiny_runtime(tmp_path, data))[0]["numerics"]
    assert list(about) == ["trained"]
    assert (about["trained"]["instructions"], about["trained"]["precision"]) == ("old", "fp32")


def test_a_training_taken_up_on_another_machine_names_both(tmp_path, data, machine):
    spec, runtime = tiny_spec("adapter"), tiny_runtime(tmp_path, data)
    interrupted(spec, runtime)
    machine("new")
    about = make_run(spec, runtime)[0]["numerics"]
    assert [place["instructions"] for place in about["begun"]] == ["old"]
    assert about["trained"]["instructions"] == "new"
    assert "tested" not in about


def test_a_training_taken_up_on_the_same_machine_names_it_once(tmp_path, data, machine):
    spec, runtime = tiny_spec("adapter"), tiny_runtime(tmp_path, data)
    interrupted(spec, runtime)
    assert list(make_run(spec, runtime)[0]["numerics"]) == ["trained"]


def test_kept_weights_tested_on_another_machine_keep_the_place_of_their_training(tmp_path, data, machine):
    runtime = tiny_runtime(tmp_path, data, parts=2)
    make_run(tiny_spec("adapter"), runtime)
    machine("new")
    about = make_run(tiny_spec("adapter", tests=("near:test", "far:all")), tiny_runtime(tmp_path, data))[0]["numerics"]
    assert (about["trained"]["instructions"], about["trained"]["parts"]) == ("old", 2)
    assert about["tested"]["instructions"] == "new"


def test_a_number_of_parts_is_of_the_steps_and_no_other_place(tmp_path, data):
    make_run(tiny_spec("adapter"), tiny_runtime(tmp_path, data, parts=2))
    about = make_run(tiny_spec("adapter", tests=("far:all",)), tiny_runtime(tmp_path, data))[0]["numerics"]
    assert list(about) == ["trained"]


@pytest.mark.parametrize(("flags", "says"), [({"avx512_bf16"}, "old bf16"), ({"avx2"}, "old bf16 emulated")])
def test_bf16_that_is_emulated_is_told_from_a_cpus_own(flags, says, tmp_path, data, machine, monkeypatch):
    monkeypatch.setattr("bench.core.machine._cpu_flags", lambda: frozenset(flags))
    about = make_run(tiny_spec("adapter", precision="bf16"), tiny_runtime(tmp_path, data))[0]["numerics"]
    assert about["trained"]["instructions"] == says


@pytest.mark.slow
def test_two_machines_of_unlike_instruction_sets_may_fill_one_folder_and_tables_say_so(home, monkeypatch):
    for name in KERNEL_LIMITS:
        monkeypatch.delenv(name, raising=False)
    words = ["run", "-m", "linear_probe", "-p", "main", "-d", "near", *TINY_FLAGS]
    assert bench(*words, "--splits", 1).exit_code == 0
    older = python("-c", COMMAND, str(home), *words, "--splits", "2", environment=OLDER_CPU)
    assert older.returncode == 0, older.stderr
    assert "1 done before" in older.stdout + older.stderr
    made = {record["spec"]["split"]: record["numerics"] for record in Store(home / "results").records()}
    limits = " ".join(f"{name}={OLDER_CPU[name]}" for name in KERNEL_LIMITS)
    assert limits in made[1]["trained"]["instructions"]
    assert "=" not in made[0]["trained"]["instructions"]
    refused = bench("table", "main", "--strict")
    assert refused.exit_code == 1
    assert not (home / "results" / "tables").exists()
    assert "Mixed: split" in bench("table", "main").output
    for words in (("table", "main", "--notes"), ("verify",)):
        said = " ".join(bench(*words).output.split())
        assert re.search(r"Mixed: split [01] of Linear probe was trained with .+, the others with", said)
    strict = bench("verify", "--strict")
    assert strict.exit_code == 1
    assert "Error: What is mixed is refused under --strict." in strict.output


def test_the_page_on_records_names_every_field_of_a_record_and_no_other(tmp_path, data, machine):
    runtime, store = tiny_runtime(tmp_path, data), Store(tmp_path / "results")
    spec = tiny_spec("loda", options={"cnn": SMALL_CNN})
    interrupted(spec, runtime)
    machine("new")
    store.write(*make_run(spec, runtime))
    machine("newest")
    store.write(*make_run(spec.with_tests(("far:all",)), runtime))
    failed = tiny_spec("adapter")
    store.write(failed_record(failed, RunError("it failed")))
    store.write(*imported(spec, runtime))
    probe = tiny_spec("linear_probe")
    store.write(*make_run(probe, runtime))
    of_both = tiny_spec("ensemble", options={"of": "loda,linear_probe"})
    store.write(*make_run(of_both, replace(runtime, members=(spec, probe))))
    mix = RunSpec.from_dict(probe.as_dict() | {"train": "far+near", "tests": ["near:test"]})
    store.write(*make_run(mix, runtime))
    records = [json.loads(path.read_text()) for path in store.runs.glob("*.json")]
    assert len(records) == 7
    held = {name for record in records for name in fields_of(record)}
    assert documented() == held


def imported(beside, runtime):
    """The record of somebody's scores, beside a run."""
    dataset = load_dataset("near", runtime.data, runtime.cache)
    scores = Scores(dataset.table["score"].to_numpy(), ())
    place = Place(beside.preset, "near", Target.of("near"), beside.split)
    return Import(Origin("theirs", "theirs.csv", "0" * 64), dataset, scores).body(place, {})


def fields_of(value, prefix=""):
    """The dotted names of a record's fields, down to where a field holds any names."""
    for name, inner in value.items():
        path = f"{prefix}{name}"
        if isinstance(inner, dict) and path not in ANY_NAMES:
            yield from fields_of(inner, f"{path}.")
        else:
            yield path


def documented():
    """The dotted names in the first column of the page's first table; the second is of the log of steps."""
    names = set()
    for line in PAGE.read_text().partition("Beside a record, ")[0].splitlines():
        if line.startswith("| `"):
            lead, _, rest = line.split("|")[1].partition(":")
            prefix = f"{lead.strip().strip('`')}." if rest else ""
            names |= {prefix + name for name in re.findall(r"`([^`]+)`", rest or lead)}
    return names
