"""What knowing the distortion gives: the mean training score of the picture's own distortion and level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.data.views.view import View
from bench.models.method import Features, Method, QualityModel, Toolbox, put_fitted
from bench.models.part import TrainingPart
from bench.models.vit import VitShape


class DistortionOracle(Method):
    """Looks up a cell's mean and sees no pixel: what is above it has looked at the picture."""

    title: ClassVar[str] = "Distortion oracle"
    origin: ClassVar[str] = "a ceiling of knowing the distortion"
    stands_on: ClassVar[Literal["nothing"]] = "nothing"
    learns: ClassVar[Literal["fit"]] = "fit"
    needs: ClassVar[tuple[str, ...]] = ("distortion",)
    ranked: ClassVar[bool] = False

    def views(self, recipe: object) -> dict[str, View]:
        """None."""
        return {}

    def assemble_alone(self, recipe: object, toolbox: Toolbox) -> Features:
        """A table of cells."""
        return _Cells()

    def size(self, shape: VitShape) -> int:
        """A mean for each cell of the training part."""
        return -1

    def head(self, recipe: object, width: int) -> nn.Module | None:
        """None: a cell's mean is the score."""
        return None

    def fit(self, model: QualityModel, part: TrainingPart) -> None:
        """Take the mean of each cell; a cell that was never seen gets its distortion's mean, or the mean of all."""
        kinds, levels = part.stacked("distortion"), part.stacked("level")
        scores = torch.from_numpy(part.scores)
        cells = torch.stack([kinds, levels], dim=1)
        alone = torch.stack([kinds, torch.full_like(levels, ANY)], dim=1)
        whole = torch.full_like(cells, ANY)
        names, which = torch.unique(torch.cat([cells, alone, whole]), dim=0, return_inverse=True)
        sums = torch.zeros(len(names), dtype=torch.float64).index_add_(0, which, scores.repeat(3))
        put_fitted(model.features, "names", names)
        put_fitted(model.features, "means", sums / torch.bincount(which))


ANY = -1
"""In the place of a level or a distortion: whatever it is."""


class _Cells(Features):
    fitted = ("names", "means")
    knows = ("distortion", "level")

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("names", torch.empty(0, 2, dtype=torch.int64))
        self.register_buffer("means", torch.empty(0, dtype=torch.float64))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The mean of the narrowest cell that was seen."""
        kinds, levels = inputs["distortion"], inputs["level"]
        anything = torch.full_like(levels, ANY)
        scores = torch.full(levels.shape, torch.nan, dtype=torch.float64, device=levels.device)
        for kind, level in ((kinds, levels), (kinds, anything), (anything, anything)):
            found = (self.get_buffer("names") == torch.stack([kind, level], dim=1).unsqueeze(1)).all(-1)
            mean = (found.double() @ self.get_buffer("means")).masked_fill(~found.any(1), torch.nan)
            scores = torch.where(scores.isnan(), mean, scores)
        return scores
