"""LoDa: a frozen CNN's multi-scale features are queried by the ViT's tokens before every block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.cards import Bound
from bench.models.layers import CrossAttention, cross_attention_size, mlp, mlp_size, small_random
from bench.models.method import Features, Method, Toolbox
from bench.models.vit import Vit, VitShape, cnn_channels


class Loda(Method):
    """Local distortion extractor (Eq. 1) and injector (Eq. 2–4), with the ablation of its Table 7."""

    title: ClassVar[str] = "LoDa"
    origin: ClassVar[str] = "the LoDa paper and the authors' public code of June 2024"
    vit_b: ClassVar[int] = 8_926_720
    sized_by: ClassVar[str] = "latent"
    bounds: ClassVar[Mapping[str, Bound]] = {
        "latent": {"least": 1},
        "heads": {"least": 1, "divides": "latent"},
        "pool": {"least": 1},
    }

    cnn: str = "resnet50.a1_in1k"
    """The frozen CNN that sees distortions, by its timm name."""
    latent: int = 64
    """Width of the latent space of the cross-attention."""
    heads: int = 4
    """Heads of the cross-attention."""
    pool: int = 7
    """Tokens a side that each stage of the CNN is pooled to."""
    injector: bool = True
    """Cross-attention to the CNN's tokens; off: these are added to the ViT's (Table 7)."""
    projection: Literal["code", "eq4"] = "code"
    """Whether the ViT's tokens alone are projected, as in the code, or the CNN's too (Eq. 4)."""
    bn: Literal["eval", "train"] = "eval"
    """Batch norms of the CNN: as pretrained, or of the batch itself as in the authors' code."""

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """The CNN, its extractor, and an injector (or a plain addition) before every block."""
        cnn = toolbox(self.cnn)
        for parameter in cnn.parameters():
            parameter.requires_grad_(False)
        return (_Injected if self.injector else _Added)(self, vit, cnn)

    def size(self, shape: VitShape) -> int:
        """The sum of `breakdown`."""
        return sum(self.breakdown(shape).values())

    def budget_choices(self, shape: VitShape) -> range:
        """Multiples of the heads, which must share it."""
        return range(self.heads, shape.width + 1, self.heads)

    def breakdown(self, shape: VitShape) -> dict[str, int]:
        """Trainable parameters by part."""
        r, w, blocks = self.latent, shape.width, shape.depth
        out = r if self.injector else w
        parts = {
            "extractor": sum((c + 1) * r + 9 * r * out for c in cnn_channels(self.cnn)),
            "scale": blocks * w,
        }
        if self.injector:
            parts |= {
                "down": blocks * mlp_size(w, r, r),
                "attention": blocks * cross_attention_size(r),
                "up": blocks * mlp_size(r, w, w),
                "projection": blocks * mlp_size(r, r, r) if self.projection == "eq4" else 0,
            }
        return parts


class Extractor(nn.Module):
    """Eq. 1 for one stage: 1×1 convolution, GELU, 3×3 convolution, average pooling; as tokens [B, pool², out]."""

    def __init__(self, channels: int, latent: int, out: int, pool: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, latent, 1),
            nn.GELU(),
            nn.Conv2d(latent, out, 3, padding=1, bias=False),
            nn.AdaptiveAvgPool2d(pool),
        )

    def forward(self, stage: Tensor) -> Tensor:
        """[B, channels, m, n] → [B, pool², out]."""
        return self.layers(stage).flatten(2).transpose(1, 2)


class Injector(nn.Module):
    """Eq. 2–4 before one block: project down, query the distortion tokens, project up, add with a learned scale."""

    def __init__(self, width: int, latent: int, heads: int, projects_tokens: bool) -> None:
        super().__init__()
        self.down = mlp(width, latent, latent)
        self.attend = CrossAttention(latent, heads)
        self.up = mlp(latent, width, width)
        self.scale = small_random(width)
        # Eq. 4 projects the distortion tokens too; the authors' code does not
        self.project = mlp(latent, latent, latent) if projects_tokens else None

    def forward(self, tokens: Tensor, distortion: Tensor) -> Tensor:
        """F_vit, F_msd → the next F_vit."""
        low = self.down(tokens)
        if self.project is not None:
            distortion = self.project(distortion)
        low = low + self.attend(low, distortion)
        return tokens + self.scale * self.up(low)


class _WithCnn(Features):
    """What both variants share: the frozen CNN's last four stages through their extractors."""

    pictures = ("crop",)

    def __init__(self, options: Loda, vit: Vit, cnn: nn.Module, out: int) -> None:
        super().__init__()
        self.vit = vit
        self.cnn = cnn.to(memory_format=torch.channels_last)  # convolutions run a tenth faster so on CPUs and GPUs
        self.batch_statistics = options.bn == "train"
        self.drifting = ("cnn",) if self.batch_statistics else ()
        self.extractors = nn.ModuleList(
            Extractor(c, options.latent, out, options.pool) for c in cnn_channels(options.cnn)
        )

    def distortion(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Tokens of each stage. Crops change every epoch, so the CNN runs here and is no frozen input."""
        self.cnn.train(self.batch_statistics and self.training)
        with torch.no_grad():
            stages = self.cnn(inputs["crop"].contiguous(memory_format=torch.channels_last))[-len(self.extractors) :]
        return [extract(stage) for extract, stage in zip(self.extractors, stages, strict=True)]


class _Injected(_WithCnn):
    def __init__(self, options: Loda, vit: Vit, cnn: nn.Module) -> None:
        super().__init__(options, vit, cnn, options.latent)
        self.injectors = nn.ModuleList(
            Injector(vit.shape.width, options.latent, options.heads, options.projection == "eq4")
            for _ in range(vit.shape.depth)
        )

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Every block's tokens, CLS included, query the tokens of all stages."""
        tokens = torch.cat(self.distortion(inputs), dim=1)
        return self.vit.feature(self.vit.embed(inputs["crop"]), lambda i, x: self.injectors[i](x, tokens))


class _Added(_WithCnn):
    """ "ViT + Extractor" of Table 7: the stages' maps are averaged, laid on the patches and added before each block."""

    def __init__(self, options: Loda, vit: Vit, cnn: nn.Module) -> None:
        super().__init__(options, vit, cnn, vit.shape.width)
        self.scales = nn.ParameterList(small_random(vit.shape.width) for _ in range(vit.shape.depth))
        self.pool = options.pool

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """CLS and registers are left alone: they lie nowhere in the picture."""
        shape = self.vit.shape
        mean = torch.stack(self.distortion(inputs)).mean(0)
        grid = mean.transpose(1, 2).unflatten(2, (self.pool, self.pool))
        laid = F.interpolate(grid, size=(shape.grid, shape.grid), mode="nearest").flatten(2).transpose(1, 2)
        laid = F.pad(laid, (0, 0, shape.prefix, 0))
        return self.vit.feature(self.vit.embed(inputs["crop"]), lambda i, x: x + self.scales[i] * laid)
