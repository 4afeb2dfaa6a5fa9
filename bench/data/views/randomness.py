"""Counter-based random numbers for views: a function of what is asked for, not of when or in what batch.

A draw is splitmix64 (Steele et al. 2014) over a chain of seed, stream, image, epoch and view number, so views of one
split are the views of every split, in any order, process and batch size. In training an image is known by its name, in
tests by its stored pixels: whatever a file is called, it gets the same score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_TRAIN, _TEST = 1, 2


def name_keys(names: Sequence[str]) -> np.ndarray:
    """A stable 64-bit number for each image name."""
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in names]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def pixel_keys(crcs: np.ndarray | int, heights: np.ndarray | int, widths: np.ndarray | int) -> np.ndarray:
    """A 64-bit number for each stored picture, made of its CRC-32 and its sides."""
    crc, height, width = (np.asarray(values).astype(np.uint64) for values in (crcs, heights, widths))
    key: np.ndarray = crc ^ height << np.uint64(32) ^ width << np.uint64(48)
    return key


def draws(
    keys: np.ndarray, count: int, *, seed: int, epoch: int, number: np.ndarray | int, training: bool
) -> np.ndarray:
    """`count` random 32-bit numbers (as uint64) an image, [B, count].

    Test views take neither the run's seed nor the epoch: view `number` of an image is the same for every run.
    """
    chain = (seed, _TRAIN, epoch) if training else (0, _TEST, 0)
    state = np.zeros(1, dtype=np.uint64)
    for part in chain:
        state = _mix(state + _GOLDEN * np.array([part + 1], dtype=np.uint64))
    state = _mix(state ^ keys)
    state = _mix(state + _GOLDEN * (np.atleast_1d(number).astype(np.uint64) + np.uint64(1)))
    counters = _GOLDEN * np.arange(1, count + 1, dtype=np.uint64)
    return _mix(state[:, None] + counters) >> np.uint64(32)


def below(drawn: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Map 32-bit draws to integers in [0, range), every one of them reachable."""
    return ((drawn * ranges.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)


def _mix(values: np.ndarray) -> np.ndarray:
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
