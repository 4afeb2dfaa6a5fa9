"""No needless work: nothing recorded before the first trained tensor, no waiting in a step, memory flat, test once."""

import gc
import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bench.data.feed import Batch
from bench.data.views.batches import ViewMaker
from bench.models.dropout import LEVELS, Dropout
from bench.records.store import Store
from bench.training import loop as train
from bench.training import run
from bench.training import scoring as evaluate
from bench.training.run import job_of, make_run
from bench.training.session import prepare
from tests.methods.vits import SMALL_CNN
from tests.world import make_world, tiny_runtime, tiny_spec

METHODS = ["linear_probe", "adapter", "lora", "vpt", "glia", "loda"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


def spec_of(method, **changes):
    return tiny_spec(method, options={"cnn": SMALL_CNN} if method == "loda" else changes.pop("options", {}), **changes)


def training_of(spec, runtime):
    session = prepare(spec, runtime)
    state = train.TrainingState(job_of(session, Store(runtime.results)))
    state.job.model.train()
    return session, state


@pytest.mark.parametrize(
    ("method", "options", "last_without"),
    [
        ("adapter", {}, "blocks.0.attn"),
        ("adapter", {"position": "pfeiffer"}, "blocks.0.mlp"),
        ("lora", {}, "blocks.0.norm1"),
        ("vpt", {}, "patch_embed"),
        ("glia", {}, "blocks.0"),
        ("loda", {"cnn": SMALL_CNN}, "patch_embed"),
        ("ssf", {}, "patch_embed.proj"),
    ],
)
def test_no_gradient_is_recorded_before_the_first_trained_tensor(method, options, last_without, tmp_path, data):
    session, state = training_of(tiny_spec(method, options=options), tiny_runtime(tmp_path, data))
    vit, seen = session.model.features.vit, {}
    for name in (last_without, "norm"):
        vit.part(name).register_forward_hook(lambda _m, _i, out, name=name: seen.update({name: out.requires_grad}))
    train._step(state, *next(train._stream(state.job, 0, 0)))
    assert seen == {last_without: False, "norm": True}


def test_a_linear_probe_records_nothing_but_its_head(tmp_path, data):
    session, state = training_of(tiny_spec("linear_probe"), tiny_runtime(tmp_path, data))
    seen = []
    session.model.head.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].requires_grad))
    train._step(state, *next(train._stream(state.job, 0, 0)))
    assert seen == [False]


class Waits(TorchDispatchMode):
    """Counts what would make a GPU's host wait: values read out of tensors."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", METHODS)
def test_a_step_never_waits_for_the_device(method, tmp_path, data):
    _, state = training_of(spec_of(method, recipe={"clip": 1.0}), tiny_runtime(tmp_path, data))
    state.optimiser.step = lambda: None  # the fused one of GPUs does not wait; the CPU's reads its own counter
    (batch, loaded), *_ = list(train._stream(state.job, 0, 0))
    loaded = state.job.feed.inputs(batch, loaded)
    with Waits() as waits:
        state.advance(0, train._step(state, batch, loaded))
        assert waits.count == 0
        float(state.running)
    assert waits.count == 1


@pytest.mark.parametrize("method", [*METHODS, "full_finetune"])
def test_a_finished_run_leaves_its_memory_at_once(method, tmp_path, data, monkeypatch):
    models = []

    def noted(*args, **more):
        session = prepare(*args, **more)
        models.append(weakref.ref(session.model))
        return session

    monkeypatch.setattr(run, "prepare", noted)
    gc.collect()
    gc.disable()  # what only a garbage collection frees is there while the next run begins
    try:
        make_run(spec_of(method), tiny_runtime(tmp_path, data), lambda *_: None)
        assert [model() for model in models] == [None]
    finally:
        gc.enable()


def test_a_run_whose_inputs_are_all_kept_touches_no_pixels(tmp_path, data, monkeypatch):
    placed, plain = [], ViewMaker._place
    monkeypatch.setattr(ViewMaker, "_place", lambda maker, store: placed.append(store) or plain(maker, store))
    runtime = tiny_runtime(tmp_path, data, keep_weights="never")
    first = make_run(spec_of("linear_probe"), runtime)
    assert len(placed) == 1
    again = make_run(spec_of("linear_probe"), runtime)
    assert len(placed) == 1
    assert again[0]["gflops"] == first[0]["gflops"]
    assert np.array_equal(again[1]["near:test/predicted"], first[1]["near:test/predicted"])


@pytest.mark.parametrize("method", ["glia", "linear_probe"])
def test_memory_is_flat_over_epochs(method, tmp_path, data):
    spec = spec_of(method, recipe={"epochs": 6})
    kept = []

    def report(done, total, what, shown=""):
        if what == "training" and done % (total // 6) == 0:
            gc.collect()
            kept.append(sum(t.numel() for t in gc.get_objects() if type(t) in (torch.Tensor, torch.nn.Parameter)))

    make_run(spec, tiny_runtime(tmp_path, data), report)
    assert len(kept) == 6
    assert max(kept[1:]) <= 1.02 * kept[1]


def test_a_run_is_scored_once_and_never_in_training_unless_epochs_are_selected(tmp_path, data, monkeypatch):
    calls = []
    for place in (train, run):
        monkeypatch.setattr(
            place, "score", lambda *a, _p=place.__name__, **k: calls.append(_p) or evaluate.score(*a, **k)
        )
    spec = tiny_spec("linear_probe", tests=("near:test", "far:all"))
    make_run(spec, tiny_runtime(tmp_path, data))
    assert calls == ["bench.training.run", "bench.training.run"]
    calls.clear()
    make_run(tiny_spec("linear_probe", recipe={"selection": "val"}), tiny_runtime(tmp_path, data))
    assert calls == ["bench.training.loop", "bench.training.loop", "bench.training.run"]


def test_scoring_uses_the_largest_batch_that_fits_and_finds_it_once(tmp_path, data):
    session = prepare(tiny_spec("adapter"), tiny_runtime(tmp_path, data))
    rows, tried = np.arange(24), []
    ask = {"views": 2, "autocast": session.autocast, "batch_sizes": session.shared.batch_sizes}
    whole = evaluate.score(session.model, session.feed, rows, **ask)

    def small(_module, inputs):
        tried.append(len(inputs[0]["crop"]))
        if tried[-1] > 10:
            raise torch.OutOfMemoryError("CUDA out of memory")

    session.model.register_forward_pre_hook(small)
    assert np.allclose(evaluate.score(session.model, session.feed, rows, **ask), whole, atol=1e-5)
    assert tried == [24, 24, 16, 8, 8, 8, 8, 8, 8]
    tried.clear()
    evaluate.score(session.model, session.feed, rows, **ask)
    assert set(tried) == {8}


def test_what_is_stored_is_loaded_ahead_and_the_rest_is_left_to_the_trainer(tmp_path, data):
    feed = prepare(tiny_spec("linear_probe"), tiny_runtime(tmp_path, data)).feed
    batch = Batch(np.arange(10), np.arange(10) % 2, epoch=0, training=True)
    assert feed.load(batch) == {}
    computed = feed.inputs(batch)["feature"]
    assert torch.equal(feed.load(batch)["feature"], computed)


def test_dropout_drops_its_share_keeps_the_mean_and_is_seeded():
    layer, ones = Dropout(0.1), torch.ones(300, 1001)
    torch.manual_seed(3)
    first = layer(ones)
    torch.manual_seed(3)
    assert torch.equal(layer(ones), first)
    assert not torch.equal(layer(ones), first)
    assert float((first == 0).float().mean()) == pytest.approx(0.1, abs=0.003)
    assert float(first.max()) == pytest.approx(LEVELS / (LEVELS - 6554))
    assert float(first.mean()) == pytest.approx(1, abs=0.003)
    assert torch.equal(layer.eval()(ones), ones)
