"""IL-NIQE: NIQE with gradients, log-Gabor responses and colours beside it, and a distance for each patch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cache
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

PATCH = 84
"""Pixels a side of a patch at full size; 42 at half."""
WIDTH = 468
"""Statistics of a patch: 234 at each of two sizes."""
OPPONENT = ((0.06, 0.63, 0.27), (0.30, 0.04, -0.35), (0.34, -0.60, 0.17))
"""The paper's Eq. 10: luminance, and two differences of colours."""
SCALES, ORIENTATIONS = 3, 4
SHORTEST, STEP, BAND, ANGLE = 2.4, 1.31, 0.55, 1.10
"""Log-Gabor filters: the shortest wavelength, the factor between scales, and the widths across and along them."""
SMOOTH = 1.66
"""The Gaussian whose derivatives are taken."""


class Ilniqe(Method):
    """Zhang, Zhang and Bovik 2015; the model of undistorted pictures is of the training part's originals."""

    title: ClassVar[str] = "IL-NIQE"
    origin: ClassVar[str] = "Zhang et al. 2015"
    stands_on: ClassVar[Literal["nothing"]] = "nothing"
    learns: ClassVar[Literal["fit"]] = "fit"
    needs: ClassVar[tuple[str, ...]] = ("originals",)
    bounds: ClassVar[Mapping[str, Bound]] = {
        "side": {"least": 168},
        "sharpness": {"least": 0, "below": 1},
        "components": {"least": 1},
    }

    side: int = 524
    """Pixels a side that pictures are squeezed to."""
    sharpness: float = 0.78
    """Of the sharpest patch of an original: patches below it are not of the model."""
    components: int = 430
    """Principal components at most; of few originals as many as they have."""

    def views(self, recipe: Recipe) -> dict[str, View]:
        """The whole picture, squeezed to a square."""
        return {"picture": View("resize", self.side, plain=True)}

    def assemble_alone(self, recipe: Recipe, toolbox: Toolbox) -> Features:
        """Statistics of patches, and the model of originals that the fit finds."""
        return _Distance(self.sharpness)

    def size(self, shape: VitShape) -> int:
        """As many components as the originals have."""
        return -1

    def head(self, recipe: Recipe, width: int) -> nn.Module | None:
        """None: the distance is the score."""
        return None

    def fit(self, model: QualityModel, part: TrainingPart) -> None:
        """Principal components of the originals' sharp patches, and their mean and covariance there."""
        assert part.originals is not None
        found = part.originals("patches").double()
        sharpness = found[..., WIDTH]
        sharp = found[..., :WIDTH][sharpness >= self.sharpness * sharpness.amax(1, keepdim=True)]
        middle = sharp.mean(0)
        _, strengths, directions = torch.linalg.svd(sharp - middle, full_matrices=False)
        rank = int((strengths > RELATIVE * strengths[0]).sum().clamp_min(1))
        basis = directions[: min(self.components, rank)].T
        put_fitted(model.features, "middle", middle)
        put_fitted(model.features, "basis", basis)
        put_fitted(model.features, "covariance", _covariance(((sharp - middle) @ basis)[None])[0])


RELATIVE = 1e-6
"""A direction along which originals vary less than this, beside the first, is none of theirs."""


def _covariance(found: Tensor) -> Tensor:
    """[B, n, width] → [B, width, width]."""
    off = found - found.mean(1, keepdim=True)
    return off.transpose(1, 2) @ off / max(1, found.shape[1] - 1)


class _Distance(Features):
    fitted = ("middle", "basis", "covariance")

    def __init__(self, sharpness: float) -> None:
        super().__init__()
        self.sharpness = sharpness
        self.frozen = {"patches": Frozen("picture", "il-niqe patches", self.patches, exact=True)}
        for name in self.fitted:
            self.register_buffer(name, torch.empty(0, dtype=torch.float64))

    def patches(self, pictures: Tensor) -> Tensor:
        """[B, patches, 468 + 1]: the statistics of each patch, and its sharpness."""
        return torch.stack([statistics(one[None]) for one in pictures]).float()

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The mean over patches of the distance to the originals' model, with its sign turned: near is good."""
        found = (inputs["patches"][..., :WIDTH].double() - self.get_buffer("middle")) @ self.get_buffer("basis")
        inverse = torch.linalg.pinv((_covariance(found) + self.get_buffer("covariance")) / 2, hermitian=True)
        return -torch.einsum("bni,bij,bnj->bn", found, inverse, found).clamp_min(0).sqrt().mean(1)


def statistics(picture: Tensor) -> Tensor:
    """One picture [1,3,H,W] of 0 to 255 → [patches, 468 + 1]."""
    rows, columns = (side // PATCH for side in picture.shape[-2:])
    colours = picture.double()[..., : rows * PATCH, : columns * PATCH]
    parts, sharpness = [], torch.empty(0)
    for scale in (0, 1):
        side = PATCH >> scale
        opponent = torch.einsum(
            "oc,bchw->bohw", torch.tensor(OPPONENT, dtype=torch.float64).to(picture.device), colours
        )
        normal, deviation = natural.mscn(opponent[:, :1], edge="replicate")
        columns_of = [*_niqe(_cut(normal, side)), *_of_maps(opponent, side), *_of_colours(colours, side)]
        parts.append(torch.stack(columns_of, dim=1))
        if scale == 0:
            sharpness = _cut(deviation, side).mean(-1)
        colours = natural.half(colours)
    return torch.cat([*parts, sharpness[:, None]], dim=1)


def _cut(maps: Tensor, side: int) -> Tensor:
    """[1,1,H,W] → [patches, side²]."""
    return maps[0, 0].unfold(0, side, side).unfold(1, side, side).flatten(0, 1).flatten(1)


def _niqe(patches: Tensor) -> Iterator[Tensor]:
    """18 numbers of the normalised luminance, as NIQE's."""
    side = math.isqrt(patches.shape[1])
    alpha, left, right = natural.aggd(patches)
    yield from (alpha, natural.spread(alpha) * (left + right) / 2)
    for product in natural.products(patches.unflatten(1, (side, side))):
        alpha, left, right = natural.aggd(product)
        yield from (alpha, natural.middle(alpha, left, right))
        yield from (natural.spread(alpha) * left, natural.spread(alpha) * right)


def _of_maps(opponent: Tensor, side: int) -> Iterator[Tensor]:
    """210 numbers: derivatives and gradients of each opponent channel, and of the luminance's log-Gabor responses."""
    for channel in opponent.split(1, dim=1):
        yield from _of_derivatives(channel, side)
    for response in log_gabor(opponent[:, :1]):
        yield from _ggd(_cut(response, side))
        yield from _of_derivatives(response, side)


def _of_derivatives(maps: Tensor, side: int) -> Iterator[Tensor]:
    """Six numbers: generalised Gaussians of both smoothed derivatives, a Weibull of the gradient's length."""
    across, down = derivatives(maps)
    yield from _ggd(_cut(across, side))
    yield from _ggd(_cut(down, side))
    yield from weibull(_cut((across.square() + down.square()).sqrt(), side))


def _ggd(values: Tensor) -> Iterator[Tensor]:
    shape, variance = natural.ggd(values)
    yield from (shape, natural.spread(shape) * variance.sqrt())


def _of_colours(colours: Tensor, side: int) -> Iterator[Tensor]:
    """Six numbers: mean and variance of the logarithms' sum and differences (Eq. 6 to 9)."""
    logs = (colours.clamp_min(0) + 1).log()
    red, green, blue = (logs - logs.mean((2, 3), keepdim=True)).split(1, dim=1)
    for combined, length in ((red + green + blue, 3), (red + green - 2 * blue, 6), (red - green, 2)):
        patches = _cut(combined / math.sqrt(length), side)
        yield from (patches.mean(1), patches.var(1))


def derivatives(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Across and down, of a map smoothed by a Gaussian."""
    reach = math.ceil(3 * SMOOTH)
    at = torch.arange(-reach, reach + 1, dtype=torch.float64, device=maps.device)
    bell = torch.exp(-at.square() / (2 * SMOOTH**2))
    bell = bell / bell.sum()
    slope = at * bell / (at.square() * bell).sum()  # of a plane that rises by one a pixel it gives one
    padded = F.pad(maps, [reach] * 4, mode="replicate")

    def through(across: Tensor, down: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(padded, across.view(1, 1, 1, -1)), down.view(1, 1, -1, 1))

    return through(slope, bell), through(bell, slope)


def log_gabor(maps: Tensor) -> Iterator[Tensor]:
    """Real and imaginary part of each filter's response, [1,1,H,W] each: three scales by four orientations."""
    spectrum = torch.fft.fft2(maps)
    for gain in _filters(*maps.shape[-2:]):
        response = torch.fft.ifft2(spectrum * gain.to(maps.device))
        yield from (response.real, response.imag)


@cache
def _filters(height: int, width: int) -> tuple[Tensor, ...]:
    """Log-Gabor filters in the frequency plane: a bell over the logarithm of the frequency, and one over the angle."""
    down = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    across = torch.fft.fftfreq(width, dtype=torch.float64)[None]
    frequency = (down.square() + across.square()).sqrt()
    angle = torch.atan2(-down, across.expand(height, width))
    made = []
    for scale in range(SCALES):
        centre = 1 / (SHORTEST * STEP**scale)
        radial = torch.exp(-(frequency.clamp_min(1e-9) / centre).log().square() / (2 * math.log(BAND) ** 2))
        radial[0, 0] = 0
        for orientation in range(ORIENTATIONS):
            apart = angle - orientation * math.pi / ORIENTATIONS
            apart = torch.atan2(apart.sin(), apart.cos())
            made.append(radial * torch.exp(-apart.square() / (2 * (math.pi / ORIENTATIONS / ANGLE) ** 2)))
    return tuple(made)


def weibull(values: Tensor, steps: int = 12) -> tuple[Tensor, Tensor]:
    """(scale, shape) of a Weibull distribution by maximum likelihood; [N, values] → [N] each."""
    values = values / (unit := values.mean(1, keepdim=True).clamp_min(natural.TINY))
    logs = values.clamp_min(1e-12).log()
    middle = logs.mean(1)
    shape = (math.pi / math.sqrt(6) / logs.std(1).clamp_min(1e-6)).clamp(0.05, 50)
    for _ in range(steps):  # Newton's steps on the likelihood's slope
        powers = (shape[:, None] * logs).clamp(-300, 300).exp()
        sums = powers.sum(1)
        first, second = (powers * logs).sum(1) / sums, (powers * logs.square()).sum(1) / sums
        slope = first - 1 / shape - middle
        shape = (shape - slope / (second - first.square() + shape.pow(-2))).clamp(0.05, 50)
    powers = (shape[:, None] * logs).clamp(-300, 300).exp()
    return unit[:, 0] * powers.mean(1).pow(1 / shape), shape
