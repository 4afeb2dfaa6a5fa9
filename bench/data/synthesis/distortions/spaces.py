"""Colour spaces for the distortions: float64 in and out, element by element, so that threads cannot change a bit.

(scikit-image's conversions multiply by a matrix through BLAS, whose sums depend on the machine.)
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray

_WHITE = (0.95047, 1.0, 1.08883)
"""D65, 2 degrees."""


def rgb_to_lab(rgb: Array) -> Array:
    """sRGB in [0,1] to CIE L*a*b* (L 0..100)."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    r, g, b = linear[..., 0], linear[..., 1], linear[..., 2]
    x = _lab_curve((0.412453 * r + 0.357580 * g + 0.180423 * b) / _WHITE[0])
    y = _lab_curve((0.212671 * r + 0.715160 * g + 0.072169 * b) / _WHITE[1])
    z = _lab_curve((0.019334 * r + 0.119193 * g + 0.950227 * b) / _WHITE[2])
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_rgb(lab: Array) -> Array:
    """CIE L*a*b* to sRGB, clipped to the gamut's [0,1]."""
    fy = (lab[..., 0] + 16) / 116
    x = _lab_uncurve(fy + lab[..., 1] / 500) * _WHITE[0]
    y = _lab_uncurve(fy) * _WHITE[1]
    z = _lab_uncurve(np.maximum(fy - lab[..., 2] / 200, 0)) * _WHITE[2]
    linear = np.stack(
        [
            3.24048134 * x - 1.53715152 * y - 0.49853633 * z,
            -0.96925495 * x + 1.87599 * y + 0.04155593 * z,
            0.05564664 * x - 0.20404134 * y + 1.05731107 * z,
        ],
        axis=-1,
    ).clip(0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055).clip(0, 1)


def _lab_curve(t: Array) -> Array:
    return np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)


def _lab_uncurve(t: Array) -> Array:
    return np.where(t > 0.2068966, t**3, (t - 16 / 116) / 7.787)


def rgb_to_hsv(rgb: Array) -> Array:
    """RGB to hue (in sixths, 0..6), saturation and value."""
    value = rgb.max(axis=-1)
    span = value - rgb.min(axis=-1)
    safe = np.where(span > 0, span, 1.0)
    r, g, b = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    hue = np.where(
        value == r,
        ((g - b) / safe) % 6,
        np.where(value == g, (b - r) / safe + 2, (r - g) / safe + 4),
    )
    saturation = np.where(value > 0, span / np.where(value > 0, value, 1.0), 0.0)
    return np.stack([np.where(span > 0, hue, 0.0), saturation, value], axis=-1)


def hsv_to_rgb(hsv: Array) -> Array:
    """Back from `rgb_to_hsv`. A negative saturation gives the complementary tint, clipped by the caller."""
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    channels = []
    for offset in (5, 3, 1):
        k = (hue + offset) % 6
        channels.append(value - value * saturation * np.minimum(k, 4 - k).clip(0, 1))
    return np.stack(channels, axis=-1)


def rgb_to_ycbcr(rgb: Array) -> Array:
    """Full-range BT.601: Y 0..1, Cb and Cr around 0.5."""
    y = luma(rgb)
    return np.stack([y, 0.5 + (rgb[..., 2] - y) / 1.772, 0.5 + (rgb[..., 0] - y) / 1.402], axis=-1)


def ycbcr_to_rgb(ycbcr: Array) -> Array:
    """Back from `rgb_to_ycbcr`, unclipped."""
    y, cb, cr = ycbcr[..., 0], ycbcr[..., 1] - 0.5, ycbcr[..., 2] - 0.5
    r = y + 1.402 * cr
    b = y + 1.772 * cb
    return np.stack([r, (y - 0.299 * r - 0.114 * b) / 0.587, b], axis=-1)


def luma(rgb: Array) -> Array:
    """The BT.601 grey of a picture."""
    return 0.299 * rgb[..., 0] + 0.587 * rgb[..., 1] + 0.114 * rgb[..., 2]
