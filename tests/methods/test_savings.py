"""What saves work changes no number beyond rounding."""

import copy

import pytest
import torch

from bench.conformance import random_cnn
from bench.lending import cast_frozen_weights_once
from bench.machine import autocast
from bench.session import prepare
from bench.spec import Recipe
from tests.methods.vits import SMALL_CNN, build, small_vit
from tests.world import make_world, tiny_runtime, tiny_spec


def test_a_channels_last_cnn_gives_lodas_scores_and_gradients() -> None:
    fast = build("loda", small_vit(), cnn=SMALL_CNN)
    plain = copy.deepcopy(fast)
    plain.features.cnn.to(memory_format=torch.contiguous_format)
    stages = plain.features.cnn.forward
    plain.features.cnn.forward = lambda pictures: stages(pictures.contiguous())
    crop = torch.randn(3, 3, 64, 64)
    found = []
    for model in (fast.eval(), plain.eval()):
        scores = model({"crop": crop})
        scores.sum().backward()
        found.append([scores, *(p.grad for p in model.parameters() if p.requires_grad)])
    assert fast.features.cnn(crop)[0].shape == random_cnn(SMALL_CNN)(crop)[0].shape
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-5)


def test_the_fused_optimiser_takes_the_same_steps() -> None:
    models = [build("adapter", small_vit()) for _ in range(2)]
    crop, human = torch.randn(4, 3, 64, 64), torch.randn(4)
    for model, fused in zip(models, (True, False), strict=True):
        model.eval()
        trained = [p for p in model.parameters() if p.requires_grad]
        optimiser = torch.optim.AdamW(trained, lr=Recipe().lr, weight_decay=Recipe().weight_decay, fused=fused)
        for _ in range(3):
            optimiser.zero_grad()
            (model({"crop": crop}) - human).square().mean().backward()
            optimiser.step()
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)


WITH_OPTIONS = {
    "glia": {"grid": 4, "fragment": 16},
    "loda": {"cnn": SMALL_CNN},
    "peft:oft": {"config": "oft_block_size=16"},
}
CAST = ["linear_probe", "adapter", "lora", "vpt", "bitfit", "ssf", "glia", "loda", "peft:dora", "peft:oft"]


@pytest.mark.parametrize("method", CAST)
def test_frozen_weights_cast_once_give_the_bits_of_casts_in_every_pass(method: str) -> None:
    torch.manual_seed(0)
    plain = build(method, small_vit(), **WITH_OPTIONS.get(method, {}))
    cast = copy.deepcopy(plain)
    cast_frozen_weights_once(cast, "bf16")
    half = {n for n, p in cast.named_parameters() if p.dtype == torch.bfloat16}
    assert not half & set(cast.trainable_state())
    assert bool(half) == (not method.startswith("peft:"))
    crop = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    found = []
    for model in (cast.train(), plain.train()):
        torch.manual_seed(2)
        with autocast("cpu", "bf16"):
            with torch.no_grad():
                frozen = {n: f.compute(crop).float() for n, f in model.features.frozen.items()}
            scores = model(dict.fromkeys(model.features.pictures, crop) | frozen)
        scores.square().sum().backward()
        found.append([scores, *(p.grad for p in model.parameters() if p.requires_grad)])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_in_fp32_frozen_weights_stay_as_they_are() -> None:
    model = build("adapter", small_vit())
    cast_frozen_weights_once(model, "fp32")
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_runs_of_a_process_share_the_cast_weights(tmp_path) -> None:
    runtime = tiny_runtime(tmp_path, make_world(tmp_path))
    models = [prepare(tiny_spec("adapter", split=split, precision="bf16"), runtime).model for split in range(2)]
    first, second = (dict(model.named_parameters()) for model in models)
    half = [name for name, tensor in first.items() if tensor.dtype == torch.bfloat16]
    assert half
    assert all(first[name].data_ptr() == second[name].data_ptr() for name in half)
    assert {p.dtype for p in prepare(tiny_spec("adapter"), runtime).model.parameters()} == {torch.float32}
