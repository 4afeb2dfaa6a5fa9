"""Commands that say what there is: methods, protocols, datasets, splits, settings. Parse, call, print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from bench.cli.app import App, takes_config
from bench.cli.commands.options import Plugin
from bench.cli.console import friendly, grid, note, say
from bench.cli.help import NamesGroup
from bench.cli.invocation import configure

if TYPE_CHECKING:
    from bench.cli.config import Config
    from bench.core.cards import Card, Option

methods_app = App(cls=NamesGroup, invoke_without_command=True)
protocols_app = App(cls=NamesGroup, invoke_without_command=True)


def attach(app: App) -> None:
    """Put these commands on the `bench` command."""
    app.add_typer(methods_app, name="methods")
    app.add_typer(protocols_app, name="protocols")
    for command in (datasets, splits):
        app.command()(command)
    app.command("config")(show_config)


@methods_app.callback()
@takes_config
@friendly
def methods(context: typer.Context, plugin: Plugin = None) -> None:
    """List the methods; `show NAME` says more of one. The bare command lists each with its size on ViT-B/16."""
    if context.invoked_subcommand:
        return
    from bench.core.registry import METHODS

    configure(plugin)
    rows = []
    for name in METHODS.names():
        card = METHODS.card(name)
        rows.append((name, ground_text(card), _size_text(card.facts), card.facts["origin"], METHODS.origin(name)))
    grid(("method", "stands on", "trainable on ViT-B/16, without head", "follows", "from"), rows)
    say("Sizes are of the default options. `bench methods show NAME` lists these, `… check NAME` tests what it claims.")


@methods_app.command("show")
@friendly
def methods_show(
    name: Annotated[str, typer.Argument(help="The method.")],
    plugin: Plugin = None,
) -> None:
    """Show one method: paper, size, options. With their meaning, and what presets change for it."""
    from bench.cli.settings import recipes_of_method
    from bench.core.registry import METHODS

    configure(plugin)
    card = METHODS.card(name)
    facts = card.facts
    _print_head(name, facts["title"], card.doc)
    sized_by = facts["sized_by"]
    about = {
        "follows": facts["origin"],
        "stands on": ground_text(card),
        "learns": LEARNS[facts["learns"]],
        "trains": _trains_text(facts),
        "size": _size_text(facts) + _conditions(facts),
        "--budget": f"turns {sized_by}" if sized_by else "cannot size it",
        "starts": "as the frozen backbone itself" if facts["identity_at_start"] else "",
        "from": METHODS.origin(name),
    }
    _print_facts(about, recipes_of_method(name))
    _print_options(card.options.values(), f"--set {name}.KEY=VALUE, or [method.{name}] in bench.toml")
    for option in card.options.values():
        if option.divides:
            say(f"{option.name} must divide {option.divides}.")
        if option.tiles:
            sides = f"{option.name} × {option.tiles}"
            say(f"{sides} must be the picture's side; chosen to fit the backbone's patches if you do not.")
    say(f"The recipe's fields (`bench config --all`) can be set for it alone too: --set {name}.lr=1e-3")


@methods_app.command("check")
@friendly
def methods_check(
    name: Annotated[str, typer.Argument(help="The method.")],
    backbone: Annotated[str, typer.Option("--backbone", help="A timm ViT; a tiny random one by default.")] = "",
    settings: Annotated[Optional[list[str]], typer.Option("--set", help="KEY=VALUE of the method.")] = None,
    plugin: Plugin = None,
) -> None:
    """Prove that a method is what its name says. Sizes, gradients, frozen parts and determinism are looked at."""
    from bench.cli.listings import check_method_and_print

    configure(plugin)
    raise typer.Exit(check_method_and_print(name, backbone, tuple(settings or ())))


@protocols_app.callback()
@takes_config
@friendly
def protocols(context: typer.Context, plugin: Plugin = None) -> None:
    """List the protocols; `show NAME` says more of one. The bare command lists them."""
    if context.invoked_subcommand:
        return
    from bench.core.registry import PROTOCOLS

    configure(plugin)
    rows = [(name, PROTOCOLS.card(name).summary, PROTOCOLS.origin(name)) for name in PROTOCOLS.names()]
    grid(("protocol", "what it is", "from"), rows)
    note("`bench protocols show NAME` says what one runs and which options it has.")


@protocols_app.command("show")
@friendly
def protocols_show(
    name: Annotated[str, typer.Argument(help="The protocol.")],
    plugin: Plugin = None,
) -> None:
    """Show one protocol: its runs, tables and options."""
    from bench.core.registry import PROTOCOLS

    configure(plugin)
    card = PROTOCOLS.card(name)
    _print_head(name, card.facts["title"], card.doc)
    about = {"runs": card.methods.get("plan"), "tables": card.methods.get("tables"), "from": PROTOCOLS.origin(name)}
    _print_facts(about, [])
    _print_options(card.options.values(), f"--set {name}.KEY=VALUE")
    say(f"What it would run here: bench run -p {name} --dry-run")


LEARNS = {
    "descent": "by gradient descent",
    "fit": "by a fit of its own, without gradient descent",
    "fit_then_descent": "by a fit of its own, then by gradient descent",
    "nothing": "nothing",
}
"""How a method learns, as it says of itself."""


def ground_text(card: Card) -> str:
    """What a method stands on, in a few words: networks of its own by the options that name them."""
    facts = card.facts
    if facts["stands_on"] == "nothing":
        return "nothing"
    if facts["stands_on"] == "own":
        networks = ", ".join(str(card.options[name].default) for name in facts["networks"])
        return f"its own: {networks}" if networks else "its own"
    if facts["stands_on"] == "runs":
        return f"runs of {card.options['of'].default}"
    others = ", ".join(f"{preset}: {name}" for preset, name in facts["backbones"].items())
    return f"the run's ViT ({others})" if others else "the run's ViT"


def _trains_text(facts: Mapping[str, Any]) -> str:
    if "descent" not in facts["learns"] or facts["stands_on"] != "vit":
        return ""
    return "the whole backbone" if facts["trains_backbone"] else "what it adds to a frozen backbone"


def _size_text(facts: Mapping[str, Any]) -> str:
    """A documented count of what is learned, or what decides it."""
    if facts["vit_b"] is not None:
        return f"{facts['vit_b']:,}"
    return "by its data" if "fit" in facts["learns"] else "by option"


def _conditions(facts: Mapping[str, Any]) -> str:
    """Of what that count is."""
    if facts["vit_b"] is None:
        return ""
    on = " on ViT-B/16" if facts["stands_on"] == "vit" else ""
    return f"{on} with default options, without head"


def _print_head(name: str, title: Any, doc: str) -> None:
    say(f"{name}: {title}" if title else name)
    say()
    say(doc)
    say()


def _print_facts(about: dict[str, Any], further: Iterable[str]) -> None:
    for what, text in about.items():
        if text:
            say(f"{what:<9} {text}")
    for line in further:
        say(line)
    say()


def _print_options(options: Iterable[Option], how: str) -> None:
    from bench.cli.settings import HEADER, row_of

    rows = [row_of(option) for option in options]
    if not rows:
        return say("It has no options.")
    grid(HEADER, rows)
    return say(f"Set with {how}")


@friendly
def datasets(plugin: Plugin = None) -> None:
    """List the datasets and where each is looked for. `bench data check NAME` looks into one."""
    from bench.core.errors import UsageError
    from bench.data.locate import dataset_names

    config = configure(plugin, check_sets=False)
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
    from bench.core.registry import DATASETS
    from bench.data.locate import TITLES, loader_name, refuse_unknown_of_set

    refuse_unknown_of_set(name, config.data.get(name, {}), config.data)
    loader = loader_name(name, config.data)
    facts = DATASETS.card(loader).facts
    origin = DATASETS.origin(name) if name in DATASETS else f"bench.toml, read by {loader}"
    title = TITLES.get(name) or facts["title"]
    return name, title, str(facts["images"] or ""), facts["kind"], _place(name, config), origin


def _place(name: str, config: Config) -> str:
    own = config.data.get(name)
    if isinstance(own, dict) and own.get("path"):
        return str(own["path"])
    if name.startswith(("demo", "study")):
        return "made when needed"
    return str(config.data["root"]) if config.data.get("root") else "not configured"


@friendly
def show_config(
    every: Annotated[
        bool, typer.Option("--all", help="Types, bounds and meanings too, and the recipe's fields.")
    ] = False,
) -> None:
    """Print what is in force and where each value came from."""
    from bench.cli.config import SETTINGS, file_settings
    from bench.cli.settings import of_a_run_in_force, recipe_in_force, run_options, settings_in_force
    from bench.core.spec import recipe_options

    config = configure()
    file = file_settings(config)
    say(f"File: {config.path}" if config.path else "File: no bench.toml here or in a folder above.")
    if every:
        _print_all("[run]", SETTINGS.values(), settings_in_force(config))
        _print_all("[recipe]", recipe_options().values(), recipe_in_force(config))
        _print_all("of a run, with --set", run_options(), of_a_run_in_force(config))
    else:
        grid(("setting", "value", "from"), settings_in_force(config))
        for name, value in file.recipe.items():
            say(f"recipe.{name} = {value}")
    for name in config.methods:
        for key, value in {**file.methods.get(name, {}), **file.recipes.get(name, {})}.items():
            say(f"method.{name}.{key} = {value}")
    for name, value in config.data.items():
        settings = [f"{name}.{key} = {one}" for key, one in value.items()] if isinstance(value, dict) else []
        for line in settings or [f"{name} = {value}"]:
            say(f"data.{line}")
    if not every:
        say("`bench config --all` says what each means and lists the recipe too.")


def _print_all(title: str, options: Iterable[Option], in_force: Iterable[tuple[str, str, str]]) -> None:
    from bench.cli.settings import HEADER, row_of

    rows = [(*row_of(option), *place[1:]) for option, place in zip(options, in_force, strict=True)]
    grid((*HEADER, "in force", "from"), rows, title=title)
    say()


@friendly
def splits(
    dataset: Annotated[str, typer.Argument(help="The dataset.")],
    number: Annotated[Optional[int], typer.Option("--split", min=0, help="Only this split.")] = None,
    count: Annotated[
        Optional[int], typer.Option("--splits", min=1, help="How many splits to list; else ten, or all there are.")
    ] = None,
    export: Annotated[Optional[Path], typer.Option("--export", help="Write image,side rows as CSV.")] = None,
    split_rule: Annotated[
        str,
        typer.Option(
            "--split-rule",
            "--rule",
            metavar="RULE",
            help="random, kfold:K, images, official, loda, pyiqa or file:PATH; the preset's if not given.",
        ),
    ] = "",
    check: Annotated[
        Optional[Path], typer.Option("--check", help="A file of splits: are they those of the rule?")
    ] = None,
    plugin: Plugin = None,
) -> None:
    """Print or export the splits of a dataset. With --check, the exit status is 1 where a file has others."""
    from bench.cli.listings import print_splits
    from bench.planning.presets import preset_named

    _refuse_idle(number, count, export, check)
    config = configure(plugin)
    split_rule = split_rule or preset_named(config.preset).rule_for(dataset)
    if check is not None:
        from bench.cli.split_files import print_check
        from bench.data.locate import load_dataset

        loaded = load_dataset(dataset, config.data, config.cache)
        raise typer.Exit(print_check(loaded, split_rule, check, config))
    print_splits(config, dataset, [number] if number is not None else range(count or 0), export, split_rule)


def _refuse_idle(number: int | None, count: int | None, export: Path | None, check: Path | None) -> None:
    """Refuse flags of `bench splits` that would do nothing beside the others."""
    from bench.core.errors import UsageError

    given = {"--split": number, "--splits": count, "--export": export}
    idle = [flag for flag, value in given.items() if value is not None]
    if check is not None and idle:
        raise UsageError(f"--check looks at every split of its file and lists none: leave out {' and '.join(idle)}.")
    if number is not None and count is not None:
        raise UsageError(f"--split {number} lists one split and --splits {count} the first {count}: leave one out.")
