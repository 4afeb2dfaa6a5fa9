"""What a method may look at: the kinds of views, as plain descriptions (bench/data/views/batches.py makes them)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class View:
    """One picture made of an image for a model, square, `size` pixels a side (but for `whole` and `native`).

    crop: a random window in training, seeded windows in tests. resize: the whole image, antialiased.
    fragments: `grid` × `grid` cells, one `fragment`-pixel window a cell put together (GLIA Eq. 1–2, after FAST-VQA);
    `offset="corner"` takes every cell's top-left corner as Eq. 2 prints it, "random" a seeded place in the cell.
    whole: all of the image in the size it is stored in, for frozen inputs only, which see one picture at a time; `size`
    says no more than how large a picture its cost is counted on.
    native: all of the image at its own aspect, brought to whole patches of `patch` pixels, at most `tokens` of them;
    what a test looks at under `views=native`, one picture at a time.
    `original`: crops, fragments and whole pictures are of the image in its own size, whatever the recipe's short side.
    `squeezed`: the (height, width) that pictures are squeezed to before crops are cut, their aspect be what it may.
    `plain`: pixels as they are stored, 0 to 255, and not normalised.
    """

    kind: Literal["crop", "resize", "fragments", "whole", "native"]
    size: int
    grid: int = 0
    fragment: int = 0
    offset: Literal["random", "corner"] = "random"
    flips: bool = False
    original: bool = False
    squeezed: tuple[int, int] = field(default=(0, 0), repr=False)  # caches go by the text of a view, as it always was
    plain: bool = field(default=False, repr=False)
    patch: int = field(default=0, repr=False)
    tokens: int = field(default=0, repr=False)

    @property
    def fixed(self) -> bool:
        """Whether the view is the same in every epoch, so that what is computed of it can be kept."""
        still = self.kind == "resize" or self.alone or (self.kind == "fragments" and self.offset == "corner")
        return still and not self.flips

    @property
    def alone(self) -> bool:
        """Whether pictures keep their own shapes in it, and so are seen one at a time."""
        return self.kind in ("whole", "native")


@dataclass(frozen=True)
class Frozen:
    """An input computed by a frozen network: done once per image and view, and kept where that pays.

    `key` names the function (network and what is taken from it); together with the weights' hash and the view it
    names the cache. `compute` maps normalised pictures [B,3,S,S] to the input; the caller runs it without gradient.
    It should be a bound method of a module in the tree, so that a copy of the model computes with its own weights.
    `keep` says whether the result is small enough to be worth keeping; it is kept in half precision, or in full where
    it must be `exact`.
    """

    view: str
    key: str
    compute: Callable[[Tensor], Tensor]
    keep: bool = True
    exact: bool = False
