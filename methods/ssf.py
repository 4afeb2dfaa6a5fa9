"""SSF: scale and shift the features after every operation of the ViT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench.core.cards import Bound
from bench.models.method import Features, Method, Toolbox, ViewFeature
from bench.models.vit import Vit, VitShape

PLACES = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")


class Ssf(Method):
    """x · γ + β after patch embedding, norms and linear maps; foldable into the weights after training."""

    title: ClassVar[str] = "SSF"
    origin: ClassVar[str] = "Lian et al. 2022"
    vit_b: ClassVar[int] = 205_824
    bounds: ClassVar[Mapping[str, Bound]] = {"init_std": {"least": 0}}

    init_std: float = 0.02
    """Standard deviation of the start around γ = 1 and β = 0."""

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """A pair of vectors behind each place."""
        width, final = vit.shape.width, "norm" if vit.final_norm_first else "fc_norm"
        vit.append("patch_embed.norm", ScaleShift(width, self.init_std))
        for i in range(vit.shape.depth):
            for place in PLACES:
                path = f"blocks.{i}.{place}"
                features = getattr(vit.part(path), "out_features", width)
                vit.append(path, ScaleShift(features, self.init_std))
        vit.append(final, ScaleShift(width, self.init_std))
        return ViewFeature(vit)

    def size(self, shape: VitShape) -> int:
        """Two vectors for each of 6 places per block (4 of width w), for the patch embedding and the final norm."""
        return 2 * (shape.depth * (4 * shape.width + shape.qkv + shape.mlp) + 2 * shape.width)


class ScaleShift(nn.Module):
    """x · γ + β with γ near one and β near zero."""

    def __init__(self, width: int, std: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(width).normal_(1.0, std))
        self.shift = nn.Parameter(torch.empty(width).normal_(0.0, std))

    def forward(self, features: Tensor) -> Tensor:
        """[..., width] → [..., width]."""
        return features * self.scale + self.shift
