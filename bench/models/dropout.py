"""Dropout of the quality head: torch's own on GPUs, and on CPUs one that draws four masks' worth at a time.

torch draws one number an element on CPUs, which for a linear probe costs more than all else together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEVELS = 1 << 16
"""An element is dropped with p rounded to so many levels: 0.1 becomes 6554 / 65536."""


def dropout(values: Tensor, p: float) -> Tensor:
    """Each element zero with probability p, the others raised by 1 / (1 − p)."""
    if values.device.type != "cpu":
        return F.dropout(values, p, training=True)
    return (values * draw_mask(torch.empty(values.shape), p)).to(values.dtype)


def draw_mask(mask: Tensor, p: float, generator: torch.Generator | None = None) -> Tensor:
    """Fill a mask with what dropout multiplies by, 0 or 1 / (1 − p), from torch's own generator unless one is given."""
    count, dropped_levels = mask.numel(), min(round(p * LEVELS), LEVELS - 1)
    drawn = torch.empty(-(-count // 4), dtype=torch.int64).random_(-(2**63), None, generator=generator)
    kept = drawn.view(torch.int16).ge_(dropped_levels - LEVELS // 2)[:count]  # in place: torch's vectorised comparison
    return mask.copy_(kept.view(mask.shape)).mul_(LEVELS / (LEVELS - dropped_levels))


class Dropout(nn.Module):
    """Dropout in training, nothing in evaluation."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, values: Tensor) -> Tensor:
        """Any shape."""
        return dropout(values, self.p) if self.training and self.p else values
