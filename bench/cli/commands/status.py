"""The command `bench status`: parse, call, print."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli.app import App
from bench.cli.commands.options import Plugin, ResultsFolder
from bench.cli.console import friendly, say
from bench.cli.invocation import configure, results_folder


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command()(status)


@friendly
def status(
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget the plans that nobody is making: their runs are not pending.")
    ] = False,
    results: ResultsFolder = None,
    plugin: Plugin = None,
) -> None:
    """Say what is done, running, failed and pending. Also what is not usable in the results folder."""
    from bench.cli.status import print_status

    config = configure(plugin, results=results)
    root = results_folder(config)
    if forget:
        from bench.records.plans import forget_plans
        from bench.records.store import Store

        say(forget_plans(Store(root)).sentences())
    print_status(root)
