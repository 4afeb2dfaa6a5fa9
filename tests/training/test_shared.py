"""What runs of a process share: one object that the executor owns; it saves work and changes no number."""

import numpy as np
import pytest
import torch

from bench.core.registry import METHODS, add_plugin_file
from bench.core.runtime import Runtime
from bench.execution.attempt import SPLIT_PARTS
from bench.execution.cluster.worker import shared_by_worker
from bench.execution.orders import ExecutionOptions
from bench.execution.serial import execute_serial
from bench.models import sharing as lending
from bench.training.run import make_run
from bench.training.session import build_model, build_networks, load_data, open_feeds, prepare
from bench.training.shared import Shared
from tests.survive.makers import record_of, specs
from tests.world import make_world, tiny_runtime, tiny_spec


@pytest.fixture
def data(tmp_path):
    return make_world(tmp_path / "sets")


@pytest.fixture
def loads(monkeypatch):
    """How often a ViT is loaded."""
    seen, whole = [], lending.load_vit
    monkeypatch.setattr(
        lending, "load_vit", lambda name, *rest, **more: seen.append(name) or whole(name, *rest, **more)
    )
    return seen


def test_networks_are_loaded_once_and_runs_end_in_the_same_bits(tmp_path, data, loads):
    shared, wanted = Shared(), [tiny_spec("adapter", split, recipe={"epochs": 1}) for split in range(2)]
    together = [make_run(spec, tiny_runtime(tmp_path / "a", data), shared=shared) for spec in wanted]
    assert len(loads) == 1
    alone = [make_run(spec, tiny_runtime(tmp_path / "b", data)) for spec in wanted]
    assert len(loads) == 3
    for one, other in zip(together, alone, strict=True):
        assert one[0]["loss"] == other[0]["loss"]
        assert one[0]["gflops"] == other[0]["gflops"]
        assert all(np.array_equal(one[1][name], values) for name, values in other[1].items())


def test_a_network_of_another_size_takes_the_place_of_the_last(tmp_path, data, loads):
    shared, runtime = Shared(), tiny_runtime(tmp_path, data)
    for size in (32, 64, 64, 32):
        prepare(tiny_spec("linear_probe", recipe={"size": size}), runtime, shared=shared)
    assert len(loads) == 3


def test_all_runs_of_a_plan_get_the_object_of_its_executor_and_another_plan_another(tmp_path):
    runtime, seen = Runtime(tmp_path, tmp_path), []

    def noting(spec, _runtime, _report, _signals, shared):
        seen.append(shared)
        return record_of(spec), {}

    execute_serial(specs(2), runtime, ExecutionOptions(), noting)
    execute_serial(specs(2), runtime, ExecutionOptions("always"), noting)
    assert seen[0] is seen[1] is not seen[2] is seen[3]
    assert shared_by_worker() is shared_by_worker()


def test_a_run_that_lacks_memory_frees_what_is_shared_before_it_is_tried_again(tmp_path, monkeypatch):
    held = []

    def hungry(_spec, runtime, _report, _signals, shared):
        shared.stores._tensors["store", "cuda"] = torch.zeros(1)
        held.append((runtime.parts, len(shared.stores._tensors)))
        if runtime.parts == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return record_of(specs(1)[0]), {}

    freed, whole = [], Shared.free_memory
    monkeypatch.setattr(Shared, "free_memory", lambda s: whole(s) or freed.append(len(s.stores._tensors)))
    monkeypatch.setattr("bench.training.run.make_run", hungry)
    assert len(execute_serial(specs(1), Runtime(tmp_path, tmp_path), ExecutionOptions()).done) == 1
    assert held == [(1, 1), (SPLIT_PARTS, 1)]
    assert freed == [0]


def test_a_session_is_made_in_three_steps_each_of_the_one_before(tmp_path, data):
    spec, runtime, shared = tiny_spec("adapter"), tiny_runtime(tmp_path, data), Shared()
    session = open_feeds(build_model(load_data(spec, runtime), shared), shared)
    whole = prepare(spec, runtime)
    assert session.identity() == whole.identity()
    ours, theirs = session.model.trainable_state(), whole.model.trainable_state()
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_runs_of_a_pack_share_their_feeds_and_sets_are_opened_once(tmp_path, data):
    runtime, shared = tiny_runtime(tmp_path, data), Shared()
    first, second = tiny_spec("linear_probe"), tiny_spec("linear_probe", 1, tests=("near:test", "far:all"))
    one = prepare(first, runtime, shared=shared)
    other = prepare(second, runtime, shared=shared, beside=one)
    assert other.feed is one.feed
    assert other.dataset is one.dataset
    assert other.target("far:all")[0] is one.feed_of("far")


WRITER = """
from torch import nn

from bench.models.method import Method, ViewFeature


class WriterOnWeights(Method):
    "Draws the last block anew, and trains it."

    name = "writer_on_weights"
    title = "Writer on weights"
    vit_b = 1

    def assemble(self, vit, toolbox):
        for part in vit.blocks[-1].modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                part.weight.requires_grad_(True)
        return ViewFeature(vit)

    def size(self, shape):
        return 1
"""


@pytest.fixture
def writer(tmp_path, monkeypatch):
    monkeypatch.setattr(METHODS, "_targets", dict(METHODS._table()))  # forgotten after
    path = tmp_path / "writer_on_weights.py"
    path.write_text(WRITER)
    add_plugin_file(path)
    return "writer_on_weights"


def networks(name, shared, tmp_path, data, **changes):
    runtime = tiny_runtime(tmp_path, data)
    return build_networks(tiny_spec(name, **changes), runtime, lambda *_: None, torch.device("cpu"), shared)


@pytest.mark.parametrize("changes", [{}, {"options": {"config": "init_lora_weights=olora"}}])
def test_what_a_method_writes_on_frozen_weights_no_other_run_sees(tmp_path, data, loads, writer, changes):
    shared, pictures = Shared(), torch.rand(2, 3, 32, 32)

    def seen():
        probe = networks("linear_probe", shared, tmp_path, data)
        with torch.no_grad():
            return probe.model.features.frozen["feature"].compute(pictures), probe.weights_hash()

    features, key = seen()
    written = networks("peft:lora" if changes else writer, shared, tmp_path, data, **changes)
    assert written.weights_hash() != key, "what it computes frozen is kept under a name of its own"
    again, same = seen()
    assert torch.equal(again, features)
    assert same == key
    assert len(loads) == 2
