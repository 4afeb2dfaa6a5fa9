"""The command `bench merge`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.app import App
from bench.cli.commands.options import ResultsFolder
from bench.cli.console import friendly, note, say


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command()(merge)


@friendly
def merge(
    other: Annotated[Path, typer.Argument(help="Another results folder; it is only read.", metavar="FOLDER")],
    keep: Annotated[
        str, typer.Option("--keep", help="Of a run that both have, made differently, keep mine or theirs.")
    ] = "",
    states: Annotated[bool, typer.Option("--states", help="Kept trained tensors too.")] = False,
    results: ResultsFolder = None,
) -> None:
    """Take over another results folder's records. Each is verified first, and nothing here is overwritten."""
    from bench.cli.invocation import configure
    from bench.cli.merging import merge as take_over
    from bench.cli.merging import other_store
    from bench.core.errors import UsageError
    from bench.core.progress import Display
    from bench.records.store import Store

    if keep not in ("", "mine", "theirs"):
        raise UsageError(f"--keep {keep!r} is neither mine nor theirs.")
    config = configure(results=results)
    with Display() as display:
        merged = take_over(
            Store(Path(config["results"])),
            other_store(other),
            keep=keep,  # type: ignore[arg-type]
            states=states,
            report=display.report,
        )
    for name, why in merged.refused:
        note(f"Refused: {name}: {why.removesuffix('.')}.")
    say(merged.sentence())
    raise typer.Exit(1 if merged.refused else 0)
