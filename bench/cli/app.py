"""What all commands have in common: how their help looks, and `--config FILE`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Optional, TypeVar

import typer

from bench.cli.help import HelpCommand, HelpGroup
from bench.cli.invocation import CHOSEN_FILE
from bench.core.collecting import collecting_later

Command = TypeVar("Command", bound=Callable[..., Any])
WIDEST_HELP = 110
"""Help is as wide as the terminal, up to here: longer lines are hard to read."""
ConfigFile = Annotated[
    Optional[Path],
    typer.Option("--config", help="Use this file; else the nearest bench.toml, here or in a folder above."),
]


class App(typer.Typer):
    """A Typer whose commands have grouped help and take `--config`, unless they say that they read no settings."""

    def __init__(self, *, cls: type[HelpGroup] = HelpGroup, **more: Any) -> None:
        settings: dict[Any, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": WIDEST_HELP}
        whole: dict[str, Any] = {"add_completion": False, "context_settings": settings, "rich_markup_mode": None}
        super().__init__(cls=cls, **whole | more)

    def __call__(self, *args: Any, **more: Any) -> Any:
        """Run the command that is typed. Until it begins (Bench.invoke) all that is made stays."""
        with collecting_later():
            return super().__call__(*args, **more)

    def command(
        self, name: str | None = None, *, configured: bool = True, kind: type[HelpCommand] = HelpCommand, **more: Any
    ) -> Callable[[Command], Command]:
        """Register a command."""
        register = super().command(name, cls=kind, **more)

        def registered(function: Command) -> Command:
            register(takes_config(function) if configured else function)
            return function

        return registered


def takes_config(function: Command) -> Command:
    """A command with `--config`, which holds for whatever asks for the configuration below it."""

    @wraps(function)
    def wrapped(*args: Any, config_file: Path | None = None, **more: Any) -> Any:
        if config_file is not None:
            CHOSEN_FILE.set(config_file)
        return function(*args, **more)

    parameters = inspect.signature(function, eval_str=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    further = inspect.Parameter("config_file", kind, default=None, annotation=ConfigFile)
    wrapped.__signature__ = parameters.replace(parameters=[*parameters.parameters.values(), further])  # type: ignore[attr-defined]
    wrapped.__annotations__ = {**function.__annotations__, "config_file": ConfigFile}
    return wrapped  # type: ignore[return-value]
