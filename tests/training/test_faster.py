"""Steps that are made faster where they are asked for: repeated parts compiled, whole steps recorded and replayed."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bench.core.errors import RunError, UsageError
from bench.records.store import Store
from bench.training.faster import EAGER, CompiledParts, RecordedSteps, repeated
from bench.training.loop import train
from bench.training.run import job_of, make_run
from bench.training.session import prepare
from tests.world import make_world, tiny_runtime, tiny_spec

OPTIONS = {"vpt": {"prompts": 4}, "loda": {"cnn": "test_efficientnet"}}
needs_a_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


class Recorder:
    """A stand-in for a card's graphs: what was recorded is done again, into the tensors of the recording."""

    def __init__(self, trained):
        self.trained, self.recordings, self.replays = trained, 0, 0

    def __call__(self, body):
        self.recordings += 1
        state = torch.get_rng_state()
        loss = body()
        torch.set_rng_state(state)  # a card's recording draws nothing
        gradients = [parameter.grad for parameter in self.trained]

        def replay():
            self.replays += 1
            for parameter in self.trained:
                parameter.grad = None
            loss.copy_(body())
            for parameter, gradient in zip(self.trained, gradients, strict=True):
                if gradient is not None:
                    gradient.copy_(parameter.grad)

        return loss, replay


def trained_tensors(tmp_path, data, spec, **changes):
    session = prepare(spec, tiny_runtime(tmp_path, data))
    job = replace(job_of(session, Store(tmp_path)), **changes)
    outcome = train(job)
    return outcome.losses, job.model.trainable_state()


@pytest.mark.parametrize("method", ["linear_probe", "vpt", "glia"])
def test_recorded_steps_learn_the_same_to_the_bit(method, tmp_path, data, monkeypatch):
    spec = tiny_spec(method, options=OPTIONS.get(method, {}), recipe={"epochs": 4, "batch": 5})
    plain, tensors = trained_tensors(tmp_path / "a", data, spec)
    recorders = []

    def made(step, trained, record):
        recorders.append(Recorder(trained))
        return RecordedSteps(step, trained, recorders[0])

    monkeypatch.setattr("bench.training.loop.RecordedSteps", made)
    recorded, again = trained_tensors(tmp_path / "b", data, spec, graphs=True)
    assert recorders[0].replays > 0
    assert recorded == plain
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())


def test_a_step_is_recorded_once_for_each_size_after_a_few_and_reads_the_batch_at_hand():
    layer = nn.Linear(3, 1, bias=False)

    def step(inputs, targets):
        loss = (layer(inputs["crop"]).squeeze(-1) - targets).square().mean()
        loss.backward()
        return loss.detach()

    recorder = Recorder(list(layer.parameters()))
    steps = RecordedSteps(step, list(layer.parameters()), recorder)
    for number in range(3 * (EAGER + 2)):
        size = (4, 5)[number % 2]
        batch, targets = {"crop": torch.randn(size, 3)}, torch.randn(size)
        layer.weight.grad = None
        loss = steps(batch, targets)
        given = layer.weight.grad.clone()
        layer.weight.grad = None
        assert torch.equal(step(batch, targets), loss)
        assert torch.equal(layer.weight.grad, given)
    assert recorder.recordings == 2
    assert recorder.replays == 3 * (EAGER + 2) - 2 * EAGER


def test_a_loss_that_was_given_out_is_not_written_again():
    layer = nn.Linear(3, 1)

    def step(inputs, targets):
        loss = (layer(inputs["crop"]).squeeze(-1) - targets).square().mean()
        loss.backward()
        return loss.detach()

    steps = RecordedSteps(step, list(layer.parameters()), Recorder(list(layer.parameters())))
    losses = []
    for _ in range(EAGER + 3):
        layer.zero_grad()
        losses.append(steps({"crop": torch.randn(4, 3)}, torch.randn(4)))
    assert len({float(loss) for loss in losses}) == len(losses)


def test_batches_of_a_run_have_two_sizes_at_most_so_two_recordings_serve_it(tmp_path, data):
    from bench.training.loop import epoch_batches

    for batch in (2, 3, 5, 7):
        spec = tiny_spec("linear_probe", recipe={"batch": batch})
        job = job_of(prepare(spec, tiny_runtime(tmp_path, data)), Store(tmp_path))
        assert len({len(b.rows) for epoch in range(3) for b in epoch_batches(job, epoch)}) <= 2


def test_the_repeated_parts_are_the_blocks_of_the_vit_and_of_the_method(tmp_path, data):
    spec = tiny_spec("glia")
    model = prepare(spec, tiny_runtime(tmp_path, data)).model
    kinds = [type(part).__name__ for part in repeated(model)]
    depth = len(model.features.vit.blocks)
    assert sorted(set(kinds)) == ["Block", "GliaBlock"]
    assert kinds.count("Block") == depth
    assert kinds.count("GliaBlock") == depth - 2, "the last one refines nothing: it has no like"
    assert list(repeated(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)))) == []


def test_a_model_with_compiled_parts_is_itself_between_calls(tmp_path, data, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda call: call)
    model = prepare(tiny_spec("bitfit"), tiny_runtime(tmp_path, data)).model.eval()
    compiled = CompiledParts(model)
    picture = {"crop": torch.randn(2, 3, 32, 32)}
    assert torch.equal(compiled(picture), model(picture))
    assert not any("forward" in vars(part) for part in repeated(model))
    pickle.dumps(copy.deepcopy(model.features))
    with pytest.raises(KeyError):
        compiled({})
    assert not any("forward" in vars(part) for part in repeated(model))


def test_what_torch_cannot_compile_fails_with_a_way_out(tmp_path, data, monkeypatch):
    from torch._dynamo.exc import TorchDynamoException

    def broken(forward):
        def call(*_, **__):
            raise TorchDynamoException("file too short")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    compiled = CompiledParts(prepare(tiny_spec("bitfit"), tiny_runtime(tmp_path, data)).model)
    with pytest.raises(RunError, match="file too short.* empty that .*, or leave out --compile"):
        compiled({"crop": torch.randn(2, 3, 32, 32)})


@pytest.mark.slow
@pytest.mark.parametrize("method", ["vpt", "glia"])
def test_compiled_steps_learn_the_same_dropout_included_and_the_record_says_so(method, tmp_path, data):
    options = OPTIONS.get(method, {}) | ({"dropout": 0.5} if method == "vpt" else {})
    spec = tiny_spec(method, options=options)
    plain = make_run(spec, tiny_runtime(tmp_path / "a", data))
    compiled = make_run(spec, tiny_runtime(tmp_path / "b", data, compiled=True))
    assert np.allclose(compiled[1]["near:test/predicted"], plain[1]["near:test/predicted"], atol=1e-5)
    assert compiled[0]["numerics"]["trained"]["compiled"] is True
    assert plain[0]["numerics"]["trained"]["compiled"] is False
    again = make_run(spec, tiny_runtime(tmp_path / "b", data))
    assert again[0]["numerics"]["trained"]["compiled"] is True, "its kept tensors come from compiled steps"


def test_many_variants_of_a_block_may_be_compiled_in_one_process(tmp_path, data):
    """Torch would stop after eight, without an error: each method of a plan brings variants of its own."""
    CompiledParts(prepare(tiny_spec("bitfit"), tiny_runtime(tmp_path, data)).model)
    assert torch._dynamo.config.recompile_limit >= 64


def test_steps_that_differ_from_one_to_the_next_are_not_recorded(tmp_path, data, monkeypatch):
    monkeypatch.setattr("bench.training.session.refuse_graphs", lambda device: None)
    plain = prepare(tiny_spec("linear_probe"), tiny_runtime(tmp_path, data, graphs=True))
    in_parts = prepare(tiny_spec("linear_probe"), tiny_runtime(tmp_path, data, graphs=True, parts=2))
    jobs = [job_of(session, Store(tmp_path)) for session in (plain, in_parts)]
    assert [job.graphs for job in jobs] == [job.numerics["graphs"] for job in jobs] == [True, False]


def test_recorded_steps_are_refused_where_there_is_no_card(tmp_path, data):
    with pytest.raises(UsageError, match="replays steps on a CUDA card, and this is for a CPU: leave it out"):
        prepare(tiny_spec("linear_probe"), tiny_runtime(tmp_path, data, graphs=True))


@needs_a_card
@pytest.mark.parametrize("method", ["linear_probe", "vpt", "glia", "loda"])
def test_on_a_real_card_recorded_steps_learn_the_same(method, tmp_path, data):
    spec = tiny_spec(method, options=OPTIONS.get(method, {}), recipe={"epochs": 4, "batch": 5})
    losses = []
    for graphs in (False, True):
        runtime = tiny_runtime(tmp_path / str(graphs), data, device="cuda", graphs=graphs)
        losses.append(train(job_of(prepare(spec, runtime), Store(runtime.results))).losses)
    assert np.allclose(*losses, atol=1e-4)
