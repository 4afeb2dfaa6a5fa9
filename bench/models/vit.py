"""Pretrained ViTs as one readable walk: embed → blocks → norm → pooled feature, of timm's VisionTransformer and Eva."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

import timm
import torch
from timm.models.eva import Eva
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from bench.core.errors import UsageError

Between = Callable[[int, Tensor], Tensor]
"""What a method does to the tokens before block i (i counts from 0)."""


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
    """What an MLP's first linear map gives; 0 where the blocks have no plain fc1 → fc2."""
    qkv: int
    """What an attention's fused q, k, v map gives: three widths; 0 where the blocks have none."""
    grid: int
    parameters: int
    """Of the whole backbone, without its classifier."""
    biases: int
    """Of those, the ones in bias vectors."""
    embedding: int
    """Of those, the ones before the first block: patches, positions, tokens."""
    block: int
    """Of those, the ones of one block."""


BEHIND = ("norm.", "fc_norm.", "attn_pool.")
"""How the names of parameters begin that come behind the last block."""

NO_VIT = VitShape(**dict.fromkeys((field.name for field in fields(VitShape)), 0))
"""The sizes that a method is told of where it stands on no ViT of the run."""


class Vit(nn.Module):
    """A timm VisionTransformer, or its kin Eva (DINOv3, Perception Encoder, EVA-02), seen as its steps, so that a
    method can act between them and inside its blocks.

    No gradient is recorded before the first trainable tensor: frozen weights on a picture record nothing.
    """

    def __init__(self, model: nn.Module, size: int) -> None:
        super().__init__()
        _refuse_other_networks(model)
        self.model: Any = model
        for classifier in ("head", "head_dist"):
            if hasattr(model, classifier):
                setattr(model, classifier, nn.Identity())
        if isinstance(model, Eva):
            _use_the_qkv_maps(model)
        self.shape = _shape(self.model, size)
        self.size = size
        self._seen = (self.shape.grid, self.shape.grid)

    @property
    def final_norm_first(self) -> bool:
        """Whether the final norm comes before pooling (timm's `norm`) or after it (`fc_norm`)."""
        return not isinstance(self.model.norm, nn.Identity)

    @property
    def reads_cls(self) -> bool:
        """Whether the pooled feature is the CLS token's, so that nothing else need reach the end."""
        pools = isinstance(self.model, Eva) and self.model.attn_pool is not None
        return self.model.cls_token is not None and not pools

    @property
    def rotary(self) -> bool:
        """Whether its attention turns queries and keys by where they are."""
        return getattr(self.model, "rope", None) is not None

    @property
    def any_shape(self) -> bool:
        """Whether it takes pictures of other shapes than its own, of whole patches."""
        return bool(self.model.dynamic_img_size)

    @property
    def blocks(self) -> list[nn.Module]:
        """The transformer blocks, in order."""
        return list(self.model.blocks)

    def append(self, path: str, extra: nn.Module) -> None:
        """Let `extra` act on what the submodule at `path` gives ("blocks.3.ls1"), inside the walk.

        `ls1` and `ls2` are the ends of a block's attention and MLP: after layer scale, before the outer residual.
        """
        if isinstance(self.model, Eva):
            path = self._end_in_eva(path)
        parent, _, name = path.rpartition(".")
        setattr(self.part(parent), name, nn.Sequential(self.part(path), extra))

    def _end_in_eva(self, path: str) -> str:
        """Where in an Eva the same acts: its layer scale is no module, and drop path stands right behind it."""
        parent, _, name = path.rpartition(".")
        if name == "qkv" and getattr(self.part(parent), "q_bias", None) is not None:
            raise UsageError(
                f"This method acts behind {path!r}, and this backbone adds that map's biases later: choose another "
                "method or backbone."
            )
        ends = {"ls1": "drop_path1", "ls2": "drop_path2"}
        return f"{parent}.{ends[name]}" if name in ends else path

    def part(self, path: str) -> nn.Module:
        """The submodule at a path; blocks of another build than attention then MLP are refused."""
        try:
            return self.model.get_submodule(path)
        except AttributeError:
            kind = type(self.model.blocks[0]).__name__
            raise UsageError(
                f"This method acts inside blocks at {path!r}, which this backbone's {kind} blocks do not have."
            ) from None

    def embed(self, pictures: Tensor) -> Tensor:
        """Patch and position embedding with prefix tokens: [B,3,S,S] → [B,N,width].

        A network that was made for pictures of any shape interpolates its positions; the walk is then that of the
        pictures embedded last.
        """
        if self.any_shape:
            self._seen = (pictures.shape[-2] // self.shape.patch, pictures.shape[-1] // self.shape.patch)
        tokens = self.model._pos_embed(self.model.patch_embed(pictures))
        if isinstance(self.model, Eva):
            return self.model.norm_pre(tokens[0])
        return self.model.norm_pre(self.model.patch_drop(tokens))

    def walk(self, tokens: Tensor, between: Between | None = None) -> Tensor:
        """Through all blocks; `between(i, tokens)` is called before block i."""
        return self._through(tokens, len(self.model.blocks), between)

    def _through(self, tokens: Tensor, count: int, between: Between | None) -> Tensor:
        turns = self._turns() if self.rotary else None
        for i, block in enumerate(self.model.blocks[:count]):
            if between is not None:
                tokens = between(i, tokens)
            tokens = block(tokens) if turns is None else block(tokens, rope=self._turns_of(turns, i, tokens))
        return tokens

    def _turns(self) -> Tensor:
        """The rotations of all patches, sines beside cosines: [N, 2d], or by block and head."""
        rope = self.model.rope
        if getattr(rope, "feat_shape", None) is not None:
            return rope.get_embed()
        return rope.get_embed(shape=self._seen)

    def _turns_of(self, turns: Tensor, block: int, tokens: Tensor) -> Tensor:
        """Those that a block is given. Tokens that a method put before the patches have no place: not turned."""
        own = turns[block] if getattr(self.model, "rope_mixed", False) else turns
        more = tokens.shape[1] - self.shape.prefix - own.shape[-2]
        if more <= 0:
            return own
        still = own.new_zeros(*own.shape[:-2], more, own.shape[-1])
        still[..., own.shape[-1] // 2 :] = 1
        return torch.cat((still, own), dim=-2)

    def feature(self, tokens: Tensor, between: Between | None = None) -> Tensor:
        """`pool(walk(...))` without the work that nobody reads: behind the last attention only CLS goes on.

        The other tokens' way through the last MLP is 5.5% of a ViT-B, forward and backward.
        """
        last = len(self.model.blocks) - 1
        block = self.model.blocks[last]
        if not self.reads_cls or type(block) is not Block or _watched(block):
            return self.pool(self.walk(tokens, between))
        tokens = self._through(tokens, last, between)
        if between is not None:
            tokens = between(last, tokens)
        tokens = tokens[:, :1] + block.drop_path1(block.ls1(block.attn(block.norm1(tokens))))[:, :1]
        return self.pool(tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens)))))

    def pool(self, tokens: Tensor) -> Tensor:
        """Final norm, then CLS (or the model's own pooling where it has no CLS): [B, width]."""
        tokens = self.model.norm(tokens)
        pooled = tokens[:, 0] if self.reads_cls else self.model.pool(tokens)
        return self.model.fc_norm(pooled)

    def tokens(self, pictures: Tensor) -> Tensor:
        """All tokens after the final norm (GLIA's F_s); timm calls that norm `norm` or `fc_norm`, never both."""
        return self.model.fc_norm(self.model.norm(self.walk(self.embed(pictures))))

    def forward(self, pictures: Tensor) -> Tensor:
        """The pooled feature of the network."""
        return self.feature(self.embed(pictures))


@cache
def vit_shape(backbone: str) -> VitShape:
    """The sizes of a timm ViT at its own picture size, without weights or memory; of no ViT, zeros."""
    if not backbone:
        return NO_VIT
    try:
        with torch.device("meta"):
            model: Any = timm.create_model(backbone, pretrained=False)
    except (RuntimeError, ValueError) as error:
        raise UsageError(f"timm cannot make the backbone {backbone!r}: {error}") from None
    _refuse_other_networks(model)
    return Vit(model, model.patch_embed.img_size[0]).shape


def is_bias(name: str) -> bool:
    """Whether a parameter's name is that of a bias vector."""
    return name.rpartition(".")[2].endswith("bias")


@cache
def cnn_channels(name: str) -> tuple[int, ...]:
    """Channels of the last four feature stages of a timm CNN, without weights or memory."""
    try:
        with torch.device("meta"):
            network: Any = timm.create_model(name, features_only=True, pretrained=False)
    except (RuntimeError, AttributeError, ValueError) as error:
        raise UsageError(f"{name!r} is not a timm network with feature stages: {error}") from None
    return tuple(network.feature_info.channels()[-4:])


def _refuse_other_networks(model: nn.Module) -> None:
    if not isinstance(model, VisionTransformer | Eva):
        raise UsageError(
            f"{type(model).__name__} is not a plain timm VisionTransformer: choose a backbone such as "
            "vit_base_patch16_224, vit_small_patch14_dinov2, vit_base_patch16_dinov3 or vit_base_patch16_siglip_224."
        )


def _use_the_qkv_maps(model: Eva) -> None:
    """Let attention call its fused map and add the biases to what it gives, as timm can.

    Otherwise it takes the map's weights and goes round the module, and whatever was put there would do nothing.
    """
    for block in model.blocks:
        if hasattr(block.attn, "qkv_bias_separate"):
            block.attn.qkv_bias_separate = True


def _watched(block: nn.Module) -> bool:
    """Whether hooks wait for what the block gives (figures tap it), which only a call of the whole block reaches."""
    return bool(block._forward_hooks or block._forward_pre_hooks)


def _shape(model: Any, size: int) -> VitShape:
    block = model.blocks[0]
    patch = model.patch_embed.patch_size[0]
    if size % patch:
        raise UsageError(f"Pictures of {size} pixels cannot be cut into {patch}-pixel patches: use a multiple.")
    heads = getattr(getattr(block, "attn", block), "num_heads", 0)
    if not heads:
        raise UsageError(
            f"Its {type(block).__name__} blocks are no attention and MLP in turn: choose another backbone."
        )
    return VitShape(
        width=model.embed_dim,
        depth=len(model.blocks),
        patch=patch,
        heads=heads,
        prefix=model.num_prefix_tokens,
        mlp=_outputs(block, "mlp", "fc1"),
        qkv=_outputs(block, "attn", "qkv"),
        grid=size // patch,
        parameters=sum(p.numel() for p in model.parameters()),
        biases=sum(p.numel() for name, p in model.named_parameters() if is_bias(name)),
        embedding=sum(p.numel() for name, p in model.named_parameters() if not name.startswith(("blocks.", *BEHIND))),
        block=sum(p.numel() for p in block.parameters()),
    )


def _outputs(block: Any, part: str, linear: str) -> int:
    return getattr(getattr(getattr(block, part, None), linear, None), "out_features", 0)
