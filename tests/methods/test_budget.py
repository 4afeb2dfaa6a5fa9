"""A budget turns one option of a method, never past the budget, or is refused in a sentence."""

from __future__ import annotations

import pytest

from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.models.budget import CLOSE_ENOUGH, size_to_budget
from bench.models.vit import vit_shape

VIT_B16 = "vit_base_patch16_224"
SIZED = ["adapter", "lora", "vpt", "loda", "glia", "peft:dora", "peft:loha", "peft:fourierft"]


def _size(name: str, options: dict) -> int:
    return METHODS.make(name, options).size(vit_shape(VIT_B16))


@pytest.mark.parametrize("name", SIZED)
def test_the_size_comes_near_the_budget_and_stays_below(name: str) -> None:
    budget = 8_000_000
    options = size_to_budget(name, {}, VIT_B16, budget)
    assert CLOSE_ENOUGH * budget <= _size(name, options) <= budget


@pytest.mark.parametrize("name", ["adapter", "lora", "vpt", "peft:dora"])
@pytest.mark.parametrize("budget", [300_000, 1_000_000, 2_379_264])
def test_no_larger_choice_would_still_fit(name: str, budget: int) -> None:
    options = size_to_budget(name, {}, VIT_B16, budget)
    method = METHODS.make(name, options)
    sizes = [_size(name, options | method.resized(n)) for n in list(method.budget_choices(vit_shape(VIT_B16)))[:400]]
    assert _size(name, options) == max(size for size in sizes if size <= budget)


def test_the_other_options_stay() -> None:
    options = size_to_budget("glia", {"residual": "literal", "rank": 8, "heads": 6}, VIT_B16, 8_000_000)
    assert options["residual"] == "literal"
    assert options["rank"] % 6 == 0
    assert size_to_budget("peft:dora", {"config": "alpha=4"}, VIT_B16, 300_000)["config"] == "alpha=4,r=7"


@pytest.mark.parametrize(
    ("name", "budget", "sentence"),
    [
        ("linear_probe", 8_000_000, "no option that changes its size"),
        ("bitfit", 8_000_000, "no option that changes its size"),
        ("peft:ia3", 8_000_000, "no option that changes its size"),
        ("loda", 1_000_000, "at its smallest it trains 7,"),
        ("adapter", 100, "at its smallest it trains 55,320"),
        ("vpt", 15_000, "the nearest below is 9,216"),
        ("peft:hra", 80_000_000, "the nearest below is 7,077,888"),
    ],
)
def test_a_budget_that_cannot_be_met_is_refused(name: str, budget: int, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        size_to_budget(name, {}, VIT_B16, budget)


def test_a_backbone_that_is_no_vit_is_refused() -> None:
    with pytest.raises(UsageError, match="not a plain timm VisionTransformer"):
        size_to_budget("lora", {}, "resnet18", 8_000_000)
    with pytest.raises(UsageError, match="cannot make the backbone"):
        size_to_budget("lora", {}, "no_such_vit", 8_000_000)
