"""peft's tuners: merged equals unmerged, options are parsed, and what does not fit is refused in a sentence."""

from __future__ import annotations

import pytest
import torch

from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.models.tuners import QKV, inject, make_config, parse_config
from tests.methods.vits import build, small_vit, vit_b16_shape


def _pictures() -> torch.Tensor:
    return torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def test_a_merged_lora_equals_the_unmerged_one() -> None:
    vit = small_vit().double().eval()
    tuner = inject(vit, make_config("LORA", {"r": 4, "lora_alpha": 8}, QKV))
    with torch.no_grad():
        for p in vit.parameters():
            if p.requires_grad:
                p.copy_(torch.randn_like(p))
        apart = vit(_pictures())
        plain = small_vit().double().eval()(_pictures())
        vit.model = tuner.merge_and_unload()
        merged = vit(_pictures())
    assert (apart - plain).abs().max() > 1e-2
    assert (apart - merged).abs().max() < 1e-10


def test_lora_is_the_papers_product_on_the_fused_map() -> None:
    plain, model = small_vit().double().eval(), build("lora", small_vit(), rank=4, alpha=12.0).double().eval()
    with torch.no_grad():
        for block, adapted in zip(plain.blocks, model.features.vit.blocks, strict=True):
            qkv = adapted.attn.qkv
            a, b = qkv.lora_A["default"].weight, qkv.lora_B["default"].weight
            b.copy_(torch.randn_like(b))
            block.attn.qkv.weight += 12 / 4 * (b @ a)
        assert (plain(_pictures()) - model.features({"crop": _pictures()})).abs().max() < 1e-10


def test_lora_leaves_the_patch_embedding_and_the_output_projections_alone() -> None:
    names = [n for n, p in build("lora", small_vit()).features.named_parameters() if p.requires_grad]
    assert len(names) == 6
    assert all(".attn.qkv.lora_" in name for name in names)


def test_a_tuners_options_come_as_text() -> None:
    assert parse_config("r=4, alpha=8.5, use_rslora=True, init_lora_weights=pissa") == {
        "r": 4,
        "alpha": 8.5,
        "use_rslora": True,
        "init_lora_weights": "pissa",
    }
    assert parse_config("") == {}
    assert METHODS.make("peft:dora", {"config": "r=4,alpha=4"}).size(vit_b16_shape()) == 175_104


@pytest.mark.parametrize(
    ("variant", "options", "sentence"),
    [
        ("", {}, "peft:NAME"),
        ("dorra", {}, "Did you mean dora"),
        ("prompt_tuning", {}, "use vpt"),
        ("adalora", {}, "changes its loss and ranks at every step"),
        ("lora", {"config": "rank=4"}, "no option 'rank'"),
        ("lora", {"config": "4"}, "must be a list such as"),
        ("lora", {"config": "__import__('os')"}, "must be a list such as"),
        ("lora", {"config": "r=0"}, "r"),
        ("lora", {"target": "nowhere"}, "cannot be put into this ViT"),
        ("oft", {"config": "oft_block_size=13"}, "does not divide"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(variant: str, options: dict, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        build(f"peft:{variant}", small_vit(), **options)


def test_a_tuner_without_a_formula_is_counted_where_it_acts() -> None:
    model = build("peft:gralora", small_vit())
    counted = sum(p.numel() for p in model.features.parameters() if p.requires_grad)
    assert METHODS.make("peft:gralora").size(small_vit().shape) == counted


@pytest.mark.parametrize(
    ("variant", "options"),
    [("osf", {}), ("adamss", {}), ("pissa", {"target": r"blocks\.\d+\.mlp\.fc1"})],
)
def test_a_tuner_that_decomposes_weights_is_counted_whatever_lies_in_memory(variant, options, monkeypatch) -> None:
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *size, **more: filled(empty(*size, **more)))
    monkeypatch.setattr(torch, "empty_like", lambda like, **more: filled(empty(like.shape, **more)))
    assert METHODS.make(f"peft:{variant}", options).size(small_vit().shape) > 0


def filled(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.fill_(float("nan")) if tensor.is_floating_point() else tensor


@pytest.mark.parametrize("config", ["bias=lora_only", "rank_pattern={'blocks.0.attn.qkv': 2}", "use_dora=True"])
def test_biases_and_ranks_of_single_maps_are_counted_too(config) -> None:
    model = build("peft:lora", small_vit(), config=config)
    counted = sum(p.numel() for p in model.features.parameters() if p.requires_grad)
    assert counted == METHODS.make("peft:lora", {"config": config}).size(small_vit().shape)


def test_a_target_of_ones_own_is_counted_where_it_acts() -> None:
    options = {"config": "r=2", "target": r"blocks\.\d+\.mlp\.fc[12]"}
    model = build("peft:lora", small_vit(), **options)
    counted = sum(p.numel() for p in model.features.parameters() if p.requires_grad)
    assert counted == METHODS.make("peft:lora", options).size(small_vit().shape) == 3 * 2 * 2 * (48 + 192)
