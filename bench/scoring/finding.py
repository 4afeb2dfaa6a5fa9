"""From what is typed (files, folders, patterns, a list on the standard input) to the pictures that are meant."""

from __future__ import annotations

import codecs
import glob
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from bench.core.errors import BenchError, DataError, UsageError
from bench.core.files import expanded
from bench.data.pixels.endings import ENDINGS, counts_of, is_picture

NOTHING_NAMED = "No picture was named: give files, folders, patterns, or - for a list on the standard input."
LIST = "-"
"""Stands for a list of names on the standard input: one a line, or ended by NUL bytes (`find -print0`)."""


def pictures_meant(
    words: Sequence[str], read: Callable[[], bytes], tell: Callable[[str], object], leave_out: Path | None = None
) -> list[Path]:
    """The pictures in the order they are named, each once; a folder's in the order of their paths.

    A named file that is not there is among them, and is reported when it is opened. A word that means nothing, and
    what lies in folders and is left out, is told of. `leave_out`: a folder of ours that may lie inside a searched one.
    """
    search = _Search(leave_out)
    pictures: dict[str, Path] = {}
    real = cache(os.path.realpath)  # so that no way around names a picture twice
    for path in search.of_words(words, read):
        pictures.setdefault(os.path.join(real(path.parent), path.name), path)  # noqa: PTH118
    if counts := counts_of(search.left_out):
        tell(f"Left out: {counts} (a file that is named by itself is tried).")
    if not pictures:
        raise search.vain[0] if search.vain else UsageError(NOTHING_NAMED)
    for why in search.vain:
        tell(str(why))
    return list(pictures.values())


class _Search:
    """What words mean; on the way, by kind, how much of folders was left out, and which words meant nothing."""

    def __init__(self, ours: Path | None) -> None:
        self.ours = ours.resolve() if ours is not None else None
        self.left_out: Counter[str] = Counter()
        self.vain: list[BenchError] = []

    def of_words(self, words: Iterable[str], read: Callable[[], bytes]) -> Iterator[Path]:
        """Files, folders, patterns, and lists, whose lines are names and no patterns."""
        for word in words:
            path = expanded(word)
            if word == LIST:
                for name in listed(read()):
                    yield from self._of_path(expanded(name))
            elif glob.has_magic(word) and not os.path.exists(path):  # noqa: PTH110
                yield from self._matching(word)
            else:
                yield from self._of_path(path)

    def _of_path(self, path: Path) -> Iterable[Path]:
        # no error where a name is too long: who opens it says so
        return self._below(path) if os.path.isdir(path) else [path]  # noqa: PTH112

    def _matching(self, pattern: str) -> Iterator[Path]:
        paths = sorted(glob.glob(str(expanded(pattern)), recursive=True))  # noqa: PTH207 (a pattern may be absolute)
        if not paths:
            self.vain.append(UsageError(f"Nothing is called {pattern}."))
        for path in map(Path, paths):
            if path.is_dir():
                yield from self._below(path)
            elif is_picture(path, self.left_out):
                yield path

    def _below(self, folder: Path) -> list[Path]:
        paths: list[Path] = []
        for name, folders, files in os.walk(folder, onerror=self._unreadable):
            here = Path(name)
            if self.ours is not None and here.resolve().is_relative_to(self.ours):
                folders.clear()
                continue
            folders[:] = [inside for inside in folders if not inside.startswith(".")]
            self.left_out["linked folder"] += sum((here / inside).is_symlink() for inside in folders)
            paths += [
                here / file for file in files if not file.startswith(".") and is_picture(here / file, self.left_out)
            ]
        if not paths:
            ends = ", ".join(sorted(ENDINGS))
            self.vain.append(DataError(f"The folder {folder} has no pictures in it or below it ({ends})."))
        return sorted(paths)

    def _unreadable(self, _error: OSError) -> None:
        self.left_out["unreadable folder"] += 1


def listed(data: bytes) -> list[str]:
    """The names of a list: split at NUL bytes where there is one, so that a name may hold a newline; else at lines.

    What an editor of another system puts before the first name, to say that the list is UTF-8, belongs to none.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    end = b"\0" if b"\0" in data else b"\n"
    names = (name.decode("utf-8", "surrogateescape") for name in data.split(end))
    return [stripped for name in names if (stripped := name.rstrip("\r") if end == b"\n" else name)]
