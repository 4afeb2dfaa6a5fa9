"""Pixel stores on a GPU: checked and copied once, shared by the runs of a process, given back for want of memory."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor

from bench.data.pixels.store import PixelStore

RESIDENT_SHARE = 0.25
"""A store or a frozen input lives on the GPU where it takes at most this share of the memory that is free then."""


def has_room(device: torch.device, needed: int) -> bool:
    """Whether so many bytes may live on the GPU; what torch holds there without using it counts as free."""
    if device.type != "cuda":
        return False
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return needed <= RESIDENT_SHARE * (torch.cuda.mem_get_info(device)[0] + unused)


class PlacedStores:
    """The stores that lie on a GPU, the one that was used last at the end."""

    def __init__(self) -> None:
        self._tensors: OrderedDict[tuple[str, str], Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def on_device(self, store: PixelStore, flat: Tensor, device: torch.device) -> Tensor | None:
        """The store's bytes on a GPU, None where they have no room even when those of other stores are given back."""
        if device.type != "cuda":
            return None
        key = str(store.folder), str(device)
        with self._lock:
            if key not in self._tensors:
                while not has_room(device, flat.numel()):
                    if not self._tensors:
                        return None
                    self._tensors.popitem(last=False)
                store.verify(np.arange(len(store)))
                self._tensors[key] = flat.to(device)
            self._tensors.move_to_end(key)
            return self._tensors[key]

    def give_back(self) -> None:
        """Let go of every store on a GPU; runs that still read one keep it until they end."""
        with self._lock:
            self._tensors.clear()
