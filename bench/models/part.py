"""What a `fit` may see of a run: its training part, picture by picture, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.core.progress import Report, silent

BATCH = 64
"""Pictures that are looked at together."""

Load = Callable[[np.ndarray, int], Mapping[str, Tensor]]
"""(numbers of pictures in the part, which of their views) → what `forward` is given of them."""


@dataclass(frozen=True)
class TrainingPart:
    """The pictures of a training part by their numbers, 0 to `len(part) - 1`."""

    scores: np.ndarray
    """Of each picture, higher is better; standardised over the part, as losses see them."""
    contents: np.ndarray
    """The content of each picture, by name: pictures of one content never lie on two sides of a split."""
    views: int
    """How many views of each picture the recipe trains on."""
    load: Load
    device: torch.device
    seed: int = 0
    """The run's: whatever a fit draws, it draws by this."""
    originals: Callable[[str], Tensor] | None = None
    """One input of the undistorted pictures behind the part's contents, [originals, ...], on the CPU; for a method that
    needs "originals"."""
    texts: Callable[[str], list[str]] | None = None
    """A text about each picture, of the file of captions that an option of the method names; for one with such an
    option."""
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    """The precision of the run's networks, for a fit that runs one itself."""
    report: Report = silent
    """Who is told how far a fit has come."""

    def __len__(self) -> int:
        return len(self.scores)

    def batches(self, pictures: np.ndarray | None = None, view: int = 0) -> Iterator[Mapping[str, Tensor]]:
        """What `forward` is given of these pictures (of all, unless told), in their order and a few at a time."""
        rows = np.arange(len(self)) if pictures is None else np.asarray(pictures)
        for at in range(0, len(rows), BATCH):
            self.report(int(rows[at]), len(self), "looking at the training part")
            yield self.load(rows[at : at + BATCH], view)

    def stacked(self, name: str, view: int = 0) -> Tensor:
        """One input of all pictures, [pictures, ...], on the CPU."""
        return torch.cat([inputs[name].cpu() for inputs in self.batches(view=view)])

    def held_out(self, share: float = 0.2) -> np.ndarray:
        """Which pictures validate a choice: those of a share of the contents, at least one and never all."""
        names = np.unique(self.contents)
        if len(names) < 2:
            return np.zeros(len(self), dtype=bool)
        count = min(max(1, round(share * len(names))), len(names) - 1)
        generator = np.random.RandomState(np.array([self.seed, 0xF17], dtype=np.uint32))
        return np.isin(self.contents, generator.permutation(names)[:count])
