"""What all renderings of a table share: how a number reads, and the numbering of footnotes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from bench.report.table import MEASURED, Number, Row, Table

MISSING = "–"
DIGITS = 3


def number_text(cell: Number | str) -> str:
    """A cell as plain text: the median, how much of it is in, and whether runs failed."""
    if isinstance(cell, str):
        return cell
    if cell.value is None:
        return "failed" if cell.failed else "undefined" if cell.undefined else MISSING
    text = _digits(cell.value, sign=cell.shown == "difference")
    if cell.shown and cell.low is not None and cell.high is not None:
        ends = (_digits(end, sign=cell.shown == "difference") for end in (cell.low, cell.high))
        text += f" [{', '.join(ends)}]"
    if cell.of and not cell.complete:
        text += f" ({cell.n}/{cell.of}" + (f", {cell.failed} failed)" if cell.failed else ")")
    elif cell.failed:
        text += f" ({cell.failed} failed)"
    return text + (" ≈" if cell.tied else "")


def _digits(value: float, *, sign: bool) -> str:
    text = f"{value:+z.{DIGITS}f}" if sign else f"{value:z.{DIGITS}f}"
    return text.replace("-", "−")


def rank_of(cell: Number | str) -> int:
    """1 for bold, 2 for underlined, 0 for plain."""
    return cell.rank if isinstance(cell, Number) else 0


def footnotes(table: Table) -> dict[str, int]:
    """The rows' notes, each numbered once, in the order of their first mention."""
    notes = dict.fromkeys(note for row in table.rows for note in row.notes)
    return {note: number for number, note in enumerate(notes, start=1)}


def marks(row: Row, numbers: dict[str, int]) -> str:
    """The footnote numbers of a row, in order: "1,3"."""
    return ",".join(map(str, sorted(numbers[note] for note in row.notes)))


def blocks(table: Table) -> Iterator[tuple[str, list[Row]]]:
    """The rows by block, each with its heading; the measured block has one only where others follow."""
    mixed = any(row.block != MEASURED for row in table.rows)
    for name, rows in groupby(table.rows, key=lambda row: row.block):
        heading = f"Published ({name})" if name != MEASURED else ("Measured" if mixed else "")
        yield heading, list(rows)


def groups(header: tuple[tuple[str, str], ...]) -> list[tuple[str, int]]:
    """The upper level of the header: each group with the number of columns it spans."""
    return [(name, len(list(columns))) for name, columns in groupby(header, key=lambda column: column[0])]


def below(table: Table) -> list[str]:
    """Everything under a table, in order: numbered footnotes, notes, footer."""
    numbered = [f"[{number}] {note}" for note, number in footnotes(table).items()]
    return [*numbered, *table.notes, *table.footer]
