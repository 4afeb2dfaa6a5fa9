"""Full fine-tuning: every weight of the backbone learns."""

from __future__ import annotations

from typing import ClassVar

from bench.models.method import Features, Method, Toolbox, ViewFeature
from bench.models.vit import Vit, VitShape


class FullFinetune(Method):
    """The plain network on one crop, all of it trained at the common rate."""

    title: ClassVar[str] = "Full fine-tune"
    origin: ClassVar[str] = "LoDa Table 6, GLIA Table 6"
    trains_backbone: ClassVar[bool] = True
    identity_at_start: ClassVar[bool] = True
    vit_b: ClassVar[int] = 85_798_656

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """The backbone itself."""
        return ViewFeature(vit)

    def size(self, shape: VitShape) -> int:
        """The whole backbone, without its classifier."""
        return shape.parameters
