"""A dataset's folder as it lies on disk: names found even in another spelling, the archive's top folder skipped.

Archives differ in case from one release and unpacker to the next ("I01.BMP", "i25.bmp"), and "é" is one sign in one
system and two in another (Unicode's NFC and NFD), so every folder is listed once; a name as it is spelled comes first,
then one that differs in Unicode's spelling, then the only one that differs in case. What is looked up comes from label
files, so a name can only lead to a file that the listing holds: never to a parent folder, never to an absolute path.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from bench.core.errors import DataError
from bench.data.labels.columns import alike

PICTURES = (".bmp", ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".gif", ".jp2", ".ppm", ".pgm")
"""Suffixes of files that count as pictures when a folder is searched for unlabelled ones."""

_DEPTH = 2
"""How far below the given folder the dataset's own top folder is looked for."""
_MOST_FOLDERS = 200

Names = dict[str, list[str]]
"""Real names by what their spellings share: on Linux several may share it."""


class Tree:
    """One dataset's folder, listed on demand and at most once per folder."""

    def __init__(self, dataset: str, root: Path) -> None:
        self.dataset, self.root = dataset, root
        self._files: dict[str, Names] = {}
        self._folders: dict[str, Names] = {}

    def file(self, *paths: str) -> str | None:
        """The first of these files that is there, as its path below the root is really spelled."""
        for name in paths:
            folder, _, last = "/".join(_parts(name)).rpartition("/")
            actual = self.folder(folder)
            spelling = None if actual is None else self._one_of(self._list(actual)[0], last, actual)
            if actual is not None and spelling is not None:
                return _join(actual, spelling)
        return None

    def folder(self, *paths: str) -> str | None:
        """The first of these folders that is there, as it is really spelled; "" is the root itself."""
        for name in paths:
            actual: str | None = ""
            for part in _parts(name):
                actual = None if actual is None else self._below(actual, part)
            if actual is not None:
                return actual
        return None

    def files(self, folder: str) -> list[str]:
        """Paths of the files directly in a folder, hidden ones left out, sorted."""
        actual = self.folder(folder)
        if actual is None:
            return []
        return _visible(actual, self._list(actual)[0])

    def folders(self, folder: str) -> list[str]:
        """Paths of the folders directly in a folder, hidden ones left out, sorted."""
        actual = self.folder(folder)
        if actual is None:
            return []
        return _visible(actual, self._list(actual)[1])

    def pictures(self, folder: str, deep: bool = False) -> list[str]:
        """Paths of the pictures in a folder, and with `deep` in all below it."""
        names = [name for name in self.files(folder) if name.lower().endswith(PICTURES)]
        if deep:
            for below in self.folders(folder):
                names += self.pictures(below, deep=True)
        return names

    def with_ending(self, name: str) -> str | None:
        """A picture that is called as `name` but for its ending; None where there is none."""
        folder, _, last = name.rpartition("/")
        stem, dot, _ = last.rpartition(".")
        stems = [last, stem] if dot else [last]
        return self.file(*(f"{folder}/{each}{ending}" for each in stems for ending in PICTURES))

    def path(self, relative: str) -> Path:
        """Where a file of this tree lies."""
        return self.root / relative

    def _below(self, folder: str, part: str) -> str | None:
        actual = self._one_of(self._list(folder)[1], part, folder)
        return None if actual is None else _join(folder, actual)

    def _one_of(self, names: Names, spelling: str, folder: str) -> str | None:
        """The name as it is spelled, else in Unicode's other spelling, else the only one in another case."""
        candidates = names.get(alike(spelling), [])
        if spelling in candidates:
            return spelling
        composed = unicodedata.normalize("NFC", spelling)
        same = [name for name in candidates if unicodedata.normalize("NFC", name) == composed] or candidates
        if len(same) > 1:
            raise DataError(
                f"{self.dataset}: {spelling!r} may be {' or '.join(same)} in {self.root / folder}: name it as it is "
                "spelled there."
            )
        return same[0] if same else None

    def _list(self, folder: str) -> tuple[Names, Names]:
        """Files and folders directly in a folder, both by what their spellings share."""
        if folder not in self._files:
            files: Names = {}
            folders: Names = {}
            try:
                with os.scandir(self.root / folder) as entries:
                    for entry in sorted(entries, key=lambda item: item.name):
                        kind = folders if entry.is_dir() else files
                        kind.setdefault(alike(entry.name), []).append(entry.name)
            except OSError as error:
                reason = error.strerror or str(error)
                raise DataError(f"{self.dataset}: the folder {self.root / folder} cannot be read: {reason}.") from error
            self._files[folder], self._folders[folder] = files, folders
        return self._files[folder], self._folders[folder]


def find_tree(dataset: str, path: Path | None, marks: Sequence[Sequence[str]], layout: str, obtain: str) -> Tree:
    """The dataset's tree at `path` or up to two folders below it: the first folder that holds all the marks.

    A mark is a group of alternatives, files or folders; one of each group must be there. `layout` and `obtain`
    tell the user how the folder should look and from whom the data comes, when nothing fits.
    """
    where = f"it comes from {obtain}" if obtain else f"correct [data.{dataset}] in bench.toml"
    if path is None:
        raise DataError(
            f"{dataset}: no folder is configured; write [data] root or [data.{dataset}] path in bench.toml."
        )
    if not path.is_dir():
        raise DataError(f"{dataset}: there is no folder {path}; {where}.")
    level, seen = [path], 0
    for _ in range(_DEPTH + 1):
        below: list[Path] = []
        for folder in level:
            seen += 1
            tree = Tree(dataset, folder)
            if all(tree.file(*mark) is not None or tree.folder(*mark) is not None for mark in marks):
                return tree
            below += [folder / name for name in tree.folders("")]
            if seen > _MOST_FOLDERS:
                break
        level = below[:_MOST_FOLDERS]
    missing = " and ".join(" or ".join(mark) for mark in marks)
    raise DataError(f"{dataset}: {path} does not hold {missing}; {where}. The folder should look so: {layout}")


def _parts(name: str) -> list[str]:
    """The folders and the file of a path; "./a//b" is "a/b". ".." stays: no listing holds it."""
    return [part for part in name.split("/") if part not in ("", ".")]


def _visible(folder: str, names: Names) -> list[str]:
    return sorted(_join(folder, name) for same in names.values() for name in same if not name.startswith("."))


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
