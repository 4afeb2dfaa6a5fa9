"""Where frozen inputs are kept: one row an image, on disk or in memory, filled in chunks of rows."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bench.data.caches import mark_in_use

CHUNK = 32
"""Rows of the dataset's table that are computed together, always the same ones."""
CHECKS, ABOUT = "crc.u32", "about.json"


@dataclass(frozen=True)
class Form:
    """What a sheet's values are kept in, and how many rows are filled and checked together."""

    bits: int = 16
    chunk: int = CHUNK

    @property
    def dtype(self) -> np.dtype[Any]:
        """The values' number format."""
        return np.dtype(f"f{self.bits // 8}")

    @property
    def file(self) -> str:
        """The file that holds the values."""
        return f"values.f{self.bits}"

    def chunks(self, rows: int) -> int:
        """How many chunks so many rows make."""
        return -(-rows // self.chunk)


HALF = Form()
VALUES = HALF.file


class Sheet(Protocol):
    """All rows of one frozen input of one view."""

    bytes: int
    shape: tuple[int, ...]
    form: Form

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

    def __init__(self, rows: int, shape: tuple[int, ...], form: Form = HALF) -> None:
        self._values = np.zeros((rows, *shape), dtype=form.dtype)
        self._present = np.zeros(form.chunks(rows), dtype=bool)
        self.bytes, self.shape, self.form = self._values.nbytes, shape, form

    def missing(self, chunks: np.ndarray) -> list[int]:
        """See Sheet."""
        return [int(chunk) for chunk in chunks if not self._present[chunk]]

    def put(self, chunk: int, values: np.ndarray) -> None:
        """See Sheet."""
        self._values[chunk * self.form.chunk : chunk * self.form.chunk + len(values)] = values
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
    crash; two processes that compute the same chunk write the same bytes. Every chunk is checked once a process.
    """

    def __init__(self, folder: Path, rows: int, shape: tuple[int, ...], form: Form = HALF) -> None:
        self.folder, self.bytes, self.shape, self.form = folder, sheet_bytes(rows, shape, form), shape, form
        self._rows = rows
        mark_in_use(folder, self)
        for name, size in ((form.file, self.bytes), (CHECKS, 4 * form.chunks(rows))):
            if (folder / name).stat().st_size < size:
                os.truncate(folder / name, size)  # cut short: the checksums will tell which chunks are gone
        self._values = np.memmap(folder / form.file, dtype=form.dtype, mode="r", shape=(rows, *shape))
        self._checks = np.memmap(folder / CHECKS, dtype=np.uint32, mode="r", shape=(form.chunks(rows),))
        self._sound = np.zeros(len(self._checks), dtype=bool)

    def missing(self, chunks: np.ndarray) -> list[int]:
        """See Sheet; a chunk that does not fit its checksum counts as missing."""
        size = self.form.chunk
        for chunk in chunks[~self._sound[chunks]]:
            if self._checks[chunk]:
                self._sound[chunk] = _check(self._values[chunk * size : (chunk + 1) * size]) == self._checks[chunk]
                if not self._sound[chunk]:
                    warnings.warn(f"{self.folder}: chunk {chunk} is damaged and is computed again.", stacklevel=4)
        return [int(chunk) for chunk in chunks[~self._sound[chunks]]]

    def put(self, chunk: int, values: np.ndarray) -> None:
        """See Sheet; raises OSError where the disk does not take it."""
        values = np.ascontiguousarray(values, dtype=self.form.dtype)
        row_bytes = self.bytes // self._rows
        _write(self.folder / self.form.file, chunk * self.form.chunk * row_bytes, values.tobytes())
        _write(self.folder / CHECKS, chunk * 4, np.uint32(_check(values)).tobytes())
        self._sound[chunk] = True

    def take(self, rows: np.ndarray, out: np.ndarray) -> None:
        """See Sheet."""
        np.take(self._values, rows, axis=0, out=out, mode="clip")  # the default mode would copy twice

    def whole(self) -> np.ndarray | None:
        """See Sheet."""
        return self._values if self._sound.all() else None


def open_sheet(folder: Path, rows: int, form: Form = HALF) -> FileSheet | None:
    """A sheet of so many rows that an earlier run or another process began, or None where it cannot be trusted."""
    try:
        about = json.loads((folder / ABOUT).read_text())
        shape = tuple(int(n) for n in about["shape"])
        return FileSheet(folder, rows, shape, form) if about["check"] == _check_form(rows, shape) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def create_sheet(
    folder: Path, rows: int, shape: tuple[int, ...], about: Mapping[str, Any], form: Form = HALF
) -> FileSheet:
    """An empty sheet at `folder`, or the one that another process put there first. Raises OSError."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = folder.with_name(f".{uuid.uuid4().hex}.new")
    fresh.mkdir()
    for name, size in ((form.file, sheet_bytes(rows, shape, form)), (CHECKS, 4 * form.chunks(rows))):
        with (fresh / name).open("wb") as file:
            file.truncate(size)
    told = {"rows": rows, "shape": list(shape), "check": _check_form(rows, shape)}
    (fresh / ABOUT).write_text(json.dumps({**about, **told}, indent=1))
    with contextlib.suppress(OSError):  # somebody was faster; an unreadable one is moved out of the way
        if folder.exists() and open_sheet(folder, rows, form) is None:
            folder.rename(fresh.with_suffix(".gone"))
        fresh.rename(folder)
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(fresh.with_suffix(".gone"), ignore_errors=True)
    return FileSheet(folder, rows, shape, form)


def sheet_bytes(rows: int, shape: tuple[int, ...], form: Form = HALF) -> int:
    """The size of a sheet's values."""
    return int(rows * np.prod(shape, dtype=np.int64) * form.dtype.itemsize)


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
