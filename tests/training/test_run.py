"""One run, from spec to record: the same twice, resumed to the bit, honest about what it looked at."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from bench.core.errors import RunError
from bench.records.store import Store
from bench.training.loop import Interrupted, batches_per_epoch, epoch_order
from bench.training.run import make_run
from bench.training.session import prepare
from bench.training.signals import Signals
from bench.training.states import restore_trained, same_trainings
from tests.methods.vits import SMALL_CNN
from tests.world import make_world, tiny_runtime, tiny_spec


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def runtime(tmp_path, data):
    return tiny_runtime(tmp_path, data)


METHODS = ["glia", "linear_probe", "full_finetune", "adapter", "lora", "vpt", "bitfit", "ssf", "peft:dora"]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_spec_gives_bit_identical_predictions_twice(method, tmp_path, data):
    outcomes = [make_run(tiny_spec(method), tiny_runtime(tmp_path / name, data)) for name in ("once", "again")]
    for name, array in outcomes[0][1].items():
        assert np.array_equal(array, outcomes[1][1][name]), name
    assert outcomes[0][0]["loss"] == outcomes[1][0]["loss"]


def test_a_run_with_and_without_caches_gives_the_same_predictions(tmp_path, data):
    with_cache = make_run(tiny_spec("linear_probe"), tiny_runtime(tmp_path / "a", data))
    without = make_run(tiny_spec("linear_probe"), tiny_runtime(tmp_path / "b", data, use_cache=False))
    assert np.array_equal(with_cache[1]["near:test/predicted"], without[1]["near:test/predicted"])


def stop_after(steps):
    stop = threading.Event()

    def report(done, total, what, shown=""):
        if what == "training" and done == steps:
            stop.set()

    return stop, report


@pytest.mark.parametrize("steps", [1, 3, 4])
def test_an_interrupted_run_resumes_to_the_bit(steps, tmp_path, data):
    whole = make_run(tiny_spec(recipe={"epochs": 3}), tiny_runtime(tmp_path / "whole", data))
    runtime = tiny_runtime(tmp_path / "parts", data)
    stop, report = stop_after(steps)
    with pytest.raises(Interrupted):
        make_run(tiny_spec(recipe={"epochs": 3}), runtime, report, signals=Signals(stop))
    assert Store(runtime.results).checkpoint_path(tiny_spec(recipe={"epochs": 3})).exists()
    seen = []
    resumed = make_run(
        tiny_spec(recipe={"epochs": 3}), runtime, lambda done, total, what, shown="": seen.append((what, done))
    )
    assert min(done for what, done in seen if what == "training") == steps + 1
    assert np.array_equal(whole[1]["near:test/predicted"], resumed[1]["near:test/predicted"])
    assert whole[0]["loss"] == resumed[0]["loss"]


def test_a_damaged_checkpoint_only_costs_time(tmp_path, data):
    runtime = tiny_runtime(tmp_path, data)
    stop, report = stop_after(2)
    with pytest.raises(Interrupted):
        make_run(tiny_spec(), runtime, report, signals=Signals(stop))
    path = Store(runtime.results).checkpoint_path(tiny_spec())
    damaged = bytearray(path.read_bytes())
    damaged[-7] ^= 0xFF
    path.write_bytes(damaged)
    whole = make_run(tiny_spec(), tiny_runtime(tmp_path / "whole", data))
    resumed = make_run(tiny_spec(), runtime)
    assert np.array_equal(whole[1]["near:test/predicted"], resumed[1]["near:test/predicted"])


def test_a_further_test_takes_up_the_kept_weights(runtime):
    first = make_run(tiny_spec(), runtime)
    seen = []
    more = make_run(
        tiny_spec(tests=("near:test", "far:all")), runtime, lambda done, total, what, shown="": seen.append(what)
    )
    assert "training" not in seen
    assert np.array_equal(first[1]["near:test/predicted"], more[1]["near:test/predicted"])
    assert set(more[0]["metrics"]) == {"near:test", "far:all"}


def rescore(folder):
    labels = folder / "labels.csv"
    labels.write_text(labels.read_text().replace("5.0,", "4.9,"))


def regroup(folder):
    labels = folder / "labels.csv"
    labels.write_text(labels.read_text().replace(",g0\n", ",a\n"))


def repaint(folder):
    (folder / "g0_0.png").write_bytes((folder / "g5_3.png").read_bytes())


@pytest.mark.parametrize("change", [rescore, regroup, repaint, None])
def test_kept_weights_are_taken_up_on_the_very_same_data_only(change, runtime, tmp_path):
    make_run(tiny_spec(), runtime)
    other = make_world(tmp_path / "other")
    if change:
        change(tmp_path / "other" / "near")
    seen = []
    make_run(tiny_spec(), tiny_runtime(tmp_path, other), lambda done, total, what, shown="": seen.append(what))
    assert ("training" in seen) is bool(change)


def test_a_model_learns_what_can_be_seen(runtime):
    spec = tiny_spec("full_finetune", recipe={"epochs": 25, "lr": 1e-3, "test_views": 4})
    record, _ = make_run(spec, runtime)
    assert record["loss"][-1] < record["loss"][0] / 2
    assert record["metrics"]["near:test"]["srcc"] > 0.7


def test_the_record_says_what_was_done_and_where(runtime):
    record, arrays = make_run(tiny_spec(), runtime)
    assert record["parameters"]["trainable"] > record["parameters"]["head"]
    assert record["data"]["train"]["n_train"] + record["data"]["train"]["n_test"] == 24
    made = record["numerics"]["trained"]
    assert (made["device_type"], made["precision"], made["threads"]) == ("cpu", "fp32", 1)
    assert set(record["numerics"]) == {"trained"}
    assert record["gflops"] > 0
    assert len(arrays["near:test/names"]) == record["data"]["tests"]["near:test"]["n"]
    assert len(record["loss"]) == 2


def test_the_record_counts_the_contents_of_each_part(runtime):
    spec = tiny_spec("linear_probe", fraction=0.5, tests=("near:test", "far:all"), recipe={"selection": "val"})
    data = make_run(spec, runtime)[0]["data"]
    train = data["train"]
    assert [train[f"contents{part}"] for part in ("", "_train", "_validation", "_test")] == [6, 2, 1, 1]
    assert {target: test["contents"] for target, test in data["tests"].items()} == {"near:test": 1, "far:all": 6}


def test_training_and_test_contents_are_disjoint_and_validation_is_not_trained_on(runtime):
    session = prepare(tiny_spec(recipe={"selection": "val"}), runtime)
    groups = session.dataset.table["group"].to_numpy()
    parts = [set(groups[rows]) for rows in (session.split.train, session.split.test, session.split.validation)]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]


@pytest.mark.parametrize("selection", ["val", "oracle"])
def test_the_selected_epoch_is_the_one_that_is_tested(selection, runtime):
    record, _ = make_run(tiny_spec("full_finetune", recipe={"selection": selection, "epochs": 4}), runtime)
    curve = record["selection"]["curve"]
    assert len(curve) == 4
    assert record["selection"]["epoch"] == int(np.argmax(curve))
    if selection == "oracle":
        assert record["metrics"]["near:test"]["srcc"] == pytest.approx(max(curve), abs=1e-7)


def test_a_batch_in_parts_learns_what_the_whole_batch_learns(tmp_path, data):
    whole = make_run(tiny_spec(), tiny_runtime(tmp_path / "a", data))
    parts = make_run(tiny_spec(), tiny_runtime(tmp_path / "b", data, parts=3))
    assert np.allclose(whole[1]["near:test/predicted"], parts[1]["near:test/predicted"], atol=1e-4)


def test_a_run_that_diverges_fails_with_a_reason(runtime):
    with pytest.raises(RunError, match="diverged|constant|finite|NaN"):
        make_run(tiny_spec("full_finetune", recipe={"lr": 1e12, "epochs": 4}), runtime)


def test_an_epoch_has_each_image_as_often_as_asked_in_equal_batches():
    recipe = tiny_spec(recipe={"train_views": 3, "batch": 16}).recipe
    rows, numbers = epoch_order(np.arange(11), recipe, 0, 0)
    assert sorted(zip(rows.tolist(), numbers.tolist(), strict=True)) == [(r, n) for r in range(11) for n in range(3)]
    sizes = [len(part) for part in np.array_split(rows, batches_per_epoch(11, recipe))]
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 16
    other, _ = epoch_order(np.arange(11), recipe, 0, 1)
    assert other.tolist() != rows.tolist()


def test_batches_computed_in_parts_are_recorded(tmp_path, data):
    record, _ = make_run(tiny_spec("adapter"), tiny_runtime(tmp_path / "a", data, parts=4))
    assert record["numerics"]["trained"]["parts"] == 4
    record, _ = make_run(tiny_spec("adapter"), tiny_runtime(tmp_path / "b", data))
    assert record["numerics"]["trained"]["parts"] == 1


def test_batches_whose_statistics_are_kept_are_never_computed_in_parts(tmp_path, data):
    spec = tiny_spec("loda", options={"cnn": SMALL_CNN, "bn": "train"})
    with pytest.raises(RunError, match="cannot be computed in parts"):
        make_run(spec, tiny_runtime(tmp_path, data, parts=4))


def test_kept_tensors_are_of_one_split_and_one_network(tmp_path, data):
    runtime = tiny_runtime(tmp_path, data)
    record, _ = make_run(tiny_spec("adapter"), runtime)
    session = prepare(tiny_spec("adapter"), runtime)
    assert list(restore_trained(session, Store(runtime.results)).loss) == record["loss"]
    session = replace(session, split=replace(session.split, test=session.split.test[:-1]))
    assert restore_trained(session, Store(runtime.results)) is None
    before = session.weights_hash()
    session = replace(session, spec=replace(session.spec, backbone="another_activation"))
    assert session.weights_hash() != before


def test_one_training_picture_is_named_as_the_reason(runtime):
    with pytest.raises(RunError, match="one training picture"):
        make_run(tiny_spec("linear_probe", fraction=0.01), runtime)


@pytest.mark.parametrize("method", ["adapter", "ridge"])
def test_other_numbers_of_test_views_take_up_the_weights_and_end_in_the_same_bits(method, tmp_path, data, monkeypatch):
    there = tiny_runtime(tmp_path / "a", data)
    more = tiny_spec(method, recipe={"test_views": 5})
    alone, scores = make_run(more, tiny_runtime(tmp_path / "b", data))
    make_run(tiny_spec(method), there)
    monkeypatch.setattr("bench.training.run.learn", None)
    record, predictions = make_run(more, there)
    assert record["metrics"] == alone["metrics"]
    assert record["loss"] == alone["loss"]
    assert np.array_equal(predictions["near:test/predicted"], scores["near:test/predicted"])


def test_an_epoch_that_views_chose_is_not_taken_for_one_that_others_would():
    chosen = tiny_spec(recipe={"selection": "val"})
    assert list(same_trainings(chosen)) == [chosen]
    last = list(same_trainings(tiny_spec()))
    assert last[0] == tiny_spec()
    assert {spec.recipe.test_views for spec in last} == set(range(1, 51))
