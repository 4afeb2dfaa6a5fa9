"""LoRA on the fused query-key-value maps, through peft."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bench.core.cards import Bound
from bench.models.method import Features, Method, Toolbox, ViewFeature
from bench.models.tuners import QKV, inject, make_config
from bench.models.vit import Vit, VitShape


class Lora(Method):
    """W + (alpha / rank) · B·A on every block's qkv; a fused map adapts the keys together with q and v."""

    title: ClassVar[str] = "LoRA"
    origin: ClassVar[str] = "Hu et al. 2022, through peft"
    identity_at_start: ClassVar[bool] = True
    vit_b: ClassVar[int] = 294_912
    sized_by: ClassVar[str] = "rank"
    bounds: ClassVar[Mapping[str, Bound]] = {
        "rank": {"least": 1},
        "alpha": {"least": 1e-6},
        "dropout": {"least": 0, "below": 1},
    }

    rank: int = 8
    """Width of the low-rank update."""
    alpha: float = 16.0
    """The update is scaled by alpha / rank."""
    dropout: float = 0.0
    """Dropout in front of the update."""

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """peft's LoRA, injected; the target is a pattern because the word "proj" would hit the patch embedding."""
        values = {"r": self.rank, "lora_alpha": self.alpha, "lora_dropout": self.dropout}
        inject(vit, make_config("LORA", values, QKV))
        return ViewFeature(vit)

    def size(self, shape: VitShape) -> int:
        """A: rank × width, B: qkv × rank, in every block."""
        return shape.depth * self.rank * (shape.width + shape.qkv)
