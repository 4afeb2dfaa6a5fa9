"""KADID-10k's blurs (1-3), noises (11-15) and sharpening (24): what a lens, a sensor and a filter do."""

from __future__ import annotations

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter

from bench.data.synthesis.distortions.spaces import Array, lab_to_rgb, rgb_to_lab, rgb_to_ycbcr, ycbcr_to_rgb

Rng = np.random.RandomState
"""RandomState's streams are frozen by numpy for good; Generator's may change with a release."""

_TV_WEIGHT, _TV_STEPS = 1.2, 30
"""Denoiser: regularisation per unit of noise deviation, and how many dual steps."""


def gaussian(planes: Array, sigma: float) -> Array:
    """Gaussian blur of each plane of HxWxC, cut off at two sigma as MATLAB's imgaussfilt does."""
    return gaussian_filter(planes, (sigma, sigma, 0), mode="nearest", truncate=2.0)


def gaussian_blur(image: Array, sigma: float, rng: Rng) -> Array:
    """1: Gaussian blur of standard deviation `sigma` pixels."""
    return gaussian(image, sigma)


def lens_blur(image: Array, radius: float, rng: Rng) -> Array:
    """2: an evenly bright disk of `radius` pixels and a quarter, its rim weighted by the covered part of each pixel."""
    half = int(np.ceil(radius))
    fine = (np.arange((2 * half + 1) * 9) + 0.5) / 9 - half - 0.5
    inside = (fine[:, None] ** 2 + fine[None, :] ** 2 <= (radius + 0.25) ** 2).astype(np.float64)
    return _convolve(image, inside.reshape(2 * half + 1, 9, 2 * half + 1, 9).sum(axis=(1, 3)))


def motion_blur(image: Array, length: float, rng: Rng) -> Array:
    """3: a line of `length` pixels at a random angle of 0-180 degrees, anti-aliased as fspecial('motion')."""
    angle = rng.uniform(0, np.pi)
    reach = (length - 1) / 2
    half = int(np.ceil(reach))
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    along = (x * np.cos(angle) - y * np.sin(angle)).clip(-reach, reach)
    distance = np.hypot(x - along * np.cos(angle), y + along * np.sin(angle))
    return _convolve(image, np.maximum(1 - distance, 0))


def rgb_noise(image: Array, variance: float, rng: Rng) -> Array:
    """11: white Gaussian noise, the same variance in R, G and B."""
    return image + np.sqrt(variance) * rng.standard_normal(image.shape)


def ycbcr_noise(image: Array, variance: float, rng: Rng) -> Array:
    """12: white Gaussian noise in Y, Cb and Cr; seen as coloured grain, since Cb and Cr are amplified."""
    return ycbcr_to_rgb(rgb_to_ycbcr(image) + np.sqrt(variance) * rng.standard_normal(image.shape))


def impulse_noise(image: Array, density: float, rng: Rng) -> Array:
    """13: salt and pepper: each value of each channel becomes 0 or 1 with probability `density`."""
    draw = rng.random_sample(image.shape)
    return np.where(draw < density / 2, 0.0, np.where(draw < density, 1.0, image))


def multiplicative_noise(image: Array, variance: float, rng: Rng) -> Array:
    """14: speckle, x + x·n with Gaussian n."""
    return image + image * np.sqrt(variance) * rng.standard_normal(image.shape)


def denoised(image: Array, variance: float, rng: Rng) -> Array:
    """15: Gaussian noise, then a denoiser.

    KADID-10k used the DnCNN network. Total-variation denoising (Chambolle's dual projection, a fixed number
    of steps) stands in for it: like the network it leaves smooth, blotchy areas and loses fine texture.
    """
    noisy = (image + np.sqrt(variance) * rng.standard_normal(image.shape)).clip(0, 1)
    return _total_variation(noisy.astype(np.float32), np.float32(_TV_WEIGHT * np.sqrt(variance)))


def sharpened(image: Array, amount: float, rng: Rng) -> Array:
    """24: unsharp mask on Lab lightness, radius 3 (as MATLAB's imsharpen), times `amount`."""
    lab = rgb_to_lab(image)
    light = lab[..., :1]
    lab[..., :1] = (light + amount * (light - gaussian(light, 3.0))).clip(0, 100)
    return lab_to_rgb(lab)


def _convolve(image: Array, kernel: Array) -> Array:
    """Convolution of each channel with a small normalised kernel, edges mirrored; through the FFT."""
    pad = kernel.shape[0] // 2
    if pad == 0:
        return image
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
    shape = [scipy.fft.next_fast_len(side, real=True) for side in padded.shape[:2]]
    spectrum = scipy.fft.rfft2(padded, shape, axes=(0, 1), workers=1)
    spectrum *= scipy.fft.rfft2(kernel / kernel.sum(), shape, workers=1)[..., None]
    full = scipy.fft.irfft2(spectrum, shape, axes=(0, 1), workers=1)
    return full[2 * pad : 2 * pad + image.shape[0], 2 * pad : 2 * pad + image.shape[1]]


def _total_variation(noisy: Array, weight: np.float32) -> Array:
    """Rudin-Osher-Fatemi by Chambolle's fixed-point iteration, the channels sharing their edges.

    float32, and operations that round the same on every machine only.
    """
    step = np.float32(0.25)
    dual_y, dual_x = np.zeros_like(noisy), np.zeros_like(noisy)
    clean = noisy
    for _ in range(_TV_STEPS):
        slope_y, slope_x = np.zeros_like(noisy), np.zeros_like(noisy)
        slope_y[:-1] = clean[1:] - clean[:-1]
        slope_x[:, :-1] = clean[:, 1:] - clean[:, :-1]
        square = slope_y * slope_y + slope_x * slope_x
        scale = 1 / (1 + (step / weight) * np.sqrt(square[..., :1] + square[..., 1:2] + square[..., 2:]))
        dual_y = (dual_y - step * slope_y) * scale
        dual_x = (dual_x - step * slope_x) * scale
        divergence = -dual_y - dual_x
        divergence[1:] += dual_y[:-1]
        divergence[:, 1:] += dual_x[:, :-1]
        clean = noisy + divergence
    return clean
