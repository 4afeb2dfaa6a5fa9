"""What is done once to every picture before it is stored: one antialiased Pillow resize, or none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from bench.core.errors import UsageError
from bench.data.pixels.decode import decode_image

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
MAX_ASPECT = 16
"""A picture that must be resized ends at most this many times as long as wide; a strip one pixel wide would
otherwise become hundreds of megabytes."""


@dataclass(frozen=True)
class Policy:
    """The size a picture is stored in. `square` squeezes the whole picture to S×S, `box` to height × width; else the
    aspect is kept.

    short_side: the short side's length, 0 for the picture's own size. min_side: shorter sides are brought up to
    this, so that a view of that size fits and a grid of cells is laid on the size the picture then has. patch: both
    sides are then brought to whole patches of so many pixels, at most `tokens` patches in all.
    """

    short_side: int = 0
    square: int = 0
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    min_side: int = 0
    box: tuple[int, int] = (0, 0)
    patch: int = 0
    tokens: int = 0

    def __post_init__(self) -> None:
        if self.interpolation not in FILTERS:
            raise UsageError(f"interpolation={self.interpolation!r} is neither bicubic nor bilinear.")
        if min(self.short_side, self.square, self.min_side, *self.box) < 0:
            raise UsageError("Picture sizes must not be negative.")
        if self.square or any(self.box):
            object.__setattr__(self, "short_side", 0)
        if self.square or any(self.box) or self.short_side >= self.min_side:
            object.__setattr__(self, "min_side", 0)  # it cannot matter: equal policies share a store
        elif self.short_side:
            object.__setattr__(self, "short_side", self.min_side)
            object.__setattr__(self, "min_side", 0)

    def target(self, height: int, width: int) -> tuple[int, int]:
        """Height and width that a picture is stored in; the long side is cut to an integer as torchvision does."""
        if self.square:
            return self.square, self.square
        if any(self.box):
            return self.box
        short, long = min(height, width), max(height, width)
        side = max(self.short_side or short, self.min_side)
        if side != short:
            other = min(int(side * long / short), MAX_ASPECT * side)
            height, width = (side, other) if height <= width else (other, side)
        return self._in_patches(height, width) if self.patch else (height, width)

    def _in_patches(self, height: int, width: int) -> tuple[int, int]:
        """The nearest sides of whole patches; scaled down where these would be more than `tokens`."""
        down, across = height / self.patch, width / self.patch
        shrunk = min(1.0, math.sqrt(self.tokens / (down * across)))
        rows, columns = (max(1, round(n * shrunk)) for n in (down, across))
        if rows * columns > self.tokens:
            rows, columns = (max(1, int(n * shrunk)) for n in (down, across))
            rows, columns = min(rows, self.tokens), min(columns, max(1, self.tokens // rows))
        return rows * self.patch, columns * self.patch

    def text(self) -> str:
        """The policy in one canonical line, as it enters a store's key."""
        boxed = f" box {self.box[0]}x{self.box[1]}" if any(self.box) else ""
        patched = f" patches {self.patch} of {self.tokens}" if self.patch else ""
        return f"short {self.short_side} square {self.square} min {self.min_side} {self.interpolation}{boxed}{patched}"


def load_plain(path: Path, policy: Policy, dataset_name: str = "") -> np.ndarray:
    """The plain path: decode and resize one picture, uint8, height × width × 3; the store holds exactly these pixels.

    The one operation is Pillow's `Image.resize` with the policy's filter, whose support grows when it shrinks
    (antialiased); a picture that has its size already is left alone.
    """
    return resized(decode_image(path, dataset_name), policy)


def resized(image: Image.Image, policy: Policy) -> np.ndarray:
    """A decoded picture in the size that the policy wants, uint8, height × width × 3."""
    height, width = policy.target(image.height, image.width)
    if (height, width) != (image.height, image.width):
        image = image.resize((width, height), FILTERS[policy.interpolation])
    return np.array(image)
