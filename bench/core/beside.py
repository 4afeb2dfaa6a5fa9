"""What a plugin file imports from its own folder: found there while the file is loaded, and never another plugin's."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HARNESS = frozenset({"bench", "methods", "protocols"})
"""The packages whose modules are no plugin's, wherever one lies."""
_FOLDERS: dict[str, Path] = {}
"""From which plugin's folder each module was imported that lies loose in one."""


@contextmanager
def imports_from(folder: Path) -> Iterator[None]:
    """Let imports look into a folder first, where a module of the same name from another plugin's makes way."""
    for name, home in list(_FOLDERS.items()):
        if home != folder:
            _forget(name)
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        with suppress(ValueError):  # a plugin may have tidied up by itself
            sys.path.remove(str(folder))
        _FOLDERS.update({name: folder for name in set(sys.modules) - before if _lies_in(name, folder)})


def _lies_in(name: str, folder: Path) -> bool:
    """Whether a module is a plugin's file or package in this very folder, and not of an environment below it."""
    file = getattr(sys.modules[name], "__file__", None) or ""
    return name not in HARNESS and Path(file) in (folder / f"{name}.py", folder / name / "__init__.py")


def _forget(name: str) -> None:
    """Let the next import of a module read it anew; whoever holds it keeps what it has."""
    del _FOLDERS[name]
    for known in [one for one in sys.modules if one.partition(".")[0] == name]:
        del sys.modules[known]
