"""peft's tuners put into a Vit: parsing their options, injecting them, and saying plainly why one does not fit."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import torch
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.utils import PeftType
from torch import nn

from bench.core.errors import UsageError, suggest
from bench.models.vit import Vit, VitShape

QKV = r"blocks\.\d+\.attn\.qkv"
"""The fused query-key-value map of every block; adapting it always adapts keys too."""


def parse_config(text: str) -> dict[str, Any]:
    """ "r=8, init_lora_weights=pissa" → a dict of plain values; bare words are strings."""
    try:
        call = ast.parse(f"options({text})", mode="eval").body
        assert isinstance(call, ast.Call)
        if call.args or any(keyword.arg is None for keyword in call.keywords):
            raise ValueError
        return {str(k.arg): _plain(k.value) for k in call.keywords}
    except (SyntaxError, ValueError):
        raise UsageError(f"config={text!r} must be a list such as r=8,alpha=16.") from None


def make_config(kind: str, values: Mapping[str, Any], target: str) -> Any:
    """peft's own configuration object of a tuner; unknown fields and wrong values are refused by name."""
    cls = PEFT_TYPE_TO_CONFIG_MAPPING[PeftType(kind)]
    known = {f.name for f in dataclasses.fields(cls)}
    for name in values:
        if name not in known:
            raise UsageError(f"peft's {kind} has no option {name!r}. {suggest(name, known)}")
    try:
        return cls(**{"target_modules": target, **values})
    except (TypeError, ValueError) as error:
        raise UsageError(f"peft's {kind} refuses these options: {error}") from error


def inject(vit: Vit, config: Any) -> Any:
    """Put a tuner into the ViT in place; its own parameters train, all others stay frozen. Returns peft's tuner."""
    if not getattr(config, "exclude_modules", True):  # an Identity (timm's unused norms) has nothing to adapt
        idle = [name for name, part in vit.model.named_modules() if isinstance(part, nn.Identity)]
        config.exclude_modules = "|".join(map(re.escape, idle)) or None
    if config.target_modules == QKV and _has_separate_maps(vit.blocks[0]):
        raise UsageError(
            f"peft's {config.peft_type.value} goes into one map for queries, keys and values, and this backbone's "
            f"{type(vit.blocks[0]).__name__} blocks have three: name another target with peft:NAME, or choose another "
            "backbone."
        )
    tuner = _place(vit.model, config)
    if not any(p.requires_grad for p in vit.parameters()):
        raise UsageError(f"peft's {config.peft_type} trains nothing in this ViT with target {config.target_modules!r}.")
    return tuner


def _has_separate_maps(block: nn.Module) -> bool:
    """Whether queries, keys and values have a map each."""
    return isinstance(getattr(getattr(block, "attn", None), "q_proj", None), nn.Module)


def count_on_stand_in(config: Any, shape: VitShape) -> int:
    """Parameters a tuner would train on a plain ViT of this shape, for tuners or targets without a formula."""
    stand_in = nn.Module()
    with torch.random.fork_rng(devices=[]):
        stand_in.blocks = nn.ModuleList(_bare_block(shape) for _ in range(shape.depth))
    stand_in.norm = nn.LayerNorm(shape.width)
    for p in stand_in.parameters():
        p.requires_grad_(False)
    _place(stand_in, config)
    return sum(p.numel() for p in stand_in.parameters() if p.requires_grad)


def _bare_block(shape: VitShape) -> nn.Module:
    """A block's maps with numbers in them: some tuners decompose the weights that they are put on."""
    block, attention, mlp = nn.Module(), nn.Module(), nn.Module()
    block.norm1, block.norm2 = nn.LayerNorm(shape.width), nn.LayerNorm(shape.width)
    block.attn, block.mlp = attention, mlp
    attention.qkv = nn.Linear(shape.width, shape.qkv)
    attention.proj = nn.Linear(shape.width, shape.width)
    mlp.fc1 = nn.Linear(shape.width, shape.mlp)
    mlp.fc2 = nn.Linear(shape.mlp, shape.width)
    return block


def _place(model: nn.Module, config: Any) -> Any:
    kind = PeftType(config.peft_type)
    try:
        return PEFT_TYPE_TO_TUNER_MAPPING[kind](model, {"default": config}, "default")
    except Exception as error:  # peft's tuners fail in many ways on a model they were not made for
        reason = (str(error) or type(error).__name__).strip().split("\n")[0]
        raise UsageError(f"peft's {kind.value} cannot be put into this ViT: {reason}") from error


def _plain(node: ast.expr) -> Any:
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)
