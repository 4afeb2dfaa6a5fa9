"""From rows of a dataset to what a model takes: pictures made on the fly, frozen inputs computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.core.threads import is_vector
from bench.data.dataset import Dataset
from bench.data.frozen.inputs import FrozenInputs
from bench.data.views.batches import ViewMaker
from bench.data.views.view import View


def name_code(text: str) -> int:
    """A name as a whole number, the same everywhere; 0 for an empty one."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") if text else 0


@dataclass
class Batch:
    """Rows of a dataset, which of their views, and (where training) the epoch those belong to."""

    rows: np.ndarray
    numbers: np.ndarray
    epoch: int
    training: bool


@dataclass
class Feed:
    """One dataset made ready for one model."""

    dataset: Dataset
    maker: ViewMaker
    frozen: FrozenInputs
    pictures: tuple[str, ...]
    views: Mapping[str, View]
    """As a test has them."""
    pixels: str = ""
    """One hash over the contents of all pictures (bench.data.pixels.contents)."""
    knows: tuple[str, ...] = ()
    """What a model is told of each picture beside its pixels."""

    def scores(self) -> np.ndarray:
        """The human scores of all rows."""
        return self.dataset.table["score"].to_numpy(dtype=np.float64)

    def test_views(self, number: int) -> int:
        """How many views a test averages: one where every view is the same each time."""
        used = [self.views[name] for name in (*self.pictures, *(f.view for f in self.frozen.frozen.values()))]
        return 1 if all(view.fixed or (view.kind == "resize") for view in used) else number

    @property
    def one_by_one(self) -> bool:
        """Whether a test hands the model pictures of their own shapes, which make no batch."""
        return any(self.views[name].alone for name in self.pictures)

    def load_pictures(self, batch: Batch) -> dict[str, Tensor]:
        """The pictures a model reads itself; safe to call from another thread."""
        return {
            name: self.maker.pictures(
                name, batch.rows, epoch=batch.epoch, number=batch.numbers, training=batch.training
            )
            for name in self.pictures
        }

    def load(self, batch: Batch) -> dict[str, Tensor]:
        """Pictures, and the frozen inputs that need no network; safe to call from another thread."""
        tensors = self.load_pictures(batch)
        for name in self.frozen.frozen:
            value = self.frozen.find(name, batch.rows, **self.which(batch))
            if value is not None:
                tensors[name] = value
        return tensors

    def only_vectors(self, loaded: Mapping[str, Tensor]) -> bool:
        """Whether a model sees nothing but vectors that were `loaded`: no network, no picture, on a CPU."""
        return not self.pictures and set(self.frozen.frozen) <= set(loaded) and all(map(is_vector, loaded.values()))

    def inputs(self, batch: Batch, loaded: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Everything the model's forward wants for a batch, of which some may have been loaded before."""
        tensors = dict(loaded if loaded is not None else self.load(batch))
        for name in self.frozen.frozen:
            if name not in tensors:
                tensors[name] = self.frozen.get(name, batch.rows, **self.which(batch))
        return tensors | self.known(batch)

    def known(self, batch: Batch) -> dict[str, Tensor]:
        """What a model is told of a batch's pictures beside their pixels, as whole numbers."""
        device = self.maker.device
        return {name: torch.from_numpy(self._known(name)[batch.rows]).to(device) for name in self.knows}

    def _known(self, name: str) -> np.ndarray:
        """A column of the dataset's table as whole numbers; a name is its hash, an empty one 0."""
        column = self.dataset.table[name]
        if name == "level":
            return column.to_numpy(dtype=np.int64)
        codes = {text: name_code(text) for text in column.unique()}
        return column.map(codes).to_numpy(dtype=np.int64)

    @staticmethod
    def which(batch: Batch) -> dict[str, Any]:
        """Which views a batch asks for, as frozen inputs take it."""
        return {"epoch": batch.epoch, "number": batch.numbers, "training": batch.training}
