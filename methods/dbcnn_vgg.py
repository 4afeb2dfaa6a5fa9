"""DBCNN without its S-CNN: bilinear pooling of a CNN's last map with itself, trained in two stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.cards import Bound
from bench.core.spec import Recipe, Scalar
from bench.models.method import Features, Method, QualityModel, Toolbox
from bench.models.vit import VitShape, cnn_channels
from methods._cnn import cnn_size

MOMENTUM = 0.9
"""Of the first stage."""


class DbcnnVgg(Method):
    """Zhang et al. 2020, its VGG-16 half alone: the S-CNN, and what it was pretrained on, are not rebuilt."""

    title: ClassVar[str] = "DBCNN without S-CNN"
    origin: ClassVar[str] = "Zhang et al. 2020 and the authors' public code, its VGG-16 alone"
    stands_on: ClassVar[Literal["own"]] = "own"
    networks: ClassVar[tuple[str, ...]] = ("cnn",)
    preset_options: ClassVar[Mapping[str, Mapping[str, Scalar]]] = {
        "demo": {"cnn": "tf_efficientnet_lite0", "stage": "last"}
    }
    recipe: ClassVar[Mapping[str, Scalar]] = {
        "epochs": 100,
        "batch": 8,
        "lr": 1e-3,
        "weight_decay": 5e-4,
        "schedule": "own",
        "loss": "mse",
        "head": "linear",
        "dropout": 0.0,
        "size": 384,
    }
    vit_b: ClassVar[int] = 14_714_688
    bounds: ClassVar[Mapping[str, Bound]] = {
        "backbone_rate": {"least": 0},
        "first_stage": {"least": 0, "below": 1},
    }

    cnn: str = "vgg16.tv_in1k"
    """The CNN, by its timm name; all of it is trained."""
    stage: Literal["before_last", "last"] = "before_last"
    """Which of its maps is pooled: VGG-16's last is the one before it, halved, which the paper leaves out."""
    backbone_rate: float = 0.01
    """The CNN's learning rate as a share of the head's: the paper's rate of the second stage beside the first."""
    first_stage: float = 0.5
    """Share of the epochs in which the head learns alone, under the own recipe."""

    def assemble_alone(self, recipe: Recipe, toolbox: Toolbox) -> Features:
        """The CNN, unfrozen, and bilinear pooling, which has no parameters."""
        at = -1 if self.stage == "last" else -2
        return _Bilinear(toolbox(self.cnn).requires_grad_(True), at, cnn_channels(self.cnn)[at])

    def size(self, shape: VitShape) -> int:
        """The CNN alone."""
        return cnn_size(self.cnn)

    def parameter_groups(self, model: QualityModel, lr: float) -> list[dict[str, object]]:
        """Two rates: the head, and the CNN."""
        head, cnn = list(model.head.parameters()), list(model.features.parameters())
        return [{"params": head, "lr": lr}, {"params": cnn, "lr": lr * self.backbone_rate}]

    def optimiser(self, groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer | None:
        """Under the own recipe momentum on the head, then Adam on all."""
        if recipe.schedule != "own":
            return None
        return _TwoStages(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)

    def rates(self, step: int, per_epoch: int, recipe: Recipe) -> Sequence[float]:
        """The CNN rests in the first stage; in the second, head and CNN learn at the same small rate."""
        alone = step < per_epoch * round(self.first_stage * recipe.epochs)
        return (1.0, 0.0) if alone else (self.backbone_rate, 1.0)


class _Bilinear(Features):
    pictures = ("crop",)
    drifting = ("cnn",)

    def __init__(self, cnn: nn.Module, at: int, channels: int) -> None:
        super().__init__()
        self.cnn, self.at = cnn.to(memory_format=torch.channels_last), at
        self.width = channels**2

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The mean product of each two channels, its signed square root, all of length 1: [B, channels²]."""
        maps = self.cnn(inputs["crop"].contiguous(memory_format=torch.channels_last))[self.at].flatten(2)
        products = (maps @ maps.transpose(1, 2)).flatten(1) / maps.shape[2]
        return F.normalize(products.sign() * (products.abs() + 1e-8).sqrt(), dim=1)


class _TwoStages(torch.optim.Adam):
    """Momentum on the first group while the second's rate is 0, then Adam on both."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step at the rates that the groups have."""
        head, cnn = self.param_groups
        alone = cnn["lr"] == 0
        for p in head["params"]:
            state = self.state[p]
            if not alone and "momentum" in state:
                state.clear()  # Adam begins anew
            elif alone and p.grad is not None:
                state.setdefault("momentum", torch.zeros_like(p))
                state["momentum"].mul_(MOMENTUM).add_(p.grad + head["weight_decay"] * p)
                p.sub_(head["lr"] * state["momentum"])
        if not alone:
            super().step(closure)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Taken up from a checkpoint: Adam looks for its count in every state, and momentum's has none."""
        for own in state["state"].values():
            own.setdefault("step", torch.zeros(()))
        super().__setstate__(state)
