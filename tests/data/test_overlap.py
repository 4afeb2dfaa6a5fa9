"""Shared pictures are found although rescaled or recompressed; unrelated ones are not."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.fft import dctn

from bench.data.dataset import Dataset
from bench.data.obtain.overlap import near_pairs, overlap, perceptual_hashes


def photo(seed, size=(160, 120)):
    """A random smooth picture: noise in few, low frequencies."""
    small = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def made(tmp_path, name, images):
    (tmp_path / name).mkdir()
    for file, image in images.items():
        image.save(tmp_path / name / file)
    return Dataset(name, tmp_path / name, pd.DataFrame({"image": sorted(images)}), grouped=False)


def test_rescaled_and_recompressed_copies_are_found_and_nothing_else(tmp_path):
    out = io.BytesIO()
    photo(1).save(out, "JPEG", quality=20)
    first = made(tmp_path, "first", {f"a{i}.png": photo(i) for i in range(8)})
    twins = {"p.png": Image.open(out), "q.png": photo(2).resize((80, 60)), "r.png": photo(50), "s.png": photo(51)}
    found = overlap(first, made(tmp_path, "second", twins))
    assert {(pair.first, pair.second) for pair in found.pairs} == {("a1.png", "p.png"), ("a2.png", "q.png")}
    assert found.shared == (2, 2)
    assert "2 of 8 pictures of first have a twin among 2 of 4 of second" in found.sentence()


def test_sets_without_shared_pictures_say_so(tmp_path):
    found = overlap(made(tmp_path, "a", {"1.png": photo(1)}), made(tmp_path, "b", {"2.png": photo(2)}))
    assert not found.pairs
    assert "share no picture" in found.sentence()


def test_flat_pictures_are_counted_and_match_nothing(tmp_path):
    flat = {"1.png": Image.new("RGB", (50, 50), (9, 9, 9))}
    found = overlap(made(tmp_path, "a", flat), made(tmp_path, "b", flat))
    assert not found.pairs
    assert found.flat == 2


def test_hashes_are_the_signs_of_a_plain_dct_against_its_median():
    thumbs = np.random.default_rng(0).integers(0, 256, (5, 32, 32), dtype=np.uint8)
    for thumb, value in zip(thumbs, perceptual_hashes(thumbs), strict=True):
        low = dctn(thumb.astype(float), norm="ortho")[:8, :8].ravel()
        bits = "".join("1" if coefficient > np.median(low[1:]) else "0" for coefficient in low)
        assert int(bits, 2) == int(value)


@pytest.mark.parametrize("rows", [3, 300])
def test_near_pairs_equal_a_plain_double_loop(rows):
    rng = np.random.default_rng(rows)
    first = rng.integers(0, 2**63, rows, dtype=np.uint64)
    second = np.concatenate([first[:3] ^ np.uint64(0b1011), rng.integers(0, 2**63, 40, dtype=np.uint64)])
    plain = [
        (i, j, (int(a) ^ int(b)).bit_count())
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if (int(a) ^ int(b)).bit_count() <= 6
    ]
    assert near_pairs(first, second, 6) == plain
    assert len(plain) >= 3
