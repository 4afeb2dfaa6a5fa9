"""KADID-10k's compression (9, 10) and spatial distortions (19-23): what happens to places and to code streams."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from bench.data.synthesis.distortions.blurs_noise import Rng
from bench.data.synthesis.distortions.pixels import from_bytes, to_bytes
from bench.data.synthesis.distortions.spaces import Array


def jpeg2000(image: Array, ratio: float, rng: Rng) -> Array:
    """9: JPEG2000 at a compression ratio, through Pillow's OpenJPEG (9/7 wavelet)."""
    options = {"quality_mode": "rates", "quality_layers": [ratio], "irreversible": True}
    smallest = min(image.shape[:2])
    if smallest < 64:  # OpenJPEG refuses more wavelet levels than a side can be halved
        options["num_resolutions"] = max(1, smallest.bit_length() - 1)
    return _through(image, "JPEG2000", options)


def jpeg(image: Array, quality: float, rng: Rng) -> Array:
    """10: JPEG at a quality of 1-100, chroma halved (4:2:0)."""
    return _through(image, "JPEG", {"quality": int(quality), "subsampling": 2})


def jitter(image: Array, amount: float, rng: Rng) -> Array:
    """19: five passes in which every pixel is fetched, bicubically, from N(0,1)·amount pixels away."""
    planes = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32)
    for _ in range(5):
        planes = _warp(planes, (amount * rng.standard_normal((2, *image.shape[:2]))).astype(np.float32))
    return planes.transpose(1, 2, 0)


def misplaced_patches(image: Array, count: float, rng: Rng) -> Array:
    """20: `count` patches of 16x16, each replaced by the patch up to 8 pixels away from it."""
    changed = image.copy()
    side = min(16, *image.shape[:2])
    limits = image.shape[0] - side, image.shape[1] - side
    for _ in range(int(count)):
        top, left = (rng.randint(0, limit + 1) for limit in limits)
        from_top = int(np.clip(top + rng.randint(-8, 9), 0, limits[0]))
        from_left = int(np.clip(left + rng.randint(-8, 9), 0, limits[1]))
        source = image[from_top : from_top + side, from_left : from_left + side]
        changed[top : top + side, left : left + side] = source
    return changed


def pixelate(image: Array, strength: float, rng: Rng) -> Array:
    """21: nearest-neighbour resize by .95 - strength^0.6 and back."""
    factor = 0.95 - strength**0.6
    rows, columns = (_there_and_back(side, factor) for side in image.shape[:2])
    return image[rows[:, None], columns[None, :]]


def otsu_quantization(image: Array, thresholds: float, rng: Rng) -> Array:
    """22: all channels' values cut at Otsu's best `thresholds` thresholds, each class shown as its mean."""
    pixels = to_bytes(image)
    table = _otsu_levels(np.bincount(pixels.ravel(), minlength=256), int(thresholds))
    return table[pixels]


def colour_blocks(image: Array, count: float, rng: Rng) -> Array:
    """23: `count` opaque blocks of 32x32, each of one random colour."""
    changed = image.copy()
    side = min(32, *image.shape[:2])
    for _ in range(int(count)):
        top, left = (rng.randint(0, limit - side + 1) for limit in image.shape[:2])
        changed[top : top + side, left : left + side] = rng.random_sample(3)
    return changed


def _through(image: Array, codec: str, options: dict) -> Array:
    stream = io.BytesIO()
    Image.fromarray(to_bytes(image)).save(stream, codec, **options)
    stream.seek(0)
    with Image.open(stream) as picture:
        return from_bytes(np.asarray(picture.convert("RGB")))


def _there_and_back(side: int, factor: float) -> Array:
    """For each place, the place whose value it shows after shrinking to factor·side and growing again."""
    small = max(1, round(side * factor))
    shrunk = (2 * np.arange(small) + 1) * side // (2 * small)
    return shrunk[(2 * np.arange(side) + 1) * small // (2 * side)]


def _warp(planes: Array, offsets: Array) -> Array:
    """Keys' bicubic (a = -1/2) of CxHxW planes at pixel + offset, edges repeated."""
    height, width = planes.shape[1:]
    y = np.arange(height, dtype=np.float32)[:, None] + offsets[0]
    x = np.arange(width, dtype=np.float32)[None, :] + offsets[1]
    floor_y, floor_x = np.floor(y), np.floor(x)
    weights_y, weights_x = _keys(y - floor_y), _keys(x - floor_x)
    rows = [(floor_y.astype(np.intp) + tap).clip(0, height - 1) * width for tap in (-1, 0, 1, 2)]
    columns = [(floor_x.astype(np.intp) + tap).clip(0, width - 1) for tap in (-1, 0, 1, 2)]
    result = np.zeros_like(planes)
    for row, weight_y in zip(rows, weights_y, strict=True):
        for column, weight_x in zip(columns, weights_x, strict=True):
            place, weight = row + column, weight_y * weight_x
            for plane, output in zip(planes, result, strict=True):
                output += weight * plane.take(place)
    return result.clip(0, 1)


def _keys(t: Array) -> list[Array]:
    """The four weights of cubic convolution at fraction t (R. Keys, 1981)."""
    t2, t3 = t * t, t * t * t
    half = np.float32(0.5)
    return [
        half * (-t3 + 2 * t2 - t),
        half * (3 * t3 - 5 * t2 + 2),
        half * (-3 * t3 + 4 * t2 + t),
        half * (t3 - t2),
    ]


def _otsu_levels(histogram: Array, thresholds: int) -> Array:
    """For each of 256 values the mean of its class, the classes maximising the between-class variance.

    Exact by dynamic programming: best[j] = max over i of best_before[i-1] + S(i..j)² / P(i..j), where
    P counts pixels and S sums values.
    """
    values = np.arange(256, dtype=np.float64)
    count = np.concatenate([[0.0], np.cumsum(histogram, dtype=np.float64)])
    total = np.concatenate([[0.0], np.cumsum(histogram * values)])
    pixels = count[None, 1:] - count[:-1, None]
    sums = total[None, 1:] - total[:-1, None]
    gain = np.where(pixels > 0, sums * sums / np.maximum(pixels, 1), 0.0)
    gain[np.tril_indices(256, -1)] = -np.inf
    best, starts = gain[0], []
    for _ in range(thresholds):
        candidates = np.concatenate([[-np.inf], best[:-1]])[:, None] + gain
        starts.append(candidates.argmax(axis=0))
        best = candidates.max(axis=0)
    table, end = np.empty(256), 255
    for start in reversed([np.zeros(256, dtype=np.intp), *starts]):
        begin = int(start[end])
        table[begin : end + 1] = sums[begin, end] / pixels[begin, end] if pixels[begin, end] else end
        end = begin - 1
    return table / 255
