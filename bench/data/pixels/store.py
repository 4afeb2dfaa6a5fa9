"""The pixel store: every picture of a dataset decoded and resized once, in one memory-mapped file for all processes.

A store is a folder `<cache>/pixels/<dataset>-<key>/` with `pixels.u8` (height × width × 3 bytes per picture, one after
the other) and `index.json` (sizes and a CRC-32 a picture). The key hashes the folder, names, file sizes and
times, policy and the Pillow version, so a store never goes stale. Every picture is checked once per process, when it is
first read; damaged ones alone are decoded again.
"""

from __future__ import annotations

import hashlib
import os
import warnings
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import PIL

from bench.core.errors import DataError
from bench.core.progress import Report, silent
from bench.data.caches import mark_in_use
from bench.data.dataset import Dataset
from bench.data.pixels.build import build
from bench.data.pixels.index import FORMAT, PIXELS, offsets_of, read_index
from bench.data.pixels.policy import Policy, load_plain

__all__ = ["PixelStore", "Policy", "load_plain", "open_store", "store_folder", "store_key"]


@dataclass
class PixelStore:
    """An open store: `flat` holds the bytes of all pictures, row i at offsets[i] with heights[i] × widths[i] × 3."""

    folder: Path
    dataset: Dataset
    policy: Policy
    heights: np.ndarray
    widths: np.ndarray
    offsets: np.ndarray
    crcs: np.ndarray
    flat: np.ndarray
    _sound: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._sound = np.zeros(len(self.heights), dtype=bool)

    def __len__(self) -> int:
        return len(self.heights)

    @property
    def key(self) -> str:
        """The hash of what the store was built from."""
        return self.folder.name.rpartition("-")[2]

    def image(self, row: int) -> np.ndarray:
        """One picture, height × width × 3, checked."""
        self.verify(np.array([row]))
        return self._bytes(row).reshape(int(self.heights[row]), int(self.widths[row]), 3)

    def verify(self, rows: np.ndarray) -> None:
        """Compare the pictures' checksums where this process has not done so yet, and mend what is damaged."""
        for row in np.unique(rows[~self._sound[rows]]):
            if zlib.crc32(self._bytes(row).data) != self.crcs[row]:
                self._mend(int(row))
            self._sound[row] = True

    def _bytes(self, row: int) -> np.ndarray:
        start = int(self.offsets[row])
        return self.flat[start : start + int(self.heights[row]) * int(self.widths[row]) * 3]

    def _mend(self, row: int) -> None:
        """Decode one picture again and write it where it belongs; other processes see the same bytes appear."""
        name = self.dataset.table["image"].iloc[row]
        data = load_plain(self.dataset.root / name, self.policy, self.dataset.name).tobytes()
        hint = f"remove the pixel store {self.folder} to build it anew"
        if zlib.crc32(data) != self.crcs[row]:
            raise DataError(
                f"The stored pixels of {name} are damaged and the file no longer gives the same ones: {hint}."
            )
        try:
            with (self.folder / PIXELS).open("r+b") as file:
                file.seek(int(self.offsets[row]))
                file.write(data)
        except OSError as error:
            raise DataError(
                f"The stored pixels of {name} are damaged and cannot be mended ({error}): {hint}."
            ) from None
        warnings.warn(f"{self.folder.name}: the stored pixels of {name} were damaged; decoded again.", stacklevel=3)


def open_store(
    dataset: Dataset,
    policy: Policy,
    cache: Path,
    *,
    progress: Report | None = None,
    workers: int | None = None,
    limit_bytes: int | None = None,
) -> PixelStore:
    """The store of a dataset under a policy; what is missing of it is built first.

    Several processes may ask at once: one builds under a claim, the others wait for it. `workers` threads decode
    (Pillow releases the interpreter lock), by default one a usable core. A build that takes the cache above
    `limit_bytes` says so.
    """
    folder = store_folder(dataset, policy, cache)
    store = _open(folder, dataset, policy)
    if store is None:
        build(dataset, policy, folder, progress or silent, workers or usable_cores(), limit_bytes)
        store = _open(folder, dataset, policy)
    if store is None:
        raise DataError(f"The pixel store {folder} was built but cannot be read; remove it and try again.")
    return store


def store_folder(dataset: Dataset, policy: Policy, cache: Path) -> Path:
    """Where the store lies, built or not."""
    return cache / "pixels" / f"{dataset.name}-{store_key(dataset, policy)}"


def store_key(dataset: Dataset, policy: Policy) -> str:
    """A hash of everything that decides the stored bytes: the files (folder, names, sizes, times), policy, Pillow."""
    head = f"{FORMAT} {policy.text()} pillow {PIL.__version__} {dataset.root.resolve()}\n"
    digest = hashlib.sha256(head.encode(errors="surrogateescape"))
    for name, path in zip(dataset.table["image"], dataset.paths(), strict=True):
        try:
            facts = path.stat()
        except OSError as error:
            raise DataError(f"{dataset.name}: cannot read {path} ({error.strerror}).") from None
        digest.update(f"{name}\t{facts.st_size}\t{facts.st_mtime_ns}\t{facts.st_ctime_ns}\n".encode())
    return digest.hexdigest()[:20]


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _open(folder: Path, dataset: Dataset, policy: Policy) -> PixelStore | None:
    """Map a finished store, or None where there is none that can be trusted."""
    entries = read_index(folder)
    if entries is None or len(entries) != len(dataset):
        return None
    offsets = offsets_of(entries)
    path, total = folder / PIXELS, int(offsets[-1])
    if not path.exists() or path.stat().st_size < total:
        try:
            with path.open("ab") as file:
                file.truncate(total)  # zeros: their checksums fail, so those pictures are decoded again
        except OSError as error:
            raise DataError(f"{path} is cut short and cannot be mended ({error}); remove {folder}.") from None
    flat = np.memmap(path, dtype=np.uint8, mode="r", shape=(total,))
    store = PixelStore(folder, dataset, policy, entries[:, 0], entries[:, 1], offsets[:-1], entries[:, 2], flat)
    mark_in_use(folder, store)
    return store
