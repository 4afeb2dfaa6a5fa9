"""The `bench` command: parse, call, print. Heavy things are imported inside the commands that need them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from typer.core import TyperGroup

from bench import __version__
from bench.config import SETTINGS, Config
from bench.console import DEBUG, friendly, grid, note, say
from bench.invocation import configure, parsed, results_folder, runtime_of, words_of
from bench.progress import counted
from bench.streams import ReaderGone, flush_streams, leave_quietly, prepare_streams

WIDEST_HELP = 110
"""Help is as wide as the terminal, up to here: longer lines are hard to read."""


class Bench(TyperGroup):
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


app = typer.Typer(
    name="bench",
    cls=Bench,
    help="Compare ways of fine-tuning a pretrained Vision Transformer for blind image-quality assessment.",
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST_HELP},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Typer's panels import a Markdown parser: a tenth of a second for each --help
)
methods_app = typer.Typer(help="List the methods, or check one.", invoke_without_command=True)
app.add_typer(methods_app, name="methods")

Names = Optional[str]
Results = Annotated[Optional[Path], typer.Option("--results", help="Folder for records, tables and figures.")]
Plugin = Annotated[
    Optional[list[Path]], typer.Option("--plugin", help="A Python file with further methods, protocols or datasets.")
]


OVERWRITE_HELP = """Which runs that have a record are made again. Each of these makes more of them:

\b
never    none: whatever has a record stays
changed  those that other code has made (the default)
failed   those, and the ones that failed
always   all: everything is trained again"""


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
) -> None:
    """Compare ways of fine-tuning a pretrained Vision Transformer for blind image-quality assessment."""
    DEBUG["on"] = debug


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
def status(results: Results = None, plugin: Plugin = None) -> None:
    """What is done, running and failed. Says also what is not usable in the results folder."""
    from bench.status import print_status

    config = configure(plugin, results=results)
    print_status(results_folder(config))


@methods_app.callback()
@friendly
def methods(context: typer.Context, plugin: Plugin = None) -> None:
    """List every method with its size on ViT-B/16 and where it comes from."""
    if context.invoked_subcommand:
        return
    from bench.registry import METHODS

    configure(plugin)
    rows = []
    for name in METHODS.names():
        card = METHODS.card(name)
        size = card.facts.get("vit_b")
        rows.append(
            (
                name,
                f"{size:,}" if isinstance(size, int) else "by option",
                card.facts.get("origin", ""),
                METHODS.origin(name),
            )
        )
    grid(("method", "trainable on ViT-B/16, without head", "follows", "from"), rows)
    say("Sizes are of the default options. `bench methods check NAME` proves what a name promises.")


@methods_app.command("check")
@friendly
def methods_check(
    name: Annotated[str, typer.Argument(help="The method.")],
    backbone: Annotated[str, typer.Option("--backbone", help="A timm ViT; a tiny random one by default.")] = "",
    settings: Annotated[Optional[list[str]], typer.Option("--set", help="KEY=VALUE of the method.")] = None,
    plugin: Plugin = None,
) -> None:
    """Prove that a method is what its name says. Sizes, gradients, frozen parts and determinism are looked at."""
    from bench.driver import check_method_and_print

    configure(plugin)
    raise typer.Exit(check_method_and_print(name, backbone, tuple(settings or ())))


@app.command()
@friendly
def protocols(plugin: Plugin = None) -> None:
    """List the protocols."""
    from bench.registry import PROTOCOLS

    configure(plugin)
    rows = [(name, PROTOCOLS.card(name).summary, PROTOCOLS.origin(name)) for name in PROTOCOLS.names()]
    grid(("protocol", "what it is", "from"), rows)


@app.command()
@friendly
def datasets(plugin: Plugin = None) -> None:
    """List the datasets and where each is looked for."""
    from bench.data.locate import dataset_names
    from bench.errors import UsageError

    config = configure(plugin)
    rows, wrong = [], []
    for name in dataset_names(config.data):
        try:
            rows.append(_dataset_row(name, config))
        except UsageError as error:
            rows.append((name, "", "", "", _place(name, config), "see below"))
            wrong.append(str(error))
    grid(("dataset", "title", "images", "kind", "looked for in", "from"), rows)
    for text in wrong:
        note(f"Error: {text}")
    if wrong:
        raise typer.Exit(UsageError.exit_code)


def _dataset_row(name: str, config: Config) -> tuple[str, ...]:
    from bench.data.locate import TITLES, loader_name
    from bench.registry import DATASETS

    loader = loader_name(name, config.data)
    facts = DATASETS.card(loader).facts
    origin = DATASETS.origin(name) if name in DATASETS else f"bench.toml, read by {loader}"
    title = TITLES.get(name) or facts.get("title", "")
    return name, title, str(facts.get("images") or ""), facts.get("kind", ""), _place(name, config), origin


def _place(name: str, config: Config) -> str:
    own = config.data.get(name)
    if isinstance(own, dict) and own.get("path"):
        return str(own["path"])
    if name.startswith("demo"):
        return "made when needed"
    return str(config.data["root"]) if config.data.get("root") else "not configured"


@app.command(name="config")
@friendly
def show_config() -> None:
    """Print what is in force and where each value came from."""
    config = configure()
    rows = [
        (name, config.values[name] if config.values[name] != "" else "-", config.origins[name]) for name in SETTINGS
    ]
    rows = [("preset", config.preset, row[2]) if row[0] == "preset" else row for row in rows]
    grid(("setting", "value", "from"), rows, title=str(config.path or "no bench.toml in this folder"))
    for name, value in config.data.items():
        say(f"data.{name} = {value}")


@app.command()
@friendly
def splits(
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    number: Annotated[Optional[int], typer.Option("--split", min=0, help="Only this split.")] = None,
    count: Annotated[
        Optional[int], typer.Option("--splits", min=1, help="How many splits to list; else ten, or all there are.")
    ] = None,
    export: Annotated[Optional[Path], typer.Option("--export", help="Write image,side rows as CSV.")] = None,
    plugin: Plugin = None,
) -> None:
    """Print or export the splits of a dataset."""
    from bench.driver import print_splits

    config = configure(plugin)
    print_splits(config, dataset, [number] if number is not None else range(count or 0), export)


def _attach() -> None:
    from bench import cli_data, cli_figures, cli_profile, cli_tools

    cli_data.attach(app)
    cli_figures.attach(app)
    cli_profile.attach(app)
    cli_tools.attach(app)


_attach()

if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    app()
