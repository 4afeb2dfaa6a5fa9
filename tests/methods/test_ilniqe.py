"""IL-NIQE's statistics against a restatement in numpy and scipy, and what follows from them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy import ndimage, optimize, signal, special, stats

from bench.core.registry import METHODS
from bench.core.spec import Recipe
from bench.models.part import TrainingPart
from methods.ilniqe import PATCH, WIDTH, statistics, weibull

SIDE = 2 * PATCH


def photograph(name: str = "chelsea") -> np.ndarray:
    """[168, 168, 3] of 0 to 255 out of one of scikit-image's own photographs."""
    from skimage import data

    return getattr(data, name)()[60 : 60 + SIDE, 100 : 100 + SIDE, :3].astype(np.float64)


def ours(pixels: np.ndarray) -> torch.Tensor:
    return statistics(torch.from_numpy(pixels).permute(2, 0, 1))[0]


def gaussian(length: int, deviation: float) -> np.ndarray:
    at = np.arange(length) - (length - 1) / 2
    kernel = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * deviation**2))
    return kernel / kernel.sum()


SHAPES = np.arange(200, 10_001) / 1000  # the papers' codes look in steps of a thousandth
MOMENTS = special.gamma(2 / SHAPES) ** 2 / special.gamma(1 / SHAPES) / special.gamma(3 / SHAPES)


def asymmetric(values: np.ndarray) -> tuple[float, float, float]:
    """(α, βl, βr) by the moments of the papers' equation."""
    left, right = (np.sqrt((side**2).mean()) for side in (values[values < 0], values[values > 0]))
    ratio = left / right
    moment = np.abs(values).mean() ** 2 / (values**2).mean() * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    alpha = SHAPES[np.abs(MOMENTS - moment).argmin()]
    spread = np.sqrt(special.gamma(1 / alpha) / special.gamma(3 / alpha))
    return alpha, spread * left, spread * right


def symmetric(values: np.ndarray) -> list[float]:
    alpha, left, right = asymmetric(values)
    return [alpha, (left + right) / 2]


def likeliest(values: np.ndarray) -> list[float]:
    """(scale, shape) of a Weibull: the root of the likelihood's slope, by bisection."""
    scaled, logs = values / values.max(), np.log(values / values.max())

    def slope(shape):
        return (scaled**shape * logs).sum() / (scaled**shape).sum() - 1 / shape - logs.mean()

    shape = optimize.brentq(slope, 0.05, 50)
    return [values.max() * (scaled**shape).mean() ** (1 / shape), shape]


def gabors(side: int, shortest: float) -> list[np.ndarray]:
    """Log-Gabor filters in the frequency plane, scale by scale, frequency 0 in the corner."""
    steps = np.fft.fftfreq(side)
    y, x = np.meshgrid(steps, steps, indexing="ij")
    radius, made = np.hypot(x, y), []
    radius[0, 0] = 1
    for scale in range(3):
        band = np.exp(-(np.log(radius * shortest * 1.31**scale) ** 2) / (2 * np.log(0.55) ** 2))
        band[0, 0] = 0
        for turn in np.arange(4) * np.pi / 4:
            apart = np.abs((np.arctan2(-y, x) - turn + np.pi) % (2 * np.pi) - np.pi)
            made.append(band * np.exp(-(apart**2) / (2 * (np.pi / 4 / 1.10) ** 2)))
    return made


def restated(pixels: np.ndarray, here: tuple[slice, slice], scale: int) -> list[float]:
    """234 numbers of one patch at one of two sizes, in the order of ours."""
    matrix = np.array([[0.06, 0.63, 0.27], [0.3, 0.04, -0.35], [0.34, -0.6, 0.17]])
    opponent = np.moveaxis(pixels @ matrix.T, 2, 0)
    window = gaussian(5, 5 / 6)
    mean = ndimage.correlate(opponent[0], window, mode="nearest")
    deviation = np.sqrt(np.abs(ndimage.correlate(opponent[0] ** 2, window, mode="nearest") - mean**2))
    patch = ((opponent[0] - mean) / (deviation + 1))[here]
    found = symmetric(patch)
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        alpha, left, right = asymmetric(patch * np.roll(patch, shift, (0, 1)))
        found += [alpha, (right - left) * special.gamma(2 / alpha) / special.gamma(1 / alpha), left, right]

    logs = np.log(pixels + 1e-5)
    red, green, blue = np.moveaxis(logs - logs.mean((0, 1)), 2, 0)
    colours = [(red + green + blue) / 3**0.5, (red + green - 2 * blue) / 6**0.5, (red - green) / 2**0.5]
    found += [one[here].mean() for one in colours] + [one[here].var(ddof=1) for one in colours]

    filters = gabors(len(pixels), 2.4 / scale**0.87)
    complex_ = [np.fft.ifft2(np.fft.fft2(opponent[0]) * one) for one in filters]
    responses = [one.real for one in complex_] + [one.imag for one in complex_]
    found += [number for one in responses for number in symmetric(one[here])]
    smooth = 1.66 / scale**0.28
    at = np.arange(-5, 6)
    bell = np.exp(-(at[:, None] ** 2 + at[None] ** 2) / (2 * smooth**2))
    for maps in (opponent, responses):
        across, down = (
            [signal.convolve2d(one, k * bell, "same")[here] for one in maps] for k in (at[None], at[:, None])
        )
        found += [number for one in (*across, *down) for number in symmetric(one)]
        lengths = [np.sqrt(a**2 + d**2 + 1e-8) for a, d in zip(across, down, strict=True)]
        found += [number for one in lengths for number in likeliest(one)]
    return found


@pytest.mark.parametrize("name", ["chelsea", "astronaut"])
def test_ilniqes_statistics_are_those_of_a_restatement(name):
    pixels = photograph(name)
    small = np.stack([ndimage.correlate(one, gaussian(6, 0.9), mode="nearest", origin=-1) for one in pixels.T]).T
    found = ours(pixels).numpy()
    assert found.shape == (4, WIDTH)
    for at, (row, column) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        here = slice(row * 84, row * 84 + 84), slice(column * 84, column * 84 + 84)
        assert found[at, :234] == pytest.approx(restated(pixels, here, 1), abs=1e-3, rel=1e-3)
        here = slice(row * 42, row * 42 + 42), slice(column * 42, column * 42 + 42)
        assert found[at, 234:] == pytest.approx(restated(small[::2, ::2], here, 2), abs=1e-3, rel=1e-3)


def test_rounding_moves_no_statistic_of_a_half_flat_picture():
    """Where a picture is flat, filters answer with rounding, whose sign is the processor's choice."""
    pixels = photograph()
    pixels[: SIDE // 2] = 37
    pixels[:, : SIDE // 3] = 200
    rounding = 1e-11 * np.random.RandomState(0).standard_normal(pixels.shape)
    one, other = ours(pixels), ours(pixels + rounding)
    assert torch.equal(one.isnan(), other.isnan())
    assert torch.allclose(one, other, rtol=1e-6, atol=1e-9, equal_nan=True)


def test_a_weibull_is_found_again_in_draws_from_it():
    drawn = stats.weibull_min.rvs(1.7, scale=3, size=(1, 100_000), random_state=1)
    scale, shape = (one.item() for one in weibull(torch.from_numpy(drawn)))
    assert (scale, shape) == (pytest.approx(3, abs=0.02), pytest.approx(1.7, abs=0.02))


def fitted(found: torch.Tensor, **options):
    """IL-NIQE on originals whose patches have these statistics."""
    method = METHODS.make("ilniqe", options)
    model = method.build(None, Recipe(), None)
    part = partial(TrainingPart, np.zeros(2), np.zeros(2), 1, lambda *_: {}, torch.device("cpu"))
    method.fit(model, part(originals=lambda _: found))
    return model


def patches(pictures: torch.Tensor) -> torch.Tensor:
    return METHODS.make("ilniqe").build(None, Recipe(), None).features.patches(pictures)


@pytest.fixture(scope="module")
def originals():
    shown = [np.roll(photograph(name), turn, 0) for name in ("chelsea", "astronaut", "coffee") for turn in (0, 31)]
    return torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).float()


@pytest.fixture(scope="module")
def known(originals):
    return patches(originals)


def test_the_distance_is_that_of_each_patch_in_the_space_of_the_originals_components(known):
    model = fitted(known, sharpness=0.0)
    found = known[..., :WIDTH].double().numpy()
    sharp = found.reshape(-1, WIDTH)
    middle, basis = sharp.mean(0), np.linalg.svd(sharp - sharp.mean(0), full_matrices=False)[2][:23].T
    assert model.features.basis.shape == (WIDTH, 23)  # 24 patches vary in 23 directions
    inside = (found[0] - middle) @ basis
    both = (np.cov(((sharp - middle) @ basis).T) + np.cov(inside.T)) / 2
    expected = np.mean([np.sqrt(one @ np.linalg.pinv(both, hermitian=True) @ one) for one in inside])
    assert model({"patches": known[:1]}).item() == pytest.approx(-expected, rel=1e-3)


def test_only_sharp_patches_and_so_many_components_make_the_model(known):
    assert fitted(known, components=3).features.basis.shape == (WIDTH, 3)
    assert fitted(known, sharpness=0.99).features.variances.numel() < 12


def test_blur_and_noise_lie_farther_from_originals_than_an_original_does(originals, known):
    clean = originals[:1]
    noise = 40 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    shown = torch.cat([(clean + noise).clamp(0, 255), torch.nn.functional.avg_pool2d(clean, 9, 1, 4)])
    model = fitted(known, sharpness=0.0)
    assert model({"patches": known[:1]}) > model({"patches": patches(shown)}).max()


def test_a_flat_patch_counts_as_the_mean_of_the_others_and_a_flat_picture_as_far_away(originals, known):
    shown = torch.cat([originals[:1], torch.full((1, 3, SIDE, SIDE), 127.0)])
    shown[0, :, : PATCH + 12, : PATCH + 12] = 0
    found = patches(shown)
    assert found[0, 0].isnan().any()
    assert found[0, 1:].isfinite().all()
    model = fitted(known, sharpness=0.0)
    scores = model({"patches": found})
    assert scores[0] == pytest.approx(
        model({"patches": found[:1].where(found[:1].isfinite().all(2, keepdim=True), torch.nan)}).item()
    )
    assert scores.isfinite().all()
    assert scores[1] < scores[0]
