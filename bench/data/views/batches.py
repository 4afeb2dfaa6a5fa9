"""Views by the batch: crops, whole pictures and grid fragments gathered from the pixel store without a loop.

Every kind is a grid of n × n windows of f × f pixels (a crop and a whole picture: 1 × 1), and a window is f runs
of 3f bytes in the store. One gather over an overlapping view of the flat store, whose row b is the run that starts
at byte b, makes a batch.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import UsageError
from bench.core.progress import Report
from bench.core.spec import Recipe
from bench.data.dataset import Dataset
from bench.data.pixels.on_gpu import PlacedStores
from bench.data.pixels.store import PixelStore, Policy, open_store
from bench.data.views.buffers import BufferPool
from bench.data.views.prefetch import prefetched
from bench.data.views.randomness import below, draws, name_keys, pixel_keys
from bench.data.views.view import View

__all__ = ["FIXED_DRAWS", "ViewMaker", "corners", "policy_of", "prefetched", "send", "stream"]

FIXED_DRAWS = 2  # the two flips; they come first so that all views of an image are flipped alike


class ViewMaker:
    """Makes the views of one dataset; opening it builds the pixel stores they need.

    A crop or fragment view reads the store of the recipe's short side, or of the pictures' own sizes, in which
    shorter pictures are brought up to the view's size; a whole-picture view reads one in which every picture was
    squeezed to its size.
    """

    def __init__(
        self,
        dataset: Dataset,
        views: Mapping[str, View],
        recipe: Recipe,
        cache: Path,
        device: torch.device | str,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        progress: Report | None = None,
        limit_bytes: int | None = None,
        placed: PlacedStores | None = None,
        tested: Mapping[str, View] | None = None,
    ) -> None:
        """`placed`: the stores that other makers of this process have brought to the GPU already. `tested`: what tests
        see in the place of the views, under the same names."""
        self.tested = dict(views if tested is None else tested)
        for name, view in (*views.items(), *self.tested.items()):
            _check(name, view)
        self.dataset, self.views, self.recipe = dataset, dict(views), recipe
        self.device = torch.device(device)
        self.mean, self.std = tuple(map(float, mean)), tuple(map(float, std))
        scale = 1 / (255 * torch.tensor(self.std, dtype=torch.float64))
        shift = -torch.tensor(self.mean, dtype=torch.float64) / torch.tensor(self.std, dtype=torch.float64)
        self._scale, self._shift = (t.float().view(3, 1, 1).to(self.device) for t in (scale, shift))
        self._names = name_keys(dataset.table["image"].tolist())
        wanted = (*self.views.values(), *self.tested.values())
        self._stores: dict[Policy, PixelStore] = {
            policy: open_store(dataset, policy, cache, progress=progress, limit_bytes=limit_bytes)
            for policy in dict.fromkeys(policy_of(view, recipe) for view in wanted)
        }
        self._flats: dict[str, Tensor] = {}
        self._placed = PlacedStores() if placed is None else placed
        self._placing = threading.Lock()
        self._pool = BufferPool()

    def view(self, name: str, training: bool) -> View:
        """The view of a name, in training or in a test."""
        return (self.views if training else self.tested)[name]

    def store(self, name: str, training: bool) -> PixelStore:
        """The store that it is cut from."""
        return self._stores[policy_of(self.view(name, training), self.recipe)]

    def pictures(self, name: str, rows: np.ndarray, *, epoch: int, number: np.ndarray | int, training: bool) -> Tensor:
        """Normalised float32 pictures [B,3,S,S] on the device.

        A view is a function of (recipe's seed, epoch, number, image); in tests of (number, image) alone. `number`
        may differ by row.
        """
        raw = self.raw(name, rows, epoch=epoch, number=number, training=training).permute(0, 3, 1, 2)
        if self.view(name, training).plain:
            return self._empty(raw.shape, torch.float32, self.device).copy_(raw)
        return self._empty(raw.shape, torch.float32, self.device).copy_(raw).mul_(self._scale).add_(self._shift)

    def raw(self, name: str, rows: np.ndarray, *, epoch: int, number: np.ndarray | int, training: bool) -> Tensor:
        """The same pictures as stored bytes: uint8 [B,S,S,3] on the device; of whole pictures one at a time."""
        view, store = self.view(name, training), self.store(name, training)
        rows = np.asarray(rows, dtype=np.int64)
        if view.alone:
            return self._whole(store, rows)
        n, f = (view.grid, view.fragment) if view.kind == "fragments" else (1, view.size)
        heights, widths = store.heights[rows], store.widths[rows]
        drawn = draws(
            self._names[rows] if training else pixel_keys(store.crcs[rows], heights, widths),
            FIXED_DRAWS + 2 * n * n,
            seed=self.recipe.seed,
            epoch=epoch,
            number=number,
            training=training,
        )
        tops, lefts = corners(view, heights, widths, n, f, drawn[:, FIXED_DRAWS:])
        starts = store.offsets[rows, None, None] + (tops * widths[:, None, None] + lefts) * 3
        flips = drawn[:, :FIXED_DRAWS] >> np.uint64(31) if view.flips and training else np.zeros((len(rows), 2))
        flat = self._flat(store)
        if not flat.is_cuda:
            store.verify(rows)
        batch = self._gather(flat, starts, widths * 3, flips[:, 1].astype(bool), f)
        return _mirror(batch, np.flatnonzero(flips[:, 0]))

    def _whole(self, store: PixelStore, rows: np.ndarray) -> Tensor:
        """One picture as it is stored: uint8 [1,H,W,3]."""
        if len(rows) != 1:
            raise UsageError("Whole pictures differ in size, so only frozen inputs may see them, one at a time.")
        row, flat = int(rows[0]), self._flat(store)
        if not flat.is_cuda:
            store.verify(rows)
        height, width, start = int(store.heights[row]), int(store.widths[row]), int(store.offsets[row])
        return flat[start : start + height * width * 3].view(1, height, width, 3).to(self.device)

    def _gather(self, flat: Tensor, starts: np.ndarray, strides: np.ndarray, upside: np.ndarray, f: int) -> Tensor:
        """Windows of f × f pixels that start at bytes starts[B,n,n], put together; upside-down where told."""
        batch, n = starts.shape[:2]
        size, run = n * f, 3 * f
        at = flat.device
        lines = torch.arange(size, device=at).expand(batch, size)
        lines = torch.where(send(upside, at)[:, None], size - 1 - lines, lines)
        cells = torch.gather(send(starts, at), 1, (lines // f)[:, :, None].expand(-1, -1, n))
        index = cells + ((lines % f) * send(strides, at)[:, None])[:, :, None]
        runs = flat.as_strided((flat.numel() - run + 1, run), (1, 1))
        out = self._empty((index.numel(), run), torch.uint8, at)
        torch.index_select(runs, 0, index.view(-1), out=out)
        return out.view(batch, size, size, 3).to(self.device, non_blocking=self.device.type == "cuda")

    def _empty(self, shape: Sequence[int], dtype: torch.dtype, at: torch.device) -> Tensor:
        """Memory for a batch: reused on the CPU, pinned where it is copied to a GPU (torch reuses both of those)."""
        if at.type == "cpu" == self.device.type:
            return self._pool.empty(shape, dtype)
        return torch.empty(
            tuple(shape), dtype=dtype, device=at, pin_memory=at.type == "cpu" and self.device.type == "cuda"
        )

    def _flat(self, store: PixelStore) -> Tensor:
        """The store's bytes, put in their place by the first who reads a picture: a run may need none at all."""
        with self._placing:  # the trainer and its prefetching thread may both be the first
            if store.key not in self._flats:
                self._flats[store.key] = self._place(store)
            return self._flats[store.key]

    def _place(self, store: PixelStore) -> Tensor:
        """The store's bytes as a tensor: on the GPU where they fit, else mapped from the file."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the mapping is read-only, and nothing here writes to it
            flat = torch.from_numpy(store.flat)
        placed = self._placed.on_device(store, flat, self.device)
        return flat if placed is None else placed


def policy_of(view: View, recipe: Recipe) -> Policy:
    """How pictures are stored for a view under a recipe."""
    if view.kind == "resize":
        return Policy(square=view.size, interpolation=recipe.interpolation)
    if any(view.squeezed):
        return Policy(box=view.squeezed, interpolation=recipe.interpolation)
    short_side = 0 if view.original else recipe.short_side
    if view.alone:
        return Policy(short_side, interpolation=recipe.interpolation, patch=view.patch, tokens=view.tokens)
    return Policy(short_side=short_side, min_side=view.size, interpolation=recipe.interpolation)


def stream(view: View, *, seed: int, epoch: int, number: int, training: bool) -> str:
    """What a view depends on besides the image, as a text: "" where it is the same every time."""
    drawn = view.kind == "crop" or (view.kind == "fragments" and view.offset == "random")
    if not drawn and not (view.flips and training):
        return ""
    return f"seed {seed} epoch {epoch} number {number}" if training else f"test number {number}"


def corners(
    view: View, heights: np.ndarray, widths: np.ndarray, n: int, f: int, drawn: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Top and left pixel of every window, [B,n,n] each.

    GLIA Eq. 1: cells of floor(H/n) × floor(W/n) pixels. Eq. 2: a window from each cell, at its corner or at a
    random place; the largest offset, cell − f, can be drawn. For a crop the one cell is the whole picture.
    """
    cell_h, cell_w = heights // n, widths // n
    grid = np.arange(n)
    shape = (len(heights), n, n)
    tops = np.broadcast_to(cell_h[:, None, None] * grid[None, :, None], shape)
    lefts = np.broadcast_to(cell_w[:, None, None] * grid[None, None, :], shape)
    if view.kind == "resize" or (view.kind == "fragments" and view.offset == "corner"):
        return tops, lefts
    places = drawn.reshape(*shape, 2)
    tops = tops + below(places[..., 0], (cell_h - f + 1)[:, None, None])
    lefts = lefts + below(places[..., 1], (cell_w - f + 1)[:, None, None])
    return tops, lefts


def _mirror(batch: Tensor, which: np.ndarray) -> Tensor:
    """Flip the chosen pictures left to right, in place."""
    if not len(which):
        return batch
    if batch.device.type == "cpu":
        there = batch.numpy()  # numpy moves whole pictures many times faster than index_copy_, torch flips faster
        there[which] = torch.from_numpy(there[which]).flip(2).numpy()
    else:
        index = send(which, batch.device)
        batch.index_copy_(0, index, batch.index_select(0, index).flip(2))
    return batch


def send(values: np.ndarray, device: torch.device) -> Tensor:
    """An array as a tensor on the device, without waiting for the copy."""
    tensor = torch.from_numpy(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _check(name: str, view: View) -> None:
    if view.size < 1:
        raise UsageError(f"View {name!r}: size={view.size} must be at least 1.")
    if any(view.squeezed) and min(view.squeezed) < view.size:
        raise UsageError(f"View {name!r}: no crop of {view.size} fits pictures squeezed to {view.squeezed}.")
    if view.kind == "fragments" and (view.grid < 1 or view.grid * view.fragment != view.size):
        raise UsageError(
            f"View {name!r}: {view.grid} × {view.grid} fragments of {view.fragment} pixels do not make {view.size}."
        )
