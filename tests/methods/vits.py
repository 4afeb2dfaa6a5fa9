"""Small random backbones and builders that the method tests share."""

from __future__ import annotations

from typing import Any

import timm
import torch

from bench.core.registry import METHODS
from bench.core.spec import Recipe
from bench.models.conformance import random_cnn
from bench.models.method import QualityModel
from bench.models.vit import Vit, VitShape

SMALL_CNN = "test_efficientnet"


def vit_b16_shape() -> VitShape:
    """ViT-B/16's sizes, without its memory."""
    with torch.device("meta"):
        return Vit(timm.create_model("vit_base_patch16_224"), 224).shape


def small_vit(size: int = 64, **changes: Any) -> Vit:
    """A seeded random ViT of three blocks at 64 pixels; `changes` are timm's own arguments."""
    torch.manual_seed(3)
    settings = {"img_size": size, "patch_size": 16, "embed_dim": 48, "depth": 3, "num_heads": 3, "num_classes": 0}
    return Vit(timm.models.VisionTransformer(**(settings | changes)), size)


def build(name: str, vit: Vit, seed: int = 0, **options: Any) -> QualityModel:
    """A method's whole model on this ViT, or on its own networks where it stands on these."""
    torch.manual_seed(seed)
    own = METHODS.card(name).facts["stands_on"] == "own"
    return METHODS.make(name, options).build(None if own else vit, Recipe(size=vit.size), random_cnn)
