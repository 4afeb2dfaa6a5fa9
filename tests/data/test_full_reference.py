"""MS-SSIM and GMSD by cases whose values are known without them, and labels that are ranks."""

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import DataError
from bench.data.synthesis.full_reference import C1, GMSD_C, WEIGHTS, gmsd, ms_ssim, ranked_quality


def flat(value, side=176):
    return np.full((side, side, 3), value, dtype=np.uint8)


def noisy(amount, side=192):
    rng = np.random.default_rng(1)
    base = np.tile(np.linspace(40, 210, side), (side, 1))[..., None].repeat(3, axis=2)
    return np.clip(base + amount * rng.standard_normal((side, side, 3)), 0, 255).astype(np.uint8)


def test_a_picture_is_equal_to_itself():
    assert ms_ssim(noisy(9), noisy(9)) == pytest.approx(1.0)
    assert gmsd(noisy(9), noisy(9)) == 0.0


def test_flat_pictures_differ_by_the_luminance_term_of_the_coarsest_scale_alone():
    expected = ((2 * 100 * 140 + C1) / (100**2 + 140**2 + C1)) ** WEIGHTS[-1]
    assert ms_ssim(flat(100), flat(140)) == pytest.approx(expected)
    assert gmsd(flat(100), flat(140)) == 0.0, "no gradient in either"


def test_a_step_against_a_flat_picture_has_the_deviation_that_its_two_columns_of_gradient_make():
    step = flat(0, 64)
    step[:, 32:] = 90  # an edge between two halved columns: Prewitt sees it in both, at 90
    share, similarity = 2 / 32, GMSD_C / (90**2 + GMSD_C)
    expected = (1 - similarity) * np.sqrt(share * (1 - share))
    assert gmsd(flat(0, 64), step) == pytest.approx(expected)


def test_more_noise_is_worse_by_both():
    clean = noisy(0)
    assert 1 > ms_ssim(clean, noisy(5)) > ms_ssim(clean, noisy(20)) > ms_ssim(clean, noisy(60)) > 0
    assert 0 < gmsd(clean, noisy(5)) < gmsd(clean, noisy(20)) < gmsd(clean, noisy(60))


def test_both_are_symmetric():
    assert ms_ssim(noisy(3), noisy(30)) == pytest.approx(ms_ssim(noisy(30), noisy(3)))
    assert gmsd(noisy(3), noisy(30)) == pytest.approx(gmsd(noisy(30), noisy(3)))


def test_a_change_of_colour_alone_is_a_change():
    red, blue = flat(0), flat(0)
    red[..., 0], blue[..., 2] = 200, 200
    assert ms_ssim(red, blue) < 1


def test_pictures_that_are_too_small_or_of_other_shapes_are_refused():
    with pytest.raises(DataError, match="at least 176 pixels"):
        ms_ssim(flat(1, 100), flat(1, 100))
    with pytest.raises(DataError, match="cannot be compared"):
        gmsd(flat(1, 64), flat(1, 62))


def test_labels_are_mean_ranks_against_the_reference_that_a_name_names(tmp_path):
    for name, amount in (("I01", 0), ("I01_01_01", 5), ("I01_01_02", 20), ("I01_01_03", 60)):
        Image.fromarray(noisy(amount)).save(tmp_path / f"{name}.png")
    names = ["I01_01_03.png", "I01_01_01.png", "I01_01_02.png"]
    assert ranked_quality(tmp_path, names) == [1.0, 5.0, 3.0]
