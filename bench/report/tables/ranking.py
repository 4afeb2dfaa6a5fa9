"""A ranking over all datasets of a table: mean ranks and the critical difference between them (Demšar, 2006)."""

from __future__ import annotations

from dataclasses import replace

from bench.report.cells import DIGITS
from bench.report.table import MEASURED, UNRANKED, Number, Row, Table


def ranking_table(table: Table) -> Table | None:
    """The ranking of a table's complete rows by their SRCC columns; None for fewer than two rows or columns.

    Only rows with a complete number in every SRCC column take part: a mean over different datasets compares nothing.
    """
    from bench.metrics.comparisons import critical_difference

    scores = {i: values for i, row in enumerate(table.rows) if (values := _srcc(row)) is not None}
    count = min((len(values) for values in scores.values()), default=0)
    if len(scores) < 2 or count < 2:
        return None
    names = {i: table.rows[i].label for i in scores}
    difference = critical_difference({str(i): values for i, values in scores.items()})
    best = min(difference.mean_ranks.values())
    rows = [
        Row(
            (names[int(key)],),
            (
                Number(rank, facts={"metric": "mean rank", "method": names[int(key)]}),
                f"+{rank - best:.2f}" if rank > best else "",
                "≈" if best < rank <= best + difference.cd else "",
            ),
            notes=tuple(note for note in table.rows[int(key)].notes if not note.startswith("PLCC:")),
        )
        for key, rank in difference.mean_ranks.items()
    ]
    groups = [" and ".join(names[int(key)] for key in group) for group in difference.groups]
    left_out = [
        row.label
        for i, row in enumerate(table.rows)
        if row.block == MEASURED and i not in scores and row.contest != UNRANKED
    ]
    notes = [
        f"Ranks of the median SRCC over {count} columns, 1 is best. Friedman p = {difference.p:.3g}; Nemenyi's "
        f"critical difference at α = 0.05 is {difference.cd:.2f}.",
        "≈: within the critical difference of the best.",
        "Not distinguishable from one another: " + ("; ".join(groups) if groups else "none") + ".",
    ]
    if left_out:
        notes.append(f"Left out, for want of numbers in every column: {', '.join(left_out)}.")
    stem, _, preset = table.name.rpartition("_") if table.demo else (table.name, "", "")
    return replace(
        table,
        name=f"{stem}_ranking" + (f"_{preset}" if preset else ""),
        title=table.title.split(".")[0] + ". Ranking over datasets." if table.demo else "Ranking over datasets.",
        header=(("", "Mean rank"), ("", "Behind the best"), ("", "≈ best")),
        rows=tuple(rows),
        notes=tuple(notes),
        tiers=("", ""),
    )


def _srcc(row: Row) -> list[float] | None:
    """The row's SRCC numbers as they are printed.

    None where one is missing or partial, or the row is not measured or not ranked.
    """
    if row.contest == UNRANKED:
        return None
    numbers = [cell for cell in row.cells if isinstance(cell, Number) and cell.facts.get("metric") == "srcc"]
    values = [round(number.value, DIGITS) for number in numbers if number.complete and number.value is not None]
    return values if row.block == MEASURED and values and len(values) == len(numbers) else None
