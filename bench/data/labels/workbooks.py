"""Spreadsheets and MATLAB files read as values only: sizes are limited first, and nothing in them is run."""

from __future__ import annotations

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import DataError
from bench.data.labels.columns import MAX_BYTES, MAX_ROWS, Sheet, header_row, read_bytes, sheet_below
from bench.data.labels.matfile import MatFile

_MOST_COLUMNS = 256
_MOST_MEMBERS = 2_000


def read_xlsx(dataset: str, path: Path, columns: Sequence[str], sheet: str = "") -> Sheet:
    """The table of a workbook's sheet (by name, else the first) below the row that holds the wanted columns."""
    rows = _rows(dataset, path, sheet)
    return sheet_below(dataset, path, rows, header_row(dataset, path, rows, columns))


def read_xlsx_by_place(dataset: str, path: Path, columns: Sequence[str]) -> Sheet:
    """The first columns of a workbook's first sheet, under names of ours; what stands above the first number is left.

    For workbooks whose headings are not known, or differ from one release to the next.
    """
    rows = _rows(dataset, path, "")
    start = next((index for index, row in enumerate(rows) if row and _is_number(row[0])), len(rows))
    body = [(index + 1, rows[index]) for index in range(start, len(rows)) if any(rows[index])]
    if not body:
        raise DataError(f"{dataset}: {path} has no rows of labels.")
    cells = {name: [row[at] if at < len(row) else "" for _, row in body] for at, name in enumerate(columns)}
    return Sheet(dataset, path, cells, [number for number, _ in body])


def _rows(dataset: str, path: Path, sheet: str) -> list[list[str]]:
    data = read_bytes(dataset, path)
    _refuse_hostile_zip(dataset, path, data)
    try:
        return _cells(dataset, path, data, sheet)
    except DataError:
        raise
    except Exception as error:  # a damaged workbook may make the reader fail in any way
        raise DataError(f"{dataset}: the workbook {path} is damaged ({_short(error)}); get it again.") from None


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


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
    try:
        file = MatFile(read_bytes(dataset, path))
        if variable not in file.names():
            there = ", ".join(file.names()) or "none"
            raise DataError(f"{dataset}: {path} has no variable {variable!r}; its variables are: {there}.")
        return file.vector(variable)
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{dataset}: the MATLAB file {path} cannot be read: {_short(error)}. Get it again.") from None


def _short(error: Exception) -> str:
    text = str(error).strip().split("\n")[0][:120]
    return text or type(error).__name__
