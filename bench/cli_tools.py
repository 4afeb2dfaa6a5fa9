"""Commands around results: verify, and what else looks at records or methods. Parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.console import friendly, grid, say


def attach(app: typer.Typer) -> None:
    """Put these commands on the `bench` command."""
    app.command()(verify)


@friendly
def verify(
    data: Annotated[bool, typer.Option("--data", help="Check splits and labels against the datasets too.")] = False,
    results: Annotated[Optional[Path], typer.Option("--results", help="The results folder.")] = None,
) -> None:
    """Recompute every stored metric from stored predictions; check hashes, splits and specs."""
    from bench.cli import configure
    from bench.store import Store
    from bench.verify import verify as check

    config = configure(results=results)
    checked, findings = check(Store(Path(config["results"])), config.data if data else None, config.cache)
    if findings:
        grid(("record", "what does not fit"), [(f.key, f.what) for f in findings])
    say(f"{checked} records checked, {len(findings)} do not fit.")
    raise typer.Exit(1 if findings else 0)
