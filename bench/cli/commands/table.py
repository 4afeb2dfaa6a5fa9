"""The command `bench table`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.cli.app import App
from bench.cli.commands.options import (
    Name,
    OnlyMethods,
    OnlyPreset,
    OnlySets,
    Plugin,
    ResultsFolder,
    Smoke,
    Strict,
    Words,
)
from bench.cli.completion import CHOICES
from bench.cli.config import SETTINGS
from bench.cli.console import friendly
from bench.cli.invocation import configure, results_folder, words_of
from bench.core.errors import UsageError


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command()(table)


@friendly
def table(
    protocol: Annotated[
        Words, typer.Argument(help="Protocols, separated by commas; all that have records if none.")
    ] = None,
    method: OnlyMethods = None,
    dataset: OnlySets = None,
    preset: OnlyPreset = None,
    smoke: Smoke = False,
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Folder for the files; tables in the results folder if not given.")
    ] = None,
    formats: Annotated[str, typer.Option("--format", help="Any of md, csv, tex, json.")] = "md,csv,tex,json",
    selection: Annotated[Name, typer.Option("--selection", help="Only runs with this selection rule.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Add what each method costs.")] = False,
    intervals: Annotated[bool, typer.Option("--intervals", help="Add intervals over contents.")] = False,
    plcc: Annotated[
        str, typer.Option("--plcc", help="After the four-parameter logistic, or of the raw scores.")
    ] = "mapped",
    notes: Annotated[bool, typer.Option("--notes", help="Show all notes, not the weightiest three lines.")] = False,
    strict: Strict = False,
    results: ResultsFolder = None,
    plugin: Plugin = None,
) -> None:
    """Print the tables of the records there are, and write them."""
    from bench.cli.tables import write_tables
    from bench.core.registry import PROTOCOLS
    from bench.core.spec import recipe_options
    from bench.report.narrowing import Narrowing
    from bench.report.tables.write import check_formats

    config = configure(plugin, results=results)
    names = words_of(protocol)
    for name in names:
        PROTOCOLS.target(name)
    check_formats(words_of(formats))
    if plcc not in CHOICES["plcc"]:
        raise UsageError(f"--plcc {plcc!r} is neither {' nor '.join(CHOICES['plcc'])}.")
    rule = recipe_options()["selection"].parse(selection) if selection is not None else None
    of = SETTINGS["preset"].parse(preset) if preset else ""
    results_folder(config, f"bench run -p {','.join(names or ['main'])}")
    wish = Narrowing(words_of(method), words_of(dataset), of, smoke)
    raise typer.Exit(
        write_tables(
            config,
            names,
            wish,
            formats=words_of(formats),
            out=out,
            selection=rule,
            cost=cost,
            intervals=intervals,
            raw_plcc=plcc == "raw",
            strict=strict,
            notes=notes,
        )
    )
