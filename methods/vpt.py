"""Visual prompt tuning: learned tokens between CLS and the patches, new ones before every block when deep."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.core.cards import Bound
from bench.models.method import Features, Method, Toolbox
from bench.models.vit import Vit, VitShape


class Vpt(Method):
    """VPT-deep or VPT-shallow; the backbone stays in eval mode."""

    title: ClassVar[str] = "VPT"
    origin: ClassVar[str] = "Jia et al. 2022"
    vit_b: ClassVar[int] = 460_800
    sized_by: ClassVar[str] = "prompts"
    bounds: ClassVar[Mapping[str, Bound]] = {"prompts": {"least": 1}, "dropout": {"least": 0, "below": 1}}

    kind: Literal["deep", "shallow"] = "deep"
    """New prompts before every block (deep), or before the first only (shallow)."""
    prompts: int = 50
    """Learned tokens per block."""
    dropout: float = 0.1
    """Dropout on the prompts."""

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """Prompts for one or all blocks."""
        return _Prompted(vit, vit.shape.depth if self.kind == "deep" else 1, self.prompts, self.dropout)

    def size(self, shape: VitShape) -> int:
        """Prompts × width, for every block when deep."""
        return self.prompts * shape.width * (shape.depth if self.kind == "deep" else 1)

    def budget_choices(self, shape: VitShape) -> range:
        """Up to four prompts for every patch."""
        return range(1, 4 * shape.grid**2 + 1)


class _Prompted(Features):
    pictures = ("crop",)

    def __init__(self, vit: Vit, layers: int, prompts: int, dropout: float) -> None:
        super().__init__()
        self.vit, self.dropout = vit, nn.Dropout(dropout)
        shape = vit.shape
        bound = math.sqrt(6 / (3 * shape.patch**2 + shape.width))  # Xavier for the patch embedding, as VPT's code
        self.prompts = nn.Parameter(torch.empty(layers, prompts, shape.width).uniform_(-bound, bound))
        if layers > 1:
            self.renewed = (shape.prefix, shape.prefix + prompts)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Prefix tokens, prompts, patches; the prompts leave before pooling."""
        first = self.vit.shape.prefix
        last = first + self.prompts.shape[1]

        def prompt(i: int, tokens: Tensor) -> Tensor:
            if i >= len(self.prompts):
                return tokens
            patches = tokens[:, first if i == 0 else last :]  # deep: the p prompt positions are replaced
            new = self.dropout(self.prompts[i].expand(len(tokens), -1, -1)).to(tokens.dtype)
            return torch.cat((tokens[:, :first], new, patches), dim=1)

        tokens = self.vit.embed(inputs["crop"])
        if self.vit.reads_cls:
            return self.vit.feature(tokens, prompt)
        tokens = self.vit.walk(tokens, prompt)
        return self.vit.pool(torch.cat((tokens[:, :first], tokens[:, last:]), dim=1))
