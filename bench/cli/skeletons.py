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
    home = folder / words["distribution"]
    if home.exists():
        raise UsageError(f"{home} exists already; nothing was written.")
    templates = {
        home / "pyproject.toml": "pyproject.toml.txt",
        home / f"{words['package']}.py": f"{kind}.py.txt",
        home / f"test_{words['package']}.py": f"{kind}_test.py.txt",
    }
    for path, template in templates.items():
        text = (files("bench.cli") / "templates" / template).read_text(encoding="utf-8")
        try:
            write_text(path, Template(text).substitute(words))
        except StoreError as error:
            raise StoreError(f"{error} --in DIR names another folder.") from error
    return list(templates)
