"""Pretrained ViTs as one readable walk: embed → blocks → norm → pooled feature, for any timm VisionTransformer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn import Module

from bench.errors import UsageError

Between = Callable[[int, Tensor], Tensor]
"""What a method does to the tokens before block i (i counts from 0; i = depth: after the last block)."""


@dataclass(frozen=True)
class VitShape:
    """The sizes that a method's parameter formula depends on."""

    width: int
    depth: int
    patch: int
    heads: int
    prefix: int
    """Tokens before the patches: CLS and registers."""
    mlp: int
    grid: int


class Vit(nn.Module):
    """A timm VisionTransformer seen as its steps, so that a method can act between them."""

    def __init__(self, model: nn.Module, size: int) -> None:
        super().__init__()
        self.model: Any = model
        self.shape = _shape(self.model, size)
        self.size = size

    @property
    def blocks(self) -> list[Module]:
        """The transformer blocks, in order."""
        return list(self.model.blocks)

    def embed(self, pictures: Tensor) -> Tensor:
        """Patch and position embedding with prefix tokens: [B,3,S,S] → [B,N,width]."""
        tokens = self.model.patch_embed(pictures)
        return self.model.norm_pre(self.model._pos_embed(tokens))

    def walk(self, tokens: Tensor, between: Between | None = None) -> Tensor:
        """Through all blocks; `between(i, tokens)` is called before block i."""
        for i, block in enumerate(self.model.blocks):
            if between is not None:
                tokens = between(i, tokens)
            tokens = block(tokens)
        return tokens

    def pool(self, tokens: Tensor) -> Tensor:
        """Final norm, then CLS (or the model's own pooling where it has no CLS): [B, width]."""
        tokens = self.model.norm(tokens)
        if self.model.num_prefix_tokens:
            pooled = tokens[:, 0] if self.model.cls_token is not None else self.model.pool(tokens)
        else:
            pooled = self.model.pool(tokens)
        return self.model.fc_norm(pooled)

    def tokens(self, pictures: Tensor) -> Tensor:
        """All tokens after the final norm (GLIA's F_s)."""
        return self.model.norm(self.walk(self.embed(pictures)))

    def forward(self, pictures: Tensor) -> Tensor:
        """The pooled feature of the plain network."""
        return self.pool(self.walk(self.embed(pictures)))


def _shape(model: Any, size: int) -> VitShape:
    needed = ("patch_embed", "_pos_embed", "norm_pre", "blocks", "norm", "fc_norm", "num_prefix_tokens")
    missing = [name for name in needed if not hasattr(model, name)]
    if missing:
        raise UsageError(f"{type(model).__name__} is not a plain timm VisionTransformer (no {', '.join(missing)}).")
    block = model.blocks[0]
    patch = model.patch_embed.patch_size[0]
    return VitShape(
        width=model.embed_dim,
        depth=len(model.blocks),
        patch=patch,
        heads=block.attn.num_heads,
        prefix=model.num_prefix_tokens,
        mlp=block.mlp.fc1.out_features if hasattr(block.mlp, "fc1") else 0,
        grid=size // patch,
    )
