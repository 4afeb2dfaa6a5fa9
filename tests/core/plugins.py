"""Plugins that tests write and edit: copies of methods/glia.py under names of their own."""

import sys
from pathlib import Path

from bench.core.registry import METHODS

GLIA = Path(__file__).resolve().parent.parent.parent / "methods" / "glia.py"
TINY_OPTIONS = {"grid": 2, "fragment": 16, "rank": 8, "heads": 2}
"""As tests.world gives them to the original."""


def write_copy(path: Path, name: str) -> Path:
    """A copy of GLIA that is registered as `name`."""
    text = GLIA.read_text()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.replace('    title: ClassVar[str] = "GLIA"\n', f'    name = "{name}"\n    title = "{name}"\n'))
    return path


def register(path: Path) -> Path:
    """Make a plugin's methods known, as --plugin does."""
    METHODS.add_plugin(path)
    return path


def edit(path: Path, old: str, new: str) -> None:
    """Change a plugin, and let the next run load what it says then, as a new process would."""
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new))
    forget(path)


def forget(path: Path) -> None:
    """As if no plugin of this name had been loaded."""
    for name in [name for name in list(sys.modules) if name.startswith(f"bench_plugin_{path.stem}_")]:
        del sys.modules[name]
