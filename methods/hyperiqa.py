"""HyperIQA: a CNN's last map writes the weights of a small network, which scores the picture it was written for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.cards import Bound
from bench.core.spec import Recipe, Scalar
from bench.data.views.view import View
from bench.models.method import Features, Method, QualityModel, Toolbox
from bench.models.vit import VitShape, cnn_channels
from methods._cnn import cnn_size

SQUEEZED = (512, 384)
"""Height and width that the authors' code squeezes KonIQ-10k's pictures to."""
NARROW = (16, 32, 64)
"""Channels that the first three stages are narrowed to before they are pooled."""
CELLS = (8, 4, 2)
"""Cells a side that they are pooled to: windows of 7 × 7 at a crop of 224."""
LOCAL, CONTENT = 16, 176
"""Numbers that each of these stages, and the last, give to what the target network sees."""
TARGET = (LOCAL * 3 + CONTENT, 112, 56, 28, 14)
"""Widths of the target network, from what it sees to its last hidden layer."""
HYPER = (1024, 512, 112)
"""Channels of the hyper-network."""
SIDE = 7
"""Cells a side of the map that weights are written from."""


class HyperIqa(Method):
    """Su et al. 2020: the CNN, its local distortion features, a hyper-network and the target network."""

    name = "hyperiqa"
    title: ClassVar[str] = "HyperIQA"
    origin: ClassVar[str] = "Su et al. 2020 and the authors' public code"
    stands_on: ClassVar[Literal["own"]] = "own"
    networks: ClassVar[tuple[str, ...]] = ("cnn",)
    preset_options: ClassVar[Mapping[str, Mapping[str, Scalar]]] = {"demo": {"cnn": "tf_efficientnet_lite0"}}
    recipe: ClassVar[Mapping[str, Scalar]] = {
        "epochs": 16,
        "batch": 96,
        "lr": 2e-4,
        "weight_decay": 5e-4,
        "schedule": "own",
        "loss": "l1",
        "train_views": 25,
        "test_views": 25,
    }
    vit_b: ClassVar[int] = 27_375_368
    bounds: ClassVar[Mapping[str, Bound]] = {"backbone_rate": {"least": 0}}

    cnn: str = "resnet50.a1_in1k"
    """The CNN, by its timm name; all of it is trained."""
    backbone_rate: float = 0.1
    """The learning rate of the CNN and its local distortion features as a share of the others'."""
    squeezed: bool = False
    """Whether crops are cut from pictures squeezed to 384 × 512, whatever their aspect, as the authors' code has it."""

    def views(self, recipe: Recipe) -> dict[str, View]:
        """The common crop, or one of a squeezed picture."""
        return {"crop": View("crop", recipe.size, flips=recipe.flips, squeezed=SQUEEZED if self.squeezed else (0, 0))}

    def assemble_alone(self, recipe: Recipe, toolbox: Toolbox) -> Features:
        """The CNN, unfrozen, and what stands on it."""
        return _Written(toolbox(self.cnn).requires_grad_(True), cnn_channels(self.cnn))

    def size(self, shape: VitShape) -> int:
        """The sum of `breakdown`."""
        return sum(self.breakdown().values())

    def breakdown(self) -> dict[str, int]:
        """Trainable parameters by part; the target network has none, for its weights are written."""
        stages = cnn_channels(self.cnn)
        hyper, outputs = HYPER[-1], zip(TARGET, TARGET[1:], strict=False)
        local = sum(c * n + (n * k * k + 1) * LOCAL for c, n, k in zip(stages[:3], NARROW, CELLS, strict=True))
        return {
            "cnn": cnn_size(self.cnn),
            "local distortion": local + (stages[3] + 1) * CONTENT,
            "hyper-network": sum((i + 1) * o for i, o in zip((stages[3], *HYPER), HYPER, strict=False)),
            "weights": sum((9 * hyper + 1) * (i * o // SIDE**2) for i, o in outputs) + (hyper + 1) * TARGET[-1],
            "biases": sum((hyper + 1) * o for o in TARGET[1:]) + hyper,
        }

    def head(self, recipe: Recipe, width: int) -> nn.Module | None:
        """None: the target network gives the score."""
        return None

    def parameter_groups(self, model: QualityModel, lr: float) -> list[dict[str, object]]:
        """Two rates: what writes the target network, and what looks at the picture (the CNN and its local features)."""
        features = model.features
        assert isinstance(features, _Written)
        looking = [p for part in features.looking() for p in part.parameters()]
        known = {id(p) for p in looking}
        writing = [p for p in model.parameters() if id(p) not in known]
        return [{"params": writing, "lr": lr}, {"params": looking, "lr": lr * self.backbone_rate}]

    def optimiser(self, groups: list[dict[str, Any]], recipe: Recipe) -> torch.optim.Optimizer | None:
        """Adam under the own recipe, whose weight decay is part of the gradient."""
        if recipe.schedule != "own":
            return None
        return torch.optim.Adam(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)

    def rates(self, step: int, per_epoch: int, recipe: Recipe) -> Sequence[float]:
        """A tenth for what writes after each six epochs, and once more from the tenth on; the other never falls.

        The authors' code sets an epoch's rate at the end of the one before, so all falls come one epoch later.
        """
        before = max(0, step // per_epoch - 1)
        return [0.1 ** (before // 6 + (before > 8)), 1.0]


class _Written(Features):
    pictures = ("crop",)
    drifting = ("cnn",)

    def __init__(self, cnn: nn.Module, channels: Sequence[int]) -> None:
        super().__init__()
        self.cnn = cnn.to(memory_format=torch.channels_last)
        self.narrow = nn.ModuleList(nn.Conv2d(c, n, 1, bias=False) for c, n in zip(channels[:3], NARROW, strict=True))
        self.local = nn.ModuleList(nn.Linear(n * k * k, LOCAL) for n, k in zip(NARROW, CELLS, strict=True))
        self.content = nn.Linear(channels[3], CONTENT)
        inside = (channels[3], *HYPER)
        self.hyper = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in zip(inside, HYPER, strict=False))
        outputs = list(zip(TARGET, TARGET[1:], strict=False))
        self.weights = nn.ModuleList(nn.Conv2d(HYPER[-1], i * o // SIDE**2, 3, padding=1) for i, o in outputs)
        self.last = nn.Linear(HYPER[-1], TARGET[-1])
        # a constant on all scores is nothing that a correlation sees, and standardised scores have none
        self.biases = nn.ModuleList(nn.Linear(HYPER[-1], o, bias=o > 1) for o in (*TARGET[1:], 1))
        for layer in (*self.narrow, *self.local, self.content, *self.weights, self.last, *self.biases):
            nn.init.kaiming_normal_(layer.weight)

    def looking(self) -> tuple[nn.Module, ...]:
        """What the authors' code trains as one with its CNN."""
        return self.cnn, self.narrow, self.local, self.content

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Scores [B]: the target network, written anew for each picture."""
        stages = self.cnn(inputs["crop"].contiguous(memory_format=torch.channels_last))[-4:]
        seen = self.seen(stages)
        written = self.written(F.adaptive_avg_pool2d(stages[-1], SIDE))
        for weight, bias in written[:-1]:
            seen = torch.sigmoid(torch.einsum("boi,bi->bo", weight, seen) + bias)
        weight, bias = written[-1]
        return (torch.einsum("boi,bi->bo", weight, seen) + bias).squeeze(-1)

    def seen(self, stages: Sequence[Tensor]) -> Tensor:
        """What the target network sees, [B, 224]: local features of three stages, and the content of the last."""
        parts = [
            linear(F.adaptive_avg_pool2d(narrow(stage), cells).flatten(1))
            for stage, narrow, linear, cells in zip(stages[:3], self.narrow, self.local, CELLS, strict=True)
        ]
        return torch.cat([*parts, self.content(stages[-1].mean((2, 3)))], dim=1)

    def written(self, maps: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(weights [B, outside, inside], biases [B, outside]) of the target network's five layers."""
        for layer in self.hyper:
            maps = F.relu(layer(maps))
        mean = maps.mean((2, 3))
        weights = [
            layer(maps).flatten(1).unflatten(1, (o, i))
            for layer, i, o in zip(self.weights, TARGET, TARGET[1:], strict=False)
        ]
        weights.append(self.last(mean).unsqueeze(1))
        return [(weight, layer(mean)) for weight, layer in zip(weights, self.biases, strict=True)]
