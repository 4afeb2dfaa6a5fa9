"""What the command writes to: how wide it is, which characters it takes, and whether anybody still reads it."""

from __future__ import annotations

import codecs
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, TextIO

from bench.core.files import explain

WIDTH_OF_A_FILE = 120
"""How wide tables are where there is no terminal and no COLUMNS."""
LEAST_WIDTH = 40
READER_GONE = 141
"""The exit status of a program whose reader left, as shells report it (128 + SIGPIPE)."""

PLAIN = {
    "−": "-", "–": "-", "—": "-", "─": "-", "━": "-", "·": ".", "•": "*", "×": "x", "≈": "~", "±": "+/-",
    "≤": "<=", "≥": ">=", "→": "->", "←": "<-", "…": "...", "‘": "'", "’": "'", "“": '"', "”": '"', "„": '"',
    "α": "alpha", "ρ": "rho", "Δ": "Delta", "✓": "yes", "✗": "no", "│": "|", "┃": "|", "┼": "+", "╇": "+", "ß": "ss",
    "█": "#", "░": ".",
}  # fmt: skip
"""What is written in place of a character that the output's encoding lacks."""

_HANDLER = "bench.plain"


class ReaderGone(BaseException):
    """Whoever read the output (`head`, a pager that was left) has closed it: the command ends without a word.

    No `Exception`, so that a run in the making is not taken for a failed one.
    """


def prepare_streams() -> None:
    """Let both streams take any text: what their encoding lacks is written plainly instead of failing."""
    codecs.register_error(_HANDLER, _replaced)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)


def fitting(text: str, stream: TextIO | None = None) -> str:
    """The text as a stream (stdout if none is given) can show it; to be asked before columns are measured."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_fitting_sign(sign, encoding) for sign in text)
    return text


def terminal_width(stream: TextIO | None = None) -> int:
    """Columns to fill: COLUMNS where it is set, else the terminal's own, else those of a file."""
    with suppress(AttributeError, ValueError, OSError):
        if "COLUMNS" not in os.environ:
            return max(LEAST_WIDTH, os.get_terminal_size((stream or sys.stdout).fileno()).columns)
    return max(LEAST_WIDTH, shutil.get_terminal_size((WIDTH_OF_A_FILE, 25)).columns)


def write_line(text: str, stream: TextIO | None) -> None:
    """Write a text and a line's end; on a terminal broken between words, in a file left whole."""
    shown = _broken_between_words(text, terminal_width(stream)) if _is_terminal(stream) else text
    write_as_it_is(shown + "\n", stream)


def write_as_it_is(text: str, stream: TextIO | None) -> None:
    """Write a text; a reader that has gone ends the command, and a full disk under it the plan."""
    if stream is None:  # the shell closed it (`>&-`)
        return
    with written_to(stream):
        stream.write(text)


def flush_streams() -> None:
    """Write out what is still held back."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            with written_to(stream):
                stream.flush()


@contextmanager
def written_to(stream: TextIO) -> Iterator[None]:
    """What is written to a stream in here and cannot be: no run is to blame for that, be it in the middle of one."""
    try:
        yield
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        name = "standard error" if stream is sys.stderr else "standard output"
        raise explain(error, Path(name)) from error


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """What is written by others than us in here ends the command, too, when its reader has gone."""
    try:
        yield
    except BrokenPipeError:
        raise ReaderGone from None


def leave_quietly(status: int = READER_GONE) -> NoReturn:
    """End the command whose output goes nowhere: what the streams still hold goes there, or the exit would complain."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 (a device, no path)
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (OSError, AttributeError):
                with suppress(AttributeError, ValueError, OSError):
                    os.dup2(nowhere.fileno(), stream.fileno())
    raise SystemExit(status)


def _is_terminal(stream: TextIO | None) -> bool:
    return bool(getattr(stream, "isatty", lambda: False)())


def _broken_between_words(text: str, width: int) -> str:
    lines = []
    for line in text.split("\n"):
        fits = len(line) <= width
        lines += [line] if fits else textwrap.wrap(
            line, width, break_long_words=False, break_on_hyphens=False, replace_whitespace=False, tabsize=4
        )  # fmt: skip
    return "\n".join(lines)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_fitting_sign(sign, error.encoding) for sign in text), error.end


def _fitting_sign(sign: str, encoding: str) -> str:
    """A character as an encoding can write it: itself, its plain stand-in, its letters without marks, or "?"."""
    bare = "".join(part for part in unicodedata.normalize("NFKD", sign) if part.isascii())
    for candidate in (sign, PLAIN.get(sign, bare), "?"):
        with suppress(UnicodeEncodeError):
            candidate.encode(encoding)
            if candidate:
                return candidate
    return "?"
