"""Every built-in method shows on tiny random Eva networks what it must show, or is refused in a sentence."""

from __future__ import annotations

import pytest
import timm
import torch

from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.models.conformance import check_method
from bench.models.vit import Vit
from methods.peft import TUNERS
from tests.methods.test_conformance import NARROW
from tests.methods.vits import SMALL_CNN

DINO3, FUSED, SEPARATE, POOLED = "rotary, registers", "rotary, biases added late", "separate q, k, v", "attention pool"
KINDS = {
    DINO3: ("vit_base_patch16_dinov3", {"img_size": 64, "num_heads": 3}),
    FUSED: ("eva02_tiny_patch14_224", {"img_size": 56}),
    SEPARATE: ("eva02_base_patch14_224", {"img_size": 56}),
    POOLED: ("vit_pe_core_base_patch16_224", {"img_size": 64, "num_heads": 3, "attn_pool_num_heads": 3}),
}
REFUSED = {
    ("ssf", FUSED): "adds that map's biases later",
    ("ssf", SEPARATE): "do not have",
    ("lora", SEPARATE): "have three",
    ("deiqt", POOLED): "asks as the CLS token",
    ("adapter adaptformer", DINO3): r"blocks\.0\.ls2.*do not have",
    **{(f"peft:{tuner}", SEPARATE): "have three" for tuner in TUNERS},
}
OPTIONS = {"loda": {"cnn": SMALL_CNN}}
ON_A_VIT = sorted(name for name in METHODS if METHODS.card(name).facts["stands_on"] == "vit" and name != "peft")


def tiny(kind: str) -> Vit:
    name, changes = KINDS[kind]
    torch.manual_seed(0)
    small = {"embed_dim": 48 if kind == FUSED else 96, "depth": 2, "num_heads": 3, "num_classes": 0}
    return Vit(
        timm.create_model(name, pretrained=False, dynamic_img_size=False, **(small | changes)), changes["img_size"]
    )


def shown(method: str, options: dict, kind: str) -> None:
    """All checks hold, or the method is refused as it is expected to be."""
    if why := REFUSED.get((method if not options.get("position") else f"{method} {options['position']}", kind)):
        with pytest.raises(UsageError, match=why):
            check_method(method, options, backbone=lambda: tiny(kind))
        return
    failed = [result for result in check_method(method, options, backbone=lambda: tiny(kind)) if not result.passed]
    assert not failed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ON_A_VIT)
def test_a_method_is_what_its_name_says_on_an_eva_or_is_refused_in_a_sentence(method: str, kind: str) -> None:
    options = {"glia": {"grid": 4, "fragment": tiny(kind).size // 4}}.get(method, OPTIONS.get(method, {}))
    shown(method, options, kind)


def test_adaptformers_place_is_refused_where_there_is_none() -> None:
    shown("adapter", {"position": "adaptformer"}, DINO3)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [DINO3, SEPARATE])
@pytest.mark.parametrize("tuner", TUNERS)
def test_a_tuner_of_pefts_is_what_its_name_says_on_an_eva_or_is_refused_in_a_sentence(tuner: str, kind: str) -> None:
    shown(f"peft:{tuner}", {"config": NARROW.get(tuner, "")}, kind)
