"""From records to table files: which protocols, which formats, where to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.costs import with_cost
from bench.errors import StoreError, UsageError
from bench.progress import counted
from bench.registry import PROTOCOLS
from bench.rendering.latex import latex
from bench.rendering.markdown import markdown
from bench.rendering.tidy import as_json, tidy_csv
from bench.results import Results
from bench.table import MEASURED, Number, Table

if TYPE_CHECKING:
    from bench.protocol import Protocol

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
    complain: Callable[[str], object] | None = None,
) -> list[Written]:
    """The tables of the protocols (all, if none is named), written to `out` in the formats asked for.

    Protocols without records are passed over as long as one has some; none at all is an error that names the
    command which would make them. When no protocol is named, a table that only repeats the numbers of earlier ones
    is left out, and with `complain` one whose stored predictions cannot be read is complained of and left out too.
    `intervals` asks for intervals over contents, which read the stored predictions (a third of a second a number at
    KonIQ's size). The same records give the same bytes.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"Unknown table format {', '.join(unknown)}. There are: {', '.join(FORMATS)}.")
    kept = Results(results.records, intervals=intervals or results.intervals)
    kept = kept.select(selection=selection) if selection else kept
    written: list[Written] = []
    shown: set[tuple[object, ...]] = set()
    for name in protocols or sorted(PROTOCOLS.names(), key=lambda name: (name not in FIRST, name != "main", name)):
        protocol: Protocol = PROTOCOLS.load(name)()
        try:
            tables = protocol.tables(kept)
        except StoreError as error:
            if protocols or complain is None:
                raise
            complain(f"Left out: {name}. {error}")
            continue
        for table in tables:
            if any(table.name == known.table.name for known in written):
                continue  # ablation shows its parts' tables, which may be asked for by name too
            numbers = set(_measured(table))
            if protocols or not numbers <= shown or len({row.block for row in table.rows}) > 1:
                table = with_cost(table) if cost else table
                table = replace(table, name=f"{table.name}_{selection}") if selection else table
                written.append(Written(name, table, _write(table, formats, out)))
            shown |= numbers
    if not written:
        raise UsageError(_nothing(results, kept, protocols, selection))
    return written


def _measured(table: Table) -> Iterator[tuple[object, ...]]:
    """What each measured number of a table is of: method, settings, data and metric."""
    for row in table.rows:
        for cell in row.cells if row.block == MEASURED else ():
            if isinstance(cell, Number):
                yield tuple(cell.facts.items())


def _write(table: Table, formats: Sequence[str], out: Path | None) -> tuple[Path, ...]:
    from bench.files import write_text

    if out is None:
        return ()
    paths = []
    for name in dict.fromkeys(formats):
        path = out / f"{table.name}.{name}"
        write_text(path, FORMATS[name](table))
        paths.append(path)
    return tuple(paths)


def _nothing(results: Results, kept: Results, protocols: Sequence[str], selection: str | None) -> str:
    """Why there is no table, and the command that makes the records for one."""
    command = f"bench run -p {','.join(protocols or ['main'])}"
    if selection:
        command += f" --selection {selection}"
    failed = sum(not record.done for record in kept.records)
    if failed:
        command += " --overwrite failed"
    if not len(results):
        have = "there are no records yet"
    elif not len(kept):
        have = f"no record here has selection={selection}"
    elif failed == len(kept):
        have = f"{counted(failed, 'failed run')} here and nothing else (bench status says why)"
    else:
        have = f"{counted(len(kept), 'record')} here, of other tables" + (f" or failed ({failed})" if failed else "")
    return f"Nothing to show for {', '.join(protocols or ['any protocol'])}: {have}. This command makes them: {command}"
