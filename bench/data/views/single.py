"""The test views of one picture that belongs to no set, drawn by its pixels: its name does not matter."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

from bench.core.spec import Recipe
from bench.data.pixels.policy import resized
from bench.data.views.batches import FIXED_DRAWS, corners, policy_of, stream
from bench.data.views.randomness import draws
from bench.data.views.view import View


def pixel_key(picture: Image.Image) -> int:
    """A 64-bit number made of a picture's size and pixels, in the place of the one that a test makes of its name."""
    digest = hashlib.blake2b(f"{picture.width} {picture.height} {picture.mode}\n".encode(), digest_size=8)
    digest.update(np.asarray(picture).data)
    return int.from_bytes(digest.digest(), "little")


def is_constant(view: View) -> bool:
    """Whether every test view of a picture is the same."""
    return not stream(view, seed=0, epoch=0, number=0, training=False)


def views_of(picture: Image.Image, view: View, recipe: Recipe, key: int, count: int) -> np.ndarray:
    """The first `count` test views as a test cuts them: uint8, [count, size, size, 3]; a whole picture as it is."""
    stored = resized(picture, policy_of(view, recipe))
    if view.alone:
        return stored[None]
    return cut(stored, view, *windows(picture.size, view, recipe, key, count))


def windows(size: tuple[int, int], view: View, recipe: Recipe, key: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Top and left pixel of every window of every view in the picture as it is stored, [count, n, n] each.

    `size` is the picture's own width and height.
    """
    height, width = policy_of(view, recipe).target(size[1], size[0])
    n, f = _tiles(view)
    drawn = draws(
        np.full(count, key, dtype=np.uint64),
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
