"""The command `bench finetune`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.cli.app import App
from bench.cli.commands.options import Device, Name, Plugin, ResultsFolder
from bench.cli.console import friendly


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command()(finetune)


@friendly
def finetune(
    folder: Annotated[Path, typer.Argument(help="Your pictures, with a csv of their scores (columns image, score).")],
    labels: Annotated[
        str, typer.Option("--csv", metavar="FILE", help="The csv or xlsx with the scores; the only one if not given.")
    ] = "",
    image_column: Annotated[str, typer.Option("--image-column", metavar="NAME", help="Its column of pictures.")] = "",
    score_column: Annotated[str, typer.Option("--score-column", metavar="NAME", help="Its column of scores.")] = "",
    group_column: Annotated[
        str,
        typer.Option("--group-column", metavar="NAME", help="Its column of scenes: none is trained on and tested on."),
    ] = "",
    lower_is_better: Annotated[bool, typer.Option("--lower-is-better", help="A low score is a good one.")] = False,
    method: Annotated[
        str, typer.Option("--method", "-m", help="How to train; what was measured best here, else adapter.")
    ] = "",
    preset: Annotated[Name, typer.Option("--preset", help="Backbone and recipe: demo (small), study or paper.")] = None,
    weights: Annotated[str, typer.Option("--weights", help="pretrained, random, or a weights file.")] = "pretrained",
    settings: Annotated[
        Optional[list[str]], typer.Option("--set", help="KEY=VALUE for the recipe or the method, as in bench run.")
    ] = None,
    splits: Annotated[
        int, typer.Option("--splits", min=1, help="So many models, each with a test part of its own.")
    ] = 1,
    seeds: Annotated[
        Optional[int], typer.Option("--seeds", min=1, help="Models of each split; one, or [run] seeds of bench.toml.")
    ] = None,
    overwrite: Annotated[
        Name, typer.Option("--overwrite", help="Which finished runs to repeat, as in bench run.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    device: Device = None,
    results: ResultsFolder = None,
    plugin: Plugin = None,
) -> None:
    """Train a scorer for your own pictures. It checks the data, holds some out to test on, and keeps the model."""
    from bench.cli.finetuning import Wish, finetune_folder
    from bench.cli.invocation import configure, parsed, runtime_of
    from bench.scoring.own_set import Columns

    flags = {"preset": preset, "device": device, "results": results, "overwrite": overwrite, "seeds": seeds}
    config = configure(plugin, **parsed(flags))
    columns = Columns(labels, image_column, score_column, group_column, lower_is_better)
    wish = Wish(folder, columns, method, weights, tuple(settings or ()), splits, dry_run)
    raise typer.Exit(finetune_folder(wish, config, lambda **more: runtime_of(config, plugin, **more)))
