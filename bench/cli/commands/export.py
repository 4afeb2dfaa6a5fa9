"""The commands `bench export` and `bench push`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from bench.cli.app import App
from bench.cli.commands.options import BackboneFile, CnnFile, Plugin, ResultsFolder
from bench.cli.console import friendly, note, say

if TYPE_CHECKING:
    from bench.scoring.scorer import Scorer

Key = Annotated[str, typer.Argument(help="A run's key or its beginning, or a model file.")]


def attach(app: App) -> None:
    """Put these commands on the `bench` command."""
    app.command()(export)
    app.command()(push)


@friendly
def export(
    key: Key,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The file to write.")],
    format_: Annotated[
        str, typer.Option("--format", help="safetensors (what was trained, a few MB of most) or onnx (all of it).")
    ] = "safetensors",
    scale: Annotated[
        str, typer.Option("--scale", metavar="SET", help="Of a model of several sets, whose scale the file knows.")
    ] = "",
    weights: BackboneFile = None,
    cnn_weights: CnnFile = None,
    results: ResultsFolder = None,
    plugin: Plugin = None,
) -> None:
    """Write a trained model to one file that travels. Its scale, its metrics and all hashes go with it."""
    from bench.cli.invocation import configure, runtime_of
    from bench.cli.predictions import refuse_unwritable
    from bench.core.errors import UsageError
    from bench.core.progress import Display
    from bench.planning.files import weight_files
    from bench.scoring.load import load_scorer
    from bench.scoring.model_file import write_model

    if format_ not in ("safetensors", "onnx"):
        raise UsageError(f"--format {format_!r} is neither safetensors nor onnx.")
    config = configure(plugin, results=results)
    refuse_unwritable(to)
    runtime = runtime_of(config, plugin, weight_files=weight_files(weights, cnn_weights), device="cpu")
    with Display() as display:
        scorer = load_scorer(key, runtime, display.report, scale=scale)
    if format_ == "onnx":
        from bench.scoring.onnx_file import write_onnx

        write_onnx(scorer, to)
    else:
        write_model(to, scorer.about, scorer.model.trainable_state())
    _tell_of_scale(scorer)
    say(f"Written: {to}, {to.stat().st_size / 1e6:.1f} MB, {scorer.about.title}")
    for line in (*scorer.about.cautions, *scorer.about.licences):
        note(line)
    if format_ == "safetensors":
        note(f"Next: bench predict PICTURES --model {to}")


@friendly
def push(
    key: Annotated[str, typer.Argument(help="A run's key or its beginning.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder to lay the model out in.")],
    hub: Annotated[
        Optional[str], typer.Option("--hub", metavar="NAME", help="Upload it, too, as USER/MODEL (you are logged in).")
    ] = None,
    weights: BackboneFile = None,
    cnn_weights: CnnFile = None,
    results: ResultsFolder = None,
    plugin: Plugin = None,
) -> None:
    """Lay a trained model out as a model hub's folder. Weights, config, and a model card made from the record."""
    from bench.cli.invocation import configure, results_folder, runtime_of
    from bench.cli.predictions import refuse_unwritable
    from bench.core.progress import Display
    from bench.planning.files import weight_files
    from bench.records.store import Store
    from bench.scoring.load import scorer_of_run
    from bench.scoring.push import lay_out, upload
    from bench.scoring.runs import run_of_key

    config = configure(plugin, results=results)
    store = Store(results_folder(config))
    record = run_of_key(store, key)
    refuse_unwritable(to / "README.md")
    runtime = runtime_of(config, plugin, weight_files=weight_files(weights, cnn_weights), device="cpu")
    with Display() as display:
        scorer = scorer_of_run(record, runtime, display.report)
    _tell_of_scale(scorer)
    paths = lay_out(scorer, record, to, hub or to.resolve().name)
    for path in paths:
        say(f"Written: {path}")
    if hub:
        say(f"Uploaded, for your eyes only: {upload(to, hub, paths)}")


def _tell_of_scale(scorer: Scorer) -> None:
    if scorer.scale is not None:
        return
    if len(scorer.about.spec.trained_on) > 1 or scorer.about.unscaled:
        note(f"Its scores will be raw: {scorer.about.why_raw}.")
    else:
        note("Its scale is not known, so its scores will be raw: where its training set is here, it is learned.")
