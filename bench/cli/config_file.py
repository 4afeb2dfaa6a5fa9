"""`bench.toml`: where it is found, what may stand in it, and its paths as seen from the working folder."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import UsageError, suggest
from bench.core.files import expanded
from bench.core.hashes import TOKEN

FILE = "bench.toml"
SECTIONS: Mapping[str, str] = {
    "run": "what is run, where, and how; most settings have a flag",
    "recipe": "how every method is trained and scored",
    "method": "a section for each method, [method.glia]: its options, and what it changes in the recipe",
    "data": "where the datasets lie, and sets of your own",
    "plugins": "files with further methods, protocols, datasets or figures",
}
"""What may stand in the file."""
FOLDERS = ("results", "cache")
"""The settings of `[run]` that name a folder."""


def find_file(folder: Path) -> Path | None:
    """The bench.toml of a folder, or of the nearest one above it that has one."""
    return next((place / FILE for place in (folder, *folder.parents) if os.path.isfile(place / FILE)), None)  # noqa: PTH113 (no error where a folder may not be looked into)


def read_file(path: Path) -> dict[str, Any]:
    """What a file says, every section of the right kind, with its paths as seen from the working folder."""
    name = shown(path)
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"--config {path}: there is no such file.") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{name} cannot be read: {error}") from error
    for section in written:
        if section not in SECTIONS:
            raise UsageError(f"{name} has an unknown section {section}. {suggest(section, SECTIONS)}")
    for section in set(SECTIONS) - {"plugins"}:
        if not isinstance(written.get(section, {}), dict):
            raise UsageError(f"{name}: {section} must be a section, written [{section}].")
    for method, options in written.get("method", {}).items():
        if not isinstance(options, dict):
            raise UsageError(f"{name}: method.{method} must be a section, written [method.{method}].")
    return _placed(written, path)


def shown(path: Path) -> str:
    """How a file is called in messages: by its name in the working folder, elsewhere with its folder."""
    return path.name if path.resolve().parent == Path.cwd() else str(path)


def _placed(written: dict[str, Any], path: Path) -> dict[str, Any]:
    """Relative paths are meant from the file's own folder; in the working folder they stay as they are."""
    folder = path.resolve().parent
    plugins = written.get("plugins", [])
    if not isinstance(plugins, list) or not all(isinstance(file, str) for file in plugins):
        name = shown(path)
        raise UsageError(f'{name}: plugins must be a list of files, as in plugins = ["mine.py"], not {plugins!r}.')
    placed = {**written, "plugins": [str((folder / expanded(file)).resolve()) for file in plugins]}
    if folder == Path.cwd():
        return placed
    run, data = written.get("run", {}), written.get("data", {})
    names = (*FOLDERS, "log") if str(run.get("log")).endswith(".py") else FOLDERS
    placed["run"] = run | {name: _seen(run[name], folder) for name in names if name in run}
    sets = {name: _seen_in_set(entry, folder) for name, entry in data.items()}
    placed["data"] = sets | ({"root": _seen(data["root"], folder)} if "root" in data else {})
    return placed


def option_placed(value: Any, path: Path) -> Any:
    """A file that a method's option names, as seen from the working folder; a hash names none, and stays."""
    folder = path.resolve().parent
    return value if folder == Path.cwd() or str(value).startswith(TOKEN) else _seen(value, folder)


def _seen_in_set(entry: Any, folder: Path) -> Any:
    known = isinstance(entry, dict) and "path" in entry
    return {**entry, "path": _seen(entry["path"], folder)} if known else entry


def _seen(value: Any, folder: Path) -> Any:
    """A path of the file as seen from anywhere; what is no path is left for whoever refuses it."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        return value
    return str(folder / expanded(value))
