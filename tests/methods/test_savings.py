"""What saves work changes no number beyond rounding."""

import copy

import torch

from bench.core.spec import Recipe
from bench.models.conformance import random_cnn
from tests.methods.vits import SMALL_CNN, build, small_vit


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
