"""Frozen inputs: what a frozen network makes of a view, computed once and shared by runs, splits and methods.

A value is always computed among the same 32 consecutive rows of the dataset's table and always rounded through
half precision, whether it then comes from disk, from memory or fresh from the network. So it depends neither on
split nor on batch, and a run's numbers are the same with and without the cache. The one exception: an input too
large for cache and memory both is computed batch by batch, and may differ by a rounding step of half precision.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.data.batches import ViewMaker, stream
from bench.data.caches import fits
from bench.data.dataset import Dataset
from bench.data.sheets import CHUNK, MemorySheet, Sheet, create_sheet, open_sheet, sheet_bytes
from bench.errors import RunError
from bench.method import Frozen
from bench.progress import Report, silent

FORMAT = 1
OPEN_SHEETS = 8
MEMORY_BYTES = 4 << 30
"""What sheets kept in memory may take together, where nothing is stored on disk."""


class FrozenInputs:
    """The frozen inputs of one dataset for one model. `limit_bytes` bounds the whole cache folder."""

    def __init__(
        self,
        dataset: Dataset,
        maker: ViewMaker,
        frozen: Mapping[str, Frozen],
        weights_hash: str,
        cache: Path,
        limit_bytes: int,
        *,
        enabled: bool = True,
        device: torch.device | str = "cpu",
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
        progress: Report | None = None,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self.dataset, self.maker, self.frozen = dataset, maker, dict(frozen)
        self.weights_hash, self.cache, self.limit_bytes = weights_hash, cache, limit_bytes
        self.enabled, self.device, self.autocast = enabled, torch.device(device), autocast
        self.report, self.memory_bytes = progress or silent, memory_bytes
        self._precision = _precision(autocast, self.device)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._sheets: OrderedDict[str, Sheet] = OrderedDict()

    def get(self, name: str, rows: np.ndarray, *, epoch: int, number: int, training: bool) -> Tensor:
        """The input for rows of the table, float32 on the device."""
        rows = np.asarray(rows, dtype=np.int64)
        ask = {"epoch": epoch, "number": number, "training": training}
        if not self.frozen[name].keep:
            return self._compute(name, rows, ask)
        sheet = self._sheet(name, rows, ask)
        if sheet is not None:
            sheet = self._fill(name, sheet, rows, ask)
        if sheet is None:
            return _rounded(name, self._compute(name, rows, ask)).float()
        values = torch.from_numpy(sheet.take(rows))
        if self.device.type == "cuda":
            values = values.pin_memory()
        return values.to(self.device, non_blocking=True).float()

    def key(self, name: str, *, epoch: int, number: int, training: bool) -> str:
        """The cache's name for an input: everything that its values depend on."""
        return hashlib.sha256(json.dumps(self._facts(name, epoch, number, training)).encode()).hexdigest()[:20]

    def _facts(self, name: str, epoch: int, number: int, training: bool) -> dict[str, object]:
        frozen, maker = self.frozen[name], self.maker
        view = maker.views[frozen.view]
        drawn = stream(view, seed=maker.recipe.seed, epoch=epoch, number=number, training=training)
        return {
            "format": FORMAT,
            "dataset": self.dataset.name,
            "pixels": maker.stores[frozen.view].key,
            "weights": self.weights_hash,
            "function": frozen.key,
            "view": repr(view),
            "drawn": drawn,
            "normalisation": [maker.mean, maker.std],
            "precision": self._precision,
            "torch": torch.__version__,
        }

    def _compute(self, name: str, rows: np.ndarray, ask: Mapping[str, int]) -> Tensor:
        frozen = self.frozen[name]
        pictures = self.maker.pictures(
            frozen.view, rows, epoch=ask["epoch"], number=ask["number"], training=bool(ask["training"])
        )
        with torch.no_grad(), self.autocast():
            return frozen.compute(pictures).float()

    def _fill(self, name: str, sheet: Sheet, rows: np.ndarray, ask: Mapping[str, int]) -> Sheet | None:
        """Compute the chunks of these rows that are not there yet; where the disk fills up, go on in memory."""
        missing = sheet.missing(np.unique(rows // CHUNK))
        for done, chunk in enumerate(missing):
            self.report(done, len(missing), f"{self.dataset.name}: {name} through the frozen network")
            inside = np.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, len(self.dataset)))
            values = _rounded(name, self._compute(name, inside, ask)).cpu().numpy()
            try:
                sheet.put(chunk, values)
            except OSError as error:
                self._warn(name, f"cannot be stored ({error.strerror})")
                self.enabled = False
                key = self.key(name, **ask)  # type: ignore[arg-type]
                self._sheets.pop(key, None)
                spare = self._in_memory(key, values.shape[1:])
                return None if spare is None else self._fill(name, spare, rows, ask)
        if missing:
            self.report(len(missing), len(missing), f"{self.dataset.name}: {name} through the frozen network")
        return sheet

    def _sheet(self, name: str, rows: np.ndarray, ask: Mapping[str, int]) -> Sheet | None:
        """Where the input is kept: on disk, else in memory, else (None) nowhere."""
        key = self.key(name, **ask)  # type: ignore[arg-type]
        if key in self._sheets:
            self._sheets.move_to_end(key)
            return self._sheets[key]
        folder = self.cache / "frozen" / f"{self.dataset.name}-{name}-{key}"
        sheet: Sheet | None = open_sheet(folder) if self.enabled else None
        if sheet is None:
            shape = self._shape(name, rows, ask)
            sheet = self._on_disk(name, folder, shape, ask) or self._in_memory(key, shape)
        if sheet is not None:
            self._sheets[key] = sheet
            while len(self._sheets) > OPEN_SHEETS:
                self._sheets.popitem(last=False)
        return sheet

    def _shape(self, name: str, rows: np.ndarray, ask: Mapping[str, int]) -> tuple[int, ...]:
        if name not in self._shapes:
            self._shapes[name] = tuple(self._compute(name, rows[:1], ask).shape[1:])
        return self._shapes[name]

    def _on_disk(self, name: str, folder: Path, shape: tuple[int, ...], ask: Mapping[str, int]) -> Sheet | None:
        if not self.enabled:
            return None
        needed = sheet_bytes(len(self.dataset), shape)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            if fits(self.cache, self.limit_bytes, needed):
                return create_sheet(folder, len(self.dataset), shape, self._facts(name, **ask))  # type: ignore[arg-type]
            self._warn(name, f"needs {needed / 1e9:.1f} GB more than cache_limit_gb or the disk allows")
        except OSError as error:
            self._warn(name, f"cannot be stored ({error.strerror})")
        return None

    def _in_memory(self, key: str, shape: tuple[int, ...]) -> Sheet | None:
        needed = sheet_bytes(len(self.dataset), shape)
        if needed > self.memory_bytes:
            return None
        while self._sheets and needed + sum(s.bytes for s in self._memory_sheets()) > self.memory_bytes:
            self._sheets.popitem(last=False)
        sheet = MemorySheet(len(self.dataset), shape)
        self._sheets[key] = sheet
        return sheet

    def _memory_sheets(self) -> list[MemorySheet]:
        return [sheet for sheet in self._sheets.values() if isinstance(sheet, MemorySheet)]

    def _warn(self, name: str, why: str) -> None:
        warnings.warn(
            f"{self.dataset.name}: the frozen input {name} {why}; it is computed again in every run.", stacklevel=3
        )


def _rounded(name: str, values: Tensor) -> Tensor:
    """Half precision; what it cannot hold is an error, not an infinity."""
    half = values.half()
    if bool((half.isinf() & values.isfinite()).any()):
        raise RunError(f"The frozen input {name} has values beyond half precision; set keep=False for it.")
    return half


def _precision(autocast: Callable[[], AbstractContextManager[object]], device: torch.device) -> str:
    """What the networks compute in, as part of a key: device kind and number format."""
    with autocast():
        active = torch.is_autocast_enabled(device.type)
        return f"{device.type} {torch.get_autocast_dtype(device.type) if active else torch.float32}"
