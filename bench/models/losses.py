"""Batch losses of a recipe: the PLCC loss of LoDa Eq. 5 and its siblings, always in fp32."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]
EPSILON = 1e-8


def correlation(predicted: Tensor, human: Tensor) -> Tensor:
    """Pearson's ρ over the batch; zero, with a zero gradient, when either side is constant."""
    p = predicted - predicted.mean()
    h = human - human.mean()
    return (p * h).sum() / (p.square().sum() * h.square().sum()).clamp_min(EPSILON**2).sqrt()


def plcc(predicted: Tensor, human: Tensor) -> Tensor:
    """LoDa Eq. 5: (1 − ρ) / 2."""
    return (1 - correlation(predicted, human)) / 2


def plcc_squared(predicted: Tensor, human: Tensor) -> Tensor:
    """What LoDa's public code computes: (1 − ρ)/4 + (1 − ρ²)/8, up to its fit's scale."""
    rho = correlation(predicted, human)
    return (1 - rho) / 4 + (1 - rho.square()) / 8


LOSSES: dict[str, Loss] = {
    "plcc": plcc,
    "plcc_squared": plcc_squared,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "smooth_l1": F.smooth_l1_loss,
}
"""The scale-bound losses see scores standardised over the training part."""
