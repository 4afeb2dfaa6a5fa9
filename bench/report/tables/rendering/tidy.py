"""Tables as data: tidy CSV with one number per row, and JSON with everything."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import Any

from bench.core.numbers import meaningful
from bench.report.table import MEASURED, Number, Table

FACTS = (
    "method",
    "options",
    "changes",
    "preset",
    "backbone",
    "train",
    "test",
    "fraction",
    "source",
    "metric",
)
NUMBER = ("n", "of", "failed", "mean", "std", "median", "low", "high", "interval", "rank", "tied", "difference")
DECIMALS = 6
COLUMNS = ("table", "block", "row", "column", *FACTS, *NUMBER)


def tidy_csv(table: Table) -> str:
    """One row a number: what it is of, n, mean, std, median, interval, rank, and the difference to the paper."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in table.rows:
        for (group, name), cell in zip(table.header, row.cells, strict=True):
            if not isinstance(cell, Number) or (cell.value is None and not (cell.failed or cell.undefined)):
                continue
            facts = {key: cell.facts.get(key, "") for key in FACTS}
            writer.writerow(
                {
                    "table": table.name,
                    "block": row.block or "measured",
                    "row": _safe(row.label),
                    "column": _safe(f"{group} {name}".strip()),
                    **{key: _safe(value) if isinstance(value, str) else value for key, value in facts.items()},
                    **_numbers(cell, published=row.block != MEASURED),
                }
            )
    return buffer.getvalue()


def as_json(table: Table) -> str:
    """The table's whole structure, a row of it a line."""
    whole = _fields(table)
    rows = [json.dumps(row, ensure_ascii=False, default=_fields) for row in whole.pop("rows")]
    head = json.dumps(whole, ensure_ascii=False, default=_fields)[:-1]
    return f'{head}, "rows": [\n' + ",\n".join(rows) + "\n]}\n"


def _fields(value: Any) -> dict[str, Any]:
    """A dataclass's own fields; `dataclasses.asdict` would copy all below it too. What few numbers are is left out."""
    fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {name: meaningful(held) for name, held in fields.items() if name not in ("undefined", "shown") or held}


def _numbers(cell: Number, *, published: bool) -> dict[str, object]:
    numbers: dict[str, object] = {name: getattr(cell, name, None) for name in NUMBER if name != "median"}
    numbers["median"] = cell.value
    if published:  # a printed number says nothing of its splits
        numbers |= {"n": None, "of": None, "failed": None, "tied": None}
    return {name: _exact(value) for name, value in numbers.items()}


def _exact(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    return repr(round(value, DECIMALS)) if isinstance(value, float) else value


def _safe(text: str) -> str:
    """Text that a spreadsheet will not run as a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
