"""The mean of the training scores for every picture: the floor, whose correlations are undefined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.data.views.view import View
from bench.models.method import Features, Method, QualityModel, Toolbox, put_fitted
from bench.models.part import TrainingPart
from bench.models.vit import VitShape


class Mean(Method):
    """What is known without looking at a picture. A harness that gave it a correlation would be wrong."""

    title: ClassVar[str] = "Mean score"
    origin: ClassVar[str] = "a floor"
    stands_on: ClassVar[Literal["nothing"]] = "nothing"
    learns: ClassVar[Literal["fit"]] = "fit"
    constant: ClassVar[bool] = True
    vit_b: ClassVar[int] = 1

    def views(self, recipe: object) -> dict[str, View]:
        """None."""
        return {}

    def assemble_alone(self, recipe: object, toolbox: Toolbox) -> Features:
        """One number."""
        return _Constant()

    def size(self, shape: VitShape) -> int:
        """The mean."""
        return 1

    def head(self, recipe: object, width: int) -> nn.Module | None:
        """None: the mean is the score."""
        return None

    def fit(self, model: QualityModel, part: TrainingPart) -> None:
        """Take the mean."""
        put_fitted(model.features, "mean", torch.tensor([part.scores.mean()], dtype=torch.float64))


class _Constant(Features):
    fitted = ("mean",)
    knows = ("level",)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.empty(0, dtype=torch.float64))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The mean, as often as there are pictures."""
        return self.get_buffer("mean").expand(len(inputs["level"]))
