"""Runs whose code has changed are made again, from the start, and end as if nothing else had ever been there."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from bench.core.errors import RunError, StoreError
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec
from bench.execution.cluster.worker import Task, own_results, work
from bench.execution.orders import ExecutionOptions
from bench.execution.serial import execute_serial
from bench.records.store import Store
from bench.training.loop import Interrupted
from bench.training.run import make_run
from bench.training.session import prepare
from bench.training.signals import Signals
from tests.core.plugins import TINY_OPTIONS, edit, forget, register, write_copy
from tests.survive.makers import failing, instant, record_of
from tests.world import make_world, tiny_runtime, tiny_spec

pytestmark = pytest.mark.usefixtures("own_methods")
ADDED = "tokens + self.scale * raised", "tokens + 2 * self.scale * raised"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def mine(tmp_path):
    return register(write_copy(tmp_path / "plugins" / "mine.py", "mine"))


def spec_of(method="mine", **changes):
    return tiny_spec(method, options={**TINY_OPTIONS, **changes.pop("options", {})}, **changes)


def everything(runtime, spec):
    """What a run came to: its trained tensors, its predictions, its losses."""
    store = Store(runtime.results)
    tensors = {name: value.numpy() for name, value in load_file(store.state_path(spec)).items()}
    losses = {"loss": np.array(store.read(store.runs / f"{spec.key}.json")["loss"])}
    return tensors | store.predictions(spec.key) | losses


def same(one, other):
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def bench_run(runtime, *specs, overwrite="changed"):
    """What `bench run` does with these runs; the training steps it made are returned."""
    steps = []

    def report(done, total, what, shown=""):
        if what.endswith(": training"):
            steps.append(done)

    pending = Store(runtime.results).pending(specs, overwrite)
    summary = execute_serial(pending, runtime, ExecutionOptions(overwrite, report=report))
    assert not summary.failed
    return steps


def fresh(tmp_path, data, spec, name="fresh"):
    """What the same runs come to where nothing was before."""
    runtime = tiny_runtime(tmp_path / name, data)
    bench_run(runtime, spec)
    return everything(runtime, spec)


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_changed_code_is_trained_again_to_the_tensor_and_the_old_record_is_put_aside(mine, tmp_path, data):
    runtime, spec = tiny_runtime(tmp_path, data), spec_of()
    bench_run(runtime, spec)
    before, old = everything(runtime, spec), files_of(runtime.results / "runs")
    assert bench_run(runtime, spec) == []
    edit(mine, *ADDED)
    assert not (runtime.results / "set_aside").exists()  # not before its successor is written
    assert bench_run(runtime, spec)
    after = everything(runtime, spec)
    assert same(after, fresh(tmp_path, data, spec))
    assert not same(after, before)
    endings = (".json", ".log.jsonl", ".npz")
    assert sorted(files_of(runtime.results / "set_aside")) == [f"{spec.key}.0{ending}" for ending in endings]
    assert sorted(files_of(runtime.results / "set_aside").values()) == sorted(old.values())


def test_frozen_inputs_that_the_changed_code_computes_are_computed_anew(mine, tmp_path, data):
    edit(mine, '"tokens", vit.tokens)', '"tokens", lambda pictures: vit.tokens(pictures))')
    runtime, spec = tiny_runtime(tmp_path, data), spec_of()
    bench_run(runtime, spec)
    assert any(runtime.cache.rglob("*"))
    edit(mine, "vit.tokens(pictures))", "2 * vit.tokens(pictures))")
    bench_run(runtime, spec)
    assert same(everything(runtime, spec), fresh(tmp_path, data, spec))


def test_never_keeps_what_other_code_has_made(mine, tmp_path, data):
    runtime, spec = tiny_runtime(tmp_path, data), spec_of()
    bench_run(runtime, spec)
    before = files_of(runtime.results)
    edit(mine, *ADDED)
    assert bench_run(runtime, spec, overwrite="never") == []
    assert {name: data for name, data in files_of(runtime.results).items() if name in before} == before


def test_failed_makes_again_what_changed_and_what_failed_and_changed_what_other_code_failed_in(mine, tmp_path):
    runtime = Runtime(tmp_path / "results", tmp_path / "cache")
    store, wanted = Store(runtime.results), [spec_of(split=split) for split in range(4)]
    execute_serial(wanted, runtime, ExecutionOptions(), failing)  # the odd ones fail
    assert store.pending(wanted, "changed") == []
    assert store.pending(wanted, "failed") == [wanted[1], wanted[3]]
    assert store.pending(wanted, "always") == wanted
    edit(mine, *ADDED)
    assert store.pending(wanted, "never") == []
    assert store.pending(wanted, "changed") == store.pending(wanted, "failed") == wanted
    execute_serial([wanted[1]], runtime, ExecutionOptions(), instant)
    assert store.pending(wanted, "changed") == [wanted[0], wanted[2], wanted[3]]


def test_a_failed_run_that_is_made_again_ends_as_if_it_never_had_failed(mine, tmp_path, data):
    runtime, spec = tiny_runtime(tmp_path, data), spec_of()
    Store(runtime.results).write(record_of(spec, status="failed", error={"kind": "RunError", "message": "no"}))
    assert bench_run(runtime, spec) == []
    assert bench_run(runtime, spec, overwrite="failed")
    assert same(everything(runtime, spec), fresh(tmp_path, data, spec))
    assert sorted(files_of(runtime.results / "set_aside")) == [f"{spec.key}.0.json"]


def spoil(path, by=1.0):
    """Put other tensors, of the same names, under everything that a state says of itself."""
    from bench.training.states import state_hash

    with safe_open(str(path), "pt") as opened:
        about = opened.metadata()
    state = {name: value + by for name, value in load_file(path).items()}
    save_file(state, path, metadata=about | {"sha256": state_hash(state)})


def test_always_really_trains_again_and_puts_kept_tensors_and_checkpoints_aside(mine, tmp_path, data):
    runtime, spec = tiny_runtime(tmp_path, data), spec_of()
    bench_run(runtime, spec)
    store, whole = Store(runtime.results), everything(runtime, spec)
    spoil(store.state_path(spec))
    store.checkpoint_path(spec).parent.mkdir(exist_ok=True)
    store.checkpoint_path(spec).write_bytes(b"half a training")
    kept = store.state_path(spec).read_bytes()
    steps = bench_run(runtime, spec, overwrite="always")
    assert min(steps) == 1
    assert same(everything(runtime, spec), whole)
    aside = files_of(runtime.results / "set_aside")
    name = spec.training_key
    assert aside[f"states/{name}.0.safetensors"] == kept
    assert aside[f"checkpoints/{name}.0.safetensors"] == b"half a training"
    bench_run(runtime, spec, overwrite="always")
    assert files_of(runtime.results / "set_aside").items() >= aside.items()  # never overwritten


def test_a_run_that_is_stopped_under_always_goes_on_from_its_own_checkpoint_in_the_same_plan(mine, tmp_path, data):
    """A pack that cannot go on is made one by one; a lost worker's run is sent again: neither begins from nothing."""
    from bench.execution.attempt import AnswersSincePlan, claim_run

    store, spec = Store(tmp_path), spec_of()
    answers = AnswersSincePlan(store, [spec], "always")
    for checkpoint in (b"of another plan", b"of this plan"):
        store.checkpoint_path(spec).parent.mkdir(exist_ok=True)
        store.checkpoint_path(spec).write_bytes(checkpoint)
        claim_run(store, spec, answers).release()
    assert store.checkpoint_path(spec).read_bytes() == b"of this plan"


def test_a_run_whose_kept_tensors_cannot_be_put_aside_is_let_go_of(mine, tmp_path):
    from bench.execution.attempt import AnswersSincePlan, claim_run

    store, spec = Store(tmp_path), spec_of()
    store.state_path(spec).parent.mkdir()
    store.state_path(spec).write_bytes(b"kept")
    (tmp_path / "set_aside").write_text("a file where a folder should be")
    answers = AnswersSincePlan(store, [spec], "always")
    with pytest.raises(StoreError):
        claim_run(store, spec, answers)
    assert store.claims.held() == {}
    (tmp_path / "set_aside").unlink()
    assert claim_run(store, spec, answers) is not None


def test_packs_train_again_under_always_too(tmp_path, data):
    runtime, pack = tiny_runtime(tmp_path, data), [tiny_spec("linear_probe", split=split) for split in range(2)]
    bench_run(runtime, *pack)
    whole = [everything(runtime, spec) for spec in pack]
    for spec in pack:
        spoil(Store(runtime.results).state_path(spec))
    assert bench_run(runtime, *pack, overwrite="always")
    assert all(same(everything(runtime, spec), before) for spec, before in zip(pack, whole, strict=True))


def test_a_worker_without_the_results_folder_trains_anew_too(mine, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "worker"))
    spec = spec_of()
    task = Task(spec, Runtime(tmp_path, tmp_path), instant, tmp_path / "claim", "", tmp_path / "no", "", tmp_path.name)
    own = Store(own_results(task))
    own.state_path(spec).parent.mkdir(parents=True, exist_ok=True)
    for anew in (False, True):
        own.state_path(spec).write_bytes(b"kept by the worker")
        assert work(replace(task, anew=anew), None).result.status == "done"
        assert own.state_path(spec).exists() is not anew


def stopped_after(steps, spec, runtime):
    """Train so many steps and stop, with a checkpoint."""
    stop = threading.Event()

    def report(done, total, what, shown=""):
        if what == "training" and done == steps:
            stop.set()

    with pytest.raises(Interrupted):
        make_run(spec, runtime, report, signals=Signals(stop))
    assert Store(runtime.results).checkpoint_path(spec).exists()


def test_a_plugin_edited_between_kill_and_resume_begins_anew_and_ends_as_an_uninterrupted_run(mine, tmp_path, data):
    runtime, spec = tiny_runtime(tmp_path, data), spec_of(recipe={"epochs": 3})
    stopped_after(4, spec, runtime)
    edit(mine, *ADDED)
    assert min(bench_run(runtime, spec)) == 1
    assert same(everything(runtime, spec), fresh(tmp_path, data, spec))


def test_a_comment_between_kill_and_resume_costs_nothing(mine, tmp_path, data):
    runtime, spec = tiny_runtime(tmp_path, data), spec_of(recipe={"epochs": 3})
    stopped_after(4, spec, runtime)
    edit(mine, "low = self.down(tokens)", "low = self.down(tokens)  # low rank")
    assert min(bench_run(runtime, spec)) == 5
    assert same(everything(runtime, spec), fresh(tmp_path, data, spec))


def test_labels_turned_upside_down_between_kill_and_resume_begin_anew(mine, tmp_path):
    other = make_world(tmp_path / "sets")
    runtime, spec = tiny_runtime(tmp_path, other), spec_of(recipe={"epochs": 3})
    stopped_after(4, spec, runtime)
    labels = tmp_path / "sets" / "near" / "labels.csv"
    head, *lines = labels.read_text().split()
    rows = [line.split(",") for line in lines]
    labels.write_text("\n".join([head, *(f"{name},{6 - float(score)},{group}" for name, score, group in rows)]) + "\n")
    assert min(bench_run(runtime, spec)) == 1
    assert same(everything(runtime, spec), fresh(tmp_path, other, spec))


@pytest.mark.parametrize("changed", ["weights", "numerics", "training"])
def test_a_checkpoint_of_another_identity_is_not_taken_up(changed, mine, tmp_path, data, monkeypatch):
    runtime, spec = tiny_runtime(tmp_path, data), spec_of(recipe={"epochs": 3})
    honest = type(prepare(spec, runtime)).identity
    with monkeypatch.context() as patched:
        patched.setattr("bench.training.session.Session.identity", lambda s: replace(honest(s), **{changed: "another"}))
        stopped_after(4, spec, runtime)
    assert min(bench_run(runtime, spec)) == 1


def test_a_state_of_another_method_or_setting_renamed_into_place_is_not_taken_up(mine, tmp_path, data):
    register(write_copy(mine.with_name("other.py"), "other"))
    runtime, spec = tiny_runtime(tmp_path, data), spec_of()
    store = Store(runtime.results)
    for other in (spec_of("other"), spec_of(options={"lambda_init": 0.5}), spec_of(recipe={"seed": 3})):
        bench_run(runtime, other)
        store.state_path(other).rename(store.state_path(spec))
        assert len(bench_run(runtime, spec, overwrite="failed")) == 6
        assert same(everything(runtime, spec), fresh(tmp_path, data, spec, other.key))
        store.state_path(spec).unlink()
        (store.runs / f"{spec.key}.json").unlink()


def test_kept_tensors_of_older_code_are_not_tested_by_newer(mine, tmp_path, data):
    runtime = tiny_runtime(tmp_path, data)
    bench_run(runtime, spec_of())
    further = spec_of(tests=("far:all", "near:test"))
    edit(mine, *ADDED)
    assert min(bench_run(runtime, further)) == 1
    assert same(everything(runtime, further), fresh(tmp_path, data, further))


def test_editing_a_line_makes_exactly_that_methods_runs_pending(mine, tmp_path):
    other = register(write_copy(mine.with_name("other.py"), "other"))
    wanted = [spec_of(method, split=split) for method in ("mine", "other", "glia") for split in range(2)]
    runtime = Runtime(tmp_path / "results", tmp_path / "cache")
    execute_serial(wanted, runtime, ExecutionOptions(), instant)
    store = Store(runtime.results)
    for old, new in (
        ("import torch\n", "import math\nimport torch\n"),
        ("low = self.down(tokens)", "low = self.down(tokens)  # low rank"),
        ('"""The sum of `breakdown`."""', '"""All of it."""'),
        ('title = "mine"', 'title = "Mine"'),
    ):
        edit(mine, old, new)
        assert store.pending(wanted) == []
    edit(mine, *ADDED)
    assert store.pending(wanted) == wanted[:2]
    assert store.made_by == ["an older mine.py"] * 2
    forget(other)


def test_a_record_whose_code_was_edited_by_hand_is_not_used(mine, tmp_path):
    store, spec = Store(tmp_path), spec_of()
    path = store.write(record_of(spec))
    old = store.read(path)["code"]["method"]
    edit(mine, *ADDED)
    path.write_text(path.read_text().replace(old, record_of(spec)["code"]["method"]))
    assert store.pending([spec]) == [spec]
    assert "changed after it was written" in store.problems[0].why


def test_a_record_with_more_tests_by_older_code_does_not_answer_for_fewer(mine, tmp_path):
    store, spec = Store(tmp_path), spec_of()
    store.write(record_of(spec.with_tests(("far:all", "near:test"))))
    assert store.pending([spec]) == []
    edit(mine, *ADDED)
    assert store.pending([spec]) == [spec]
    store.write(record_of(spec))
    assert store.pending([spec]) == []
    assert store.made_by == []


def test_a_process_that_read_the_code_before_an_edit_does_not_make_its_own_runs_twice(mine, tmp_path):
    from bench.core.code import load_method
    from bench.execution.attempt import AnswersSincePlan

    store, spec = Store(tmp_path), spec_of()
    load_method("mine")
    answers = AnswersSincePlan(store, [spec], "changed")
    mine.write_text(mine.read_text().replace(*ADDED))  # this process goes on with what it has read
    store.write(record_of(spec))
    assert answers.given(spec)
    forget(mine)
    load_method("mine")
    assert not answers.given(spec)


def test_what_stands_under_a_records_name_is_put_aside_once_even_if_its_writer_is_killed(tmp_path, monkeypatch):
    store, spec = Store(tmp_path), RunSpec("glia", "demo_a", ("demo_a:test",))
    arrays = {"demo_a:test/predicted": np.arange(3.0)}
    store.write(record_of(spec), arrays)
    old = files_of(store.runs)

    def killed(*_args):
        raise RunError("killed")

    with monkeypatch.context() as patched:
        patched.setattr("bench.records.store.write_text", killed)
        with pytest.raises(RunError):
            store.write(record_of(spec, note="new"), {"demo_a:test/predicted": np.arange(4.0)})
    store.write(record_of(spec, note="new"), {"demo_a:test/predicted": np.arange(4.0)})
    store.write(record_of(spec, note="newer"), arrays)
    aside = files_of(tmp_path / "set_aside")
    assert sorted(aside) == [f"{spec.key}.{n}.{kind}" for n in (0, 1) for kind in ("json", "npz")]
    assert {aside[f"{spec.key}.0.json"], aside[f"{spec.key}.0.npz"]} == set(old.values())
    assert json.loads(aside[f"{spec.key}.1.json"])["note"] == "new"
    store.write(record_of(spec, status="failed", error={"kind": "RunError", "message": "no"}))
    assert [path.suffix for path in store.runs.iterdir()] == [".json"]
    assert list(store.records())[0]["status"] == "failed"
    assert store.problems == []
