"""The 25 distortions: deterministic to the byte, in range, as strong as their tables say, right where that is known."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.data.synthesis.distortions import CHROMA_ONLY, DISTORTIONS, FAMILIES, LEVELS, distort, to_bytes
from bench.data.synthesis.distortions.spaces import (
    hsv_to_rgb,
    lab_to_rgb,
    rgb_to_hsv,
    rgb_to_lab,
    rgb_to_ycbcr,
    ycbcr_to_rgb,
)
from bench.data.synthesis.human_cells import combined, human_cells

KINDS = [entry.kind for entry in DISTORTIONS]

FINGERPRINT = """
import hashlib, numpy as np
from bench.data.synthesis.distortions import DISTORTIONS, distort, to_bytes
image = np.random.RandomState(0).random_sample((40, 52, 3))
digest = hashlib.sha256()
for entry in DISTORTIONS:
    digest.update(to_bytes(distort(image, entry.kind, 3, 11)).tobytes())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Smooth areas, edges and texture in colour, 64x80."""
    y, x = np.mgrid[0:64, 0:80] / 80
    image = np.stack([0.2 + 0.6 * x, 0.3 + 0.5 * y, 0.5 + 0.3 * np.sin(9 * x)], axis=-1)
    image[16:44, 20:50] = (0.8, 0.3, 0.2)
    image[:, 60:] += 0.1 * np.random.RandomState(5).standard_normal((64, 20, 1))
    return to_bytes(image) / 255.0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", LEVELS)
def test_every_cell_keeps_shape_type_and_range(picture: np.ndarray, kind: int, level: int) -> None:
    before = picture.copy()
    changed = distort(picture.astype(np.float32), kind, level, 3)
    assert changed.shape == picture.shape
    assert changed.dtype == np.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert (picture == before).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_picture_and_no_other_state_is_read(picture: np.ndarray, kind: int) -> None:
    np.random.seed(1)
    first = distort(picture, kind, 4, 9)
    np.random.seed(2)
    state = np.random.get_state()[1].copy()  # type: ignore[index,union-attr]
    assert (distort(picture, kind, 4, 9) == first).all()
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index]


@pytest.mark.parametrize("kind", [3, 5, 11, 12, 13, 14, 15, 19, 20, 23])
def test_random_kinds_differ_between_seeds(picture: np.ndarray, kind: int) -> None:
    assert (distort(picture, kind, 5, 1) != distort(picture, kind, 5, 2)).any()


def test_bytes_do_not_depend_on_process_hash_seed_or_threads() -> None:
    root = Path(__file__).parents[2]
    printed = set()
    for hash_seed, threads in (("0", "1"), ("77", "4")):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": threads, "PYTHONPATH": str(root)}
        command = [sys.executable, "-c", FINGERPRINT]
        printed.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(printed) == 1
    assert len(printed.pop().strip()) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in (5, 7, 18, 25)])
def test_stronger_levels_move_the_picture_further(picture: np.ndarray, kind: int) -> None:
    def distance(level: int) -> float:
        return float(((distort(picture, kind, level, 7) - picture) ** 2).mean())

    assert distance(1) < distance(3) < distance(5)


@pytest.mark.parametrize(("kind", "level"), [(1, 1), (3, 1), (8, 1), (18, 3)])
def test_the_cells_that_do_nothing_give_the_very_same_pixels(picture: np.ndarray, kind: int, level: int) -> None:
    assert (to_bytes(distort(picture, kind, level, 7)) == to_bytes(picture)).all()


@pytest.mark.parametrize("kind", CHROMA_ONLY)
def test_a_grey_picture_comes_unchanged_out_of_the_kinds_named_chroma_only(picture: np.ndarray, kind: int) -> None:
    grey = np.repeat(picture[..., :1], 3, axis=2)
    assert np.abs(to_bytes(distort(grey, kind, 4, 7)).astype(int) - to_bytes(grey)).max() <= 2


def test_noise_has_the_stated_variance() -> None:
    flat = np.full((128, 128, 3), 0.5)
    assert np.var(distort(flat, 11, 5, 3)) == pytest.approx(0.01, rel=0.05)
    assert np.var(distort(flat, 14, 5, 3)) == pytest.approx(0.05 * 0.25, rel=0.05)
    struck = distort(flat, 13, 5, 3)
    assert np.isin(struck, (0.0, 1.0)).mean() == pytest.approx(0.03, rel=0.1)


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_blurs_keep_a_flat_picture_flat_and_a_point_its_mass(kind: int) -> None:
    point = np.zeros((65, 65, 3))
    point[32, 32] = 1.0
    blurred = distort(point, kind, 4, 3)
    assert blurred.sum() == pytest.approx(3.0, rel=1e-6)
    assert distort(np.full((40, 40, 3), 0.4), kind, 4, 3) == pytest.approx(0.4)


def test_quantizers_leave_the_stated_number_of_values(picture: np.ndarray) -> None:
    assert len(np.unique(distort(picture, 22, 5, 0))) <= 7 + 1
    assert len(np.unique(to_bytes(distort(picture, 6, 5, 0)).reshape(-1, 3), axis=0)) <= 8


def test_otsu_finds_the_classes_of_a_picture_made_of_classes() -> None:
    values = np.repeat(np.linspace(0.1, 0.8, 8), 24)
    image = np.broadcast_to(values[:, None, None], (192, 16, 3)).copy()
    image = to_bytes(image) / 255.0
    assert (to_bytes(distort(image, 22, 5, 0)) == to_bytes(image)).all()


def test_brightness_and_contrast_go_the_way_their_names_say(picture: np.ndarray) -> None:
    assert distort(picture, 16, 4, 0).mean() > picture.mean() > distort(picture, 17, 4, 0).mean()
    assert distort(picture, 18, 1, 0).mean() > picture.mean() > distort(picture, 18, 5, 0).mean()
    assert distort(picture, 25, 1, 0).std() > picture.std() > distort(picture, 25, 5, 0).std()
    assert distort(picture, 24, 2, 0).std() > picture.std()


def test_colour_shift_moves_green_alone_and_mostly_at_edges(picture: np.ndarray) -> None:
    moved = np.abs(distort(picture, 5, 4, 7) - picture)
    assert moved[..., 0].max() == moved[..., 2].max() == 0
    assert moved[10:50, 14:56, 1].mean() > 2 * moved[:, :10, 1].mean()


def test_saturation_zero_is_grey_and_negative_saturation_the_complement(picture: np.ndarray) -> None:
    grey = distort(picture, 7, 4, 0)
    assert np.ptp(grey, axis=2).max() < 1e-12
    red = np.tile([1.0, 0.0, 0.0], (8, 8, 1))
    turned = distort(red, 7, 5, 0)
    assert (turned[..., 0] <= turned[..., 1]).all()


def test_pixelating_makes_runs_of_equal_pixels() -> None:
    ramp = np.tile(np.linspace(0, 1, 100)[None, :, None], (30, 1, 3))
    assert len(np.unique(distort(ramp, 21, 5, 0))) == round(100 * (0.95 - 0.5**0.6))


def test_tiny_pictures_pass_through_all_kinds() -> None:
    tiny = np.random.RandomState(0).random_sample((9, 7, 3))
    for kind in KINDS:
        assert distort(tiny, kind, 5, 1).shape == tiny.shape


def test_colour_spaces_go_there_and_back(picture: np.ndarray) -> None:
    assert lab_to_rgb(rgb_to_lab(picture)) == pytest.approx(picture, abs=1e-4)
    assert hsv_to_rgb(rgb_to_hsv(picture)) == pytest.approx(picture, abs=1e-9)
    assert ycbcr_to_rgb(rgb_to_ycbcr(picture)) == pytest.approx(picture, abs=1e-9)


def test_lab_agrees_with_scikit_image(picture: np.ndarray) -> None:
    from skimage.color import rgb2lab

    assert rgb_to_lab(picture) == pytest.approx(rgb2lab(picture), abs=2e-2)


@pytest.mark.parametrize(("kind", "level"), [(0, 1), (26, 1), (3, 0), (3, 6)])
def test_unknown_cells_are_refused(picture: np.ndarray, kind: int, level: int) -> None:
    with pytest.raises(ValueError, match="1-25"):
        distort(picture, kind, level, 0)


def test_bytes_are_refused_for_floats() -> None:
    with pytest.raises(ValueError, match="floats"):
        distort(np.zeros((8, 8, 3), np.uint8), 1, 1, 0)


def test_the_catalogue_is_whole() -> None:
    assert list(range(1, 26)) == KINDS
    assert len({entry.key for entry in DISTORTIONS}) == 25
    assert {entry.family for entry in DISTORTIONS} == set(FAMILIES)
    assert len(FAMILIES) == 9


def test_the_human_means_cover_every_cell_on_kadids_scale() -> None:
    cells = human_cells()
    assert set(cells) == {(kind, level) for kind in KINDS for level in LEVELS}
    assert 1 < min(cells.values()) < max(cells.values()) < 5
    assert cells[1, 5] == 1.3027


def test_a_combined_label_is_below_its_worst_and_above_the_floor() -> None:
    assert combined([3.0]) == 3.0
    assert combined([3.0, 5.0]) == 3.0
    assert combined([3.0, 1.0]) == 1.0
    assert combined([2.0, 4.0]) == pytest.approx(1 + 4 * 0.25 * (1 + 0.75) / 2)
    assert combined([2.0, 4.0, 3.0]) < combined([2.0, 4.0])
    assert combined([4.0, 2.0]) == combined([2.0, 4.0])
