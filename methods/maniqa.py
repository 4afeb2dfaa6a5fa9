"""MANIQA: a ViT's last maps, attention between channels and inside windows in turn, and a weighted score per patch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.cards import Bound
from bench.core.spec import Recipe, Scalar
from bench.data.views.view import View
from bench.models.dropout import Dropout
from bench.models.method import Features, Method, Toolbox
from bench.models.vit import BEHIND, Vit, VitShape

READ, UNREAD = 4, 6
"""How many maps are read, and of how many blocks the last one is not: blocks 7 to 10 of a ViT-B's twelve."""
CHANNEL_ATTENTIONS, LAYERS, WINDOW, HEADS = 2, 2, 4, 4
"""Of each of the two stages: attentions between channels, then layers of two blocks with windows of so many patches a
side and so many heads."""
DROPOUT, DROP_PATH = 0.1, 0.1
"""The second grows from 0 over the four blocks of a stage."""
PERIOD = 50
"""Steps in which the own recipe's rate falls to zero, to rise again in as many."""


class Maniqa(Method):
    """Yang et al. 2022: multi-dimension attention network, its ViT trained whole up to the last block that is read."""

    title: ClassVar[str] = "MANIQA"
    origin: ClassVar[str] = "Yang et al. 2022 and the authors' public code"
    trains_backbone: ClassVar[bool] = True
    backbones: ClassVar[Mapping[str, str]] = {"paper": "vit_base_patch8_224.augreg_in21k_ft_in1k"}
    recipe: ClassVar[Mapping[str, Scalar]] = {
        "epochs": 300,
        "batch": 8,
        "lr": 1e-5,
        "weight_decay": 1e-5,
        "schedule": "own",
        "loss": "mse",
        "short_side": 0,
        "train_views": 1,
        "test_views": 20,
        "norm": "timm",
    }
    preset_recipe: ClassVar[Mapping[str, Mapping[str, Scalar]]] = {"demo": {"lr": 2e-5}}
    vit_b: ClassVar[int] = 107_233_426
    bounds: ClassVar[Mapping[str, Bound]] = {"scale": {"least": 0}}

    scale: float = 0.8
    """What a layer of windows gives is added to what it was given, times this."""
    recut: bool = False
    """Whether what attention between channels gives is turned and cut anew, so that channels and places are mixed, as
    the authors' code has it."""
    positive: bool = False
    """Whether a patch's score is cut at zero, as the authors' is, whose labels lie from 0 to 1."""
    view: Literal["crop", "resized"] = "crop"
    """A crop, or the whole picture as a square, whatever its aspect, as the authors' code has it for KonIQ-10k."""

    def views(self, recipe: Recipe) -> dict[str, View]:
        """The common crop, or all of the picture."""
        return {"crop": View("resize" if self.view == "resized" else "crop", recipe.size, flips=recipe.flips)}

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """The ViT without the blocks that are not read, and what stands on it."""
        return _Maps(vit, self)

    def size(self, shape: VitShape) -> int:
        """The sum of `breakdown`."""
        return sum(self.breakdown(shape).values())

    def breakdown(self, shape: VitShape) -> dict[str, int]:
        """Trainable parameters by part."""
        wide, narrow, places = shape.width, shape.width // 2, shape.grid**2
        table = (2 * min(WINDOW, shape.grid) - 1) ** 2 * HEADS
        swin = {w: LAYERS * (2 * (_block(w, wide) + table) + 9 * w * w + w) for w in (wide, narrow)}
        return {
            "vit": shape.embedding + (shape.depth - shape.depth // UNREAD) * shape.block,
            "attention between channels": 2 * CHANNEL_ATTENTIONS * 3 * (places + 1) * places,
            "narrowing": (min(READ, shape.depth) * wide + 1) * wide + (wide + 1) * narrow,
            "attention in windows": sum(swin.values()),
            "scores and weights": 2 * ((narrow + 1) * narrow + narrow + 1),
        }

    def head(self, recipe: Recipe, width: int) -> nn.Module | None:
        """None: patches give the score."""
        return None

    def optimiser(self, groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer | None:
        """Adam under the own recipe, whose weight decay is part of the gradient."""
        if recipe.schedule != "own":
            return None
        return torch.optim.Adam(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)

    def rates(self, step: int, per_epoch: int, recipe: Recipe) -> Sequence[float]:
        """Along a cosine to zero and back again, by the step."""
        return [(1 + math.cos(math.pi * step / PERIOD)) / 2]


def _block(width: int, hidden: int) -> int:
    """Parameters of a block of windows: two norms, q, k and v, the map behind them, an MLP."""
    return 4 * width + 4 * (width + 1) * width + (width + 1) * hidden + (hidden + 1) * width


class _Maps(Features):
    pictures = ("crop",)

    def __init__(self, vit: Vit, method: Maniqa) -> None:
        super().__init__()
        shape, self.positive = vit.shape, method.positive
        self.vit, self.last = vit, shape.depth - shape.depth // UNREAD
        self.first = max(0, self.last - READ)
        vit.model.blocks = vit.model.blocks[: self.last]
        for name, parameter in vit.model.named_parameters():
            if name.startswith(BEHIND):  # norm and pooling, which come after the blocks that are not read
                parameter.requires_grad_(False)
        wide, narrow, grid = shape.width, shape.width // 2, shape.grid
        self.wide = _Stage((self.last - self.first) * wide, wide, wide, grid, method)
        self.narrow = _Stage(wide, narrow, wide, grid, method)
        self.score, self.weight = (
            nn.Sequential(nn.Linear(narrow, narrow), nn.ReLU(), Dropout(DROPOUT), nn.Linear(narrow, 1))
            for _ in range(2)
        )

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The mean of the patches' scores, by their weights."""
        maps: list[Tensor] = []

        def between(block: int, tokens: Tensor) -> Tensor:
            if block > self.first:
                maps.append(tokens)
            return tokens

        maps.append(self.vit.walk(self.vit.embed(inputs["crop"]), between))
        patches = torch.cat([tokens[:, self.vit.shape.prefix :] for tokens in maps], dim=2)
        patches = self.narrow(self.wide(patches))
        with torch.autocast(patches.device.type, enabled=False):
            score, weight = self.score(patches.float()), self.weight(patches.float()).sigmoid()
            score = score.relu() if self.positive else score
            return ((score * weight).sum(1) / weight.sum(1)).squeeze(-1)


class _Stage(nn.Module):
    """Attention between channels, a narrower map, attention in windows: [B, patches, given] → [B, patches, width]."""

    def __init__(self, given: int, width: int, hidden: int, grid: int, method: Maniqa) -> None:
        super().__init__()
        self.grid, self.scale = grid, method.scale
        self.channels = nn.Sequential(*(_Channels(grid**2, method.recut) for _ in range(CHANNEL_ATTENTIONS)))
        self.narrowing = nn.Linear(given, width)
        self.dropout = Dropout(DROPOUT)
        paths = torch.linspace(0, DROP_PATH, 2 * LAYERS, device="cpu").tolist()
        self.layers = nn.ModuleList(_windows(width, hidden, grid, paths[2 * n : 2 * n + 2]) for n in range(LAYERS))
        self.mixing = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(LAYERS))

    def forward(self, patches: Tensor) -> Tensor:
        patches = self.channels(patches.transpose(1, 2)).transpose(1, 2)
        seen = self.dropout(self.narrowing(patches)).unflatten(1, (self.grid, self.grid))
        for layer, mix in zip(self.layers, self.mixing, strict=True):
            mixed = F.relu(mix(layer(seen).permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
            seen = self.scale * mixed + seen
        return seen.flatten(1, 2)


class _Channels(nn.Module):
    """Attention of each channel to the others, over what they are at all places: [B, channels, places]."""

    def __init__(self, places: int, recut: bool) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(places, places) for _ in range(3))
        self.dropout, self.recut = Dropout(DROPOUT), recut

    def forward(self, x: Tensor) -> Tensor:
        near = (self.q(x) @ self.k(x).transpose(1, 2) / x.shape[2] ** 0.5).softmax(-1)
        seen = near @ self.v(x)
        seen = seen.transpose(1, 2).reshape(x.shape) if self.recut else seen
        return x + self.dropout(seen)


def _windows(width: int, hidden: int, grid: int, paths: Sequence[float]) -> nn.Sequential:
    """Two Swin blocks, the second with its windows shifted by half of one."""
    shifts = (0, WINDOW // 2)
    settings: dict[str, Any] = {"num_heads": HEADS, "window_size": WINDOW, "mlp_ratio": hidden / width}
    return nn.Sequential(
        *(
            SwinTransformerBlock(width, (grid, grid), shift_size=shift, drop_path=path, **settings)
            for shift, path in zip(shifts, paths, strict=True)
        )
    )
