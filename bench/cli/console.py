"""Talking to the terminal: tables that fit the width, notes, and errors without a traceback."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench.core.errors import BenchError, StoreError
from bench.core.files import expanded
from bench.core.streams import fitting, flush_streams, terminal_width, write_as_it_is, write_line, written_to

if TYPE_CHECKING:
    from rich.console import RenderableType

Command = TypeVar("Command", bound=Callable[..., Any])
DEBUG = {"on": False}

BETWEEN = 3
"""What stands between two columns of a grid: a blank, a line, a blank."""
LONGEST_WORD = 32
"""A longer word (a path, a hash) may be cut where a column is narrower."""


def say(text: str = "") -> None:
    """A plain line; nothing in it is read as markup."""
    write_line(text, sys.stdout)


def say_as_it_is(text: str) -> None:
    """Lines to be copied: never broken anew."""
    write_as_it_is(text + "\n", sys.stdout)


def note(text: str) -> None:
    """A line for the person, not for the pipe."""
    write_line(text, sys.stderr)
    flush_streams()


def last_note(text: str) -> None:
    """A line before the end; where it cannot be written, the exit status alone says it."""
    with suppress(StoreError):
        note(text)


def silenced(_text: str) -> None:
    """In place of `note` where only what is wrong is wanted."""


def show(drawn: RenderableType) -> None:
    """Something that rich draws, as wide as the terminal is."""
    from rich.console import Console

    console = Console(width=terminal_width())
    with written_to(sys.stdout), console.capture() as captured:  # rich itself would end the program without a reader
        console.print(drawn)
    lines = captured.get().split("\n")  # a colour may stand behind the blanks that fill a cell: those stay
    write_as_it_is("\n".join(line.rstrip() for line in lines), sys.stdout)


def grid(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
    """A small table of text; what came from files and names is never read as markup.

    Words stay whole: where the columns are too many for the width, each row becomes a list of its cells.
    """
    from rich.table import Table
    from rich.text import Text

    heads = [fitting(column) for column in columns]
    cells = [[fitting(str(cell)) for cell in row] for row in rows]
    widths = column_widths([heads, *cells], terminal_width())
    if not widths:
        return _as_lists(heads, cells, fitting(title))
    table = Table(title=Text(fitting(title)) if title else None, title_justify="left", show_edge=False, pad_edge=False)
    for head, width in zip(heads, widths, strict=True):
        table.add_column(Text(head), overflow="fold", width=width)
    for row in cells:
        table.add_row(*(Text(broken(cell, width)) for cell, width in zip(row, widths, strict=True)))
    return show(table)


def broken(text: str, width: int) -> str:
    """The text with its longest words on several lines, each broken behind a sign where one is near enough."""
    return re.sub(rf"\S{{{width + 1},}}", lambda word: "\n".join(_pieces(word[0], width)), text)


def _pieces(word: str, width: int) -> list[str]:
    lines = [""]
    for part in re.findall(r"[^_./:,=-]*[_./:,=-]|[^_./:,=-]+", word):
        if lines[-1] and len(lines[-1] + part) > width:
            lines.append("")
        lines[-1] += part
    return lines


def column_widths(rows: Sequence[Sequence[str]], room: int) -> list[int]:
    """A width for each column in which no word is cut; nothing where there is no room for that."""
    columns = list(zip(*rows, strict=True))
    least = [max(map(_longest_word, column)) for column in columns]
    whole = [max(map(_longest_line, column)) for column in columns]
    spare = room - BETWEEN * (len(columns) - 1) - sum(least)
    if spare < 0:
        return []
    widths = least
    for column in sorted(range(len(columns)), key=lambda j: whole[j] - least[j]):  # small wishes are met first
        more = min(spare, whole[column] - least[column])
        widths[column] += more
        spare -= more
    return widths


def _longest_line(text: str) -> int:
    from rich.cells import cell_len

    return max((cell_len(line) for line in text.split("\n")), default=0)


def _longest_word(text: str) -> int:
    from rich.cells import cell_len

    return min(LONGEST_WORD, max((cell_len(word) for word in text.split()), default=0))


def _as_lists(heads: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    """Every row as lines of "column  value", for a terminal too narrow for them side by side."""
    from rich.table import Table
    from rich.text import Text

    if title:
        say(title)
    room = terminal_width() - 2 - max(map(_longest_line, heads))
    for row in rows:
        lines = Table.grid(padding=(0, 2, 0, 0))
        lines.add_column(no_wrap=True)
        lines.add_column(overflow="fold", max_width=room)
        for head, cell in zip(heads, row, strict=True):
            if cell:
                lines.add_row(Text(head), Text(cell))
        show(lines)
        say()


def _from_home(value: Any) -> Any:
    """Paths that no shell expanded, as in `--csv=~/x`; all else as it is."""
    if isinstance(value, list):
        return [_from_home(each) for each in value]
    return expanded(value) if isinstance(value, Path) else value


def friendly(command: Command) -> Command:
    """Errors as one or two lines and an exit code, the traceback only under --debug; `~` in paths is the home."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        import typer

        try:
            return command(*args, **{name: _from_home(value) for name, value in kwargs.items()})
        except BenchError as error:
            if DEBUG["on"]:
                raise
            last_note(f"Error: {error}")
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            last_note("Stopped. What is finished is kept; the same command goes on.")
            raise typer.Exit(130) from None
        except Exception as error:
            if DEBUG["on"] or type(error).__module__.partition(".")[0] in ("typer", "click"):  # its own exits
                raise
            last_note(f"Error: {type(error).__name__}: {error}".splitlines()[0])
            last_note("This should not happen: `bench --debug …` shows where it did; please report it.")
            raise typer.Exit(70) from None

    return wrapped  # type: ignore[return-value]
