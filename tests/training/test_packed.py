"""Runs trained together end where they end alone: numbers, records, checkpoints and refusals."""

import itertools
import threading

import numpy as np
import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap
from typer.testing import CliRunner

from bench.cli import app
from bench.core.errors import ClaimLost, Interrupted, RunError, UsageError
from bench.data.frozen.inputs import FrozenInputs
from bench.execution import serial as executors
from bench.execution.grouping import can_pack, groups
from bench.execution.orders import ExecutionOptions
from bench.execution.serial import execute_serial
from bench.models.head import quality_head
from bench.models.losses import LOSSES
from bench.models.method import Features, QualityModel
from bench.records.store import Store
from bench.training.packs.loop import make_pack
from bench.training.packs.stack import refuse_unstackable
from bench.training.run import make_run
from bench.training.session import prepare
from bench.training.shared import Shared
from bench.training.signals import Signals
from tests.methods.vits import SMALL_CNN
from tests.world import make_world, tiny_runtime, tiny_spec


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


def probe(split=0, **changes):
    return tiny_spec("linear_probe", split, **changes)


def pack(specs, runtime, report=lambda *_: None, stop=None, lost=None):
    stop, lost = stop or threading.Event(), lost or [threading.Event() for _ in specs]
    return dict(make_pack(specs, runtime, report, [Signals(stop, one) for one in lost]))


def assert_same_bits(alone, packed):
    assert packed[0]["loss"] == alone[0]["loss"]
    assert packed[0]["metrics"] == alone[0]["metrics"]
    assert all(np.array_equal(packed[1][name], values) for name, values in alone[1].items())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("recipe", [{"clip": 0.5}, {"head": "linear", "loss": "mse"}, {"loss": "plcc_squared"}])
def test_packed_linear_probes_end_in_the_bits_of_each_alone(recipe, threads, precision, tmp_path, data):
    changes = {"batch": 7, "train_views": 2, **recipe}
    specs = [probe(split, precision=precision, recipe=changes) for split in range(3)]
    specs += [probe(precision=precision, recipe={**changes, "lr": 1e-3, "weight_decay": 0.3, "warmup": 2})]
    packed = pack(specs, tiny_runtime(tmp_path / "packed", data, threads=threads))
    for run, spec in enumerate(specs):
        assert_same_bits(make_run(spec, tiny_runtime(tmp_path / "alone", data, threads=threads)), packed[run])
        assert packed[run][0]["key"] == spec.key
        assert packed[run][0]["numerics"]["trained"]["packed"] == 4
        assert packed[run][0]["numerics"]["trained"]["precision"] == precision


def test_without_dropout_and_with_selection_on_validation_as_well(tmp_path, data):
    specs = [probe(split, recipe={"dropout": 0.0, "selection": "val", "epochs": 3}) for split in range(2)]
    packed = pack(specs, tiny_runtime(tmp_path / "packed", data))
    for run, spec in enumerate(specs):
        assert_same_bits(make_run(spec, tiny_runtime(tmp_path / "alone", data)), packed[run])


def test_where_nothing_can_be_stored_features_are_computed_for_the_batch(tmp_path, data, monkeypatch):
    monkeypatch.setattr(FrozenInputs, "_sheet", lambda *_: None)
    specs = [probe(split) for split in range(2)]
    packed = pack(specs, tiny_runtime(tmp_path / "packed", data, use_cache=False))
    for run, spec in enumerate(specs):
        alone = make_run(spec, tiny_runtime(tmp_path / "alone", data, use_cache=False))
        assert packed[run][0]["loss"] == pytest.approx(alone[0]["loss"], abs=1e-3)


@pytest.mark.parametrize("kind", ["cosine", "linear"])
@pytest.mark.parametrize("threads", [1, 2])
def test_at_full_width_a_pack_of_heads_has_the_gradients_of_each_alone_to_the_bit(kind, threads):
    before, draw = torch.get_num_threads(), torch.Generator().manual_seed(3)
    torch.set_num_threads(threads)
    try:
        for width, batch, runs in itertools.product((192, 768, 1024), (5, 127, 128), (2, 10)):
            features, human = (torch.randn(*shape, generator=draw) for shape in ((runs, batch, width), (runs, batch)))
            assert_heads_have_the_gradients_of_each_alone([quality_head(kind, width) for _ in human], features, human)
    finally:
        torch.set_num_threads(before)


def assert_heads_have_the_gradients_of_each_alone(heads, features, human):
    loss = LOSSES["plcc"]
    stacked, _ = stack_module_state(heads)
    predicted = vmap(lambda own, seen: functional_call(heads[0], own, (seen,)))(stacked, features)
    vmap(loss)(predicted.squeeze(-1), human).sum().backward()
    for run, head in enumerate(heads):
        loss(head(features[run]).squeeze(-1), human[run]).backward()
        for name, parameter in head.named_parameters():
            assert torch.equal(parameter.grad, stacked[name].grad[run]), (features.shape, name)


def stopped_after(steps, specs, runtime):
    stop = threading.Event()

    def report(done, total, what, shown=""):
        if what == "training" and done == steps:
            stop.set()

    with pytest.raises(Interrupted):
        pack(specs, runtime, report, stop)


@pytest.mark.parametrize("steps", [1, 3])
def test_an_interrupted_pack_resumes_to_the_bit_and_each_of_its_runs_can_go_on_alone(steps, tmp_path, data):
    specs = [probe(split) for split in range(2)]
    whole = pack(specs, tiny_runtime(tmp_path / "whole", data))
    for name in ("together", "alone"):
        stopped_after(steps, specs, tiny_runtime(tmp_path / name, data))
    runtime = tiny_runtime(tmp_path / "together", data)
    assert all(Store(runtime.results).checkpoint_path(spec).exists() for spec in specs)
    seen = []
    resumed = pack(
        specs, runtime, lambda done, total, what, shown="": seen.append(done) if what == "training" else None
    )
    assert min(seen) == steps + 1
    for run, spec in enumerate(specs):
        assert_same_bits(whole[run], resumed[run])
        assert_same_bits(whole[run], make_run(spec, tiny_runtime(tmp_path / "alone", data)))


def test_a_run_that_diverges_ends_alone(tmp_path, data):
    recipe = {"head": "linear", "loss": "mse", "epochs": 3}
    specs = [probe(recipe={**recipe, "lr": lr}) for lr in (1e-2, 1e30)]
    packed = pack(specs, tiny_runtime(tmp_path / "packed", data))
    assert isinstance(packed[1], RunError)
    assert "diverged" in str(packed[1])
    assert_same_bits(make_run(specs[0], tiny_runtime(tmp_path / "alone", data)), packed[0])


def test_a_run_that_another_process_took_over_ends_alone(tmp_path, data):
    specs = [probe(split) for split in range(2)]
    lost = [threading.Event(), threading.Event()]
    lost[0].set()
    packed = pack(specs, tiny_runtime(tmp_path / "packed", data), lost=lost)
    assert isinstance(packed[0], ClaimLost)
    assert_same_bits(make_run(specs[1], tiny_runtime(tmp_path / "alone", data)), packed[1])


def test_kept_weights_are_taken_up_and_only_the_others_train(tmp_path, data):
    specs = [probe(split) for split in range(3)]
    runtime = tiny_runtime(tmp_path, data)
    alone = make_run(specs[1], runtime)
    packed = pack(specs, runtime)
    assert [packed[run][0]["numerics"]["trained"]["packed"] for run in range(3)] == [2, 1, 2]
    assert_same_bits(alone, packed[1])


@pytest.mark.parametrize(
    ("method", "options", "why"),
    [
        ("full_finetune", {}, "its features learn"),
        ("adapter", {}, "its features learn"),
        ("loda", {"cnn": SMALL_CNN, "bn": "train"}, "its features learn"),
    ],
)
def test_what_cannot_be_trained_together_is_refused_with_the_reason(method, options, why, tmp_path, data):
    specs = [tiny_spec(method, split=split, options=options) for split in range(2)]
    with pytest.raises(UsageError, match=why):
        pack(specs, tiny_runtime(tmp_path, data))


def models_of(count, own=QualityModel):
    torch.manual_seed(1)
    features = [Features() for _ in range(count)]
    for one in features:
        one.register_buffer("projection", torch.arange(3.0))
    return [own(one, quality_head("linear", 8), 0.1) for one in features]


def test_a_model_that_scores_in_a_way_of_its_own_is_not_taken_apart():
    class Own(QualityModel):
        def forward(self, inputs):
            return super().forward(inputs) + 1

    with pytest.raises(UsageError, match="way of its own"):
        refuse_unstackable(models_of(2, Own))


def test_features_that_differ_from_run_to_run_are_not_those_of_a_pack():
    models = models_of(3)
    refuse_unstackable(models)
    models[2].features.projection += 1
    with pytest.raises(UsageError, match="projection differs from run to run"):
        refuse_unstackable(models)


def test_runs_with_other_numbers_of_batches_go_in_packs_of_their_own(tmp_path, data):
    specs = [probe(split, fraction=part) for part in (0.8, 0.4) for split in range(2)]
    packed = pack(specs, tiny_runtime(tmp_path / "packed", data))
    assert [packed[run][0]["numerics"]["trained"]["packed"] for run in range(4)] == [2, 2, 2, 2]
    for run, spec in enumerate(specs):
        assert_same_bits(make_run(spec, tiny_runtime(tmp_path / "alone", data)), packed[run])


def test_runs_stopped_at_other_steps_go_on_in_packs_of_their_own(tmp_path, data):
    specs = [probe(split) for split in range(4)]
    runtime = tiny_runtime(tmp_path / "packed", data)
    stopped_after(1, specs[:2], runtime)
    packed = pack(specs, runtime)
    assert [packed[run][0]["numerics"]["trained"]["packed"] for run in range(4)] == [2, 2, 2, 2]
    for run, spec in enumerate(specs):
        assert_same_bits(make_run(spec, tiny_runtime(tmp_path / "alone", data)), packed[run])


def test_a_run_that_leaves_a_pack_takes_neither_progress_nor_stops_with_it(tmp_path, data):
    specs = [probe(split, recipe={"epochs": 3}) for split in range(3)]
    lost = [threading.Event() for _ in specs]
    lost[0].set()
    stop, seen = threading.Event(), []

    def report(done, total, what, shown=""):
        if what == "training":
            seen.append(done)
            if done == 4:
                stop.set()

    with pytest.raises(Interrupted):
        pack(specs, tiny_runtime(tmp_path, data), report, stop, lost)
    assert seen == [1, 2, 3, 4]


def test_a_stop_between_the_tests_of_a_pack_is_heeded_and_nothing_is_trained_again(tmp_path, data):
    specs = [probe(split) for split in range(3)]
    runtime, stop, tested = tiny_runtime(tmp_path, data), threading.Event(), []
    made = make_pack(specs, runtime, signals=[Signals(stop) for _ in specs])
    tested.append(next(made)[0])
    stop.set()
    with pytest.raises(Interrupted):
        next(made)
    assert tested == [0]
    again = pack(
        specs, runtime, lambda done, total, what, shown="": pytest.fail("trained again") if what == "training" else None
    )
    assert sorted(again) == [0, 1, 2]


def test_the_seconds_of_a_pack_are_shared_by_its_runs_and_those_before_a_stop_are_kept(tmp_path, data, monkeypatch):
    specs = [probe(split) for split in range(4)]
    clock = [0.0]
    monkeypatch.setattr("bench.training.loop.time.perf_counter", lambda: clock[0])

    def taking(seconds, stop_at=0):
        stop = threading.Event()

        def report(done, total, what, shown=""):
            if what == "training":
                clock[0] += seconds
                if done == stop_at:
                    stop.set()

        return report, stop

    with pytest.raises(Interrupted):
        pack(specs, tiny_runtime(tmp_path, data), *taking(8.0, stop_at=1))
    steps = 2 * -(-len(make_split_rows(specs[0], data, tmp_path)) // 8)
    report, _ = taking(3.0)
    alone = make_run(specs[0], tiny_runtime(tmp_path, data), report)
    assert alone[0]["seconds"]["train"] == pytest.approx(8 / 4 + 3.0 * (steps - 1))


def make_split_rows(spec, data, home):
    return prepare(spec, tiny_runtime(home / "rows", data)).split.train


def test_the_executor_packs_what_is_alike_and_nothing_that_learns_more_than_a_head(tmp_path, data):
    specs = [probe(split) for split in range(3)] + [tiny_spec("vpt", split) for split in range(2)]
    for pack, sizes in ((0, [3, 3, 3, 1, 1]), (2, [2, 2, 1, 1, 1])):
        runtime = tiny_runtime(tmp_path / str(pack), data, pack=pack)
        summary = execute_serial(specs, runtime, ExecutionOptions())
        assert sorted(summary.done) == sorted(spec.key for spec in specs)
        packed = {r["key"]: r["numerics"]["trained"]["packed"] for r in Store(runtime.results).records()}
        assert [packed[spec.key] for spec in specs] == sizes


def test_a_plugin_that_is_wrong_about_its_packs_is_made_one_by_one_and_the_line_says_why(tmp_path, data, monkeypatch):
    monkeypatch.setattr(executors, "groups", lambda specs, _limit: [list(specs)])
    specs, said = [tiny_spec("vpt", split) for split in range(2)], []
    summary = execute_serial(specs, tiny_runtime(tmp_path, data), ExecutionOptions(say=said.append))
    assert len(summary.done) == 2
    assert "made one by one: its features learn." in said[0]


def test_packs_are_for_plain_steps_on_a_cpu(tmp_path, data, monkeypatch):
    limits = []
    for place, changes in (("cpu", {}), ("compiled", {"compiled": True}), ("card", {"device": "auto"})):
        if place == "card":  # a card is only pretended: what is asked is how many runs go together
            monkeypatch.setattr("bench.core.machine.pick_device", lambda _name: torch.device("cuda"))
        runtime = tiny_runtime(tmp_path / place, data, **changes)
        assert can_pack(runtime) == (place == "cpu")
        monkeypatch.setattr(executors, "groups", lambda specs, limit: limits.append(limit) or groups(specs, limit))
        execute_serial([], runtime, ExecutionOptions())
    assert limits == [0, 1, 1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-m", "linear_probe,glia,lora", "--device", "cpu"], "glia, lora learns more than a head"),
        (["-m", "linear_probe", "--device", "cpu", "--compile"], "plain steps on a CPU"),
        (["-m", "linear_probe", "--executor", "ray"], "choose one"),
        (["-m", "linear_probe", "--device", "cpu"], ""),
        (["-m", "glia", "--device", "cpu", "--pack", "1"], ""),
    ],
)
def test_a_wish_for_packs_where_there_can_be_none_is_refused_before_anything_is_made(words, says, tmp_path):
    flags = ["--preset", "demo", "-p", "main", "--dry-run", "--results", str(tmp_path)]
    outcome = CliRunner().invoke(app, ["run", "--pack", "5", *flags, *words])
    assert (outcome.exit_code == 0) == (not says)
    assert says in " ".join(outcome.output.split())


def test_runs_are_alike_where_only_split_or_rates_differ():
    alike = [probe(1), probe(recipe={"lr": 1e-3, "clip": 1.0})]
    other = [probe(recipe={"batch": 16}), probe(recipe={"seed": 1}), tiny_spec("vpt"), probe(fraction=0.4)]
    assert groups([*alike, *other], 8) == [alike, *([spec] for spec in other)]
    assert [len(group) for group in groups([probe(split) for split in range(5)], 2)] == [2, 2, 1]
    assert [len(group) for group in groups([probe(split) for split in range(12)])] == [10, 2]
    assert [len(group) for group in groups([tiny_spec("vpt", split) for split in range(3)], 8)] == [1, 1, 1]


def test_frozen_memory_is_shared_and_lent_memory_is_never_written(tmp_path, data):
    specs, shared = [tiny_spec("bitfit", split) for split in range(2)], Shared()
    sessions = [prepare(spec, tiny_runtime(tmp_path, data), shared=shared) for spec in specs]
    first, second = (dict(session.model.named_parameters()) for session in sessions)
    for name, tensor in first.items():
        assert (tensor.data_ptr() == second[name].data_ptr()) == (not tensor.requires_grad), name
    for tensor in first.values():
        if tensor.requires_grad:
            tensor.data += 1
    again = dict(prepare(specs[1], tiny_runtime(tmp_path, data), shared=shared).model.named_parameters())
    assert all(again[name].equal(second[name]) for name in second)
