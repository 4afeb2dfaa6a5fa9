"""The command `bench new`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.app import App
from bench.cli.console import friendly, note, say


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command(configured=False)(new)


@friendly
def new(
    kind: Annotated[str, typer.Argument(help="method, protocol or dataset.")],
    name: Annotated[str, typer.Argument(help="Its name: small letters, digits, underscores.")],
    folder: Annotated[Path, typer.Option("--in", help="The folder to make the package in.")] = Path(),
) -> None:
    """Write a working plugin for a method, a protocol or a dataset."""
    from bench.cli.skeletons import new_package

    paths = new_package(kind, name, folder)
    for path in paths:
        say(f"Written: {path}")
    note(f"Install it with: pip install -e {paths[0].parent}   and test it with: pytest {paths[0].parent}")
