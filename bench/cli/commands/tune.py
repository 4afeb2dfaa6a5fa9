"""The command `bench tune`: parse, call, print."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Optional

import typer

from bench.cli.app import App
from bench.cli.commands.options import Device, Jobs, Plugin, ResultsFolder
from bench.cli.commands.run_options import Backbone, DryRun, Overwrite, Precision
from bench.cli.console import friendly


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command()(tune)


@friendly
def tune(
    method: Annotated[str, typer.Argument(help="Methods, separated by commas, or all.")],
    dataset: Annotated[
        Optional[list[str]],
        typer.Option(
            "--dataset", "-d", help="Where to choose, one set; else the preset's set for tuning, or the first there is."
        ),
    ] = None,
    splits: Annotated[
        Optional[int], typer.Option("--splits", min=1, help="In how many splits to choose; the preset's number.")
    ] = None,
    rates: Annotated[str, typer.Option("--lr", help="Learning rates to try; the preset's if not given.")] = "",
    option: Annotated[str, typer.Option("--option", help="One more option, as NAME=VALUE,VALUE…")] = "",
    preset: Annotated[Optional[str], typer.Option("--preset", help="demo, study or paper.")] = None,
    backbone: Backbone = None,
    weights: Annotated[str, typer.Option("--weights", help="pretrained, random, or a weights file.")] = "pretrained",
    precision: Precision = None,
    device: Device = None,
    jobs: Jobs = None,
    settings: Annotated[
        Optional[list[str]], typer.Option("--set", help="KEY=VALUE of the recipe, for every candidate.")
    ] = None,
    overwrite: Overwrite = None,
    dry_run: DryRun = False,
    results: ResultsFolder = None,
    plugin: Plugin = None,
) -> None:
    """Choose a learning rate, and one option at most, in each split. Contents that no such run is tested on decide."""
    from bench.cli.config import file_settings
    from bench.cli.invocation import configure, one_set, parsed, runtime_of, untyped, words_of
    from bench.cli.search import Wish, preview_searches, run_searches

    typed = {"preset": preset, "backbone": backbone, "precision": precision, "device": device, "jobs": jobs}
    config = configure(plugin, results=results, splits=splits, **parsed({**typed, "overwrite": overwrite}))
    wish = Wish(
        tuple(words_of(method)),
        one_set(dataset, "bench tune"),
        config["splits"],
        rates,
        option,
        config.preset,
        config["backbone"],
        weights,
        config["precision"],
        tuple(settings or ()),
        file_settings(config),
        config["overwrite"],
        untyped(splits=splits),
    )
    results_folder = Path(config["results"])
    make_runtime = partial(runtime_of, config, plugin)
    if dry_run:
        return preview_searches(wish, results_folder, make_runtime)
    raise typer.Exit(run_searches(wish, results_folder, make_runtime, config["jobs"]))
