"""KADID-10k's colour (4-8), brightness (16-18) and contrast (25) distortions: what happens to values, not places."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy.interpolate import CubicSpline

from bench.data.synthesis.distortions.blurs_noise import Rng, gaussian
from bench.data.synthesis.distortions.pixels import from_bytes, to_bytes
from bench.data.synthesis.distortions.spaces import Array, hsv_to_rgb, lab_to_rgb, luma, rgb_to_hsv, rgb_to_lab


def colour_diffusion(image: Array, amount: float, rng: Rng) -> Array:
    """4: Lab's a and b blurred with sigma 1.5·amount + 2, then multiplied by `amount`."""
    lab = rgb_to_lab(image)
    lab[..., 1:] = amount * gaussian(lab[..., 1:], 1.5 * amount + 2)
    return lab_to_rgb(lab)


def colour_shift(image: Array, amount: float, rng: Rng) -> Array:
    """5: green moved by `amount` pixels in a random direction (down and right), blended in near edges.

    The blend is the gradient's magnitude, blurred (sigma 4), normalised, stretched over all but 1% at
    either end and kept in [.1, 1].
    """
    angle = rng.uniform(0, np.pi / 2)
    down, right = round(amount * np.sin(angle)), round(amount * np.cos(angle))
    height, width = image.shape[:2]
    rows = (np.arange(height) - down).clip(0)
    columns = (np.arange(width) - right).clip(0)
    slope_y, slope_x = np.gradient(luma(image))
    edges = gaussian(np.hypot(slope_y, slope_x)[..., None], 4.0)[..., 0]
    low, high = np.percentile(edges, (1, 99))
    blend = ((edges - low) / max(high - low, 1e-6)).clip(0.1, 1)
    shifted = image.copy()
    shifted[..., 1] = blend * image[rows[:, None], columns[None, :], 1] + (1 - blend) * image[..., 1]
    return shifted


def palette(image: Array, colours: float, rng: Rng) -> Array:
    """6: the nearest of `colours` palette colours (Pillow's median cut, no dithering)."""
    picture = Image.fromarray(to_bytes(image))
    reduced = picture.quantize(int(colours), method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return from_bytes(np.asarray(reduced.convert("RGB")))


def hsv_saturation(image: Array, factor: float, rng: Rng) -> Array:
    """7: HSV saturation times `factor`; a negative one turns every hue into its complement."""
    hsv = rgb_to_hsv(image)
    hsv[..., 1] *= factor
    return hsv_to_rgb(hsv)


def lab_saturation(image: Array, factor: float, rng: Rng) -> Array:
    """8: Lab's a and b times `factor`; level 1 (factor 1) leaves the picture as it is."""
    if factor == 1:
        return image
    lab = rgb_to_lab(image)
    lab[..., 1:] *= factor
    return lab_to_rgb(lab)


def brighten(image: Array, amount: float, rng: Rng) -> Array:
    """16: the parabola through (0,0), (.5,.5+amount/2), (1,1): two thirds on RGB, one third on Lab lightness."""
    lab = rgb_to_lab(image)
    lab[..., 0] = 100 * _parabola(lab[..., 0] / 100, amount)
    return (2 * _parabola(image, amount) + lab_to_rgb(lab)) / 3


def darken(image: Array, amount: float, rng: Rng) -> Array:
    """17: the parabola through (0,0), (.5,.5-amount/2), (1,1) on RGB."""
    return _parabola(image, -amount)


def mean_shift(image: Array, shift: float, rng: Rng) -> Array:
    """18: `shift` added to every value, then clipped; level 3 is the picture itself, 4 and 5 are darker."""
    return image + shift


def contrast(image: Array, amount: float, rng: Rng) -> Array:
    """25: a spline through (.3,.25-a/4), (.5,.5), (.7,.75+a/4) and the corners; negative `amount` flattens."""
    heights = [0, 0.25 - amount / 4, 0.5, 0.75 + amount / 4, 1]
    return CubicSpline([0, 0.3, 0.5, 0.7, 1], heights)(image)


def _parabola(values: Array, amount: float) -> Array:
    return (values + 2 * amount * values * (1 - values)).clip(0, 1)
