"""NIQE: how far a picture's patch statistics lie from those of undistorted pictures; no score is learned from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.cards import Bound
from bench.core.spec import Recipe
from bench.data.views.view import Frozen, View
from bench.models.method import Features, Method, QualityModel, Toolbox, put_fitted
from bench.models.part import TrainingPart
from bench.models.vit import VitShape
from methods import _natural as natural
from methods._rounding import without_rounding

WIDTH = 36
TWO_SIDED = [18 * scale + 4 * product + side for scale in (0, 1) for product in range(1, 5) for side in (0, 1)]
"""The columns that are zero where all products of neighbours lie on one side of zero, or all are zero."""
SMALLEST = 4
"""Pixels of the least side that has a patch of two pixels; smaller pictures are continued to it."""


class Niqe(Method):
    """Mittal, Soundararajan and Bovik 2013; the model of undistorted pictures is of the training part's originals."""

    title: ClassVar[str] = "NIQE"
    origin: ClassVar[str] = "Mittal et al. 2013"
    stands_on: ClassVar[Literal["nothing"]] = "nothing"
    learns: ClassVar[Literal["fit"]] = "fit"
    needs: ClassVar[tuple[str, ...]] = ("originals",)
    vit_b: ClassVar[int] = 1332
    bounds: ClassVar[Mapping[str, Bound]] = {"patch": {"least": 8}, "sharpness": {"least": 0, "below": 1}}

    patch: int = 96
    """Pixels a side of a patch; of a smaller picture, half its shorter side."""
    sharpness: float = 0.75
    """Of the sharpest patch of an original: patches below it are not of the model."""

    def views(self, recipe: Recipe) -> dict[str, View]:
        """The picture as it is."""
        return {"picture": View("whole", recipe.size, original=True, plain=True)}

    def assemble_alone(self, recipe: Recipe, toolbox: Toolbox) -> Features:
        """Moments of a picture's patches, and those of the originals that the fit finds."""
        return _Distance(self)

    def size(self, shape: VitShape) -> int:
        """Mean and covariance of the statistics."""
        return WIDTH * (WIDTH + 1)

    def head(self, recipe: Recipe, width: int) -> nn.Module | None:
        """None: the distance is the score."""
        return None

    def fit(self, model: QualityModel, part: TrainingPart) -> None:
        """Put the sharp patches of all originals together; human scores are not looked at."""
        assert part.originals is not None
        count, means, scatters = _apart(part.originals("moments").double()[:, 1])
        mean = (count[:, None] * means).sum(0) / count.sum()
        off = means - mean
        scatter = scatters.sum(0) + torch.einsum("n,ni,nj->ij", count, off, off)
        put_fitted(model.features, "mean", mean)
        put_fitted(model.features, "covariance", scatter / (count.sum() - 1).clamp_min(1))


def statistics(pictures: Tensor, patch: int) -> tuple[Tensor, Tensor]:
    """One picture [1,3,H,W] of 0 to 255 → ([patches, 36], each patch's sharpness)."""
    height, width = pictures.shape[-2:]
    pictures = F.pad(pictures, [0, max(0, SMALLEST - width), 0, max(0, SMALLEST - height)], mode="replicate")
    patch = min(patch, min(pictures.shape[-2:]) // 2) // 2 * 2
    grey = natural.luma(pictures)
    rows, columns = (side // patch for side in grey.shape[-2:])
    grey = grey[..., : rows * patch, : columns * patch]
    parts, sharpness = [], torch.empty(0)
    for scale, of_scale in enumerate((grey, natural.half(grey))):
        found, deviation = natural.mscn(of_scale, edge="replicate")
        side = patch >> scale
        parts.append(_of_patches(_patches(without_rounding(found), side)))
        if scale == 0:
            sharpness = _patches(deviation, side).mean((1, 2))
    return torch.cat(parts, dim=1), sharpness


def _patches(maps: Tensor, side: int) -> Tensor:
    """[1,1,H,W] → [patches, side, side]."""
    return maps[0, 0].unfold(0, side, side).unfold(1, side, side).flatten(0, 1)


def _of_patches(patches: Tensor) -> Tensor:
    """18 numbers of each patch: shape and scale of its values, then four of each neighbour's product."""
    alpha, left, right = natural.aggd(patches.flatten(1))
    columns = [alpha, natural.spread(alpha) * (left + right) / 2]
    for product in natural.products(patches):
        alpha, left, right = natural.aggd(product)
        columns += [alpha, natural.middle(alpha, left, right)]
        columns += [natural.spread(alpha) * left, natural.spread(alpha) * right]
    return torch.stack(columns, dim=1)


def moments(found: Tensor) -> Tensor:
    """[N, width] → [1 + width + width²]: how many patches, their mean, and a root of the sum of squares about it.

    Patches without a statistic of their own, as flat ones are, do not count, unless all are so. The root has no more
    rank than there are patches also in half the digits, which the sum itself would have.
    """
    two_sided = (found[:, TWO_SIDED] > 0).all(1)
    found = found[two_sided] if two_sided.any() else found
    mean = found.mean(0)
    triangle = torch.linalg.qr(found - mean, mode="r")[1]
    root = F.pad(triangle, [0, 0, 0, found.shape[1] - len(triangle)])
    count = torch.tensor([float(len(found))], dtype=found.dtype, device=found.device)
    return torch.cat([count, mean, root.flatten()])


def _apart(kept: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Moments of pictures [B, 1 + width + width²] → how many patches, their means, their sums of squares."""
    root = kept[:, 1 + WIDTH :].unflatten(1, (WIDTH, WIDTH))
    return kept[:, 0], kept[:, 1 : 1 + WIDTH], root.mT @ root


class _Distance(Features):
    fitted = ("mean", "covariance")

    def __init__(self, options: Niqe) -> None:
        super().__init__()
        self.patch, self.sharpness = options.patch, options.sharpness
        key = f"niqe patch {self.patch} sharpness {self.sharpness}"
        self.frozen = {"moments": Frozen("picture", key, self.moments, exact=True)}
        for name in self.fitted:
            self.register_buffer(name, torch.empty(0, dtype=torch.float64))

    def moments(self, pictures: Tensor) -> Tensor:
        """[B, 2, 1 + width + width²]: of all patches of each picture, and of its sharp ones."""
        made = []
        for one in pictures:
            found, sharpness = statistics(one[None], self.patch)
            sharp = found[sharpness >= self.sharpness * sharpness.max()]
            made.append(torch.stack([moments(found), moments(sharp)]))
        return torch.stack(made).float()

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Equation 10 of the paper with its sign turned: near is good."""
        count, mean, scatter = _apart(inputs["moments"].double()[:, 0])
        own = scatter / (count - 1).clamp_min(1)[:, None, None]
        apart = mean - self.get_buffer("mean")
        inverse = torch.linalg.pinv((own + self.get_buffer("covariance")) / 2, hermitian=True)
        return -torch.einsum("ni,nij,nj->n", apart, inverse, apart).clamp_min(0).sqrt()
