"""The command `bench figure`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.console import friendly, say


def attach(app: typer.Typer) -> None:
    """Put this command on the `bench` command."""
    app.command()(figure)


@friendly
def figure(
    names: Annotated[str, typer.Argument(help="Figures, separated by commas; all that have records if none.")] = "",
    method: Annotated[str, typer.Option("--method", "-m", help="Only these methods, separated by commas.")] = "",
    dataset: Annotated[str, typer.Option("--dataset", "-d", help="Only these datasets, separated by commas.")] = "",
    image: Annotated[str, typer.Option("--image", help="A picture of the dataset, or a file, for attention.")] = "",
    views: Annotated[
        str, typer.Option("--views", help="For spectra: same (one crop for all methods) or own (what each eats).")
    ] = "same",
    formats: Annotated[str, typer.Option("--format", help="png, svg or both.")] = "png,svg",
    list_them: Annotated[bool, typer.Option("--list", help="Only list the figures there are.")] = False,
    results: Annotated[Optional[Path], typer.Option("--results", help="The results folder.")] = None,
    plugin: Annotated[Optional[list[Path]], typer.Option("--plugin", help="A file with further methods.")] = None,
) -> None:
    """Draw figures from the records there are. Some need kept weights; all go into the results folder."""
    from bench.console import grid
    from bench.driver import note_official_in_name_only, report_problems
    from bench.figures import FIGURES, kind_named, make_figures
    from bench.invocation import configure, results_folder, runtime_of
    from bench.results import Results
    from bench.store import Store

    if list_them:
        grid(("figure", "what it shows", "needs the runs of"), [(n, k.summary, k.protocol) for n, k in FIGURES.items()])
        return
    config = configure(plugin, results=results)
    protocols = ",".join(dict.fromkeys(kind_named(name).protocol for name in _words(names)))
    store = Store(results_folder(config, f"bench run -p {protocols or 'main'}"))
    found = Results.read(store)
    report_problems(store)
    note_official_in_name_only(found)
    written = make_figures(
        _words(names),
        found,
        store.root / "figures",
        formats=_words(formats),
        methods=_words(method),
        datasets=_words(dataset),
        image=image,
        views=views,
        runtime=runtime_of(config, plugin),
    )
    for path in written:
        say(f"Written: {path}")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
