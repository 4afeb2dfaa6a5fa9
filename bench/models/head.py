"""The quality head that all methods share: LoDa's cosine linear, or a plain linear.

Both multiply and add up element by element instead of calling a matrix product: a sum over one image's features is
then made in the same order alone and in a pack (bench/training/packs/stack.py), so that packed linear probes end in the
same bits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CosineLinear(nn.Module):
    """Cosine between the feature and one learned direction, in [−1, 1] (LoDa's code; no bias)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # LoDa's code: uniform, then of length 1. The length matters: it is by how much a step turns the direction.
        self.weight = nn.Parameter(F.normalize(torch.empty(1, width).uniform_(-1, 1), dim=-1))

    def forward(self, features: Tensor) -> Tensor:
        """[B, width] → [B, 1]."""
        along = (features * F.normalize(self.weight, dim=-1)).sum(-1, keepdim=True)
        return along / torch.linalg.vector_norm(features, dim=-1, keepdim=True).clamp_min(1e-12)


class Linear(nn.Linear):
    """One weighted sum of the feature, and a bias."""

    def __init__(self, width: int) -> None:
        super().__init__(width, 1)
        nn.init.trunc_normal_(self.weight, std=0.02)
        nn.init.zeros_(self.bias)

    def forward(self, features: Tensor) -> Tensor:
        """[B, width] → [B, 1]."""
        return (features * self.weight).sum(-1, keepdim=True) + self.bias


def quality_head(kind: str, width: int) -> nn.Module:
    """The head of a recipe: "cosine" (width parameters) or "linear" (width + 1)."""
    return CosineLinear(width) if kind == "cosine" else Linear(width)
