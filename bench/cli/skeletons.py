"""`bench new`: a working plugin package for a method, a protocol or a dataset, that passes its test as written."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template

from bench.core.errors import StoreError, UsageError
from bench.core.files import write_text
from bench.core.registry import REGISTRIES, no_name

KINDS = ("method", "protocol", "dataset")
"""What there are skeletons of; a figure's is the example in bench.report.figures.Figure."""


def new_package(kind: str, name: str, folder: Path) -> list[Path]:
    """Write `<folder>/glia-bench-NAME/` with one module, its test and an entry point."""
    if kind not in KINDS:
        raise UsageError(f"bench new makes a method, a protocol or a dataset, not {kind!r}.")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise UsageError(no_name(kind, name))
    if name.endswith("_"):
        raise UsageError(f"{name!r} is no name for a package: let it end with a letter or a digit.")
    if name in REGISTRIES[kind]:
        raise UsageError(f"There is a {kind} {name!r} already ({REGISTRIES[kind].origin(name)}). Choose another name.")
    words = {
        "kind": kind,
        "name": name,
        "title": name.replace("_", " ").capitalize(),
        "class_name": "".join(part.capitalize() for part in name.split("_")),
        "package": f"bench_{name}",
        "distribution": f"glia-bench-{name.replace('_', '-')}",
    }
    _refuse_taken_class(kind, name, words["class_name"])
    home = folder / words["distribution"]
    if home.exists():
        raise UsageError(f"{home} exists already; nothing was written.")
    templates = {
        home / "pyproject.toml": "pyproject.toml.txt",
        home / f"{words['package']}.py": f"{kind}.py.txt",
        home / f"test_{words['package']}.py": f"{kind}_test.py.txt",
    }
    for path, template in templates.items():
        try:
            write_text(path, Template(_template(template)).substitute(words))
        except StoreError as error:
            raise StoreError(f"{error} --in DIR names another folder.") from error
    return list(templates)


def _template(name: str) -> str:
    return (files("bench.cli") / "templates" / name).read_text(encoding="utf-8")


def _refuse_taken_class(kind: str, name: str, class_name: str) -> None:
    """A class that is called as Python's own words are, or as what the skeleton imports, would break it."""
    texts = _template(f"{kind}.py.txt"), _template(f"{kind}_test.py.txt")
    imported = any(re.search(rf"^\s*from .* import .*\b{class_name}\b", text, re.MULTILINE) for text in texts)
    if keyword.iskeyword(class_name) or imported:
        raise UsageError(f"{name!r} would name a class {class_name}, which the skeleton needs. Choose another name.")
