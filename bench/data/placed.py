"""Pixel stores on a GPU: checked and copied once a process, shared by its runs, given back when memory is wanted."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor

from bench.data.pixels import PixelStore

RESIDENT_SHARE = 0.25
"""A store or a frozen input lives on the GPU where it takes at most this share of the memory that is free then."""
_placed: OrderedDict[tuple[str, str], Tensor] = OrderedDict()
_lock = threading.Lock()


def has_room(device: torch.device, needed: int) -> bool:
    """Whether so many bytes may live on the GPU; what torch holds there without using it counts as free."""
    if device.type != "cuda":
        return False
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return needed <= RESIDENT_SHARE * (torch.cuda.mem_get_info(device)[0] + unused)


def on_device(store: PixelStore, flat: Tensor, device: torch.device) -> Tensor | None:
    """The store's bytes on a GPU, None where they have no room even when those of other stores are given back."""
    if device.type != "cuda":
        return None
    key = str(store.folder), str(device)
    with _lock:
        if key not in _placed:
            while not has_room(device, flat.numel()):
                if not _placed:
                    return None
                _placed.popitem(last=False)
            store.verify(np.arange(len(store)))
            _placed[key] = flat.to(device)
        _placed.move_to_end(key)
        return _placed[key]


def give_back() -> None:
    """Let go of every store on a GPU; runs that still read one keep it until they end."""
    with _lock:
        _placed.clear()
