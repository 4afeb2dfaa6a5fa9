"""The command `bench cite`: what to cite for the numbers of a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.cli.app import App
from bench.cli.commands.options import OnlyMethods, OnlyPreset, OnlySets, Plugin, ResultsFolder, Smoke, Words
from bench.cli.console import friendly, note, say, say_as_it_is


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command()(cite)


@friendly
def cite(
    protocol: Annotated[
        Words, typer.Argument(help="Protocols whose tables are meant, separated by commas; all that have records.")
    ] = None,
    method: OnlyMethods = None,
    dataset: OnlySets = None,
    preset: OnlyPreset = None,
    smoke: Smoke = False,
    bib: Annotated[Optional[Path], typer.Option("--out", help="Write the entries into this file.")] = None,
    results: ResultsFolder = None,
    plugin: Plugin = None,
) -> None:
    """Print BibTeX for what a table used: methods, datasets, backbone, losses. What has no entry is named."""
    from bench.cli.config import SETTINGS
    from bench.cli.invocation import configure, results_folder, words_of
    from bench.cli.problems import report_problems
    from bench.core.files import write_named
    from bench.core.progress import counted
    from bench.core.registry import PROTOCOLS
    from bench.records.results import Results
    from bench.records.store import Store
    from bench.report.citing import cite as cited
    from bench.report.citing import records_behind, sources_of
    from bench.report.narrowing import Narrowing, narrowed
    from bench.report.tables.write import make_tables

    config = configure(plugin, results=results)
    names = words_of(protocol)
    for name in names:
        PROTOCOLS.target(name)
    of = SETTINGS["preset"].parse(preset) if preset else ""
    store = Store(results_folder(config, f"bench run -p {','.join(names or ['main'])}"))
    everything = Results.read(store)
    report_problems(store)
    chosen = narrowed(everything, Narrowing(words_of(method), words_of(dataset), of, smoke), config.data, note)
    tables = [result.table for result in make_tables(chosen, names, complain=note)]
    runs = {record.key: record for table in tables for record in records_behind(table, chosen.records)}
    citations = cited(runs.values(), dict.fromkeys(source for table in tables for source in sources_of(table)))
    if bib is None:
        say_as_it_is(citations.bibtex().rstrip("\n"))
    else:
        write_named(bib, citations.bibtex().encode())
        say(f"Written: {bib} ({counted(len(citations.reasons) + 1, 'entry').replace('entrys', 'entries')})")
    if citations.missing:
        note(f"No entry here, so look them up: {', '.join(citations.missing)}.")
