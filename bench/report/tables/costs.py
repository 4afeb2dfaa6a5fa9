"""What a row costs, as columns beside its quality, with the Pareto front marked."""

from __future__ import annotations

import math
from dataclasses import replace

from bench.report.arms import count_text
from bench.report.table import MEASURED, UNRANKED, Cost, Number, Row, Table

HEADER = ("Trainable", "Total", "Train s", "Images/s", "Peak GB", "GFLOPs", "Pareto")
NOTE = (
    "Cost: medians over the row's runs; images/s in scoring, all views counted, as the runs met it: what is frozen and "
    "was stored before (a linear probe's features, GLIA's F_s, LoDa's CNN in tests) cost them nothing; of runs trained "
    "together (linear probes on a CPU) Train s is each one's share and Peak GB that of all; GFLOPs of "
    "scoring one view, all of it. "
    "Pareto ✓: no other row has both fewer trainable parameters and a higher mean SRCC over the SRCC columns; "
    "rows without all of them are left out (–)."
)


def with_cost(table: Table) -> Table:
    """The table with cost columns; published rows have none."""
    if not any(row.cost for row in table.rows):
        return table
    front = pareto_rows(table)
    rows = tuple(
        replace(row, cells=row.cells + (_texts(row.cost, front.get(i)) if row.cost else ("",) * len(HEADER)))
        for i, row in enumerate(table.rows)
    )
    header = table.header + tuple(("Cost", name) for name in HEADER)
    return replace(table, header=header, rows=rows, notes=(*table.notes, NOTE))


def pareto_rows(table: Table) -> dict[int, bool]:
    """Row number → on the front of mean SRCC against trainable parameters; rows with gaps are not in it."""
    from bench.metrics.comparisons import pareto_front

    contests: dict[str, list[tuple[int, float, float]]] = {}
    for i, row in enumerate(table.rows):
        quality, cost = _mean_srcc(row), _trainable(row)
        if row.block == MEASURED and row.contest != UNRANKED and not math.isnan(quality) and not math.isnan(cost):
            contests.setdefault(row.contest, []).append((i, cost, quality))
    front: dict[int, bool] = {}
    for rows in contests.values():
        marks = pareto_front([cost for _, cost, _ in rows], [quality for *_, quality in rows])
        front |= {i: mark for (i, *_), mark in zip(rows, marks, strict=True)}
    return front


def _mean_srcc(row: Row) -> float:
    numbers = [cell for cell in row.cells if isinstance(cell, Number) and cell.facts.get("metric") == "srcc"]
    if not numbers or not all(number.complete for number in numbers):
        return math.nan
    return math.fsum(number.value or 0.0 for number in numbers) / len(numbers)


def _trainable(row: Row) -> float:
    return math.nan if row.cost is None or row.cost.trainable is None else row.cost.trainable


def _texts(cost: Cost, front: bool | None) -> tuple[str, ...]:
    gigabytes = None if cost.memory_bytes is None else cost.memory_bytes / 2**30
    return (
        "–" if cost.trainable is None else count_text(cost.trainable),
        "–" if cost.total is None else count_text(cost.total),
        _plain(cost.train_seconds),
        _plain(cost.images_per_second),
        _plain(gigabytes),
        _plain(cost.gflops),
        "–" if front is None else ("✓" if front else ""),
    )


def _plain(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
