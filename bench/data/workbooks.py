"""Spreadsheets and MATLAB files read as values only: sizes are limited first, and nothing in them is run."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.labels import MAX_BYTES, MAX_ROWS, Sheet, header_row, read_bytes, sheet_below
from bench.errors import DataError

_MOST_COLUMNS = 256
_MOST_MEMBERS = 2_000
_COMPRESSED = 15
_HEADER = 128
"""Type of a compressed element and length of the header, from the MAT-File Format document (version 5)."""


def read_xlsx(dataset: str, path: Path, wanted: Sequence[str], sheet: str = "") -> Sheet:
    """The table of a workbook's sheet (by name, else the first) below the row that holds the wanted columns."""
    data = read_bytes(dataset, path)
    _refuse_hostile_zip(dataset, path, data)
    try:
        rows = _cells(dataset, path, data, sheet)
    except DataError:
        raise
    except Exception as error:  # a damaged workbook may make the reader fail in any way
        raise DataError(f"{dataset}: the workbook {path} is damaged ({_short(error)}); get it again.") from None
    return sheet_below(dataset, path, rows, header_row(dataset, path, rows, wanted))


def _refuse_hostile_zip(dataset: str, path: Path, data: bytes) -> None:
    """A workbook is a zip of XML: refuse one that unpacks to far more, or that defines entities."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > _MOST_MEMBERS or sum(member.file_size for member in members) > MAX_BYTES:
                raise DataError(f"{dataset}: {path} unpacks to more than {MAX_BYTES >> 20} MiB; it is not read.")
            for member in members:
                text = archive.read(member).upper() if member.filename.lower().endswith((".xml", ".rels")) else b""
                if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
                    raise DataError(f"{dataset}: {path} declares XML entities, as no workbook does; it is not read.")
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"{dataset}: {path} is not an Excel workbook (.xlsx): {_short(error)}.") from None


def _cells(dataset: str, path: Path, data: bytes, sheet: str) -> list[list[str]]:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    try:
        names = {name.lower(): name for name in book.sheetnames}
        if sheet and sheet.lower() not in names:
            there = ", ".join(book.sheetnames)
            raise DataError(f"{dataset}: {path} has no sheet {sheet!r}; its sheets are: {there}.")
        table = book[names[sheet.lower()]] if sheet else book.worksheets[0]
        rows: list[list[str]] = []
        for values in table.iter_rows(max_row=MAX_ROWS, max_col=_MOST_COLUMNS, values_only=True):
            rows.append(["" if value is None else _text(value) for value in values])
            if len(rows) * _MOST_COLUMNS > MAX_BYTES:
                raise DataError(f"{dataset}: {path} has too many rows for a label file; it is not read.")
        return rows
    finally:
        book.close()


def _text(value: Any) -> str:
    """A cell as text: the integer cell 1600 and the float cell 1600.0 are both "1600"."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip()


def read_mat(dataset: str, path: Path, variable: str) -> np.ndarray:
    """One variable of a .mat file as a flat array of numbers, or of texts where it is a cell array of names."""
    from scipy.io import loadmat, whosmat

    data = read_bytes(dataset, path)
    if data[:4] == b"\x89HDF" or b"MATLAB 7.3" in data[:32]:
        raise DataError(f"{dataset}: {path} is a MATLAB 7.3 file; the authors' own is of an older version.")
    _refuse_hostile_mat(dataset, path, data)
    try:
        known = {name: shape for name, shape, _ in whosmat(io.BytesIO(data))}
        if variable not in known:
            there = ", ".join(sorted(known)) or "none"
            raise DataError(f"{dataset}: {path} has no variable {variable!r}; its variables are: {there}.")
        if any(size < 0 for size in known[variable]) or float(np.prod(known[variable], dtype=float)) > MAX_ROWS:
            raise DataError(f"{dataset}: {path}: {variable} claims {known[variable]} entries; it is not read.")
        value = loadmat(io.BytesIO(data), variable_names=[variable])[variable]
    except DataError:
        raise
    except Exception as error:  # a damaged file may make the reader fail in any way
        raise DataError(f"{dataset}: the MATLAB file {path} is damaged ({_short(error)}); get it again.") from None
    return _flat(dataset, path, variable, value)


def _refuse_hostile_mat(dataset: str, path: Path, data: bytes) -> None:
    """Walk the top-level elements and refuse compressed ones that unpack to far more than any label file."""
    order = ">" if data[126:128] == b"MI" else "<"
    position, unpacked = _HEADER, 0
    while position + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, position)
        body = data[position + 8 : position + 8 + size]
        if kind == _COMPRESSED:
            unpacked += _unpacked_size(body)
        if unpacked > MAX_BYTES:
            raise DataError(f"{dataset}: {path} unpacks to more than {MAX_BYTES >> 20} MiB; it is not read.")
        position += 8 + size


def _unpacked_size(body: bytes) -> int:
    """How many bytes a compressed element yields, counted up to just above the limit."""
    unpacker, total, rest = zlib.decompressobj(), 0, body
    try:
        while rest and total <= MAX_BYTES:
            total += len(unpacker.decompress(rest, 1 << 20))
            rest = unpacker.unconsumed_tail
    except zlib.error:
        return total  # the reader proper will say that it is damaged
    return total


def _flat(dataset: str, path: Path, variable: str, value: Any) -> np.ndarray:
    """Numbers as float64, or texts: a cell array of one-element char arrays, or a char matrix."""
    array = np.asarray(value)
    if array.dtype.kind in "biuf":
        return array.astype(np.float64).ravel()
    if array.dtype.kind in "US":
        return np.array([str(text).strip() for text in array.ravel()], dtype=object)
    if array.dtype == object and array.dtype.names is None:
        return np.array(
            [_cell_text(dataset, path, variable, i, cell) for i, cell in enumerate(array.ravel())], dtype=object
        )
    raise DataError(f"{dataset}: {path}: {variable} holds neither numbers nor names; it is not the authors' file.")


def _cell_text(dataset: str, path: Path, variable: str, index: int, cell: Any) -> str:
    inner = np.asarray(cell)
    if inner.dtype == object and inner.size == 1:  # some writers wrap a cell's text in a cell of its own
        inner = np.asarray(inner.ravel()[0])
    if inner.dtype.kind != "U" or inner.size != 1:
        raise DataError(f"{dataset}: {path}: {variable}, entry {index + 1}, is not a name.")
    return str(inner.ravel()[0]).strip()


def _short(error: Exception) -> str:
    text = str(error).strip().split("\n")[0][:120]
    return text or type(error).__name__
