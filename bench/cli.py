"""The `bench` command: parse, call, print. Heavy things are imported inside the commands that need them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from bench import __version__
from bench.cli_app import App, ConfigFile
from bench.cli_help import HelpGroup
from bench.config import SETTINGS, Config, file_settings
from bench.console import DEBUG, friendly, note, say
from bench.invocation import CHOSEN_FILE, configure, parsed, results_folder, runtime_of, words_of
from bench.progress import counted
from bench.streams import ReaderGone, flush_streams, leave_quietly, prepare_streams


class Bench(HelpGroup):
    """The command itself, whatever it is called from: any encoding will do, and a reader may leave at any time."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command; when the reader of its output has gone, end without a word."""
        prepare_streams()
        try:
            try:
                return super().main(*args, **kwargs)
            finally:
                flush_streams()
        except ReaderGone:
            leave_quietly()


app = App(
    name="bench",
    cls=Bench,
    help="Compare ways of fine-tuning a pretrained Vision Transformer for blind image-quality assessment.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

Names = Optional[str]
Results = Annotated[Optional[Path], typer.Option("--results", help="Folder for records, tables and figures.")]
Plugin = Annotated[
    Optional[list[Path]], typer.Option("--plugin", help="A Python file with further methods, protocols or datasets.")
]


OVERWRITE_HELP = """Which runs are made again.

\b
never    none that has a record
changed  those by other code (default)
failed   those, and the failed ones
always   all: everything trains again"""


def _version(wanted: bool) -> None:
    if wanted:
        say(f"glia-bench {__version__}")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    config_file: ConfigFile = None,
) -> None:
    """Compare ways of fine-tuning a pretrained Vision Transformer for blind image-quality assessment."""
    DEBUG["on"] = debug
    CHOSEN_FILE.set(config_file)


@app.command()
@friendly
def run(
    method: Annotated[Names, typer.Option("--method", "-m", help="Methods, separated by commas, or all.")] = None,
    protocol: Annotated[Names, typer.Option("--protocol", "-p", help="Protocols, separated by commas.")] = None,
    preset: Annotated[Names, typer.Option("--preset", help="demo or paper.")] = None,
    backbone: Annotated[Names, typer.Option("--backbone", help="A timm ViT by name.")] = None,
    weights: Annotated[str, typer.Option("--weights", help="pretrained, random, or a weights file.")] = "pretrained",
    cnn_weights: Annotated[Optional[Path], typer.Option("--cnn-weights", help="A weights file for LoDa's CNN.")] = None,
    dataset: Annotated[Names, typer.Option("--dataset", "-d", help="Only these datasets.")] = None,
    splits: Annotated[Optional[int], typer.Option("--splits", min=1, help="How many random splits.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Use only N images a set (a smoke run).")] = 0,
    settings: Annotated[
        Optional[list[str]],
        typer.Option(
            "--set", help="KEY=VALUE for the recipe, a method or a protocol; METHOD.KEY=VALUE for one of them."
        ),
    ] = None,
    selection: Annotated[
        Names, typer.Option("--selection", help="Which epoch is tested: last, val, or oracle.")
    ] = None,
    budget: Annotated[
        str, typer.Option("--budget", help="Size every method to so many trainable parameters (8M).")
    ] = "",
    recipe: Annotated[str, typer.Option("--recipe", help="default, or tuned (what `bench tune` chose).")] = "default",
    device: Annotated[Names, typer.Option("--device", help="auto, cpu, cuda or mps.")] = None,
    precision: Annotated[Names, typer.Option("--precision", help="fp32 or bf16.")] = None,
    overwrite: Annotated[Names, typer.Option("--overwrite", help=OVERWRITE_HELP)] = None,
    pack: Annotated[
        Optional[int],
        typer.Option("--pack", min=0, help="Train up to N alike linear probes together; 1: none."),
    ] = None,
    compile_steps: Annotated[
        Optional[bool], typer.Option("--compile/--no-compile", help="Training steps through torch.compile.")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Store no frozen inputs: each run computes its own.")
    ] = False,
    partial: Annotated[bool, typer.Option("--partial", help="Accept a subset of a dataset, with a warning.")] = False,
    results: Results = None,
    plugin: Plugin = None,
    executor: Annotated[Names, typer.Option("--executor", help="serial (here, one by one) or ray (a cluster).")] = None,
    address: Annotated[
        Names, typer.Option("--address", help="A running Ray cluster; this machine alone if not given.")
    ] = None,
    emit_slurm: Annotated[
        Optional[Path], typer.Option("--emit-slurm", help="Only write an array-job script for Slurm.")
    ] = None,
    slurm_tasks: Annotated[int, typer.Option("--slurm-tasks", min=1, help="How many members the array has.")] = 16,
    check_overlap: Annotated[
        bool, typer.Option("--check-overlap", help="Look first for pictures that training and test sets share.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Make the runs that protocols ask for. Those that are done are not done again."""
    from bench.planning import Ask, make_plan

    flags: dict[str, Any] = {
        "method": method,
        "protocol": protocol,
        "preset": preset,
        "backbone": backbone,
        "splits": splits,
    }
    flags |= {"device": device, "precision": precision, "overwrite": overwrite, "results": results}
    flags |= {"executor": executor, "address": address, "pack": pack, "compile": compile_steps}
    config = configure(plugin, **parsed(flags))
    ask = Ask(
        methods=words_of(config["method"]),
        protocols=words_of(config["protocol"]),
        preset=config.preset,
        backbone=config["backbone"],
        datasets=words_of(dataset),
        splits=config["splits"],
        limit=limit,
        settings=tuple(settings or ()),
        file=file_settings(config),
        weights=weights,
        cnn_weights=cnn_weights,
        precision=config["precision"],
        selection=selection or "",
        budget=budget,
        tuned=_tuned(recipe, config),
    )
    plan = make_plan(ask)
    _announce(config, plan)
    runtime = runtime_of(config, plugin, weight_files=plan.weight_files, use_cache=not no_cache, partial=partial)
    from bench.driver import (
        check_packs,
        check_precision,
        check_sets,
        execute,
        preview,
        warn_of_shared_pictures,
        write_slurm,
    )

    check_sets(plan, runtime, found=not dry_run or check_overlap)
    if config["executor"] == "serial":  # a cluster's machines are not this one
        check_precision(plan.specs, runtime.device)
    check_packs(plan.specs, runtime, config)
    if check_overlap:
        warn_of_shared_pictures(plan, runtime)
    if dry_run:
        preview(plan, runtime, config["overwrite"])
        return
    if emit_slurm is not None:
        write_slurm(emit_slurm, sys.argv[1:], plan, runtime, slurm_tasks, config["overwrite"])
        return
    raise typer.Exit(execute(plan, runtime, config, DEBUG["on"]))


def _tuned(recipe: str, config: Config) -> Any:
    from bench.errors import UsageError

    if recipe not in ("default", "tuned"):
        raise UsageError(f"--recipe {recipe!r} is neither default nor tuned.")
    from bench.choices import Choices, read_choices

    if recipe == "default":
        return Choices()
    return read_choices(Path(config["results"]), config.preset)


def _announce(config: Config, plan: Any) -> None:
    if plan.preset.name == "demo":
        why = "asked for" if config.origins["preset"] != "built-in" else "no data root is configured"
        own = not {spec.train for spec in plan.specs} & set(plan.preset.main)
        what = "its short recipe, on your own sets" if own else "small synthesized sets with demo labels"
        note(f"Preset demo ({why}): {what}; its numbers are not the papers'.")
    else:
        sets = ", ".join(sorted({s.train for s in plan.specs}))
        note(f"Preset paper: {counted(len(plan.specs), 'run')} over {sets}.")


@app.command()
@friendly
def table(
    protocol: Annotated[
        Names, typer.Argument(help="Protocols, separated by commas; all that have records if none.")
    ] = None,
    method: Annotated[Names, typer.Option("--method", "-m", help="Only these methods, separated by commas.")] = None,
    dataset: Annotated[Names, typer.Option("--dataset", "-d", help="Only these datasets, separated by commas.")] = None,
    preset: Annotated[Names, typer.Option("--preset", help="Only the runs of this preset: demo or paper.")] = None,
    smoke: Annotated[bool, typer.Option("--smoke", help="Smoke runs (made with --limit) too.")] = False,
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Folder for the files; tables in the results folder if not given.")
    ] = None,
    formats: Annotated[str, typer.Option("--format", help="Any of md, csv, tex, json.")] = "md,csv,tex,json",
    selection: Annotated[Names, typer.Option("--selection", help="Only runs with this selection rule.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Add what each method costs.")] = False,
    intervals: Annotated[bool, typer.Option("--intervals", help="Add intervals over contents.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse numbers that were not made alike.")] = False,
    results: Results = None,
    plugin: Plugin = None,
) -> None:
    """Print the tables of the records there are, and write them."""
    from bench.driver import write_tables
    from bench.narrowing import Narrowing
    from bench.registry import PROTOCOLS
    from bench.spec import recipe_options
    from bench.tables import check_formats

    config = configure(plugin, results=results)
    names = words_of(protocol)
    for name in names:
        PROTOCOLS.target(name)
    check_formats(words_of(formats))
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
            strict=strict,
        )
    )


@app.command()
@friendly
def status(
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget the plans that nobody is making: their runs are not pending.")
    ] = False,
    results: Results = None,
    plugin: Plugin = None,
) -> None:
    """Say what is done, running, failed and pending. Also what is not usable in the results folder."""
    from bench.status import print_status

    config = configure(plugin, results=results)
    root = results_folder(config)
    if forget:
        from bench.planned import forget_plans
        from bench.store import Store

        say(forget_plans(Store(root)).sentences())
    print_status(root)


def _attach() -> None:
    from bench import cli_data, cli_figures, cli_lists, cli_profile, cli_tools

    cli_lists.attach(app)
    cli_data.attach(app)
    cli_figures.attach(app)
    cli_profile.attach(app)
    cli_tools.attach(app)


_attach()

if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    app()
