"""What a method may look at: the kinds of views, as plain descriptions (bench/data/batches.py makes them)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class View:
    """One picture made of an image for a model, square, `size` pixels a side.

    crop: a random window in training, seeded windows in tests. resize: the whole image, antialiased.
    fragments: `grid` × `grid` cells, one `fragment`-pixel window a cell put together (GLIA Eq. 1–2, after FAST-VQA);
    `offset="corner"` takes every cell's top-left corner as Eq. 2 prints it, "random" a seeded place in the cell.
    `original`: crops and fragments are cut from the picture in its own size, whatever the recipe's short side.
    """

    kind: Literal["crop", "resize", "fragments"]
    size: int
    grid: int = 0
    fragment: int = 0
    offset: Literal["random", "corner"] = "random"
    flips: bool = False
    original: bool = False

    @property
    def fixed(self) -> bool:
        """Whether the view is the same in every epoch, so that what is computed of it can be kept."""
        return not self.flips and (self.kind == "resize" or (self.kind == "fragments" and self.offset == "corner"))
