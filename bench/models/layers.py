"""Small layers that several strategies are made of: LoDa's MLPs and its cross-attention without norms."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.errors import UsageError


def mlp(inside: int, hidden: int, outside: int) -> nn.Sequential:
    """Two linear maps with a GELU between, `inside` → `hidden` → `outside`."""
    return nn.Sequential(nn.Linear(inside, hidden), nn.GELU(), nn.Linear(hidden, outside))


def mlp_size(inside: int, hidden: int, outside: int) -> int:
    """Parameters of `mlp`."""
    return (inside + 1) * hidden + (hidden + 1) * outside


class CrossAttention(nn.Module):
    """Multi-head attention of one token set over another: q, k, v without bias, output map with bias, no norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise UsageError(f"A width of {width} cannot be shared by {heads} heads: choose heads that divide it.")
        self.heads = heads
        self.q = nn.Linear(width, width, bias=False)
        self.kv = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, guide: Tensor) -> Tensor:
        """[B, N, width] attends to [B, M, width]."""
        q = self._split(self.q(queries))
        k, v = (self._split(x) for x in self.kv(guide).chunk(2, dim=-1))
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def cross_attention_size(width: int) -> int:
    """Parameters of `CrossAttention`."""
    return 3 * width * width + (width + 1) * width


def small_random(*shape: int) -> nn.Parameter:
    """A parameter drawn from a truncated normal: near zero, yet never dead."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(*shape), std=0.02))
