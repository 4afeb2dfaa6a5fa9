"""BRISQUE's and NIQE's statistics against code that we did not write, and what follows from them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from scipy import ndimage

from bench.core.registry import METHODS
from bench.core.spec import Recipe
from bench.models.part import TrainingPart
from bench.models.weights.load import WeightlessToolbox
from methods import _natural as natural
from methods.brisque import statistics as brisque_statistics
from methods.niqe import moments
from methods.niqe import statistics as niqe_statistics


def photograph(name: str = "chelsea.png", height: int = 256, width: int = 320) -> torch.Tensor:
    """[1,3,H,W] of 0 to 255 out of scikit-image's own photographs."""
    from skimage import data

    pixels = data.astronaut() if name == "astronaut.png" else data.chelsea()
    return torch.from_numpy(pixels[:height, :width, :3].copy()).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("name", ["chelsea.png", "astronaut.png"])
def test_brisques_statistics_are_those_of_an_independent_implementation(name):
    piq = pytest.importorskip("piq.brisque")
    from piq.functional import imresize

    picture = photograph(name)
    grey = natural.luma(picture)
    theirs = [piq._natural_scene_statistics(grey), piq._natural_scene_statistics(imresize(grey, sizes=(128, 160)))]
    assert brisque_statistics(picture).numpy() == pytest.approx(torch.cat(theirs, dim=1).numpy(), abs=1e-3)


def test_niqes_statistics_are_those_of_an_independent_estimator_on_independent_maps():
    piq = pytest.importorskip("piq.brisque")
    picture = photograph()
    ours, sharpness = niqe_statistics(picture, 96)
    grey = natural.luma(picture)[0, 0].numpy()[:192, :288]
    mean = ndimage.gaussian_filter(grey, 7 / 6, mode="nearest", radius=3)
    deviation = np.sqrt(np.abs(ndimage.gaussian_filter(grey**2, 7 / 6, mode="nearest", radius=3) - mean**2))
    normal = torch.from_numpy((grey - mean) / (deviation + 1))
    assert ours.shape == (6, 36)
    for at, (row, column) in enumerate((row, column) for row in range(2) for column in range(3)):
        here = slice(row * 96, row * 96 + 96), slice(column * 96, column * 96 + 96)
        patch, wanted = normal[here][None, None], []
        assert sharpness[at].item() == pytest.approx(deviation[here].mean(), abs=1e-6)
        for shift in (None, (0, 1), (1, 0), (1, 1), (-1, 1)):
            values = patch if shift is None else patch * patch.roll(shift, (-2, -1))
            alpha, left, right = (one.double() for one in piq._aggd_parameters(values))
            scale = torch.exp((torch.lgamma(1 / alpha) - torch.lgamma(3 / alpha)) / 2)
            middle = (right - left) * scale * torch.exp(torch.lgamma(2 / alpha) - torch.lgamma(1 / alpha))
            both = scale * (left + right) / 2
            wanted += [alpha, both] if shift is None else [alpha, middle, scale * left, scale * right]
        assert ours[at, :18].numpy() == pytest.approx(torch.stack([one.squeeze() for one in wanted]).numpy(), abs=1e-3)


def test_shapes_are_found_again_in_draws_from_a_generalised_gaussian():
    from scipy.stats import gennorm

    drawn = torch.from_numpy(gennorm.rvs(0.8, size=(1, 200_000), random_state=1))
    assert natural.ggd(drawn)[0].item() == pytest.approx(0.8, abs=0.01)
    wide = 2 * drawn[drawn < 0]  # a side twice as wide has twice the mass
    alpha, left, right = natural.aggd(torch.cat([wide, wide, drawn[drawn > 0]])[None])
    assert alpha.item() == pytest.approx(0.8, abs=0.02)
    assert (left / right).item() == pytest.approx(2, abs=0.05)


def test_a_grey_picture_has_finite_statistics():
    flat = torch.full((1, 3, 64, 64), 127.0)
    assert brisque_statistics(flat).isfinite().all()
    assert niqe_statistics(flat, 96)[0].isfinite().all()


def half_flat(grey: int) -> torch.Tensor:
    """A photograph whose left half has one grey."""
    picture = photograph()
    picture[..., :160] = grey
    return picture


@pytest.mark.parametrize(
    ("statistics", "greys"),
    [(brisque_statistics, (246, 247)), (lambda picture: niqe_statistics(picture, 96)[0], (203, 204))],
    ids=["brisque", "niqe"],
)
def test_the_grey_of_a_flat_zone_hardly_moves_a_statistic(statistics, greys):
    one, other = (statistics(half_flat(grey)) for grey in greys)
    assert (one - other).abs().max() < 0.01


def test_a_picture_of_a_few_pixels_has_niqes_statistics_too():
    for height, width in ((1, 1), (2, 2), (3, 50)):
        assert niqe_statistics(torch.rand(1, 3, height, width) * 255, 96)[0].isfinite().all()


def test_patches_without_a_statistic_of_their_own_do_not_count():
    found = niqe_statistics(half_flat(127), 32)[0]
    flat = found[:, 1] == 0
    assert 0 < flat.sum() < len(found)
    assert torch.equal(moments(found), moments(found[~flat]))
    assert moments(found[flat]).isfinite().all()


def test_of_fewer_patches_than_statistics_the_distance_is_no_rounding():
    method = METHODS.make("niqe", {"sharpness": 0.0})
    model = method.build(None, _recipe(), None)
    original, others = photograph("astronaut.png", 192, 192), torch.cat([photograph(), photograph().flip(-1) / 2])
    features, scores = model.features, []
    for precise in (True, False):
        made = partial(in_double, features) if precise else features.moments
        part = TrainingPart(
            np.zeros(1),
            np.zeros(1),
            1,
            lambda *_: {},
            torch.device("cpu"),
            originals=lambda _, made=made: made(original),
        )
        method.fit(model, part)
        scores.append(model({"moments": made(others)}))
    assert int(features.moments(original)[0, 0, 0]) < 36
    assert (scores[0] < 0).all()
    assert scores[1].numpy() == pytest.approx(scores[0].numpy(), rel=1e-3)


def in_double(features, pictures: torch.Tensor) -> torch.Tensor:
    """What `moments` gives where all patches are sharp, before it is kept in single precision."""
    each = [moments(niqe_statistics(one[None], features.patch)[0]) for one in pictures]
    return torch.stack([torch.stack([one, one]) for one in each])


def test_moments_of_parts_are_put_together_to_those_of_the_whole():
    from bench.models.part import TrainingPart

    torch.manual_seed(0)
    parts = [torch.randn(n, 36, dtype=torch.float64) + n for n in (5, 1, 9)]
    model = METHODS.make("niqe").build(None, _recipe(), None)
    part = TrainingPart(
        np.zeros(1), np.zeros(1), 1, lambda *_: {}, torch.device("cpu"),
        originals=lambda name: torch.stack([moments(one) for one in parts])[:, None].expand(-1, 2, -1),
    )  # fmt: skip
    METHODS.make("niqe").fit(model, part)
    whole = torch.cat(parts)
    assert model.features.mean.numpy() == pytest.approx(whole.mean(0).numpy())
    assert model.features.covariance.numpy() == pytest.approx(np.cov(whole.numpy().T))


def _recipe():
    from bench.core.spec import Recipe

    return Recipe()


def test_blur_and_noise_lie_farther_from_originals_than_originals_do():
    method = METHODS.make("niqe", {"patch": 32})
    model = method.build(None, _recipe(), None)
    from bench.models.part import TrainingPart

    originals = torch.cat([photograph(name) for name in ("chelsea.png", "astronaut.png")])
    part = partial(TrainingPart, np.zeros(2), np.zeros(2), 1, lambda *_: {}, torch.device("cpu"))
    method.fit(model, part(originals=lambda _: model.features.moments(originals)))
    clean = photograph("chelsea.png")
    noisy = (clean + 40 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 255).round()
    blurred = torch.nn.functional.avg_pool2d(clean, 9, 1, 4)
    scores = model({"moments": model.features.moments(torch.cat([clean, noisy, blurred]))})
    assert scores[0] > scores[1:].max()


def test_brisque_counts_its_support_vectors_and_what_it_scales_by():
    """36 statistics and a weight of each support vector, two ends of each statistic, the constant and γ."""
    method = METHODS.make("brisque", {"choose": False})
    model = method.build(None, Recipe(), WeightlessToolbox())
    found = torch.from_numpy(np.random.RandomState(0).normal(size=(40, 36)))
    part = TrainingPart(
        scores=np.linspace(-1, 1, 40),
        contents=np.arange(40).astype(str),
        views=1,
        load=lambda pictures, view: {"statistics": found[torch.from_numpy(pictures)]},
        device=torch.device("cpu"),
    )
    method.fit(model, part)
    vectors = len(model.features.get_buffer("vectors"))
    assert 0 < vectors <= 40
    assert model.learned() == 37 * vectors + 2 * 36 + 2


def test_the_distortion_oracle_counts_three_numbers_for_each_cell_that_it_saw():
    """A distortion, a level and a mean: of two kinds at two levels, of each kind, and of all."""
    method = METHODS.make("distortion_oracle")
    model = method.build(None, Recipe(), WeightlessToolbox())
    kinds, levels = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([1, 2, 1, 2, 2])
    part = TrainingPart(
        scores=np.arange(5.0),
        contents=np.arange(5).astype(str),
        views=1,
        load=lambda pictures, view: {"distortion": kinds[pictures], "level": levels[pictures]},
        device=torch.device("cpu"),
    )
    method.fit(model, part)
    assert model.learned() == 3 * (4 + 2 + 1)
