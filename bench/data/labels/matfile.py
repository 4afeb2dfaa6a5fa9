"""MATLAB 5 files read in plain Python: numbers and cell arrays of names, nothing else.

SciPy's reader is compiled code that trusts the file and crashes the whole process on a damaged one, so labels
are read by this small reader instead, which cannot leave the bytes it was given. Written from The MathWorks'
"MAT-File Format" (level 5). Compressed files are unpacked up to a stated size.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

MAX_UNPACKED = 64 << 20
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Types of stored data → NumPy's letters; MATLAB stores doubles in the smallest type that holds them."""
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _CHAR = 1, 4
_NUMERIC_CLASSES = range(6, 16)
_COMPLEX = 0x0800


class MatError(ValueError):
    """The bytes are no MATLAB 5 file, or hold what no label file holds."""


class _Element(NamedTuple):
    kind: int
    body: bytes


@dataclass(frozen=True)
class _Array:
    name: str
    kind: int
    flags: int
    count: int
    parts: list[_Element]


class MatFile:
    """The variables of one file, found by name and decoded when asked for."""

    def __init__(self, data: bytes) -> None:
        if data[:4] == b"\x89HDF" or data[:10] == b"MATLAB 7.3":
            raise MatError("it is of MATLAB 7.3, and the authors' own is of an older version")
        if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
            raise MatError("it is no MATLAB 5 file")
        self._order = "<" if data[126:128] == b"IM" else ">"
        self._arrays = {array.name: array for array in self._read(data)}

    def names(self) -> list[str]:
        """The variables' names, sorted."""
        return sorted(self._arrays)

    def vector(self, name: str) -> np.ndarray:
        """A variable as a flat array: float64 for numbers, texts for a cell array of names."""
        array = self._arrays[name]
        if array.kind == _CELL:
            texts = [self._text(self._array(part.body)) for part in array.parts]
            return np.array(texts, dtype=object)
        if array.kind in _NUMERIC_CLASSES and not array.flags & _COMPLEX:
            return self._numbers(array)
        raise MatError(f"{name} holds neither numbers nor a cell array of names")

    def _read(self, data: bytes) -> Iterator[_Array]:
        left = MAX_UNPACKED
        for element in self._elements(data[_HEADER:]):
            if element.kind == _COMPRESSED:
                unpacked = _unpacked(element.body, left)
                left -= len(unpacked)
                inner = list(self._elements(unpacked))
            else:
                inner = [element]
            for part in inner:
                if part.kind == _MATRIX:
                    yield self._array(part.body)

    def _elements(self, data: bytes) -> Iterator[_Element]:
        """Tagged elements one after the other; a small one keeps its data in its tag. All but compressed are padded."""
        place = 0
        while place < len(data):
            if place + 8 > len(data):
                raise MatError("it ends within a tag")
            kind, size = struct.unpack_from(f"{self._order}II", data, place)
            start, step = place + 8, size if kind == _COMPRESSED else -(-size // 8) * 8
            if kind >> 16:
                kind, size = kind & 0xFFFF, kind >> 16
                start, step = place + 4, 4
            if size > len(data) - start or (step == 4 and size > 4):
                raise MatError("an element is longer than the file")
            yield _Element(kind, data[start : start + size])
            place = start + step

    def _array(self, body: bytes) -> _Array:
        """Flags, dimensions, name, then the parts: one of data, or one for each cell."""
        if not body:  # how MATLAB writes an empty cell
            return _Array("", _CHAR, 0, 0, [])
        parts = list(self._elements(body))
        if len(parts) < 3 or len(parts[0].body) < 8 or len(parts[1].body) % 4:
            raise MatError("an array lacks its head")
        (flags,) = struct.unpack_from(f"{self._order}I", parts[0].body)
        dims = struct.unpack(f"{self._order}{len(parts[1].body) // 4}i", parts[1].body)
        if not 1 <= len(dims) <= 8 or min(dims) < 0:
            raise MatError("an array has impossible dimensions")
        array = _Array(parts[2].body.decode("ascii"), flags & 0xFF, flags, math.prod(dims), parts[3:])
        if array.kind == _CELL and (
            len(array.parts) != array.count or any(part.kind != _MATRIX for part in array.parts)
        ):
            raise MatError(f"{array.name} claims {array.count} cells and has {len(array.parts)}")
        return array

    def _numbers(self, array: _Array) -> np.ndarray:
        if len(array.parts) != 1 or array.parts[0].kind not in _NUMBERS:
            raise MatError(f"{array.name} has no numbers")
        letters = np.dtype(self._order + _NUMBERS[array.parts[0].kind])
        if len(array.parts[0].body) != array.count * letters.itemsize:
            raise MatError(f"{array.name} claims {array.count} numbers and has another count")
        return np.frombuffer(array.parts[0].body, dtype=letters).astype(np.float64)

    def _text(self, array: _Array) -> str:
        if array.kind == _CELL and len(array.parts) == 1:  # some writers wrap a cell's text in a cell of its own
            array = self._array(array.parts[0].body)
        if array.kind != _CHAR or len(array.parts) > 1 or (array.parts and array.parts[0].kind not in _TEXTS):
            raise MatError("a cell holds no text")
        if not array.parts:
            return ""
        codec = _TEXTS[array.parts[0].kind]
        if codec.startswith("utf-") and codec != "utf-8":
            codec += "-le" if self._order == "<" else "-be"
        return array.parts[0].body.decode(codec).strip()


def _unpacked(body: bytes, limit: int) -> bytes:
    """A compressed element's bytes; more than the limit, or a stream that breaks off, is an error."""
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(body, limit + 1)
    if len(data) > limit:
        raise MatError(f"it unpacks to more than {MAX_UNPACKED >> 20} MiB")
    if not unpacker.eof:
        raise MatError("its compressed data break off")
    return data
