"""Where frozen inputs are kept: one row per image, on disk or in memory, filled in chunks of rows."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
import warnings
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.data.caches import mark_in_use

CHUNK = 32
"""Rows of the dataset's table that are computed together, always the same ones."""
VALUES, CHECKS, ABOUT = "values.f16", "crc.u32", "about.json"
HALF = np.dtype(np.float16)


class Sheet(Protocol):
    """All rows of one frozen input of one view."""

    bytes: int
    shape: tuple[int, ...]

    def missing(self, chunks: np.ndarray) -> list[int]:
        """Which of these chunks must be computed."""
        ...

    def put(self, chunk: int, values: np.ndarray) -> None:
        """Keep a chunk's values."""
        ...

    def take(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Copy out the values of rows whose chunks are present."""
        ...

    def whole(self) -> np.ndarray | None:
        """All values, once every chunk is known to be there."""
        ...


class MemorySheet:
    """Kept by this process only; memory is used as it fills."""

    def __init__(self, rows: int, shape: tuple[int, ...]) -> None:
        self._values = np.zeros((rows, *shape), dtype=HALF)
        self._present = np.zeros(_chunks(rows), dtype=bool)
        self.bytes, self.shape = self._values.nbytes, shape

    def missing(self, chunks: np.ndarray) -> list[int]:
        """See Sheet."""
        return [int(chunk) for chunk in chunks if not self._present[chunk]]

    def put(self, chunk: int, values: np.ndarray) -> None:
        """See Sheet."""
        self._values[chunk * CHUNK : chunk * CHUNK + len(values)] = values
        self._present[chunk] = True

    def take(self, rows: np.ndarray, out: np.ndarray) -> None:
        """See Sheet."""
        np.take(self._values, rows, axis=0, out=out, mode="clip")  # the default mode would copy twice

    def whole(self) -> np.ndarray | None:
        """See Sheet."""
        return self._values if self._present.all() else None


class FileSheet:
    """A folder with the values, a CRC-32 a chunk (0: absent) and a description, shared by any number of processes.

    A chunk's values are written before its checksum, with plain writes, so that a full disk is an error and not a
    crash; two processes that compute the same chunk write the same bytes. Every chunk is checked once per process.
    """

    def __init__(self, folder: Path, rows: int, shape: tuple[int, ...]) -> None:
        self.folder, self.bytes, self.shape = folder, sheet_bytes(rows, shape), shape
        self._rows = rows
        mark_in_use(folder, self)
        for name, size in ((VALUES, self.bytes), (CHECKS, 4 * _chunks(rows))):
            if (folder / name).stat().st_size < size:
                os.truncate(folder / name, size)  # cut short: the checksums will tell which chunks are gone
        self._values = np.memmap(folder / VALUES, dtype=HALF, mode="r", shape=(rows, *shape))
        self._checks = np.memmap(folder / CHECKS, dtype=np.uint32, mode="r", shape=(_chunks(rows),))
        self._sound = np.zeros(len(self._checks), dtype=bool)

    def missing(self, chunks: np.ndarray) -> list[int]:
        """See Sheet; a chunk that does not fit its checksum counts as missing."""
        for chunk in chunks[~self._sound[chunks]]:
            if self._checks[chunk]:
                self._sound[chunk] = _check(self._values[chunk * CHUNK : (chunk + 1) * CHUNK]) == self._checks[chunk]
                if not self._sound[chunk]:
                    warnings.warn(f"{self.folder}: chunk {chunk} is damaged and is computed again.", stacklevel=4)
        return [int(chunk) for chunk in chunks[~self._sound[chunks]]]

    def put(self, chunk: int, values: np.ndarray) -> None:
        """See Sheet; raises OSError where the disk does not take it."""
        values = np.ascontiguousarray(values, dtype=HALF)
        row_bytes = self.bytes // self._rows
        _write(self.folder / VALUES, chunk * CHUNK * row_bytes, values.tobytes())
        _write(self.folder / CHECKS, chunk * 4, np.uint32(_check(values)).tobytes())
        self._sound[chunk] = True

    def take(self, rows: np.ndarray, out: np.ndarray) -> None:
        """See Sheet."""
        np.take(self._values, rows, axis=0, out=out, mode="clip")  # the default mode would copy twice

    def whole(self) -> np.ndarray | None:
        """See Sheet."""
        return self._values if self._sound.all() else None


def open_sheet(folder: Path, rows: int) -> FileSheet | None:
    """A sheet of so many rows that an earlier run or another process began, or None where it cannot be trusted."""
    try:
        about = json.loads((folder / ABOUT).read_text())
        shape = tuple(int(n) for n in about["shape"])
        return FileSheet(folder, rows, shape) if about["check"] == _check_form(rows, shape) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def create_sheet(folder: Path, rows: int, shape: tuple[int, ...], about: Mapping[str, Any]) -> FileSheet:
    """An empty sheet at `folder`, or the one that another process put there first. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{uuid.uuid4().hex}.new")
    fresh.mkdir()
    for name, size in ((VALUES, sheet_bytes(rows, shape)), (CHECKS, 4 * _chunks(rows))):
        with (fresh / name).open("wb") as file:
            file.truncate(size)
    told = {"rows": rows, "shape": list(shape), "check": _check_form(rows, shape)}
    (fresh / ABOUT).write_text(json.dumps({**about, **told}, indent=1))
    with contextlib.suppress(OSError):  # somebody was faster; an unreadable one is moved out of the way
        if folder.exists() and open_sheet(folder, rows) is None:
            folder.rename(fresh.with_suffix(".gone"))
        fresh.rename(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(fresh.with_suffix(".gone"), ignore_errors=True)
    return FileSheet(folder, rows, shape)


def sheet_bytes(rows: int, shape: tuple[int, ...]) -> int:
    """The size of a sheet's values."""
    return int(rows * np.prod(shape, dtype=np.int64) * HALF.itemsize)


def _chunks(rows: int) -> int:
    return -(-rows // CHUNK)


def _check_form(rows: int, shape: tuple[int, ...]) -> int:
    return zlib.crc32(f"{rows} {shape}".encode())


def _check(values: np.ndarray) -> int:
    return zlib.crc32(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data) or 1


def _write(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b", buffering=0) as file:
        file.seek(offset)
        view = memoryview(data)
        while view:
            view = view[file.write(view) :]
