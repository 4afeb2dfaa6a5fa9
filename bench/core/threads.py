"""How many threads torch computes with: one where the work is too small to be shared, else as many as were set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

LITTLE = 100_000
"""Trained numbers below which a step on vectors is small."""


@contextmanager
def one_thread(only: bool = True) -> Iterator[None]:
    """The calling thread computes alone inside, or (not `only`) as it did."""
    before = torch.get_num_threads()
    if not only or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def is_vector(values: Tensor) -> bool:
    """Whether a batch holds one vector per image, in the CPU's memory."""
    return values.ndim <= 2 and values.device.type == "cpu"


def trains_little(model: nn.Module) -> bool:
    """Whether a model trains so few numbers that its steps on vectors are small."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad) < LITTLE
