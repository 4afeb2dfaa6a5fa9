"""The command `bench run`: from a command line to a plan, a look at it, and the runs. Parse, call, print."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bench.cli.app import App
from bench.cli.commands import run_options as options
from bench.cli.commands.options import Device, Jobs, Plugin, ResultsFolder
from bench.cli.config import file_settings
from bench.cli.console import DEBUG, friendly, note, silenced
from bench.cli.help import HelpCommand
from bench.cli.invocation import configure, parsed, refuse_said_twice, runtime_of, untyped, words_of
from bench.core.errors import UsageError
from bench.core.progress import counted

if TYPE_CHECKING:
    from bench.cli.config import Config
    from bench.core.runtime import Runtime
    from bench.planning.choices import Choices
    from bench.planning.plan import Ask, Plan


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
                error.message = f"{message}. {_as_meant(typed, message)}"  # type: ignore[attr-defined]
            raise


def _as_meant(typed: Sequence[str], message: str) -> str:
    """How the option before the bare words would be written with all of them: names with commas, a setting as one."""
    extra = message.rpartition("(")[2].rstrip(")").split()
    at = typed.index(extra[0]) if extra[0] in typed else 0
    option, first = typed[at - 2 : at] if at > 1 and typed[at - 2].startswith("-") else ("-m", "glia")
    if option == "--set" and "=" in extra[0][1:]:
        return f"Each setting has an option of its own: {' '.join(f'--set {word}' for word in [first, *extra])}"
    if option == "--set":
        return f"Write it without spaces: --set {''.join([first, *extra])}"
    return f"Several names are written with commas: {option} {','.join([first, *extra])}"


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command(kind=RunCommand)(run)


@friendly
def run(
    method: options.Methods = None,
    protocol: options.Protocols = None,
    preset: options.Preset = None,
    backbone: options.Backbone = None,
    weights: options.Weights = "pretrained",
    cnn_weights: options.CnnWeights = None,
    dataset: options.Sets = None,
    train_on: options.TrainOn = None,
    test_on: options.TestOn = None,
    splits: options.Splits = None,
    seeds: options.Seeds = None,
    split_rule: options.SplitRule = "",
    limit: options.Limit = 0,
    size: options.Size = "",
    settings: options.Settings = None,
    selection: options.Selection = None,
    budget: options.Budget = "",
    recipe: options.Recipe = "default",
    device: Device = None,
    precision: options.Precision = None,
    overwrite: options.Overwrite = None,
    jobs: Jobs = None,
    pack: options.Pack = None,
    compile_steps: options.Compile = None,
    graphs: options.Graphs = None,
    no_cache: options.NoCache = False,
    partial: options.Partial = False,
    results: ResultsFolder = None,
    plugin: Plugin = None,
    executor: options.Executor = None,
    address: options.Address = None,
    emit_slurm: options.EmitSlurm = None,
    slurm_tasks: options.SlurmTasks = 16,
    check_overlap: options.CheckOverlap = False,
    log: options.Log = None,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
    dry_run: options.DryRun = False,
) -> None:
    """Make the runs that protocols ask for. Those that are done are not done again."""
    from bench.cli.split_files import with_split_rule
    from bench.planning.plan import Ask, make_plan

    if as_json and (dry_run or emit_slurm):
        raise UsageError("--json tells of runs that are made: leave it out with --dry-run and --emit-slurm.")
    if dry_run and emit_slurm:
        raise UsageError("--dry-run writes nothing, and --emit-slurm only a script: leave one of them out.")
    typed: dict[str, Any] = {"method": _joined(method), "protocol": _joined(protocol), "preset": preset}
    typed |= {
        "backbone": backbone,
        "seeds": seeds,
        "pack": pack,
        "compile": compile_steps,
        "graphs": graphs,
        "log": log,
    }
    typed |= {"splits": splits, "device": device, "precision": precision, "overwrite": overwrite, "results": results}
    typed |= {"executor": executor, "address": address, "jobs": jobs}
    config = configure(plugin, **parsed(typed))
    sources = words_of(train_on)
    refuse_said_twice(settings or (), size=size, selection=selection or "")
    settings = [*(settings or ()), *([f"recipe.size={size}"] if size else [])]
    ask = Ask(
        methods=words_of(config["method"]),
        protocols=words_of(config["protocol"]),
        preset=config.preset,
        backbone=config["backbone"],
        standing=untyped(method=method, backbone=backbone, splits=splits),
        datasets=words_of(dataset),
        splits=config["splits"],
        seeds=config["seeds"],
        limit=limit,
        settings=with_split_rule(settings, split_rule, sources or words_of(dataset), config, partial=partial),
        file=file_settings(config),
        weights=weights,
        cnn_weights=cnn_weights,
        precision=config["precision"],
        selection=selection or "",
        budget=budget,
        tuned=_tuned(recipe, config),
        own_recipes=recipe == "own",
        train_on=sources,
        test_on=words_of(test_on),
        data=config.data,
    )
    plan = make_plan(ask)
    runtime = runtime_of(config, plugin, weight_files=plan.weight_files, use_cache=not no_cache, partial=partial)
    if recipe == "tuned":
        _tell_of_untuned(ask, plan, silenced if quiet else note)
        _tell_of_what_was_tuned_otherwise(ask.tuned, plan, silenced if quiet else note)
    plan = _looked_at(plan, runtime, config, check_overlap=check_overlap, dry_run=dry_run, quiet=quiet)
    if dry_run:
        from bench.cli.preview import preview

        return preview(plan, runtime, config["overwrite"])
    from bench.cli.execute import execute, write_slurm

    if emit_slurm is not None:
        return write_slurm(emit_slurm, sys.argv[1:], plan, runtime, slurm_tasks, config["overwrite"])
    raise typer.Exit(execute(plan, runtime, config, DEBUG["on"], quiet=quiet, as_json=as_json))


def _looked_at(
    plan: Plan, runtime: Runtime, config: Config, *, check_overlap: bool, dry_run: bool, quiet: bool
) -> Plan:
    """The plan without what cannot be, said once; what this machine cannot do is refused here."""
    from bench.cli.checks import check_graphs, check_jobs, check_packs, check_precision, warn_of_shared_pictures
    from bench.cli.preflight import look_ahead, tell_of

    tell = silenced if quiet else note
    plan = look_ahead(plan, runtime, tell)
    _announce(config, plan, tell)
    tell_of(plan, tell)
    if config["executor"] == "serial":  # a cluster's machines are not this one
        check_precision(plan.specs, runtime.device)
        check_graphs(runtime)
    check_packs(plan.specs, runtime, config)
    check_jobs(config)
    if check_overlap or (not dry_run and plan.looks_for_shared_pictures):
        warn_of_shared_pictures(plan, runtime)
    return plan


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


def _tell_of_untuned(ask: Ask, plan: Plan, tell: Callable[[str], None]) -> None:
    """Name the methods for which nothing was chosen, and whose choices give way to what the user set."""
    from bench.planning.choices import chosen_keys
    from bench.planning.plan import keys_set_for
    from bench.planning.tuning import has_rate

    tuned, methods = ask.tuned, {spec.method for spec in plan.specs}
    could_be = {name: tuned.settings_of(name) & keys_set_for(ask, name) for name in methods}
    outdone: dict[str, set[str]] = {name: set() for name in methods}
    for spec in plan.specs:
        outdone[spec.method] |= could_be[spec.method] - set(chosen_keys(spec.recipe_from)[1])
    if said := "; ".join(f"{', '.join(sorted(keys))} of {name}" for name, keys in sorted(outdone.items()) if keys):
        tell(f"What you set goes before what was tuned: {said}.")
    untuned = ",".join(sorted(name for name in methods if not tuned.settings_of(name) and has_rate(name)))
    if untuned:
        command = f"bench tune {untuned} --preset {plan.preset.name}"
        tell(f"Not tuned, so as the preset has it: {untuned.replace(',', ', ')}. `{command}` chooses.")


def _tell_of_what_was_tuned_otherwise(tuned: Choices, plan: Plan, tell: Callable[[str], None]) -> None:
    """Name the methods whose settings were chosen with another network, recipe or option than their runs have."""
    by_method: dict[str, dict[str, None]] = {}
    for spec in plan.specs:
        for what, then, now in tuned.otherwise(spec):
            by_method.setdefault(spec.method, {})[f"{what} {then or 'none'} (here {now or 'none'})"] = None
    alike: dict[tuple[str, ...], list[str]] = {}
    for method, differences in sorted(by_method.items()):
        alike.setdefault(tuple(differences), []).append(method)
    if alike:
        said = "; ".join(f"{', '.join(methods)} with {', '.join(how)}" for how, methods in alike.items())
        tell(f"Tuned otherwise than these runs are made: {said}. `bench tune` with the flags of these runs chooses.")


def _announce(config: Config, plan: Plan, tell: Callable[[str], None]) -> None:
    from bench.planning.presets import made_sets

    if plan.preset.made:
        why = "asked for" if config.origins["preset"] != "built-in" else "no data root is configured"
        trained = {name for spec in plan.specs for name in spec.trained_on}
        own, synthesized = trained - made_sets(), trained & made_sets()
        what = ["small synthesized sets with demo labels"] if synthesized else []
        what += ["its short recipe, on your own sets"] if own else []
        tell(f"Preset {plan.preset.name} ({why}): {'; '.join(what)}; its numbers are not the papers'.")
    else:
        sets = ", ".join(sorted({s.train for s in plan.specs}))
        tell(f"Preset paper: {counted(len(plan.specs), 'run')} over {sets}.")
