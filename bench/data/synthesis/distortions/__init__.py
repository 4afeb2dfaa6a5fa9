"""KADID-10k's 25 distortions at their five levels, by an implementation of our own: `distort` and the catalogue.

Strengths are those of the KADIS generator. What stands in for what: total variation for the DnCNN denoiser
(15), Pillow's median cut for MATLAB's minimum-variance palette (6), Gaussian speckle for imnoise's uniform
one (14). The disk of the lens blur (2) is a quarter of a pixel wider than KADIS' radius. The noise on
luma and chroma (12) is on full-range YCbCr, MATLAB's on the studio range: its variance there is 1.32 times ours. A
shifted green channel (5) is blended by a tenth everywhere, KADIS' not at all in flat places. Otsu's classes (22) are
shown by their means; KADIS shows their upper bounds, black and white at the ends, which is some
6 dB stronger. Nothing is stretched to the full range before or after. Kernels, patches and blocks have KADID's sizes in
pixels whatever the size of the picture.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bench.data.synthesis.distortions import blurs_noise, colour, spatial
from bench.data.synthesis.distortions.blurs_noise import Rng
from bench.data.synthesis.distortions.pixels import from_bytes, to_bytes

__all__ = ["CHROMA_ONLY", "DISTORTIONS", "FAMILIES", "LEVELS", "Distortion", "distort", "from_bytes", "to_bytes"]

LEVELS = (1, 2, 3, 4, 5)

FAMILIES = (
    "blur",
    "colour",
    "quantization",
    "compression",
    "noise",
    "brightness",
    "spatial",
    "sharpness",
    "contrast",
)
"""Nine groups for tables by distortion: KADID-10k's seven, with quantization taken out of colour and spatial
(6, 22) and contrast kept apart from sharpness (24, 25)."""


class Distortion(NamedTuple):
    """One of the 25: its number in KADID-10k, a short key for tables, and its family."""

    kind: int
    key: str
    family: str


DISTORTIONS = (
    Distortion(1, "gaussian_blur", "blur"),
    Distortion(2, "lens_blur", "blur"),
    Distortion(3, "motion_blur", "blur"),
    Distortion(4, "colour_diffusion", "colour"),
    Distortion(5, "colour_shift", "colour"),
    Distortion(6, "palette", "quantization"),
    Distortion(7, "hsv_saturation", "colour"),
    Distortion(8, "lab_saturation", "colour"),
    Distortion(9, "jpeg2000", "compression"),
    Distortion(10, "jpeg", "compression"),
    Distortion(11, "rgb_noise", "noise"),
    Distortion(12, "ycbcr_noise", "noise"),
    Distortion(13, "impulse_noise", "noise"),
    Distortion(14, "multiplicative_noise", "noise"),
    Distortion(15, "denoised", "noise"),
    Distortion(16, "brighten", "brightness"),
    Distortion(17, "darken", "brightness"),
    Distortion(18, "mean_shift", "brightness"),
    Distortion(19, "jitter", "spatial"),
    Distortion(20, "misplaced_patches", "spatial"),
    Distortion(21, "pixelate", "spatial"),
    Distortion(22, "otsu_quantization", "quantization"),
    Distortion(23, "colour_blocks", "spatial"),
    Distortion(24, "sharpened", "sharpness"),
    Distortion(25, "contrast", "contrast"),
)

CHROMA_ONLY = (4, 7, 8)
"""Kinds that act on colour alone: a grey picture comes out of them as it went in."""

_Operation = Callable[[np.ndarray, float, Rng], np.ndarray]

_STRENGTHS: dict[int, tuple[_Operation, tuple[float, float, float, float, float]]] = {
    1: (blurs_noise.gaussian_blur, (0.1, 0.5, 1, 2, 5)),
    2: (blurs_noise.lens_blur, (1, 2, 4, 6, 8)),
    3: (blurs_noise.motion_blur, (1, 2, 4, 6, 10)),
    4: (colour.colour_diffusion, (1, 3, 6, 8, 12)),
    5: (colour.colour_shift, (1, 3, 6, 8, 12)),
    6: (colour.palette, (64, 48, 32, 16, 8)),
    7: (colour.hsv_saturation, (0.4, 0.2, 0.1, 0, -0.4)),
    8: (colour.lab_saturation, (1, 2, 3, 6, 9)),
    9: (spatial.jpeg2000, (16, 32, 45, 120, 400)),
    10: (spatial.jpeg, (43, 36, 24, 7, 4)),
    11: (blurs_noise.rgb_noise, (0.001, 0.002, 0.003, 0.005, 0.01)),
    12: (blurs_noise.ycbcr_noise, (0.0001, 0.0005, 0.001, 0.002, 0.003)),
    13: (blurs_noise.impulse_noise, (0.001, 0.005, 0.01, 0.02, 0.03)),
    14: (blurs_noise.multiplicative_noise, (0.001, 0.005, 0.01, 0.02, 0.05)),
    15: (blurs_noise.denoised, (0.01, 0.03, 0.05, 0.1, 0.15)),
    16: (colour.brighten, (0.1, 0.2, 0.4, 0.7, 1.1)),
    17: (colour.darken, (0.05, 0.1, 0.2, 0.4, 0.8)),
    18: (colour.mean_shift, (0.15, 0.08, 0, -0.08, -0.15)),
    19: (spatial.jitter, (0.05, 0.1, 0.2, 0.5, 1)),
    20: (spatial.misplaced_patches, (20, 40, 60, 80, 100)),
    21: (spatial.pixelate, (0.01, 0.05, 0.1, 0.2, 0.5)),
    22: (spatial.otsu_quantization, (20, 16, 13, 10, 7)),
    23: (spatial.colour_blocks, (2, 4, 6, 8, 10)),
    24: (blurs_noise.sharpened, (1, 2, 3, 6, 12)),
    25: (colour.contrast, (0.3, 0.15, 0, -0.4, -0.6)),
}


def distort(image: np.ndarray, kind: int, level: int, seed: int) -> np.ndarray:
    """`image` (float HxWx3 in [0,1]) with distortion `kind` (1-25) at `level` (1-5); same shape and dtype.

    The same seed gives the same picture in every process; nothing outside the arguments is read or changed.
    """
    if image.ndim != 3 or image.shape[2] != 3 or not np.issubdtype(image.dtype, np.floating):
        raise ValueError(f"a picture is HxWx3 floats in [0,1], not {image.dtype} of shape {image.shape}")
    if kind not in _STRENGTHS or level not in LEVELS:
        raise ValueError(f"distortions are 1-25 at levels 1-5, not {kind} at level {level}")
    operation, strengths = _STRENGTHS[kind]
    changed = operation(image.astype(np.float64), strengths[level - 1], Rng(seed))
    return np.asarray(changed, dtype=np.float64).clip(0, 1).astype(image.dtype)
