"""IL-NIQE: NIQE with gradients, log-Gabor responses and colours beside it, and a distance for each patch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.cards import Bound
from bench.core.spec import Recipe, Scalar
from bench.data.views.view import Frozen, View
from bench.models.method import Features, Method, QualityModel, Toolbox, put_fitted
from bench.models.part import TrainingPart
from bench.models.vit import VitShape
from methods import _natural as natural

PATCH = 84
"""Pixels a side of a patch at full size, of a small picture half its side; half as many at half size."""
WIDTH = 468
"""Statistics of a patch: 234 at each of two sizes."""
OPPONENT = ((0.06, 0.63, 0.27), (0.30, 0.04, -0.35), (0.34, -0.60, 0.17))
"""Luminance, and two differences of colours."""
WINDOW, DEVIATION = 5, 5 / 6
"""The Gaussian window of the local mean and deviation."""
SCALES, ORIENTATIONS = 3, 4
SHORTEST, STEP, BAND, ANGLE = 2.4, 1.31, 0.55, 1.10
"""Log-Gabor filters: the shortest wavelength, the factor between scales, the widths across and along orientations."""
SMOOTH = 1.66
"""Deviation of the Gaussian whose derivatives are taken."""
AT_HALF = {"smooth": 2**-0.28, "shortest": 2**-0.87}
"""What these two shrink by at half size."""
ROUNDING = 1e-9
"""Responses below this are zero but for rounding: which side of zero they fall on is the processor's choice."""
NOTHING = 1e-12
"""A map whose values in a patch are smaller than this on average says nothing of the patch."""
LOST = 2000.0
"""Where a picture without any telling patch lies, in every component."""
RELATIVE = 1e-9
"""A direction along which originals vary less than this, beside the first, is none of theirs."""


class Ilniqe(Method):
    """Zhang, Zhang and Bovik 2015; the model of undistorted pictures is of the training part's originals."""

    title: ClassVar[str] = "ILNIQE"
    origin: ClassVar[str] = "Zhang et al. 2015"
    stands_on: ClassVar[Literal["nothing"]] = "nothing"
    learns: ClassVar[Literal["fit"]] = "fit"
    needs: ClassVar[tuple[str, ...]] = ("originals",)
    preset_options: ClassVar[Mapping[str, Mapping[str, Scalar]]] = {"demo": {"side": 252}}
    bounds: ClassVar[Mapping[str, Bound]] = {
        "side": {"least": 168},
        "sharpness": {"least": 0, "below": 1},
        "components": {"least": 1},
    }

    side: int = 524
    """Pixels a side that pictures are squeezed to, whatever their aspect."""
    sharpness: float = 0.78
    """Of the sharpest patch of an original: patches below it are not of the model."""
    components: int = 430
    """Principal components at most; of few originals as many as they have."""

    def views(self, recipe: Recipe) -> dict[str, View]:
        """The whole picture, squeezed to a square."""
        return {"picture": View("resize", self.side, plain=True)}

    def assemble_alone(self, recipe: Recipe, toolbox: Toolbox) -> Features:
        """Statistics of patches, and the model of originals that the fit finds."""
        return _Distance()

    def size(self, shape: VitShape) -> int:
        """As many components as the originals have."""
        return -1

    def head(self, recipe: Recipe, width: int) -> nn.Module | None:
        """None: the distance is the score."""
        return None

    def fit(self, model: QualityModel, part: TrainingPart) -> None:
        """Principal components of the originals' sharp patches, and their covariance there; no score is looked at."""
        assert part.originals is not None
        found = part.originals("patches").double()
        sharpness = found[..., WIDTH]
        sharp = found[..., :WIDTH][sharpness >= self.sharpness * sharpness.amax(1, keepdim=True)]
        sharp = sharp[sharp.isfinite().all(1)]
        middle = sharp.mean(0)
        _, strengths, directions = torch.linalg.svd(sharp - middle, full_matrices=False)
        rank = min(self.components, int((strengths > RELATIVE * strengths[0]).sum().clamp_min(1)))
        put_fitted(model.features, "middle", middle)
        put_fitted(model.features, "basis", directions[:rank].T)
        put_fitted(model.features, "variances", strengths[:rank].square() / max(1, len(sharp) - 1))


class _Distance(Features):
    fitted = ("middle", "basis", "variances")

    def __init__(self) -> None:
        super().__init__()
        self.frozen = {"patches": Frozen("picture", "il-niqe patches", self.patches, exact=True)}
        for name in self.fitted:
            self.register_buffer(name, torch.empty(0, dtype=torch.float64))

    def patches(self, pictures: Tensor) -> Tensor:
        """[B, patches, 468 + 1]: the statistics of each patch, and its sharpness."""
        return torch.stack([torch.cat(statistics(one), dim=1) for one in pictures]).float()

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The mean over patches of the distance to the originals' model, with its sign turned: near is good.

        A patch that lacks a statistic, as a flat one does, counts as the mean of the others.
        """
        found = (inputs["patches"][..., :WIDTH].double() - self.get_buffer("middle")) @ self.get_buffer("basis")
        known = found.isfinite().all(2, keepdim=True)
        count = known.sum(1, keepdim=True)
        mean = torch.where(known, found, 0).sum(1, keepdim=True) / count.clamp_min(1)
        found = torch.where(known, found, torch.where(count > 0, mean, LOST))
        off = (found - mean) * known
        own = off.transpose(1, 2) @ off / (count - 1).clamp_min(1)
        inverse = torch.linalg.pinv((own + self.get_buffer("variances").diag()) / 2, hermitian=True)
        return -((found @ inverse) * found).sum(2).clamp_min(0).sqrt().mean(1)


def statistics(picture: Tensor) -> tuple[Tensor, Tensor]:
    """One picture [3,H,W] of 0 to 255 → ([patches, 468], each patch's sharpness [patches, 1])."""
    patch = min(PATCH, min(picture.shape[-2:]) // 4 * 2)
    rows, columns = (side // patch for side in picture.shape[-2:])
    colours = picture.double()[:, : rows * patch, : columns * patch]
    matrix = torch.tensor(OPPONENT, dtype=torch.float64, device=colours.device)
    opponent = torch.einsum("oc,chw->ohw", matrix, colours)
    parts, sharpness = [], torch.empty(0)
    for half in (False, True):
        side = patch // 2 if half else patch
        normal, deviation = _normalised(opponent[0])
        parts += [_of_normalised(_cut(normal, side)), _of_colours(colours, side), *_of_filters(opponent, side, half)]
        if not half:
            sharpness = _cut(deviation, side).mean((1, 2))[:, None]
            colours, opponent = _halved(colours), _halved(opponent)
    return torch.cat(parts, dim=1), sharpness


def _cut(maps: Tensor, side: int) -> Tensor:
    """[..., H, W] → [..., patches, side, side]."""
    return maps.unfold(-2, side, side).unfold(-2, side, side).flatten(-4, -3)


def _normalised(luminance: Tensor) -> tuple[Tensor, Tensor]:
    """(mean-subtracted, contrast-normalised map, local deviation) of [H, W], as NIQE's with a smaller window."""
    bell = _bell(WINDOW, DEVIATION)
    mean, square = (_filtered(maps, bell, bell, "replicate")[0] for maps in (luminance[None], luminance.square()[None]))
    deviation = (square - mean.square()).abs().sqrt()
    return _without_rounding((luminance - mean) / (deviation + 1)), deviation


def _halved(maps: Tensor) -> Tensor:
    """Smoothed by a window of six, whose middle is between the third and the fourth, then every other pixel."""
    bell = _bell(6, 0.9)
    return _filtered(maps, bell, bell, "replicate")[:, ::2, ::2]


def _bell(length: int, deviation: float) -> list[float]:
    """A Gaussian whose values add up to one."""
    values = [math.exp(-((at - (length - 1) / 2) ** 2) / (2 * deviation**2)) for at in range(length)]
    return [value / sum(values) for value in values]


def _filtered(maps: Tensor, down: Sequence[float], across: Sequence[float], edge: str) -> Tensor:
    """Every map of [C,H,W] correlated with a kernel down its columns, then with one across its rows."""
    for side, kernel in ((-2, down), (-1, across)):
        before, length = (len(kernel) - 1) // 2, maps.shape[side]
        pads = [before, len(kernel) - 1 - before]
        padded = F.pad(maps, [0, 0, *pads] if side == -2 else [*pads, 0, 0], mode=edge)
        maps = padded.narrow(side, 0, length) * kernel[0]
        for at, weight in enumerate(kernel[1:], 1):
            maps.add_(padded.narrow(side, at, length), alpha=weight)
    return maps


def _of_normalised(patches: Tensor) -> Tensor:
    """18 numbers of each patch, as NIQE's."""
    columns = [_gaussian(patches)]
    for product in natural.products(patches):
        alpha, left, right = natural.aggd(product)
        spread = natural.spread(alpha)
        columns.append(torch.stack([alpha, natural.middle(alpha, left, right), spread * left, spread * right], dim=1))
    return torch.cat(columns, dim=1)


def _of_colours(colours: Tensor, side: int) -> Tensor:
    """Six numbers of each patch: mean and variance of the logarithms' sum and of their two differences."""
    logs = (colours + 1e-5).log()
    red, green, blue = logs - logs.mean((1, 2), keepdim=True)
    combined = [(red + green + blue) / 3**0.5, (red + green - 2 * blue) / 6**0.5, (red - green) / 2**0.5]
    patches = _cut(torch.stack(combined), side).flatten(2)
    return torch.cat([patches.mean(2).T, patches.var(2).T], dim=1)


def _of_filters(opponent: Tensor, side: int, half: bool) -> Iterator[Tensor]:
    """210 numbers of each patch: derivatives and gradients of the opponent channels, and log-Gabor responses with
    theirs."""
    responses = log_gabor(opponent[0], SHORTEST * (AT_HALF["shortest"] if half else 1))
    yield torch.cat([_gaussian(_cut(one, side)) for one in responses], dim=1)
    deviation = SMOOTH * (AT_HALF["smooth"] if half else 1)
    for maps in (opponent, responses):  # one map at a time, for it fits in a processor's cache: twice as fast
        of_maps = [_of_slopes(one, deviation, side) for one in maps]
        yield from (torch.cat(columns, dim=1) for columns in zip(*of_maps, strict=True))


def _of_slopes(one: Tensor, deviation: float, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Two numbers of each patch: of a map's derivative across, of that down, and of the gradient's length."""
    across, down = derivatives(one, deviation)
    length = (across.square() + down.square() + 1e-8).sqrt()
    return _gaussian(_cut(across, side)), _gaussian(_cut(down, side)), _weibull(_cut(length, side))


def _gaussian(patches: Tensor) -> Tensor:
    """[patches, side, side] → [patches, 2]: shape and scale of a generalised Gaussian."""
    values = patches.flatten(1)
    alpha, left, right = natural.aggd(values)
    found = torch.stack([alpha, natural.spread(alpha) * (left + right) / 2], dim=1)
    found[values.abs().mean(1) < NOTHING] = torch.nan
    return found


def _weibull(patches: Tensor) -> Tensor:
    """[patches, side, side] → [patches, 2]: scale and shape of a Weibull distribution."""
    return torch.stack(weibull(patches.flatten(1)), dim=1)


def derivatives(one: Tensor, deviation: float) -> tuple[Tensor, Tensor]:
    """Across and down, of a map [H, W] smoothed by a Gaussian; beyond the edge there is nothing."""
    reach = math.ceil(3 * deviation)
    bell = [math.exp(-(at**2) / (2 * deviation**2)) for at in range(-reach, reach + 1)]
    slope = [at * value for at, value in zip(range(-reach, reach + 1), bell, strict=True)]
    across, down = (_filtered(one[None], *kernels, "constant")[0] for kernels in ((bell, slope), (slope, bell)))
    return _without_rounding(across), _without_rounding(down)


def _without_rounding(maps: Tensor) -> Tensor:
    return F.hardshrink(maps, ROUNDING)


def log_gabor(luminance: Tensor, shortest: float) -> Tensor:
    """Real and imaginary part of each filter's response to [H, W]: [24, H, W]."""
    spectrum = torch.fft.fft2(luminance)
    filters = _filters(*luminance.shape, shortest).to(luminance.device)
    responses = torch.stack([torch.fft.ifft2(spectrum * one) for one in filters])
    return _without_rounding(torch.cat([responses.real, responses.imag]))


@cache
def _filters(height: int, width: int, shortest: float) -> Tensor:
    """[12, H, W] in the frequency plane: a bell over the logarithm of the frequency times one over the angle."""
    down = torch.fft.fftfreq(height, dtype=torch.float64)[:, None]
    across = torch.fft.fftfreq(width, dtype=torch.float64)[None]
    frequency = (down.square() + across.square()).sqrt()
    frequency[0, 0] = 1
    angle = torch.atan2(-down, across)
    turns = angle - torch.arange(ORIENTATIONS).view(-1, 1, 1) * math.pi / ORIENTATIONS
    apart = torch.atan2(turns.sin(), turns.cos())
    angular = torch.exp(-apart.square() / (2 * (math.pi / ORIENTATIONS / ANGLE) ** 2))
    wavelengths = shortest * STEP ** torch.arange(SCALES, dtype=torch.float64).view(-1, 1, 1)
    radial = torch.exp(-(frequency * wavelengths).log().square() / (2 * math.log(BAND) ** 2))
    radial[:, 0, 0] = 0
    return (radial[:, None] * angular).flatten(0, 1)


def weibull(values: Tensor) -> tuple[Tensor, Tensor]:
    """(scale, shape) of a Weibull distribution by maximum likelihood; [..., values] → [...] each, NaN of equal ones."""
    logs = values.log()
    logs -= (unit := logs.amax(-1, keepdim=True))
    mean, deviation = logs.mean(-1), logs.std(-1)
    shape = 1.2 / deviation
    for _ in range(20):  # Newton's steps on the likelihood's slope; five or so are taken
        powers = (shape[..., None] * logs).exp()
        total, weighted = powers.sum(-1), powers * logs
        first, second = weighted.sum(-1) / total, (weighted * logs).sum(-1) / total
        step = (first - 1 / shape - mean) / (second - first.square() + shape.pow(-2))
        shape = shape - step
        if not (step.abs() > 1e-7 * shape).any():
            break
    shape[deviation < 1e-6] = torch.nan
    return ((shape[..., None] * logs).exp().mean(-1).log() / shape + unit[..., 0]).exp(), shape
