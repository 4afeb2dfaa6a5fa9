"""From [0,1] to bytes and back: one rule for rounding, so that a last-digit difference never flips a pixel."""

from __future__ import annotations

import numpy as np


def to_bytes(image: np.ndarray) -> np.ndarray:
    """[0,1] to uint8. Exact halves go up on every machine: the small push is far above rounding error."""
    scaled = np.asarray(image, dtype=np.float64).clip(0, 1) * 255
    return np.floor(scaled + 0.5 + 1e-6).astype(np.uint8)


def from_bytes(pixels: np.ndarray) -> np.ndarray:
    """uint8 to float64 in [0,1]."""
    return pixels.astype(np.float64) / 255
