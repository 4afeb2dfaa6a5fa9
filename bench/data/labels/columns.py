"""Label files read safely into columns of text: csv, plain text, xlsx and mat, with every doubt an error.

No code is ever run from a data file: workbooks are read as values with sizes limited and entities refused, mat
files may hold numbers, text and cells only. Every error names the set, the file and the row.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.core.errors import DataError
from bench.core.progress import counted

MAX_BYTES = 64 << 20
"""No label file of the eight sets is larger than 10 MB; a file beyond this is not one, or is an attack."""
MAX_ROWS = 2_000_000
SAVE_AS = "save the file as UTF-8"
_DRIVE = re.compile(r"[A-Za-z]:")
"""How a path of Windows begins that leads out of any folder."""
NAMED = 3
"""How many wrong rows a message describes; the others are counted."""


@dataclass(frozen=True)
class Sheet:
    """A label file as columns of text; `numbers` are the rows' numbers in the file, for messages."""

    dataset: str
    path: Path
    columns: dict[str, list[str]]
    numbers: list[int]
    unit: str = "row"

    def __len__(self) -> int:
        return len(self.numbers)

    def where(self, index: int) -> str:
        """The row, as messages name it."""
        return f"{self.path.name}, {self.unit} {self.numbers[index]}"

    def wrong(self, index: int, what: str) -> DataError:
        """An error about one row."""
        return _wrong_rows(self.dataset, self.path, self.unit, [(self.numbers[index], what)])

    def has(self, name: str) -> bool:
        """Whether there is a column of that name, case aside."""
        return alike(name) in map(alike, self.columns)

    def text(self, name: str) -> list[str]:
        """A column's cells, stripped; an empty one is an error."""
        cells = self._column(name)
        self._refuse((index, f"{name!r} is empty") for index, cell in enumerate(cells) if not cell)
        return cells

    def names(self, name: str, below: Path | None = None) -> list[str]:
        """A column of picture names with "/" between folders; one that leaves its folder is an error.

        `below`, where it is given, is the folder that the names start from: whole paths of files in it will do.
        """
        cells = self.text(name)
        homes = _spellings(below) if below is not None else ()
        names = [_name_below(cell, homes) for cell in cells]
        strangers = [index for index, text in enumerate(names) if not text]
        hint = _home_of(cells[index] for index in strangers) if below is not None else ""
        self._refuse(((i, f"{cells[i]!r} is not a picture's name below the set's folder") for i in strangers), hint)
        return names

    def numbers_of(
        self, name: str, low: float = -math.inf, high: float = math.inf, *, blank: bool = False
    ) -> list[float]:
        """A column of finite numbers within [low, high], with half a percent of slack for rounded limits.

        Empty cells are NaN where some may be `blank`, else an error.
        """
        slack = 0.005 * (high - low) if math.isfinite(high - low) else 0.0
        cells = self._column(name)
        values = [_number(cell) for cell in cells]
        faults = [
            "" if blank and not cell else _fault(cell, value, low, high, slack)
            for cell, value in zip(cells, values, strict=True)
        ]
        self._refuse((index, f"{name} is {fault}") for index, fault in enumerate(faults) if fault)
        return values

    def deviations(self, name: str) -> list[float]:
        """A column of standard deviations, which are never negative; NaN where a cell is empty, as of one opinion."""
        values = self.numbers_of(name, blank=True)
        self._refuse(
            (index, f"{name} is {value:g}, and a standard deviation is never negative")
            for index, value in enumerate(values)
            if value < 0
        )
        return values

    def _refuse(self, wrong: Iterable[tuple[int, str]], hint: str = "") -> None:
        """Raise one error about all these rows, if there are some."""
        faults = [(self.numbers[index], what) for index, what in wrong]
        if faults:
            raise _wrong_rows(self.dataset, self.path, self.unit, faults, hint)

    def _column(self, name: str) -> list[str]:
        for column, cells in self.columns.items():
            if alike(column) == alike(name):
                return cells
        there = ", ".join(self.columns) or "none"
        raise DataError(f"{self.dataset}: {self.path} has no column {name!r}; its columns are: {there}.")


def alike(name: str) -> str:
    """What a name shares with its other spellings: upper and lower case, and the two ways Unicode writes "é"."""
    return unicodedata.normalize("NFC", name).lower()


def _wrong_rows(dataset: str, path: Path, unit: str, wrong: Sequence[tuple[int, str]], hint: str = "") -> DataError:
    """An error about one row, or about many: they are counted, and the first few described."""
    if len(wrong) == 1:
        return DataError(f"{dataset}: {path}, {unit} {wrong[0][0]}: {wrong[0][1]}{hint}.")
    described = "; ".join(f"{unit} {number}: {what}" for number, what in wrong[:NAMED])
    more = f"; and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    unit = "entries" if unit == "entry" else f"{unit}s"
    return DataError(f"{dataset}: {path}: {len(wrong)} {unit} are wrong: {described}{more}{hint}.")


def _number(cell: str) -> float:
    """A cell as a number, NaN where it is none."""
    try:
        return float(cell if "_" not in cell else "nan")  # Python alone reads "1_0" as ten
    except ValueError:
        return math.nan


def _fault(cell: str, value: float, low: float, high: float, slack: float) -> str:
    """What is wrong with a cell that should hold a number of the known range; empty where nothing is."""
    if math.isfinite(value) and low - slack <= value <= high + slack:
        return ""
    if math.isfinite(value):
        return f"{value:g}, outside the known range {low:g} to {high:g}"
    if math.isinf(value) or cell.strip("+- ").lower() == "nan":
        return f"{cell!r}, not a finite number"
    comma = "; write a point, not a comma" if re.fullmatch(r"[+-]?\d*,\d+", cell) else ""
    return f"{cell!r}, not a number{comma}"


def _spellings(folder: Path) -> tuple[str, ...]:
    """The whole paths that a folder goes by: as it is named, and as it really lies behind links."""
    paths = (str(folder.absolute()), str(folder.resolve()))
    return tuple(dict.fromkeys(unicodedata.normalize("NFC", path).replace("\\", "/") for path in paths))


def _name_below(cell: str, homes: Sequence[str]) -> str:
    """A picture's name below its folder; empty where it leads elsewhere, or nowhere."""
    path = PurePosixPath(cell.replace("\\", "/"))
    for home in homes:
        if path.is_absolute() and path.is_relative_to(home):
            path = path.relative_to(home)
    parts = path.parts  # none of "."
    leaves = path.is_absolute() or ".." in parts or not parts or _DRIVE.match(parts[0]) is not None
    return "" if leaves or any(ord(letter) < 32 for letter in cell) else "/".join(parts)


def _home_of(cells: Iterable[str]) -> str:
    """How to say where pictures lie whose whole paths lead out of the set's folder; empty where there are none."""
    folders = [os.path.dirname(cell) for cell in cells if PurePosixPath(cell).is_absolute()]  # noqa: PTH120
    return f'. If the pictures lie there, set images = "{os.path.commonpath(folders)}"' if folders else ""


def read_bytes(dataset: str, path: Path) -> bytes:
    """A label file's bytes; missing, unreadable, empty or huge ones are errors."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{dataset}: {path} is larger than {MAX_BYTES >> 20} MiB: this is no label file.")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{dataset}: the label file {path} cannot be read: {error.strerror or error}.") from error
    if not data:
        raise DataError(f"{dataset}: the label file {path} is empty.")
    return data


def _decoded(dataset: str, path: Path) -> str:
    data = read_bytes(dataset, path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{dataset}: {path}, row {line}: this is not UTF-8 text; {SAVE_AS}.") from None
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"{dataset}: {path}, row {line}: a zero byte, so no UTF-8 text; {SAVE_AS}.")
    return text


def read_csv(dataset: str, path: Path) -> Sheet:
    """A csv with a header row, separated by commas, semicolons or tabs (whichever the header holds first)."""
    text = _decoded(dataset, path)
    separator = _separator(text)
    rows: list[list[str]] = []
    numbers: list[int] = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row in reader:
            if row and any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
                numbers.append(reader.line_num)
    except csv.Error as error:
        raise DataError(f"{dataset}: {path}, row {reader.line_num}: this is not csv ({error}).") from None
    longer = ' (a decimal comma? write a point; a name with a comma belongs between ")' if separator == "," else ""
    return _sheet(dataset, path, rows, numbers, longer)


def _separator(text: str) -> str:
    """The mark that comes first in the header, the first line that is not blank; what stands between quotes is none."""
    line = next(filter(str.strip, io.StringIO(text, newline="")), "")
    header = re.sub(r'"[^"]*"', "", line)
    return min((mark for mark in ",;\t" if mark in header), key=header.index, default=",")


def read_words(dataset: str, path: Path, columns: Sequence[str], separator: str | None = None) -> Sheet:
    """Plain text without a header, one row per line: the columns are separated by blanks, or by `separator`."""
    rows: list[list[str]] = [list(columns)]
    numbers = [0]
    for number, line in enumerate(_decoded(dataset, path).splitlines(), start=1):
        if line.strip():
            rows.append([cell.strip() for cell in line.split(separator)])
            numbers.append(number)
    return _sheet(dataset, path, rows, numbers)


def _sheet(dataset: str, path: Path, rows: list[list[str]], numbers: list[int], longer: str = "") -> Sheet:
    """Columns out of rows, the first of which is the header; a row of another length is an error (`longer`: a hint)."""
    if len(rows) < 2:
        raise DataError(f"{dataset}: {path} has no rows of labels.")
    rows = [[unicodedata.normalize("NFC", cell) for cell in row] for row in rows]  # macOS writes "é" as two letters
    header = rows[0]
    twice = {name for name in header if name and [cell.lower() for cell in header].count(name.lower()) > 1}
    if twice:
        raise DataError(f"{dataset}: {path} has the column {sorted(twice)[0]!r} twice.")
    wrong = [
        (number, f"{counted(len(row), 'cell')} where {len(header)} are expected" + longer * (len(row) > len(header)))
        for row, number in zip(rows[1:], numbers[1:], strict=True)
        if len(row) != len(header)
    ]
    if wrong:
        raise _wrong_rows(dataset, path, "row", wrong)
    columns = {name: list(cells) for name, cells in zip(header, zip(*rows[1:], strict=True), strict=True) if name}
    return Sheet(dataset, path, columns, numbers[1:])


def header_row(dataset: str, path: Path, rows: Sequence[Sequence[str]], columns: Sequence[str]) -> int:
    """Which row of a workbook holds all the wanted column names; none is an error that names what is missing."""
    best: tuple[int, set[str]] = (-1, set())
    for index, row in enumerate(rows[:50]):
        present = {name for name in columns if name.lower() in {cell.lower() for cell in row}}
        if len(present) == len(columns):
            return index
        if len(present) > len(best[1]):
            best = (index, present)
    missing = ", ".join(name for name in columns if name not in best[1])
    raise DataError(f"{dataset}: {path} has no column {missing} (looked at its first 50 rows).")


def sheet_below(dataset: str, path: Path, rows: list[list[str]], start: int) -> Sheet:
    """The table below a header row of a workbook: blank rows and the columns without a name are left out."""
    header = rows[start]
    columns = [column for column, name in enumerate(header) if name]
    body, numbers = [[header[column] for column in columns]], [start + 1]
    for index in range(start + 1, len(rows)):
        cells = [rows[index][column] if column < len(rows[index]) else "" for column in columns]
        if any(cells):
            body.append(cells)
            numbers.append(index + 1)
    return _sheet(dataset, path, body, numbers)
