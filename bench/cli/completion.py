"""What the shell is offered for a half-typed name: methods, protocols, datasets, figures and choices. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bench.cli.config import SETTINGS
from bench.core.errors import BenchError
from bench.core.spec import recipe_options

OPTIONS = {
    **{"method": "methods", "protocol": "protocols", "log": "trackers"},
    **dict.fromkeys(("dataset", "train_on", "test_on", "on"), "datasets"),
}
"""Parameters that are completed in every command, and with which names."""
ARGUMENTS = {
    "methods show": "methods",
    "methods check": "methods",
    "protocols show": "protocols",
    "tune": "methods",
    "profile": "methods",
    "compare": "methods",
    "table": "protocols",
    "cite": "protocols",
    "figure": "figures",
    "splits": "datasets",
    "data check": "datasets",
    "data prepare": "datasets",
    "data download": "datasets",
    "data overlap": "datasets",
}
"""Commands whose arguments are names of one kind."""

OF_ALL_METHODS = ("run", "tune", "table", "cite", "report", "figure")
"""Commands that take `all` in place of methods' names."""

CHOICES: dict[str, tuple[str, ...]] = {
    "keep": ("mine", "theirs"),
    "metric": ("srcc", "plcc", "krcc", "rmse"),
    "plcc": ("mapped", "raw"),
    "recipe": ("default", "own", "tuned"),
}
"""Options that choose between words and are no settings of bench.toml."""


def add_completion(command: Any) -> None:
    """Let the shell complete a command's names."""
    for one in command.params:
        if one.name in OPTIONS or one.param_type_name == "argument" or choices_of(one.name):
            one._custom_shell_complete = complete  # what `shell_complete=` of every single option would set


def keep_words(command: Any, ctx: Any) -> None:
    """While the shell completes, values stay as they are typed: to read one, Typer loads Pydantic."""
    if ctx.resilient_parsing:
        for one in command.get_params(ctx):
            one.process_value = lambda ctx, value: value


def complete(ctx: Any, one: Any, incomplete: str) -> list[str]:
    """The names that a word may become; in a list with commas, its last part."""
    head, comma, last = incomplete.rpartition(",")
    taken = set(head.split(","))
    return [f"{head}{comma}{name}" for name in _names(ctx, one) if name.startswith(last) and name not in taken]


def _names(ctx: Any, one: Any) -> Sequence[str]:
    path = ctx.command_path.partition(" ")[2]
    kind = ARGUMENTS.get(path, "") if one.param_type_name == "argument" else OPTIONS.get(one.name, "")
    every = ["all"] if kind == "methods" and path in OF_ALL_METHODS else []
    return [*_KINDS[kind](), *every] if kind else choices_of(one.name)


def choices_of(name: str) -> list[str]:
    """The words that an option chooses between; nothing where it takes others."""
    if name in CHOICES:
        return list(CHOICES[name])
    option = recipe_options()[name] if name == "selection" else SETTINGS.get(name)
    return [str(choice) for choice in option.choices if choice] if option else []


def _configured() -> Any:
    """What is in force, with plugins known; nothing where bench.toml is broken, which is no matter of completion."""
    from bench.cli.invocation import configure

    try:
        return configure()
    except BenchError:
        return None


def _methods() -> list[str]:
    from bench.core.registry import METHODS

    _configured()
    return METHODS.names()


def _protocols() -> list[str]:
    from bench.core.registry import PROTOCOLS

    _configured()
    return PROTOCOLS.names()


def _datasets() -> list[str]:
    from bench.data.locate import dataset_names

    config = _configured()
    return dataset_names(config.data if config else {})


def _figures() -> list[str]:
    from bench.core.registry import FIGURES

    _configured()
    return FIGURES.names()


_KINDS: dict[str, Callable[[], list[str]]] = {
    "methods": _methods,
    "protocols": _protocols,
    "datasets": _datasets,
    "figures": _figures,
    "trackers": lambda: ["wandb", "trackio", "tensorboard"],
}
