"""Columns of differences: what was measured less what a paper prints, where both were made alike."""

from __future__ import annotations

from dataclasses import replace

from bench.report.table import Number, Table


def with_difference_columns(table: Table) -> Table:
    """A Δ column beside every column that has a difference to show."""
    header: list[tuple[str, str]] = []
    shown: list[tuple[int, bool]] = []
    for j, (group, name) in enumerate(table.header):
        header.append((group, name))
        shown.append((j, False))
        cells = [row.cells[j] for row in table.rows]
        if any(isinstance(cell, Number) and cell.difference is not None for cell in cells):
            header.append((group, f"Δ {name}" if table.tiers[0] else "Δ"))
            shown.append((j, True))
    if len(header) == len(table.header):
        return table
    rows = [
        replace(row, cells=tuple(_difference_text(row.cells[j]) if delta else row.cells[j] for j, delta in shown))
        for row in table.rows
    ]
    note = (
        "Δ: measured − published, only where dataset (whole), split rule and backbone are the paper's; where both "
        "papers print a number, of the first block that has it."
    )
    return replace(table, header=tuple(header), rows=tuple(rows), notes=(*table.notes, note))


def _difference_text(cell: Number | str) -> str:
    if isinstance(cell, Number) and cell.difference is not None:
        return f"{cell.difference:+z.3f}".replace("-", "−")
    return ""
