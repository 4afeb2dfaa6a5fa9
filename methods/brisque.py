"""BRISQUE: 36 statistics of locally normalised grey values, and a support vector regression on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.spec import Recipe
from bench.data.views.view import Frozen, View
from bench.models.method import Features, Method, QualityModel, Toolbox, put_fitted
from bench.models.part import TrainingPart
from bench.models.vit import VitShape
from methods import _natural as natural
from methods._rounding import without_rounding

COSTS = (1.0, 16.0, 256.0, 1024.0)
WIDTHS = (0.01, 0.05, 0.25)
"""What is tried on held-out contents; the authors' code has C = 1024 and γ = 0.05."""
TRIED = 1500
"""Pictures of the training part that a choice is made on at most: fitting takes more than their square."""


class Brisque(Method):
    """Mittal, Moorthy and Bovik 2012; the regression is fitted on the training part, not taken from the authors."""

    title: ClassVar[str] = "BRISQUE"
    origin: ClassVar[str] = "Mittal et al. 2012"
    stands_on: ClassVar[Literal["nothing"]] = "nothing"
    learns: ClassVar[Literal["fit"]] = "fit"

    choose: bool = True
    """Whether C and γ are chosen on held-out contents of the training part; else they are the authors'."""

    def views(self, recipe: Recipe) -> dict[str, View]:
        """The picture as it is."""
        return {"picture": View("whole", recipe.size, original=True, plain=True)}

    def assemble_alone(self, recipe: Recipe, toolbox: Toolbox) -> Features:
        """Statistics, and the support vectors that the fit finds."""
        return _Regression()

    def size(self, shape: VitShape) -> int:
        """As many support vectors as the data ask for."""
        return -1

    def head(self, recipe: Recipe, width: int) -> nn.Module | None:
        """None: the regression gives the score."""
        return None

    def fit(self, model: QualityModel, part: TrainingPart) -> None:
        """Scale the statistics to −1 … 1 and fit the regression."""
        found = part.stacked("statistics").double().numpy()
        low, high = found.min(0), found.max(0)
        inside = scaled(found, low, high)
        cost, width = self._chosen(inside, part) if self.choose else (1024.0, 0.05)
        machine = _machine(cost, width).fit(inside, part.scores)
        tensors = {
            "low": low,
            "high": high,
            "vectors": machine.support_vectors_,
            "weights": machine.dual_coef_[0],
            "constant": machine.intercept_,
            "gamma": np.array([width]),
        }
        for name, values in tensors.items():
            put_fitted(model.features, name, torch.from_numpy(np.array(values, dtype=np.float64)))

    def _chosen(self, found: np.ndarray, part: TrainingPart) -> tuple[float, float]:
        """C and γ with the least error on held-out contents."""
        held = part.held_out()
        if not held.any():
            return 1024.0, 0.05
        order = np.random.RandomState(np.array([part.seed, 0xB815], dtype=np.uint32)).permutation(np.flatnonzero(~held))
        learned = order[:TRIED]
        errors = {}
        for cost in COSTS:
            for width in WIDTHS:
                machine = _machine(cost, width).fit(found[learned], part.scores[learned])
                errors[cost, width] = float(np.mean((machine.predict(found[held]) - part.scores[held]) ** 2))
        return min(errors, key=lambda pair: errors[pair])


def _machine(cost: float, width: float) -> Any:
    from sklearn.svm import SVR

    return SVR(C=cost, gamma=width, epsilon=0.1)


def scaled(found: Any, low: Any, high: Any) -> Any:
    """From what the training part spans to −1 … 1; a statistic that never changes becomes −1."""
    span = high - low
    return 2 * (found - low) / (span + (span == 0)) - 1


def statistics(pictures: Tensor) -> Tensor:
    """[B,3,H,W] of 0 to 255 → [B,36]: 18 at full size, 18 at half."""
    grey = natural.luma(pictures)
    return torch.cat([_of_scale(grey), _of_scale(natural.half(grey))], dim=1)


def _of_scale(grey: Tensor) -> Tensor:
    """Table I of the paper: shape and variance of the MSCN map, then four numbers of each neighbour's product."""
    found = without_rounding(natural.mscn(grey, edge="constant")[0])
    shape, variance = natural.ggd(found.flatten(1))
    columns = [shape, variance]
    for product in natural.products(found.squeeze(1)):
        alpha, left, right = natural.aggd(product)
        columns += [alpha, natural.middle(alpha, left, right), left.square(), right.square()]
    return torch.stack(columns, dim=1)


class _Regression(Features):
    fitted = ("low", "high", "vectors", "weights", "constant", "gamma")

    def __init__(self) -> None:
        super().__init__()
        self.frozen = {"statistics": Frozen("picture", "brisque", self.statistics, exact=True)}
        for name in self.fitted:
            self.register_buffer(name, torch.empty(0, dtype=torch.float64))

    def statistics(self, pictures: Tensor) -> Tensor:
        """The 36 statistics."""
        return statistics(pictures).float()

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The regression's value, from its support vectors."""
        of = self.get_buffer
        inside = scaled(inputs["statistics"].double(), of("low"), of("high"))
        kernel = torch.exp(-of("gamma") * torch.cdist(inside, of("vectors")).square())
        return kernel @ of("weights") + of("constant")
