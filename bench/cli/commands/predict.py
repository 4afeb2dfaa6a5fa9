"""The command `bench predict`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.cli.app import App
from bench.cli.commands.options import BackboneFile, CnnFile, Device, Plugin, ResultsFolder, Words
from bench.cli.console import friendly


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command()(predict)


@friendly
def predict(
    pictures: Annotated[
        list[str], typer.Argument(help="Files, folders (with all below), patterns, or - for a list on the input.")
    ],
    run: Annotated[
        Words, typer.Option("--run", help="Runs by key (or its beginning), separated by commas: their mean.")
    ] = None,
    best: Annotated[
        Optional[str], typer.Option("--best", help="What did best on a set: all its splits with kept weights.")
    ] = None,
    model: Annotated[Optional[list[Path]], typer.Option("--model", help="A model file of bench export.")] = None,
    sort: Annotated[bool, typer.Option("--sort", help="Best picture first.")] = False,
    top: Annotated[int, typer.Option("--top", min=0, help="Only the best N; 0: all.")] = 0,
    csv: Annotated[Optional[Path], typer.Option("--csv", help="Write all numbers to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON instead of a table.")] = False,
    explain: Annotated[
        Optional[Path], typer.Option("--explain", help="A folder for pictures of where the model looked.")
    ] = None,
    scale: Annotated[
        str, typer.Option("--scale", metavar="SET", help="Of a model of several sets, whose scale its scores are on.")
    ] = "",
    weights: BackboneFile = None,
    cnn_weights: CnnFile = None,
    device: Device = None,
    results: ResultsFolder = None,
    plugin: Plugin = None,
) -> None:
    """Score pictures with a trained model. The same picture gets the same score, whatever it is scored with."""
    from bench.cli.invocation import configure, parsed, runtime_of, words_of
    from bench.cli.predictions import Wish, predict_pictures
    from bench.planning.files import weight_files

    config = configure(plugin, **parsed({"device": device, "results": results}))
    files = weight_files(weights, cnn_weights)
    wish = Wish(
        words=tuple(pictures),
        runs=words_of(run),
        best=best,
        models=tuple(model or ()),
        sort=sort,
        top=top,
        csv=csv,
        as_json=as_json,
        explain=explain,
        scale=scale,
    )
    raise typer.Exit(predict_pictures(wish, runtime_of(config, plugin, weight_files=files)))
