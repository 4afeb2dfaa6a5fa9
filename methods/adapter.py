"""Adapters: small bottlenecks with their own residual inside every block (Houlsby, Pfeiffer, AdaptFormer)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor, nn

from bench.core.cards import Bound
from bench.models.method import Features, Method, Toolbox, ViewFeature
from bench.models.vit import Vit, VitShape


class Adapter(Method):
    """Houlsby: behind attention and MLP, inside their residuals. Pfeiffer: behind the MLP. AdaptFormer: beside it."""

    title: ClassVar[str] = "Adapter"
    origin: ClassVar[str] = "Houlsby et al. 2019, as LoDa's Table 6 cites it"
    vit_b: ClassVar[int] = 2_379_264
    sized_by: ClassVar[str] = "bottleneck"
    bounds: ClassVar[Mapping[str, Bound]] = {
        "bottleneck": {"least": 1},
        "init_std": {"least": 1e-6},
        "scale": {"least": 1e-6},
    }

    bottleneck: int = 64
    """Width of the bottleneck."""
    position: Literal["houlsby", "pfeiffer", "adaptformer"] = "houlsby"
    """Behind attention and MLP, behind the MLP, or beside the MLP."""
    init_std: float = 0.01
    """Standard deviation of the weights' start; no matter to AdaptFormer."""
    scale: float = 0.1
    """AdaptFormer's fixed factor on its branch; the other positions have none."""

    def starts_as_identity(self) -> bool:
        """AdaptFormer's zero up-projection; the others start near, not at, the identity."""
        return self.position == "adaptformer"

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """Bottlenecks into every block."""
        for i, block in enumerate(vit.blocks):
            path = f"blocks.{i}."
            if self.position == "adaptformer":
                main = nn.Sequential(vit.part(path + "mlp"), vit.part(path + "ls2"))
                block.mlp = _Beside(main, AdaptFormerBranch(vit.shape.width, self.bottleneck, self.scale))
                block.ls2 = nn.Identity()  # moved inside, so that layer scale does not shrink the branch
                continue
            for end in ("ls1", "ls2") if self.position == "houlsby" else ("ls2",):
                vit.append(path + end, Bottleneck(vit.shape.width, self.bottleneck, self.init_std))
        return ViewFeature(vit)

    def size(self, shape: VitShape) -> int:
        """One or two bottlenecks per block: down and up with biases."""
        each = (shape.width + 1) * self.bottleneck + (self.bottleneck + 1) * shape.width
        return shape.depth * each * (2 if self.position == "houlsby" else 1)


class Bottleneck(nn.Module):
    """x + up(GELU(down(x))), both maps drawn small so that the start is near the identity and nothing is dead."""

    def __init__(self, width: int, bottleneck: int, std: float) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width)
        self.activation = nn.GELU()
        for linear in (self.down, self.up):
            nn.init.trunc_normal_(linear.weight, std=std, a=-2 * std, b=2 * std)
            nn.init.zeros_(linear.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """[B, N, width] → [B, N, width]."""
        return tokens + self.up(self.activation(self.down(tokens)))


class AdaptFormerBranch(nn.Module):
    """scale · up(ReLU(down(x))) with up starting at zero."""

    def __init__(self, width: int, bottleneck: int, scale: float) -> None:
        super().__init__()
        self.down, self.up, self.scale = nn.Linear(width, bottleneck), nn.Linear(bottleneck, width), scale
        self.activation = nn.ReLU()
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, tokens: Tensor) -> Tensor:
        """What the branch adds."""
        return self.scale * self.up(self.activation(self.down(tokens)))


class _Beside(nn.Module):
    def __init__(self, main: nn.Module, branch: nn.Module) -> None:
        super().__init__()
        self.main, self.branch = main, branch

    def forward(self, tokens: Tensor) -> Tensor:
        return self.main(tokens) + self.branch(tokens)
