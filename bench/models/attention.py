"""Looking into a ViT while it scores: what its blocks give, where its attention goes, followed back to the patches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.errors import UsageError
from bench.models.method import QualityModel
from bench.models.vit import Vit

Tap = Callable[[Vit], AbstractContextManager[list[Tensor]]]


def vit_in(model: nn.Module, method: str) -> Vit:
    """The Vit that a model walks."""
    for module in model.modules():
        if isinstance(module, Vit):
            return module
    raise UsageError(f"{method} has no ViT to look into.")


def walked(
    model: QualityModel, seen: Mapping[str, Tensor], precision: Callable[[], AbstractContextManager[object]], tap: Tap
) -> list[Tensor]:
    """What a tap finds in every block on the last walk through the ViT while the views of pictures are scored.

    Frozen inputs are computed afresh, not read from a cache: a linear probe's only walk is among them.
    """
    vit, features = vit_in(model, "This model"), model.features
    with torch.inference_mode(), precision(), tap(vit) as taps:
        computed = {name: frozen.compute(seen[frozen.view]).float() for name, frozen in features.frozen.items()}
        model({name: seen[name] for name in features.pictures} | computed)
    return taps[-len(vit.blocks) :]


def rollout(maps: Sequence[Tensor], renewed: tuple[int, int] = (0, 0)) -> Tensor:
    """Attention followed through all blocks, residual paths counted as half: [B, N, N].

    The tokens `renewed` (from, to) are new before every block: whatever the block before gave in their places is gone,
    so what reads them reads them alone, and follows nothing back to a patch.
    """
    identity = torch.eye(maps[0].shape[-1], device=maps[0].device).expand_as(maps[0])
    start, stop = renewed
    followed = identity
    for weights in maps:
        followed = torch.cat((followed[:, :start], identity[:, start:stop], followed[:, stop:]), dim=1)
        followed = (0.5 * weights + 0.5 * identity) @ followed
    return followed


def on_patches(vit: Vit, weights: Tensor) -> Tensor:
    """From [B, N, N] to what the feature's own token (or the mean patch) reads of the patches: [B, grid, grid].

    Patches come last, behind CLS, registers and whatever tokens a method put between.
    """
    grid = vit.shape.grid
    reader = weights[:, 0] if vit.reads_cls else weights[:, -(grid**2) :].mean(1)
    return reader[:, -(grid**2) :].reshape(-1, grid, grid)


@contextmanager
def tapped_blocks(vit: Vit) -> Iterator[list[Tensor]]:
    """While open, every forward appends what each block gives, in order: [B, N, width]."""
    outputs: list[Tensor] = []
    handles = [block.register_forward_hook(lambda _, __, given: outputs.append(given)) for block in vit.blocks]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def tapped_attention(vit: Vit) -> Iterator[list[Tensor]]:
    """While open, every forward appends each block's attention, averaged over heads: [B, N, N].

    The attention itself may be fused and never form this matrix, so it is computed here from its own q and k.
    """
    if vit.rotary:
        raise UsageError("This backbone has rotary positions, with which attention cannot be looked into.")
    maps: list[Tensor] = []

    def record(attention: Any, given: tuple[Any, ...]) -> None:
        maps.append(attention_weights(attention, given[0]).mean(1))

    handles = [_attention_of(block).register_forward_pre_hook(record) for block in vit.blocks]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def attention_weights(attention: Any, tokens: Tensor) -> Tensor:
    """softmax(q kᵀ / √d) of a timm attention on its input, in fp32: [B, heads, N, N]."""
    batch, count, _ = tokens.shape
    qkv = attention.qkv(tokens)
    if getattr(attention, "q_bias", None) is not None:  # Eva's biases stand beside the map
        qkv = qkv + torch.cat((attention.q_bias, attention.k_bias, attention.v_bias))
    qkv = qkv.reshape(batch, count, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    q, k = attention.q_norm(qkv[0]), attention.k_norm(qkv[1])
    with torch.autocast(tokens.device.type, enabled=False):
        return (q.float() * attention.scale @ k.float().transpose(-2, -1)).softmax(-1)


def _attention_of(block: nn.Module) -> nn.Module:
    for module in block.modules():
        if all(hasattr(module, part) for part in ("qkv", "q_norm", "k_norm", "num_heads", "scale")):
            return module
    raise UsageError(f"{type(block).__name__} blocks have no attention of the usual build to look into.")
