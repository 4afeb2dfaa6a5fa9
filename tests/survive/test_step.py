"""A batch in parts has the gradient of the whole batch, dropout included: what a run short of memory falls back on."""

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from bench.models.losses import LOSSES
from bench.training.step import gradients, gradients_in_parts


class Tiny(nn.Module):
    """Two layers, with or without dropout."""

    def __init__(self, dropout=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 1)).double()

    def forward(self, inputs):
        return self.body(inputs["x"]).squeeze(-1)


def batch(size=11):
    generator = torch.Generator().manual_seed(1)
    inputs = {"x": torch.randn(size, 6, generator=generator, dtype=torch.float64)}
    return inputs, torch.randn(size, generator=generator)


def grads(model):
    return [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("parts", [2, 4, 11, 50])
def test_parts_have_the_gradient_and_the_loss_of_the_whole(loss, parts):
    inputs, human = batch()
    whole, split = Tiny(), Tiny()
    value = gradients(whole, inputs, human, LOSSES[loss], nullcontext)
    again = gradients_in_parts(split, inputs, human, LOSSES[loss], nullcontext, parts)
    torch.testing.assert_close(again, value)
    for a, b in zip(grads(whole), grads(split), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)


def test_with_dropout_both_passes_of_a_part_see_the_same_masks():
    inputs, human = batch()
    split, honest = Tiny(0.5), Tiny(0.5)
    torch.manual_seed(5)
    value = gradients_in_parts(split, inputs, human, LOSSES["plcc"], nullcontext, 3)
    after = torch.get_rng_state()

    torch.manual_seed(5)  # the same parts and masks, in one graph
    chunks = torch.arange(len(human)).chunk(3)
    predicted = torch.cat([honest({"x": inputs["x"][rows]}).float() for rows in chunks])
    whole = LOSSES["plcc"](predicted, human)
    whole.backward()
    torch.testing.assert_close(value, whole.detach())
    for a, b in zip(grads(split), grads(honest), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-7)
    assert torch.equal(after, torch.get_rng_state())  # the next step draws on as if the batch had been whole


def test_parts_alone_would_not_do():
    """The PLCC couples a batch's images: without the cached dL/dŷ the summed parts have another gradient."""
    inputs, human = batch()
    whole, summed = Tiny(), Tiny()
    gradients(whole, inputs, human, LOSSES["plcc"], nullcontext)
    for rows in torch.arange(len(human)).chunk(2):
        (LOSSES["plcc"](summed({"x": inputs["x"][rows]}).float(), human[rows]) / 2).backward()
    assert any((a - b).abs().max() > 1e-3 for a, b in zip(grads(whole), grads(summed), strict=True))
