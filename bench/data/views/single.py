"""The test views of one picture, in a set or in none: they are drawn by its pixels, and its name does not matter."""

from __future__ import annotations

import zlib

import numpy as np
from PIL import Image

from bench.core.spec import Recipe
from bench.data.pixels.policy import resized
from bench.data.views.batches import FIXED_DRAWS, corners, policy_of, stream
from bench.data.views.randomness import draws, pixel_keys
from bench.data.views.view import View


def is_constant(view: View) -> bool:
    """Whether every test view of a picture is the same."""
    return not stream(view, seed=0, epoch=0, number=0, training=False)


def views_of(picture: Image.Image, view: View, recipe: Recipe, count: int) -> np.ndarray:
    """The first `count` test views as a test cuts them: uint8, [count, size, size, 3]; a whole picture as it is."""
    stored = resized(picture, policy_of(view, recipe))
    return stored[None] if view.alone else cut(stored, view, *windows(stored, view, recipe, count))


def windows(stored: np.ndarray, view: View, recipe: Recipe, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Top and left pixel of every window of every view in a picture as it is stored, [count, n, n] each."""
    height, width = stored.shape[:2]
    n, f = _tiles(view)
    drawn = draws(
        np.repeat(pixel_keys(zlib.crc32(stored.reshape(-1).data), height, width), count),
        FIXED_DRAWS + 2 * n * n,
        seed=recipe.seed,
        epoch=0,
        number=np.arange(count),
        training=False,
    )
    heights, widths = (np.full(count, side, dtype=np.int64) for side in (height, width))
    return corners(view, heights, widths, n, f, drawn[:, FIXED_DRAWS:])


def cut(stored: np.ndarray, view: View, tops: np.ndarray, lefts: np.ndarray) -> np.ndarray:
    """The windows put together."""
    n, f = _tiles(view)
    out = np.empty((len(tops), view.size, view.size, 3), dtype=np.uint8)
    for number in range(len(tops)):
        for row in range(n):
            for column in range(n):
                top, left = tops[number, row, column], lefts[number, row, column]
                place = out[number, row * f : (row + 1) * f, column * f : (column + 1) * f]
                place[:] = stored[top : top + f, left : left + f]
    return out


def _tiles(view: View) -> tuple[int, int]:
    """Windows a side, and pixels a side of each."""
    return (view.grid, view.fragment) if view.kind == "fragments" else (1, view.size)
