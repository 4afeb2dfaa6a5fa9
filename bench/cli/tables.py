"""What `bench table` does between parsing and the end: choose records, print tables, write them."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.cli.config import Config
from bench.cli.console import DEBUG, note, say, show
from bench.cli.problems import note_official_in_name_only, report_problems
from bench.core.errors import StoreError
from bench.core.progress import counted
from bench.core.streams import terminal_width
from bench.records.results import Results
from bench.records.store import Store
from bench.report.narrowing import Narrowing, narrowed
from bench.report.table import Table
from bench.report.tables.rendering.notes import on_screen
from bench.report.tables.rendering.terminal import lines_below, terminal
from bench.report.tables.write import make_tables, write_table


def write_tables(
    config: Config,
    protocols: Sequence[str],
    wish: Narrowing,
    *,
    formats: Sequence[str],
    out: Path | None,
    notes: bool = False,
    **wishes: Any,
) -> int:
    """Print the tables, then write them where that is possible; 1 where a protocol had to be left out.

    `notes` asks for all of their notes on the screen instead of the weightiest.
    """
    store = Store(Path(config["results"]))
    left_out: list[str] = []
    results = Results.read(store)
    gc.freeze()  # the records stay to the end: no collection need search them again
    report_problems(store)
    note_official_in_name_only(results)
    chosen = narrowed(results, wish, config.data, note)
    complain = None if DEBUG["on"] else left_out.append
    tables = [item.table for item in make_tables(chosen, protocols, formats=formats, complain=complain, **wishes)]
    if wish.smoke:
        tables = [replace(table, name=f"{table.name}_smoke") for table in tables]
    width = terminal_width()
    shown = on_screen(tables, width, everything=notes)
    for table, below in zip(tables, shown.under, strict=True):
        show(terminal(table, width, below))
    if shown.shared:
        show(lines_below(["", "Of several of these tables:", *shown.shared]))
    for text in left_out:
        note(text)
    written: list[Path] = []
    if wish.partly and out is None:
        note("Not written, for it would replace the whole tables: --out DIR writes a selection.")
    else:
        written = _write_where_possible(tables, formats, out, store.root / "tables")
    if shown.left:
        say(_where_the_rest_stands(shown.left, written))
    return 1 if left_out else 0


def _write_where_possible(
    tables: Sequence[Table], formats: Sequence[str], asked: Path | None, usual: Path
) -> list[Path]:
    """Write tables that were shown already; a usual place that cannot be written is no failure of looking at them."""
    written: list[Path] = []
    try:
        for table in tables:
            paths = write_table(table, formats, asked or usual)
            say(f"Written: {', '.join([str(paths[0]), *(path.suffix for path in paths[1:])])}")
            written += paths
    except StoreError as error:
        if asked:
            raise
        note(f"Not written. {error} --out DIR writes the tables elsewhere.")
    return written


def _where_the_rest_stands(count: int, written: Sequence[Path]) -> str:
    """Where to find the notes that the screen had no room for."""
    texts = [path for path in written if path.suffix == ".md"]
    place = f"{texts[0].parent}/*.md" if len(texts) > 1 else "".join(map(str, texts))
    return f"{counted(count, 'more note')}: --notes{f', or {place}' if place else ''}"
