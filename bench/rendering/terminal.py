"""Tables for a terminal of any width: what does not fit side by side is folded into bands below one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.rendering.text import below, blocks, footnotes, groups, marks, number_text, rank_of
from bench.table import Row, Table

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table as RichTable
    from rich.text import Text

PADDING = 3
"""Blanks a column costs: one on either side and the separator."""
STYLE = {1: "bold", 2: "underline", 0: ""}
WIDEST_LEAD = 44


def terminal(table: Table, width: int) -> Group:
    """The table as something rich prints; nothing in it is read as markup."""
    from rich.console import Group
    from rich.text import Text

    numbers = footnotes(table)
    parts: list[RichTable | Text] = [Text(table.title, style="bold")]
    parts += [_band(table, numbers, chosen) for chosen in bands(table, width)]
    parts += [Text(line, style="dim") for line in below(table)]
    return Group(*parts)


def print_table(table: Table) -> None:
    """Print the table as wide as the terminal is; 120 columns where there is none."""
    import sys

    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(terminal(table, console.width))


def bands(table: Table, width: int) -> list[list[int]]:
    """The columns that go side by side: whole groups together where they fit, at least one column a band."""
    room = width - sum(_lead_width(table, i) for i in range(len(table.leads)))
    widths = [_column_width(table, j) for j in range(len(table.header))]
    found: list[list[int]] = [[]]
    at = 0
    for _, span in groups(table.header):
        columns = list(range(at, at + span))
        at += span
        if found[-1] and sum(widths[j] for j in found[-1] + columns) > room:
            found.append([])
        for j in columns:
            if found[-1] and sum(widths[k] for k in found[-1]) + widths[j] > room:
                found.append([])
            found[-1].append(j)
    return [band for band in found if band]


def _lead_width(table: Table, i: int) -> int:
    texts = [table.leads[i], *(row.lead[i] + ("" if i else " [99]") for row in table.rows)]
    if i == 0:
        texts += [heading for heading, _ in blocks(table)]
    return min(max(map(len, texts)), WIDEST_LEAD) + PADDING


def _column_width(table: Table, j: int) -> int:
    group, name = table.header[j]
    arrow = "→ " if table.tiers[0] else ""
    return max(map(len, [group, arrow + name, *(number_text(row.cells[j]) for row in table.rows)])) + PADDING


def _band(table: Table, numbers: dict[str, int], chosen: list[int]) -> RichTable:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    made = RichTable(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for lead in table.leads:
        made.add_column(Text(lead), overflow="fold", max_width=WIDEST_LEAD)
    previous = None
    for j in chosen:
        group, name = table.header[j]
        joined = f"{group}\n→ {name}" if table.tiers[0] else f"{group if group != previous else ''}\n{name}"
        made.add_column(Text(joined if group else name), justify="right", overflow="fold")
        previous = group
    for heading, rows in blocks(table):
        if heading:
            made.add_section()
            made.add_row(Text(heading, style="italic"))
        for row in rows:
            made.add_row(*_cells(row, numbers, chosen))
    return made


def _cells(row: Row, numbers: dict[str, int], chosen: list[int]) -> list[Text]:
    from rich.text import Text

    lead = [Text(part) for part in row.lead]
    if row.notes:
        lead[0].append(f" [{marks(row, numbers)}]", style="dim")
    return lead + [Text(number_text(row.cells[j]), style=STYLE[rank_of(row.cells[j])]) for j in chosen]
