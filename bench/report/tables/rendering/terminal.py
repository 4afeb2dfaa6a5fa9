"""Tables for a terminal of any width: what does not fit side by side is folded into bands below one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core.streams import fitting
from bench.report.table import MEASURED, Number, Row, Table
from bench.report.tables.rendering.text import MISSING, below, blocks, footnotes, groups, marks, number_text, rank_of

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

PADDING = 3
"""Blanks a column costs: one on either side and the separator."""
STYLE = {1: "bold", 2: "underline", 0: ""}
WIDEST_LEAD = 44


def terminal(table: Table, width: int, notes: Sequence[str] | None = None) -> Group:
    """The table as something rich prints, with these lines below it or with all; nothing in it is read as markup."""
    from rich.console import Group
    from rich.text import Text

    numbers = footnotes(table)
    parts: list[RichTable | Text] = [Text(fitting(table.title), style="bold")]
    parts += [_band(table, numbers, chosen, width) for chosen in bands(table, width)]
    return Group(*parts, lines_below(below(table) if notes is None else notes))


def lines_below(lines: Sequence[str]) -> Group:
    """Notes as they stand under tables."""
    from rich.console import Group
    from rich.text import Text

    return Group(*(Text(fitting(line), style="dim") for line in lines))


def bands(table: Table, width: int) -> list[list[int]]:
    """The columns that go side by side: whole groups together where they fit, at least one column a band."""
    room = width - sum(_lead_width(table, i, width) for i in range(len(table.leads)))
    widths = [_column_width(table, j) for j in range(len(table.header))]
    result: list[list[int]] = [[]]
    at = 0
    for _, span in groups(table.header):
        columns = list(range(at, at + span))
        at += span
        if result[-1] and sum(widths[j] for j in result[-1] + columns) > room:
            result.append([])
        for together in _with_differences(table, columns):
            if result[-1] and sum(widths[j] for j in result[-1] + together) > room:
                result.append([])
            result[-1] += together
    return [band for band in result if band]


def _with_differences(table: Table, columns: list[int]) -> list[list[int]]:
    """Columns, each with the differences to published numbers beside it: one says little without the other."""
    units: list[list[int]] = []
    for j in columns:
        if units and table.header[j][1].startswith("Δ"):
            units[-1].append(j)
        else:
            units.append([j])
    return units


def _lead_width(table: Table, i: int, width: int) -> int:
    texts = [table.leads[i], *(row.lead[i] + ("" if i else " [99]") for row in table.rows)]
    if i == 0:
        texts += [heading for heading, _ in blocks(table)]
    return min(max(len(fitting(text)) for text in texts), _widest_lead(width)) + PADDING


def _widest_lead(width: int) -> int:
    """How wide a leading column may be: on a narrow terminal numbers have half of it."""
    return min(WIDEST_LEAD, width // 2)


def _column_width(table: Table, j: int) -> int:
    group, name = table.header[j]
    arrow = "→ " if table.tiers[0] else ""
    texts = [group, arrow + name, *(number_text(row.cells[j]) for row in table.rows)]
    return max(len(fitting(text)) for text in texts) + PADDING


def _band(table: Table, numbers: dict[str, int], chosen: list[int], width: int) -> RichTable:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    table_shown = RichTable(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for lead in table.leads:
        table_shown.add_column(Text(fitting(lead)), overflow="fold", max_width=_widest_lead(width))
    previous = None
    for j in chosen:
        group, name = table.header[j]
        joined = f"{group}\n→ {name}" if table.tiers[0] else f"{group if group != previous else ''}\n{name}"
        table_shown.add_column(Text(fitting(joined if group else name)), justify="right", overflow="fold")
        previous = group
    for heading, rows in blocks(table):
        shown = [row for row in rows if row.block == MEASURED or _has_numbers(row, chosen)]
        if heading and shown:
            table_shown.add_section()
            table_shown.add_row(Text(fitting(heading), style="italic"))
        for row in shown:
            table_shown.add_row(*_cells(row, numbers, chosen))
    return table_shown


def _has_numbers(row: Row, chosen: list[int]) -> bool:
    """Whether a published row has something to say in a band: a paper may know other sets only."""
    return any(number_text(row.cells[j]) not in ("", MISSING) for j in chosen)


def _cells(row: Row, numbers: dict[str, int], chosen: list[int]) -> list[Text]:
    from rich.text import Text

    lead = [Text(fitting(part)) for part in row.lead]
    if row.notes:
        lead[0].append(f" [{marks(row, numbers)}]", style="dim")
    return lead + [_number(row.cells[j]) for j in chosen]


def _number(cell: Number | str) -> Text:
    from rich.text import Text

    return Text(fitting(number_text(cell)), style=STYLE[rank_of(cell)])
