"""Pictures that two sets share, found by perceptual hash: KonIQ-10k, SPAQ, FLIVE and LIVEC draw on the same sources.

The hash is the 64 signs of the lowest 8 × 8 frequencies of a 32 × 32 grey thumbnail (DCT-II), compared with
their median as in pHash (Zauner 2010): a rescaled or recompressed copy differs in a few bits, unrelated
photographs in about 32.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from bench.core.files import write_bytes
from bench.core.progress import Report, silent
from bench.data.dataset import Dataset
from bench.data.pixels.contents import pixels_hash
from bench.data.pixels.decode import decode

SIDE = 32
KEPT = 8
DISTANCE = 6
"""Bits out of 64 within which two pictures count as the same. Two random hashes come this near once in 2 × 10^11
pairs; KonIQ-10k against FLIVE has 4 × 10^8. Photographs are not random, so a pair is a hint to look at."""

FLAT = 2.0
"""A thumbnail whose standard deviation is below this (of 255) has no content to hash: it is compared with none."""

_ROWS = 256
"""Rows of the distance matrix computed at once (80 MB against 40,000 pictures), and pictures decoded in one batch."""


@dataclass(frozen=True)
class Pair:
    """Two pictures that look the same, and in how many of 64 bits their hashes differ."""

    first: str
    second: str
    distance: int


@dataclass(frozen=True)
class Overlap:
    """The shared pictures of two sets, the nearest first; `flat` counts pictures without content to compare."""

    first: str
    second: str
    pairs: tuple[Pair, ...]
    sizes: tuple[int, int]
    flat: int

    @property
    def shared(self) -> tuple[int, int]:
        """How many pictures of each set have a twin in the other."""
        return len({pair.first for pair in self.pairs}), len({pair.second for pair in self.pairs})

    def sentence(self) -> str:
        """The finding in one sentence, as `bench data overlap` and `cross` say it."""
        if not self.pairs:
            return f"{self.first} and {self.second} share no picture ({self.sizes[0]} and {self.sizes[1]} compared)."
        ours, theirs = self.shared
        return (
            f"{ours} of {self.sizes[0]} pictures of {self.first} have a twin among {theirs} of {self.sizes[1]} of "
            f"{self.second}: a number that trains on one and tests on the other is optimistic."
        )


@dataclass(frozen=True)
class Fingerprints:
    """The perceptual hashes of a set's pictures, row by row, and which of them have content to compare."""

    name: str
    images: tuple[str, ...]
    hashes: np.ndarray
    alive: np.ndarray


def fingerprints(
    dataset: Dataset, cache: Path | None = None, *, workers: int = 1, progress: Report = silent
) -> Fingerprints:
    """Hash a set's pictures; with a cache, those of a set that has the same pictures are read from it."""
    images = tuple(dataset.table["image"].tolist())
    cached = None if cache is None else cache / "overlap" / f"{pixels_hash(dataset, cache, progress, workers)}.npz"
    if cached is not None and (known := _kept(cached, len(images))) is not None:
        return Fingerprints(dataset.name, images, *known)
    thumbs = _thumbnails(dataset.paths(), dataset.name, workers, progress)
    hashes, alive = perceptual_hashes(thumbs), thumbs.std(axis=(1, 2)) >= FLAT
    if cached is not None:
        out = io.BytesIO()
        np.savez(out, hashes=hashes, alive=alive)
        write_bytes(cached, out.getvalue())
    return Fingerprints(dataset.name, images, hashes, alive)


def _kept(path: Path, count: int) -> tuple[np.ndarray, np.ndarray] | None:
    try:
        with np.load(path, allow_pickle=False) as file:
            hashes, alive = file["hashes"], file["alive"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return (hashes, alive) if len(hashes) == len(alive) == count else None


def overlap(first: Dataset, second: Dataset, *, workers: int = 1, progress: Report = silent) -> Overlap:
    """Find the pictures two sets share; both are decoded once."""
    return compare(*(fingerprints(dataset, workers=workers, progress=progress) for dataset in (first, second)))


def compare(first: Fingerprints, second: Fingerprints) -> Overlap:
    """Find the pictures that two sets share by their hashes."""
    both = (first, second)
    sound = [np.flatnonzero(each.alive) for each in both]
    matches = near_pairs(first.hashes[sound[0]], second.hashes[sound[1]], DISTANCE)
    pairs = [Pair(first.images[sound[0][i]], second.images[sound[1][j]], bits) for i, j, bits in matches]
    pairs.sort(key=lambda pair: (pair.distance, pair.first, pair.second))
    flat = sum(int((~each.alive).sum()) for each in both)
    return Overlap(first.name, second.name, tuple(pairs), (len(first.images), len(second.images)), flat)


def perceptual_hashes(thumbs: np.ndarray) -> np.ndarray:
    """n × 32 × 32 grey thumbnails to n hashes of 64 bits, as uint64."""
    dct = _dct_matrix()[:KEPT]
    low = np.einsum("ij,njk,lk->nil", dct, thumbs.astype(np.float64), dct, optimize=True).reshape(len(thumbs), -1)
    middle = np.median(low[:, 1:], axis=1, keepdims=True)  # the first is the mean brightness, which says nothing
    bits = low > middle
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).ravel()


def near_pairs(first: np.ndarray, second: np.ndarray, distance: int = DISTANCE) -> list[tuple[int, int, int]]:
    """(i, j, bits) of all pairs of hashes at most `distance` bits apart, by blocks so that memory stays small."""
    matches = []
    for start in range(0, len(first), _ROWS):
        bits = np.bitwise_count(first[start : start + _ROWS, None] ^ second[None, :])
        for i, j in np.argwhere(bits <= distance):
            matches.append((int(start + i), int(j), int(bits[i, j])))
    return matches


def thumbnail(path: Path, dataset_name: str) -> np.ndarray:
    """A picture as 32 × 32 grey values."""
    grey = Image.fromarray(decode(path, dataset_name)).convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX))


def _thumbnails(paths: Sequence[Path], name: str, workers: int, progress: Report) -> np.ndarray:
    thumbs = np.empty((len(paths), SIDE, SIDE), dtype=np.uint8)
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for start in range(0, len(paths), _ROWS):  # by batches, so that a broken picture stops the rest soon
            batch = paths[start : start + _ROWS]
            thumbs[start : start + len(batch)] = list(pool.map(lambda path: thumbnail(path, name), batch))
            progress(start + len(batch), len(paths), f"{name}: hashing pictures")
    return thumbs


def _dct_matrix() -> np.ndarray:
    """The orthonormal DCT-II of length 32."""
    k, n = np.mgrid[0:SIDE, 0:SIDE]
    matrix: np.ndarray = np.sqrt(2 / SIDE) * np.cos(np.pi * (2 * n + 1) * k / (2 * SIDE))
    matrix[0] /= np.sqrt(2)
    return matrix
