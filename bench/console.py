"""Talking to the terminal: tables that fit the width, notes, and errors without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

from bench.errors import BenchError

Command = TypeVar("Command", bound=Callable[..., Any])
DEBUG = {"on": False}


def say(text: str = "") -> None:
    """A plain line; nothing in it is read as markup."""
    print(text)


def note(text: str) -> None:
    """A line for the person, not for the pipe."""
    print(text, file=sys.stderr, flush=True)


def grid(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """A small table of text; what came from files and names is never read as markup."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) if title else None, title_justify="left", show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(escape(column), overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def friendly(command: Command) -> Command:
    """Errors as one or two lines and an exit code; the traceback only under --debug."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        import typer

        try:
            return command(*args, **kwargs)
        except BenchError as error:
            if DEBUG["on"]:
                raise
            note(f"Error: {error}")
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            note("Stopped. What is finished is kept; the same command goes on.")
            raise typer.Exit(130) from None
        except Exception as error:
            if DEBUG["on"] or type(error).__module__.partition(".")[0] in ("typer", "click"):  # its own exits
                raise
            note(f"Error: {type(error).__name__}: {error}".splitlines()[0])
            note("This is not foreseen: `bench --debug ...` shows where it happened; please report it.")
            raise typer.Exit(70) from None

    return wrapped  # type: ignore[return-value]
