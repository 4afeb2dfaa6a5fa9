"""What a run leaves for the next run of its process. The executor owns it and hands it to each run."""

from __future__ import annotations

import gc
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.data.pixels.on_gpu import PlacedStores
    from bench.models.sharing import SharedNetworks


class Shared:
    """Networks and pixel stores that are loaded once for many runs, and what was found out about a kind of run.

    It decides how fast a run is and no number of it: a run with an empty one ends in the same bits.
    """

    def __init__(self) -> None:
        self.batch_sizes: dict[tuple[object, ...], int] = {}
        """How many rows are scored at once, by kind of model."""
        self.gflops: dict[str, float] = {}
        """What scoring one view costs, by kind of run."""

    @cached_property
    def networks(self) -> SharedNetworks:
        """The pretrained networks that were loaded last. (Loads torch, as `stores` does.)"""
        from bench.models.sharing import SharedNetworks

        return SharedNetworks()

    @cached_property
    def stores(self) -> PlacedStores:
        """The pixel stores that were copied to a GPU."""
        from bench.data.pixels.on_gpu import PlacedStores

        return PlacedStores()

    def free_memory(self) -> None:
        """Give back the stores and whatever a run that failed for want of memory held."""
        import torch

        self.stores.give_back()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
