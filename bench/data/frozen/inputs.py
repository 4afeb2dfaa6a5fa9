"""Frozen inputs: what a frozen network makes of a view, computed once and shared by runs, splits and methods.

A value is always computed among the same 32 consecutive rows of the dataset's table and always rounded through
half precision, whether it then comes from disk, from memory or fresh from the network. So it depends neither on
split nor on batch, and a run's numbers are the same with and without the cache. The one exception: an input too
large for cache and memory both is computed batch by batch, and may differ by a rounding step of half precision.
"""

from __future__ import annotations

import hashlib
import json
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.code import NUMERICS
from bench.core.errors import RunError
from bench.core.machine import kernels_of
from bench.core.progress import Report, silent
from bench.core.threads import is_vector, one_thread
from bench.data.caches import fits
from bench.data.dataset import Dataset
from bench.data.frozen.sheets import CHUNK, MemorySheet, Sheet, create_sheet, open_sheet, sheet_bytes
from bench.data.pixels.on_gpu import has_room
from bench.data.views.batches import ViewMaker, send, stream
from bench.data.views.buffers import BufferPool
from bench.data.views.view import Frozen

FORMAT = 1
HARNESS = frozenset({"bench", "timm", "torch"})
"""Whose networks' code a key holds already: by NUMERICS, the weights' hash and torch's version."""
OPEN_SHEETS = 64
MEMORY_BYTES = 4 << 30
"""What sheets kept in memory may take together, where nothing is stored on disk."""


@dataclass(frozen=True)
class _Ask:
    """One input of one view of all images."""

    name: str
    epoch: int
    number: int
    training: bool


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
        code: str = "",
    ) -> None:
        """`code` is the hash of the method's code, by which an input goes that the method itself computes."""
        self.dataset, self.maker, self.frozen = dataset, maker, dict(frozen)
        self.weights_hash, self.cache, self.limit_bytes = weights_hash, cache, limit_bytes
        self.enabled, self.device, self.autocast = enabled, torch.device(device), autocast
        self.report, self.memory_bytes = progress or silent, memory_bytes
        self._precision, self._code = _precision(autocast, self.device), code
        self._keys: dict[_Ask, str] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._sheets: OrderedDict[str, Sheet] = OrderedDict()
        self._resident: dict[str, Tensor] = {}
        self._pool = BufferPool()
        self._lock = threading.RLock()

    def get(self, name: str, rows: np.ndarray, *, epoch: int, number: np.ndarray | int, training: bool) -> Tensor:
        """The input for rows of the table, float32 on the device; `number` may differ by row."""
        values = self._of_rows(name, rows, epoch, number, training, compute=True)
        assert values is not None
        return values

    def find(
        self, name: str, rows: np.ndarray, *, epoch: int, number: np.ndarray | int, training: bool
    ) -> Tensor | None:
        """As `get`, but None where the network would have to be asked. Safe from any thread."""
        return self._of_rows(name, rows, epoch, number, training, compute=False)

    def _of_rows(
        self, name: str, rows: np.ndarray, epoch: int, number: np.ndarray | int, training: bool, compute: bool
    ) -> Tensor | None:
        rows, numbers = np.asarray(rows, dtype=np.int64), np.atleast_1d(number)
        distinct = np.unique(numbers)
        if len(distinct) == 1:
            part = self._find(_Ask(name, epoch, int(distinct[0]), training), rows, compute)
            return None if part is None else self._float(name, part)
        mixed: Tensor | None = None
        for one in distinct:
            where = np.flatnonzero(numbers == one)
            part = self._find(_Ask(name, epoch, int(one), training), rows[where], compute)
            if part is None:
                return None
            mixed = self._spread(part, where, mixed, len(rows))
        return None if mixed is None else self._float(name, mixed)

    def _find(self, ask: _Ask, rows: np.ndarray, compute: bool) -> Tensor | None:
        """In the precision it is kept in; in full precision where it is not worth keeping."""
        if not self.frozen[ask.name].keep:
            return self._compute(ask, rows) if compute else None
        with self._lock:
            key = self._key(ask)
            if key in self._resident:
                return self._resident[key][send(rows, self.device)]
            sheet = self._sheet(key, ask, rows)
            if sheet is not None and sheet.whole() is None:
                if not compute and sheet.missing(np.unique(rows // CHUNK)):
                    return None
                sheet = self._fill(key, sheet, ask, rows)
            if sheet is None:
                return self._kept(ask, rows) if compute else None
            return self._take(key, sheet, ask, rows)

    def _spread(self, part: Tensor, where: np.ndarray, whole: Tensor | None, rows: int) -> Tensor:
        """Put some rows of a batch into their places."""
        if whole is None:
            whole = self._empty((rows, *part.shape[1:]), part.dtype)
        if whole.device.type == "cpu":
            whole.numpy()[where] = part.numpy()  # numpy moves whole rows many times faster than index_copy_
        else:
            whole.index_copy_(0, send(where, whole.device), part)
        return whole

    def _kept(self, ask: _Ask, rows: np.ndarray) -> Tensor:
        """Computed, in the precision it is kept in; an exact value as the two halves of its bytes."""
        values = self._compute(ask, rows)
        if self.frozen[ask.name].exact:
            return values.contiguous().view(torch.float16)
        return _rounded(ask.name, values)

    def _float(self, name: str, values: Tensor) -> Tensor:
        if values.dtype == torch.float32:
            return values
        if self.frozen[name].exact:
            return values.contiguous().view(torch.float32)
        with one_thread(is_vector(values)):
            return self._empty(values.shape, torch.float32).copy_(values)

    def _empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        on_cpu = self.device.type == "cpu"
        return self._pool.empty(shape, dtype) if on_cpu else torch.empty(tuple(shape), dtype=dtype, device=self.device)

    def _key(self, ask: _Ask) -> str:
        if ask not in self._keys:
            self._keys[ask] = hashlib.sha256(json.dumps(self._facts(ask)).encode()).hexdigest()[:20]
        return self._keys[ask]

    def _facts(self, ask: _Ask) -> dict[str, object]:
        frozen, maker = self.frozen[ask.name], self.maker
        view = maker.view(frozen.view, ask.training)
        return {
            "format": FORMAT,
            "dataset": self.dataset.name,
            "pixels": maker.store(frozen.view, ask.training).key,
            "weights": self.weights_hash,
            "function": frozen.key,
            "view": repr(view),
            "drawn": self._drawn(ask),
            "normalisation": [maker.mean, maker.std],
            "precision": self._precision,
            "kernels": kernels_of(self.device),
            "torch": torch.__version__,
            "numerics": NUMERICS,
            **({} if _by_harness(frozen.compute) else {"code": self._code}),
            **({"exact": True} if frozen.exact else {}),
            **({"plain": True} if view.plain else {}),
        }

    def _drawn(self, ask: _Ask) -> str:
        view, seed = self.maker.view(self.frozen[ask.name].view, ask.training), self.maker.recipe.seed
        return stream(view, seed=seed, epoch=ask.epoch, number=ask.number, training=ask.training)

    def _compute(self, ask: _Ask, rows: np.ndarray) -> Tensor:
        frozen = self.frozen[ask.name]
        if not self.maker.view(frozen.view, ask.training).alone:
            return self._computed(frozen, ask, rows)
        return torch.cat([self._computed(frozen, ask, row) for row in np.split(rows, len(rows))])

    def _computed(self, frozen: Frozen, ask: _Ask, rows: np.ndarray) -> Tensor:
        pictures = self.maker.pictures(frozen.view, rows, epoch=ask.epoch, number=ask.number, training=ask.training)
        with torch.no_grad(), self.autocast():
            return frozen.compute(pictures).float()

    def _take(self, key: str, sheet: Sheet, ask: _Ask, rows: np.ndarray) -> Tensor:
        """Rows of a filled sheet; a fixed input that is complete moves to the GPU as a whole where it fits."""
        values = sheet.whole() if not self._drawn(ask) else None
        if values is not None and has_room(self.device, sheet.bytes):
            self._resident[key] = torch.from_numpy(np.array(values)).to(self.device)
        shape = (len(rows), *sheet.shape)
        if self.device.type == "cpu":
            out = self._pool.empty(shape, torch.float16)
            sheet.take(rows, out.numpy())
            return out
        out = torch.empty(shape, dtype=torch.float16, pin_memory=self.device.type == "cuda")
        sheet.take(rows, out.numpy())
        return out.to(self.device, non_blocking=self.device.type == "cuda")

    def _fill(self, key: str, sheet: Sheet, ask: _Ask, rows: np.ndarray) -> Sheet | None:
        """Compute the chunks of these rows that are not there yet; where the disk fills up, go on in memory."""
        missing = sheet.missing(np.unique(rows // CHUNK))
        what = f"{self.dataset.name}: {ask.name} through the frozen network"
        for done, chunk in enumerate(missing):
            self.report(done, len(missing), what)
            inside = np.arange(chunk * CHUNK, min((chunk + 1) * CHUNK, len(self.dataset)))
            values = self._kept(ask, inside).cpu().numpy()
            try:
                sheet.put(chunk, values)
            except OSError as error:
                self._warn(ask.name, f"cannot be stored ({error.strerror})")
                self.enabled = False
                del self._sheets[key]
                spare = self._in_memory(key, ask, sheet.shape)
                return None if spare is None else self._fill(key, spare, ask, rows)
        if missing:
            self.report(len(missing), len(missing), what)
        return sheet

    def _sheet(self, key: str, ask: _Ask, rows: np.ndarray) -> Sheet | None:
        """Where the input is kept: on disk, else in memory, else (None) nowhere."""
        if key in self._sheets:
            self._sheets.move_to_end(key)
            return self._sheets[key]
        folder = self.cache / "frozen" / f"{self.dataset.name}-{ask.name}-{key}"
        sheet: Sheet | None = open_sheet(folder, len(self.dataset)) if self.enabled else None
        if sheet is None:
            shape = self._shape(ask, rows)
            sheet = self._on_disk(folder, ask, shape) or self._in_memory(key, ask, shape)
        if sheet is not None:
            self._sheets[key] = sheet
            while len(self._sheets) > OPEN_SHEETS:
                self._sheets.popitem(last=False)
        return sheet

    def _shape(self, ask: _Ask, rows: np.ndarray) -> tuple[int, ...]:
        if ask.name not in self._shapes:
            self._shapes[ask.name] = tuple(self._kept(ask, rows[:1]).shape[1:])
        return self._shapes[ask.name]

    def _on_disk(self, folder: Path, ask: _Ask, shape: tuple[int, ...]) -> Sheet | None:
        if not self.enabled:
            return None
        needed = sheet_bytes(len(self.dataset), shape)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            if fits(self.cache, self.limit_bytes, needed):
                return create_sheet(folder, len(self.dataset), shape, self._facts(ask))
            self._warn(ask.name, f"needs {needed / 1e9:.1f} GB more than cache_limit_gb or the disk allows")
        except OSError as error:
            self._warn(ask.name, f"cannot be stored ({error.strerror})")
        return None

    def _in_memory(self, key: str, ask: _Ask, shape: tuple[int, ...]) -> Sheet | None:
        needed = sheet_bytes(len(self.dataset), shape)
        if needed > self.memory_bytes:
            return None
        for old, sheet in list(self._sheets.items()):
            held = sum(s.bytes for s in self._sheets.values() if isinstance(s, MemorySheet))
            if held + needed > self.memory_bytes and isinstance(sheet, MemorySheet):
                del self._sheets[old]
        self._sheets[key] = MemorySheet(len(self.dataset), shape)
        return self._sheets[key]

    def _warn(self, name: str, why: str) -> None:
        warnings.warn(
            f"{self.dataset.name}: the frozen input {name} {why}; it is computed again in every run.", stacklevel=3
        )


def _by_harness(compute: Callable[[Tensor], Tensor]) -> bool:
    """Whether an input is computed by networks of the harness alone: such are shared by methods, whatever theirs do."""
    network = getattr(compute, "__self__", None)
    if not isinstance(network, nn.Module):
        return False
    made_by = {type(module).__module__.partition(".")[0] for module in network.modules()}
    return made_by <= HARNESS and compute.__func__.__module__.startswith("bench.")  # type: ignore[attr-defined]


def _rounded(name: str, values: Tensor) -> Tensor:
    """As it is kept; what half precision cannot hold is an error, not an infinity."""
    half = values.half()
    if bool((half.isinf() & values.isfinite()).any()):
        raise RunError(f"The frozen input {name} has values beyond half precision; set keep=False for it.")
    return half


def _precision(autocast: Callable[[], AbstractContextManager[object]], device: torch.device) -> str:
    """What the networks compute in, as part of a key: device kind and number format."""
    with autocast():
        active = torch.is_autocast_enabled(device.type)
        return f"{device.type} {torch.get_autocast_dtype(device.type) if active else torch.float32}"
