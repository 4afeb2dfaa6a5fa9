"""The quality head that all methods share: LoDa's cosine linear, or a plain linear."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CosineLinear(nn.Module):
    """Cosine between the feature and one learned direction, in [−1, 1] (LoDa's code; no bias)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, width))
        nn.init.trunc_normal_(self.weight, std=0.02)

    def forward(self, features: Tensor) -> Tensor:
        """[B, width] → [B, 1]."""
        along = F.linear(features, F.normalize(self.weight, dim=-1))
        return along / torch.linalg.vector_norm(features, dim=-1, keepdim=True).clamp_min(1e-12)


def quality_head(kind: str, width: int) -> nn.Module:
    """The head of a recipe: "cosine" (width parameters) or "linear" (width + 1)."""
    if kind == "cosine":
        return CosineLinear(width)
    linear = nn.Linear(width, 1)
    nn.init.trunc_normal_(linear.weight, std=0.02)
    nn.init.zeros_(linear.bias)
    return linear
