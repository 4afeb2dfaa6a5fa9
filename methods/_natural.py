"""Statistics of natural pictures that BRISQUE, NIQE and IL-NIQE share: MSCN maps and generalised Gaussians.

Everything is computed in double precision from pixels of 0 to 255, many maps or patches at a time.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW, SIGMA = 7, 7 / 6
"""The Gaussian window of the local mean and deviation."""
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Neighbours whose products are looked at: right, below, and both diagonals."""


def luma(pictures: Tensor) -> Tensor:
    """[B,3,H,W] → [B,1,H,W]: grey values as whole numbers, as both papers' codes have them."""
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64, device=pictures.device)
    return (pictures.double() * weights.view(1, 3, 1, 1)).sum(1, keepdim=True).round()


def half(maps: Tensor) -> Tensor:
    """Half the size (an odd side is rounded up), bicubic and antialiased, mirrored at the edges as MATLAB does it."""
    height, width = maps.shape[-2:]
    mirrored = maps[..., _mirror(height, maps.device), :][..., _mirror(width, maps.device)]
    small = F.interpolate(mirrored, scale_factor=0.5, mode="bicubic", antialias=True)
    return small[..., 2 : 2 + (height + 1) // 2, 2 : 2 + (width + 1) // 2]


def _mirror(side: int, device: torch.device) -> Tensor:
    """Where to look along a side with four pixels more at its beginning, and four or five at its end."""
    at = torch.arange(-4, side + 4 + side % 2, device=device) % (2 * side)
    return torch.where(at < side, at, 2 * side - 1 - at)


def mscn(maps: Tensor, *, edge: str) -> tuple[Tensor, Tensor]:
    """(mean-subtracted, contrast-normalised map, local deviation) of [B,1,H,W].

    What lies beyond the edge: nothing, `edge="constant"` (BRISQUE's code), or the same again, "replicate" (NIQE's).
    """
    at = torch.arange(WINDOW, dtype=torch.float64, device=maps.device) - WINDOW // 2
    bell = torch.exp(-at.square() / (2 * SIGMA**2))
    bell = bell / bell.sum()
    padded = F.pad(maps, [WINDOW // 2] * 4, mode=edge)
    mean, square = _smooth(padded, bell), _smooth(padded.square(), bell)
    deviation = (square - mean.square()).abs().sqrt()
    return (maps - mean) / (deviation + 1), deviation


def _smooth(maps: Tensor, bell: Tensor) -> Tensor:
    """Both directions, one after the other, as a sum of shifted maps: faster than a convolution in double precision."""
    for side in (-2, -1):
        length = maps.shape[side] - len(bell) + 1
        maps = sum((weight * maps.narrow(side, at, length) for at, weight in enumerate(bell)), torch.zeros(()))
    return maps


def ggd(values: Tensor) -> tuple[Tensor, Tensor]:
    """(shape α, variance) of a generalised Gaussian around 0, by moments; [N, values] → [N] each."""
    square, size = values.square().mean(-1), values.abs().mean(-1)
    return _shape_of(size.square() / square.clamp_min(TINY)), square


def aggd(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(shape α, deviation left and right of 0) of an asymmetric generalised Gaussian; [N, values] → [N] each."""
    left, right = _side(values, values < 0), _side(values, values > 0)
    ratio = left / right.clamp_min(TINY)
    moments = values.abs().mean(-1).square() / values.square().mean(-1).clamp_min(TINY)
    asymmetry = (ratio.pow(3) + 1) * (ratio + 1) / (ratio.square() + 1).square()
    return _shape_of(moments * asymmetry), left, right


def products(maps: Tensor) -> Tensor:
    """Each value times its four neighbours, edges joined to the opposite ones: [N,H,W] → [4, N, H·W]."""
    return torch.stack([(maps * maps.roll(shift, (-2, -1))).flatten(1) for shift in SHIFTS])


def middle(shape: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """The mean of an asymmetric generalised Gaussian with these deviations."""
    logs = torch.lgamma(2 / shape) - (torch.lgamma(1 / shape) + torch.lgamma(3 / shape)) / 2
    return (right - left) * logs.exp()


def spread(shape: Tensor) -> Tensor:
    """What a deviation is multiplied by to give the scale β."""
    return ((torch.lgamma(1 / shape) - torch.lgamma(3 / shape)) / 2).exp()


TINY = 1e-30


def _side(values: Tensor, here: Tensor) -> Tensor:
    return ((values.square() * here).sum(-1) / here.sum(-1).clamp_min(1)).sqrt()


@cache
def _table() -> tuple[Tensor, Tensor]:
    """Shapes in steps of a thousandth as in the papers' codes, and Γ(2/α)² / (Γ(1/α) Γ(3/α)), which grows with them."""
    shapes = torch.arange(200, 10_001, dtype=torch.float64) / 1000
    return shapes, (2 * torch.lgamma(2 / shapes) - torch.lgamma(1 / shapes) - torch.lgamma(3 / shapes)).exp()


def _shape_of(moments: Tensor) -> Tensor:
    shapes, known = (table.to(moments.device) for table in _table())
    above = torch.searchsorted(known, moments.contiguous()).clamp(1, len(known) - 1)
    nearer_below = moments - known[above - 1] <= known[above] - moments
    return shapes[torch.where(nearer_below, above - 1, above)]
