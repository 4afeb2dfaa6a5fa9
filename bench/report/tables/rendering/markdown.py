"""Tables as GitHub-flavoured Markdown."""

from __future__ import annotations

import re

from bench.report.table import Number, Row, Table
from bench.report.tables.rendering.text import blocks, footnotes, marks, number_text, rank_of


def markdown(table: Table) -> str:
    """The whole table with title, notes and footer."""
    numbers = footnotes(table)
    width = len(table.leads) + len(table.header)
    lines = [f"**{escape(table.title)}**", ""]
    lines.append(_line([escape(lead) for lead in table.leads] + [_heading(table, *pair) for pair in table.header]))
    lines.append(_line(["---"] * len(table.leads) + ["---:"] * len(table.header)))
    for heading, rows in blocks(table):
        if heading:
            lines.append(_line([f"*{escape(heading)}*"] + [""] * (width - 1)))
        lines += [_line(_cells(row, numbers)) for row in rows]
    lines += ["", *(f"{number}. {escape(note)}" for note, number in numbers.items())]
    lines += ["", *(f"{escape(note)}  " for note in table.notes)]
    lines += ["", "<sub>" + "<br>".join(escape(line) for line in table.footer) + "</sub>"]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def escape(text: str) -> str:
    """Text from names and files, kept from being read as Markdown or HTML, on one line."""
    flat = " ".join(text.split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]|~#!])", r"\\\1", flat)


def _heading(table: Table, group: str, name: str) -> str:
    between = " → " if table.tiers[0] else " "
    return escape(f"{group}{between}{name}" if group else name)


def _cells(row: Row, numbers: dict[str, int]) -> list[str]:
    lead = [escape(part) for part in row.lead]
    if row.notes:
        lead[-1 if len(lead) == 1 else 0] += f"<sup>{marks(row, numbers)}</sup>"
    return lead + [_cell(cell) for cell in row.cells]


def _cell(cell: Number | str) -> str:
    text = number_text(cell)
    value, space, rest = text.partition(" ")
    value = {1: f"**{value}**", 2: f"<u>{value}</u>"}.get(rank_of(cell), escape(value))
    return value + space + escape(rest)


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
