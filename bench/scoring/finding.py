"""From what is typed (files, folders, patterns, a list on the standard input) to the pictures that are meant."""

from __future__ import annotations

import codecs
import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bench.core.errors import DataError, UsageError
from bench.core.files import expanded

ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".webp"}
    | {".ppm", ".pgm", ".pbm", ".jp2", ".j2k"}
)
"""What a file of a folder must end with to be taken for a picture; a file named by itself may end as it likes."""
LIST = "-"
"""Stands for a list of names on the standard input: one a line, or ended by NUL bytes (`find -print0`)."""


def pictures_meant(words: Sequence[str], read: Callable[[], bytes], leave_out: Path | None = None) -> list[Path]:
    """The pictures in the order they are named, each once; a folder's in the order of their paths.

    A named file that is not there is among them, and is reported when it is opened. `leave_out`: a folder of ours
    that may lie inside a searched one.
    """
    pictures: dict[str, Path] = {}
    for path in _all(words, read, leave_out):
        pictures.setdefault(str(path.absolute()), path)
    if not pictures:
        raise UsageError("No picture was named: give files, folders, patterns, or - for a list on the standard input.")
    return list(pictures.values())


def _all(words: Iterable[str], read: Callable[[], bytes], leave_out: Path | None) -> Iterator[Path]:
    for word in words:
        if word == LIST:
            yield from _all(listed(read()), lambda: b"", leave_out)
            continue
        path = expanded(word)
        if os.path.isdir(path):  # noqa: PTH112 (no error where a name is too long: who opens it says so)
            yield from _below(path, leave_out)
        elif glob.has_magic(word) and not os.path.exists(path):  # noqa: PTH110
            yield from _matching(word, leave_out)
        else:
            yield path


def listed(data: bytes) -> list[str]:
    """The names of a list: split at NUL bytes where there is one, so that a name may hold a newline; else at lines.

    What an editor of another system puts before the first name, to say that the list is UTF-8, belongs to none.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    end = b"\0" if b"\0" in data else b"\n"
    names = (name.decode("utf-8", "surrogateescape") for name in data.split(end))
    return [stripped for name in names if (stripped := name.rstrip("\r") if end == b"\n" else name)]


def _matching(pattern: str, leave_out: Path | None) -> Iterator[Path]:
    paths = sorted(glob.glob(str(expanded(pattern)), recursive=True))  # noqa: PTH207 (a pattern may be absolute)
    if not paths:
        raise UsageError(f"Nothing is called {pattern}.")
    for name in paths:
        path = Path(name)
        if path.is_dir():
            yield from _below(path, leave_out)
        elif path.suffix.lower() in ENDINGS:
            yield path


def _below(folder: Path, leave_out: Path | None) -> list[Path]:
    ours = leave_out.resolve() if leave_out is not None else None
    paths = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in inside)
        mine = ours is not None and path.resolve().is_relative_to(ours)
        if path.suffix.lower() in ENDINGS and not hidden and not mine and path.is_file():
            paths.append(path)
    if not paths:
        raise DataError(f"The folder {folder} has no pictures in it or below it ({', '.join(sorted(ENDINGS))}).")
    return paths
