"""The command `bench run`: from a command line to a plan, a look at it, and the runs. Parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from bench.cli.app import App
from bench.cli.config import file_settings
from bench.cli.console import DEBUG, friendly, note, silenced
from bench.cli.help import HelpCommand
from bench.cli.invocation import configure, parsed, runtime_of, words_of
from bench.core.errors import UsageError
from bench.core.progress import counted

if TYPE_CHECKING:
    from bench.cli.config import Config
    from bench.planning.choices import Choices
    from bench.planning.plan import Plan

Names = Optional[str]
Words = Optional[list[str]]
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


class RunCommand(HelpCommand):
    """`bench run` takes no bare words: somebody who writes `-m glia lora` is told of commas."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse bare words in a sentence that says how several names are written."""
        typed = list(args)
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            message = getattr(error, "message", "")
            if "unexpected extra argument" in message:
                error.message = f"{message}. {_with_commas(typed, message)}"  # type: ignore[attr-defined]
            raise


def _with_commas(typed: Sequence[str], message: str) -> str:
    """How the option before the bare words would be written with all of them."""
    extra = message.rpartition("(")[2].rstrip(")").split()
    at = typed.index(extra[0]) if extra[0] in typed else 0
    option, first = typed[at - 2 : at] if at > 1 and typed[at - 2].startswith("-") else ("-m", "glia")
    return f"Several names are written with commas: {option} {','.join([first, *extra])}"


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command(kind=RunCommand)(run)


@friendly
def run(
    method: Annotated[Words, typer.Option("--method", "-m", help="Methods, separated by commas, or all.")] = None,
    protocol: Annotated[Words, typer.Option("--protocol", "-p", help="Protocols, separated by commas.")] = None,
    preset: Annotated[Names, typer.Option("--preset", help="demo, study or paper.")] = None,
    backbone: Annotated[Names, typer.Option("--backbone", help="A timm ViT by name.")] = None,
    weights: Annotated[str, typer.Option("--weights", help="pretrained, random, or a weights file.")] = "pretrained",
    cnn_weights: Annotated[Optional[Path], typer.Option("--cnn-weights", help="A weights file for LoDa's CNN.")] = None,
    dataset: Annotated[
        Words, typer.Option("--dataset", "-d", help="Only these datasets, separated by commas; else all configured.")
    ] = None,
    train_on: Annotated[
        Words, typer.Option("--train-on", help="Sources of protocols that pair sets, such as cross.")
    ] = None,
    test_on: Annotated[Words, typer.Option("--test-on", help="Targets of such protocols, your own sets too.")] = None,
    splits: Annotated[Optional[int], typer.Option("--splits", min=1, help="How many splits.")] = None,
    seeds: Annotated[
        Optional[int], typer.Option("--seeds", min=1, help="How many seeds each split is trained with.")
    ] = None,
    split_rule: Annotated[
        str, typer.Option("--split-rule", help="random, kfold:K, official, loda, pyiqa or file:PATH.")
    ] = "",
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
    recipe: Annotated[
        str, typer.Option("--recipe", help="default, own (of each method's paper), or tuned (by `bench tune`).")
    ] = "default",
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
    log: Annotated[
        Names,
        typer.Option("--log", help="Tell a tracker of each run: wandb, trackio, tensorboard, or a module of your own."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what fails.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object an event, for machines; with --quiet no progress.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Make the runs that protocols ask for. Those that are done are not done again."""
    from bench.cli.split_files import with_split_rule
    from bench.planning.plan import Ask, make_plan

    if as_json and (dry_run or emit_slurm):
        raise UsageError("--json tells of runs that are made: leave it out with --dry-run and --emit-slurm.")
    typed: dict[str, Any] = {"method": _joined(method), "protocol": _joined(protocol), "preset": preset}
    typed |= {"backbone": backbone, "seeds": seeds}
    typed |= {"splits": splits, "device": device, "precision": precision, "overwrite": overwrite, "results": results}
    typed |= {"executor": executor, "address": address, "pack": pack, "compile": compile_steps, "log": log}
    config = configure(plugin, **parsed(typed))
    ask = Ask(
        methods=words_of(config["method"]),
        protocols=words_of(config["protocol"]),
        preset=config.preset,
        backbone=config["backbone"],
        datasets=words_of(dataset),
        splits=config["splits"],
        seeds=config["seeds"],
        limit=limit,
        settings=with_split_rule(
            settings or (), split_rule, words_of(train_on) or words_of(dataset), config, partial=partial
        ),
        file=file_settings(config),
        weights=weights,
        cnn_weights=cnn_weights,
        precision=config["precision"],
        selection=selection or "",
        budget=budget,
        tuned=_tuned(recipe, config),
        own_recipes=recipe == "own",
        train_on=words_of(train_on),
        test_on=words_of(test_on),
        data=config.data,
    )
    plan = make_plan(ask)
    runtime = runtime_of(config, plugin, weight_files=plan.weight_files, use_cache=not no_cache, partial=partial)
    from bench.cli.driver import check_packs, check_precision, execute, warn_of_shared_pictures, write_slurm
    from bench.cli.preflight import look_ahead

    tell = silenced if quiet else note
    plan = look_ahead(plan, runtime, tell)
    _announce(config, plan, tell)
    if config["executor"] == "serial":  # a cluster's machines are not this one
        check_precision(plan.specs, runtime.device)
    check_packs(plan.specs, runtime, config)
    if runtime.log:
        from bench.training.tracking import tracker_named

        tracker_named(runtime.log)  # one that cannot be had is refused before anything begins
    if check_overlap or (not dry_run and plan.looks_for_shared_pictures):
        warn_of_shared_pictures(plan, runtime)
    if dry_run:
        from bench.cli.preview import preview

        return preview(plan, runtime, config["overwrite"])
    if emit_slurm is not None:
        return write_slurm(emit_slurm, sys.argv[1:], plan, runtime, slurm_tasks, config["overwrite"])
    raise typer.Exit(execute(plan, runtime, config, DEBUG["on"], quiet=quiet, as_json=as_json))


def _joined(words: Sequence[str] | None) -> str | None:
    """An option given several times as one list with commas; None where it was not given."""
    return None if words is None else ",".join(words_of(words))


def _tuned(recipe: str, config: Config) -> Choices:
    if recipe not in ("default", "own", "tuned"):
        raise UsageError(f"--recipe {recipe!r} is none of default, own and tuned.")
    from bench.planning.choices import Choices, read_choices

    if recipe != "tuned":
        return Choices()
    return read_choices(Path(config["results"]), config.preset)


def _announce(config: Config, plan: Plan, tell: Callable[[str], None]) -> None:
    from bench.planning.presets import made_sets

    if plan.preset.made:
        why = "asked for" if config.origins["preset"] != "built-in" else "no data root is configured"
        own = {spec.train for spec in plan.specs} - made_sets()
        made = {spec.train for spec in plan.specs} & made_sets()
        what = ["small synthesized sets with demo labels"] if made else []
        what += ["its short recipe, on your own sets"] if own else []
        tell(f"Preset {plan.preset.name} ({why}): {'; '.join(what)}; its numbers are not the papers'.")
    else:
        sets = ", ".join(sorted({s.train for s in plan.specs}))
        tell(f"Preset paper: {counted(len(plan.specs), 'run')} over {sets}.")
    if plan.left_out:
        tell(f"Not configured, so left out: {', '.join(plan.left_out)}.")
    for why in plan.unfit:
        tell(f"Left out: {why}.")
