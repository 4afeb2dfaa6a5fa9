"""Memory that is handed out again: a fresh large batch costs more in page faults than in arithmetic."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

KEEP = 6
"""Buffers kept for reuse; more than a trainer and its prefetch hold at once."""


class BufferPool:
    """CPU tensors whose memory returns here once no tensor refers to it any more."""

    def __init__(self) -> None:
        self._free: dict[int, np.ndarray] = {}

    def empty(self, shape: Sequence[int], dtype: torch.dtype = torch.float32) -> Tensor:
        """An uninitialised tensor; as safe to keep as any other."""
        size = math.prod(shape) * dtype.itemsize
        base = self._take(size)
        lease = base[:size]  # torch keeps this very array alive as long as any tensor shares its memory
        weakref.finalize(lease, self._give, base).atexit = False
        return torch.from_numpy(lease).view(dtype).view(tuple(shape))

    def _take(self, size: int) -> np.ndarray:
        for key, base in list(self._free.items()):
            if size <= base.size <= 2 * size and self._free.pop(key, None) is not None:
                return base
        return np.empty(size, dtype=np.uint8)

    def _give(self, base: np.ndarray) -> None:
        # no lock, only single dict operations: a garbage collection may call this in the middle of _take
        if len(self._free) < KEEP:
            self._free[id(base)] = base
