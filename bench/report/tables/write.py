"""From records to table files: which protocols, which formats, where to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import BenchError, MixedError, UsageError
from bench.core.progress import counted
from bench.core.registry import PROTOCOLS
from bench.records.results import Results
from bench.report.table import MEASURED, Number, Table
from bench.report.tables.costs import with_cost
from bench.report.tables.rendering.latex import latex
from bench.report.tables.rendering.markdown import markdown
from bench.report.tables.rendering.tidy import as_json, tidy_csv

if TYPE_CHECKING:
    from bench.planning.protocol import Protocol

FORMATS: dict[str, Callable[[Table], str]] = {"md": markdown, "csv": tidy_csv, "tex": latex, "json": as_json}

FIRST = ("main", "cross")
"""The protocols whose tables come before all others when none is named."""


@dataclass(frozen=True)
class Written:
    """A table and the files it was written to."""

    protocol: str
    table: Table
    paths: tuple[Path, ...]


def make_tables(
    results: Results,
    protocols: Sequence[str],
    *,
    formats: Sequence[str] = tuple(FORMATS),
    out: Path | None = None,
    cost: bool = False,
    selection: str | None = None,
    intervals: bool = False,
    raw_plcc: bool = False,
    strict: bool = False,
    complain: Callable[[str], object] | None = None,
) -> list[Written]:
    """The tables of the protocols (all, if none is named), written to `out` in the formats asked for.

    Protocols without records are passed over as long as one has some; none at all is an error that names the
    command which would make them. When no protocol is named, a table that only repeats the numbers of earlier ones
    is left out. With `complain`, a protocol whose own code fails is complained of and left out, and where none is
    named so is one whose stored predictions cannot be read.
    `intervals` asks for intervals over contents, which read the stored predictions (a third of a second a number at
    KonIQ's size), `raw_plcc` for the PLCC of the raw scores, in tables of their own names. `strict` refuses a table
    whose numbers were not made alike. The same records give the same bytes.
    """
    check_formats(formats)
    asked = {"intervals": intervals or results.intervals, "raw_plcc": raw_plcc or results.raw_plcc}
    chosen = Results(results.records, **asked)
    chosen = chosen.select(selection=selection) if selection else chosen
    by_protocol, broken = _tables_by_protocol(chosen, protocols, complain)
    named_tables: list[tuple[str, Table]] = []
    shown: set[tuple[object, ...]] = set()
    for name, tables in by_protocol:
        for table in tables:
            if any(table.name == known.name for _, known in named_tables):
                continue  # ablation shows its parts' tables, which may be asked for by name too
            numbers = set(_measured(table))
            if protocols or not numbers <= shown or len({row.block for row in table.rows}) > 1:
                table = with_cost(table) if cost else table
                named_tables.append((name, table))
            shown |= numbers
    if not named_tables and not broken:
        raise UsageError(_nothing(results, chosen, protocols, selection))
    if strict and (mixed := [table for _, table in named_tables if table.mixed]):
        raise MixedError(f"{mixed[0].title} {mixed[0].mixed[0]}. Without --strict the table says so itself.")
    return [Written(name, table, write_table(table, formats, out) if out else ()) for name, table in named_tables]


def _tables_by_protocol(
    results: Results, protocols: Sequence[str], complain: Callable[[str], object] | None
) -> tuple[list[tuple[str, Sequence[Table]]], int]:
    """(each protocol's tables, in the order they are shown; how many protocols were complained of and left out)."""
    by_protocol: list[tuple[str, Sequence[Table]]] = []
    broken = 0
    for name in protocols or sorted(PROTOCOLS.names(), key=lambda name: (name not in FIRST, name != "main", name)):
        PROTOCOLS.target(name)  # a wrong name is the user's error, not the protocol's
        try:
            protocol: Protocol = PROTOCOLS.make(name)
            by_protocol.append((name, protocol.tables(results)))
        except Exception as error:
            if complain is None or (protocols and isinstance(error, BenchError)):
                raise
            complain(f"Left out: {name}. {_fault(error)}")
            broken += 1
    return by_protocol, broken


def check_formats(formats: Sequence[str]) -> None:
    """Refuse a format that there is not."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"Unknown table format {', '.join(unknown)}. There are: {', '.join(FORMATS)}.")


def _measured(table: Table) -> Iterator[tuple[object, ...]]:
    """What each measured number of a table is of: method, settings, data and metric."""
    for row in table.rows:
        for cell in row.cells if row.block == MEASURED else ():
            if isinstance(cell, Number):
                yield tuple(cell.facts.items())


def _fault(error: Exception) -> str:
    """Why a protocol has no table: what we know of it, or how its own code failed."""
    if isinstance(error, BenchError):
        return str(error)
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    return f"Its code fails with {said} (`bench --debug table` shows where)."


def write_table(table: Table, formats: Sequence[str], out: Path) -> tuple[Path, ...]:
    """Write a table into a folder in the formats asked for."""
    from bench.core.files import write_text

    paths = []
    for name in dict.fromkeys(formats):
        path = out / f"{table.name}.{name}"
        write_text(path, FORMATS[name](table))
        paths.append(path)
    return tuple(paths)


def _nothing(results: Results, chosen: Results, protocols: Sequence[str], selection: str | None) -> str:
    """Why there is no table, and the command that makes the records for one."""
    command = f"bench run -p {','.join(protocols or ['main'])}"
    if selection:
        command += f" --selection {selection}"
    failed = sum(not record.done for record in chosen.records)
    if failed:
        command += " --overwrite failed"
    if not len(results):
        have = "there are no records yet"
    elif not len(chosen):
        have = f"no record here has selection={selection}"
    elif failed == len(chosen):
        have = f"{counted(failed, 'failed run')} here and nothing else (bench status says why)"
    else:
        have = f"{counted(len(chosen), 'record')} here, of other tables" + (f" or failed ({failed})" if failed else "")
    return f"Nothing to show for {', '.join(protocols or ['any protocol'])}: {have}. This command makes them: {command}"
