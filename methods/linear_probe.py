"""Linear probe: the backbone's own pooled feature under the quality head, nothing else is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from bench.data.views.view import Frozen
from bench.models.method import Features, Method, Toolbox
from bench.models.vit import Vit, VitShape


class LinearProbe(Method):
    """Only the head learns; the frozen feature is computed without gradient."""

    title: ClassVar[str] = "Linear probe"
    origin: ClassVar[str] = "LoDa Table 6, GLIA Table 6"
    identity_at_start: ClassVar[bool] = True
    vit_b: ClassVar[int] = 0
    packs: ClassVar[int] = 10

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """Nothing but the frozen feature."""
        return _PooledFeature(vit)

    def size(self, shape: VitShape) -> int:
        """Nothing but the head."""
        return 0


class _PooledFeature(Features):
    def __init__(self, vit: Vit) -> None:
        super().__init__()
        self.vit = vit
        self.frozen = {"feature": Frozen("crop", "pooled", vit.forward)}

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The frozen feature as it is."""
        return inputs["feature"]
