"""Ridge regression on a frozen network's pooled features, in closed form: ARNIQA's protocol on any ViT, or on a CNN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.cards import Bound
from bench.core.spec import Recipe, Scalar
from bench.data.views.view import Frozen
from bench.models.method import Features, Method, QualityModel, Toolbox, put_fitted
from bench.models.part import TrainingPart
from bench.models.vit import Vit, VitShape, cnn_channels


class Ridge(Method):
    """The strongest cheap baseline, and a check on the linear probe: the same features, solved instead of trained."""

    title: ClassVar[str] = "Ridge"
    origin: ClassVar[str] = "ARNIQA's evaluation protocol"
    learns: ClassVar[Literal["fit"]] = "fit"
    recipe: ClassVar[Mapping[str, Scalar]] = {"train_views": 5, "test_views": 5, "flips": False, "short_side": 0}
    vit_b: ClassVar[int] = 769

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """The frozen feature, and weights that the fit finds."""
        return _OfVit(vit)

    def size(self, shape: VitShape) -> int:
        """A weight for each feature, and a constant."""
        return shape.width + 1

    def head(self, recipe: Recipe, width: int) -> nn.Module | None:
        """None: the fitted map is the head."""
        return None

    def fit(self, model: QualityModel, part: TrainingPart) -> None:
        """Solve for the α with the least error on held-out contents, then once more on all."""
        features = np.concatenate([part.stacked("feature", view).double().numpy() for view in range(part.views)])
        scores, held = np.tile(part.scores, part.views), np.tile(part.held_out(), part.views)
        errors = [_error(features, scores, held, alpha) for alpha in ALPHAS]
        weights, constant = solve(features, scores, ALPHAS[int(np.argmin(errors))])
        put_fitted(model.features, "weights", torch.from_numpy(weights))
        put_fitted(model.features, "constant", torch.tensor([constant], dtype=torch.float64))


class RidgeCnn(Ridge):
    """The same on a CNN's last feature map, its mean at full and at half size: ARNIQA's own shape."""

    name = "ridge_cnn"
    title: ClassVar[str] = "Ridge on a CNN"
    stands_on: ClassVar[Literal["own"]] = "own"
    networks: ClassVar[tuple[str, ...]] = ("cnn",)
    preset_options: ClassVar[Mapping[str, Mapping[str, str]]] = {"demo": {"cnn": "tf_efficientnet_lite0"}}
    vit_b: ClassVar[int] = 4097
    bounds: ClassVar[Mapping[str, Bound]] = {"scales": {"least": 1, "below": 4}}

    cnn: str = "resnet50.a1_in1k"
    """The frozen CNN, by its timm name."""
    scales: int = 2
    """At how many sizes of the crop it looks, each half of the one before."""

    def assemble_alone(self, recipe: Recipe, toolbox: Toolbox) -> Features:
        """The CNN and the weights that the fit finds."""
        return _OfCnn(toolbox(self.cnn), self.scales)

    def size(self, shape: VitShape) -> int:
        """A weight for each channel and size, and a constant."""
        return self.scales * cnn_channels(self.cnn)[-1] + 1


ALPHAS = tuple(10.0**power for power in range(-3, 6))


def solve(features: np.ndarray, scores: np.ndarray, alpha: float) -> tuple[np.ndarray, float]:
    """Weights and constant of least squares with α·‖w‖²; the constant is not made small."""
    middle, mean = features.mean(0), scores.mean()
    centred = features - middle
    gram = centred.T @ centred
    gram[np.diag_indices_from(gram)] += alpha
    weights: np.ndarray = np.linalg.solve(gram, centred.T @ (scores - mean))
    return weights, float(mean - middle @ weights)


def _error(features: np.ndarray, scores: np.ndarray, held: np.ndarray, alpha: float) -> float:
    """The mean squared error on held-out contents of what the others give; on all, where nothing could be held out."""
    if not held.any():
        return alpha
    weights, constant = solve(features[~held], scores[~held], alpha)
    return float(np.mean((features[held] @ weights + constant - scores[held]) ** 2))


class _Linear(Features):
    fitted = ("weights", "constant")

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.empty(0, dtype=torch.float64))
        self.register_buffer("constant", torch.empty(0, dtype=torch.float64))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The fitted score of the frozen feature."""
        return inputs["feature"].double() @ self.get_buffer("weights") + self.get_buffer("constant")


class _OfVit(_Linear):
    def __init__(self, vit: Vit) -> None:
        super().__init__()
        self.vit = vit
        self.frozen = {"feature": Frozen("crop", "pooled", vit.forward)}  # the linear probe's: computed once for both


class _OfCnn(_Linear):
    def __init__(self, cnn: nn.Module, scales: int) -> None:
        super().__init__()
        self.cnn, self.scales = cnn, scales
        self.frozen = {"feature": Frozen("crop", f"last stage at {scales} sizes", self.feature)}

    def feature(self, pictures: Tensor) -> Tensor:
        """The mean of the last stage at each size."""
        found = []
        for _ in range(self.scales):
            found.append(self.cnn(pictures)[-1].mean((2, 3)))
            pictures = F.interpolate(pictures, scale_factor=0.5, mode="bilinear", antialias=True)
        return torch.cat(found, dim=1)
