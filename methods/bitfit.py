"""BitFit: only the backbone's bias vectors learn."""

from __future__ import annotations

from typing import ClassVar

from bench.core.errors import UsageError
from bench.models.method import Features, Method, Toolbox, ViewFeature
from bench.models.vit import Vit, VitShape, is_bias


class Bitfit(Method):
    """Every bias of the ViT: patch embedding, norms, attention and MLP."""

    title: ClassVar[str] = "BitFit"
    origin: ClassVar[str] = "Ben Zaken et al. 2022"
    identity_at_start: ClassVar[bool] = True
    vit_b: ClassVar[int] = 102_912

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """Free the biases."""
        if not vit.shape.biases:
            raise UsageError("BitFit trains bias vectors, and this backbone has none.")
        for name, parameter in vit.named_parameters():
            if is_bias(name):
                parameter.requires_grad_(True)
        return ViewFeature(vit)

    def size(self, shape: VitShape) -> int:
        """The backbone's biases."""
        return shape.biases
