"""One registry for methods, protocols, datasets and figures: names to lazily loaded classes.

A name is bound to a `"module:Class"` string, so that listing costs nothing; the class is imported when it is
asked for. Built-ins are the modules of a package (a new file is a new name), then come entry points, then the
files a user names with `--plugin`.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Generic, TypeVar

from bench.core.beside import imports_from
from bench.core.cards import MISSING, Card, classes_in, derives, read_card
from bench.core.errors import UsageError, suggest
from bench.core.files import expanded
from bench.core.spec import EXTERNAL

T = TypeVar("T")
_NAME = re.compile(r"\w+")
"""What `--set NAME.KEY=VALUE` and lists with commas can name."""


def stem_of(name: str) -> str:
    """The registered name in that of a variant: "peft" of "peft:lora", and a plain name itself."""
    return name.partition(":")[0]


def variant_of(name: str) -> str:
    """The variant in a name: "lora" of "peft:lora", "" of a plain name."""
    return name.partition(":")[2]


def no_name(kind: str, name: str) -> str:
    """What is said of a name that nothing can go by."""
    return f"{name!r} is no name for a {kind}: use small letters, digits and underscores, a letter first."


class Registry(Generic[T]):
    """Names of one kind of thing, each with where it comes from.

    `package` holds the built-in ones; `base` is the class that all derive from, as "module:Class".
    """

    def __init__(
        self, kind: str, package: str, base: str, reserved: Mapping[str, str] = {}, *, with_options: bool = True
    ) -> None:
        self.kind, self.package, self.base, self.with_options = kind, package, base, with_options
        self.reserved = reserved
        """Names that nothing may be registered by, and what each stands for."""
        self.marker = base.rpartition(":")[2]
        self._targets: dict[str, str] | None = None
        self._origin: dict[str, str] = {}
        self._cards: dict[str, tuple[Card, Card]] = {}

    def names(self) -> list[str]:
        """Every registered name, sorted."""
        return sorted(self._table())

    def __contains__(self, name: str) -> bool:
        return stem_of(name) in self._table()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def register(self, name: str, target: str, origin: str) -> None:
        """Bind a name; a second binding of the same name to something else is an error."""
        table = self._table()
        if not _NAME.fullmatch(name):
            raise UsageError(f"{origin}: {no_name(self.kind, name)}")
        if name in self.reserved:
            raise UsageError(f"{self.kind} {name!r} of {origin}: the name stands for {self.reserved[name]}. Rename it.")
        if name in table and table[name] != target:
            raise UsageError(
                f"{self.kind} {name!r} is registered twice: by {self._origin[name]} and by {origin}. Rename one."
            )
        table[name], self._origin[name] = target, origin

    def origin(self, name: str) -> str:
        """Who registered the name: "built-in", a distribution, or a plugin file."""
        self.target(name)
        return self._origin[stem_of(name)]

    def target(self, name: str) -> str:
        """The `"module:Class"` behind a name; an unknown one is an error with suggestions.

        A name may carry a variant behind a colon ("peft:dora"): the part before it is what is registered.
        """
        stem = stem_of(name)
        table = self._table()
        if stem in self.reserved:
            raise UsageError(f"{name!r} is no {self.kind} that can be run: it stands for {self.reserved[stem]}.")
        if stem not in table:
            raise UsageError(f"Unknown {self.kind} {name!r}. {suggest(stem, table)}")
        return table[stem]

    @cached_property
    def facts(self) -> frozenset[str]:
        """The facts that there are: what the base class declares."""
        return frozenset(read_card(self.base).facts)

    @cached_property
    def base_facts(self) -> Mapping[str, Any]:
        """What holds where a class is silent; nothing for its name."""
        return {fact: value for fact, value in read_card(self.base).facts.items() if value is not MISSING}

    def card(self, name: str) -> Card:
        """What the class says of itself, without importing it; the base class speaks where it is silent."""
        own = self.own_card(name)
        known, whole = self._cards.get(name, (None, own))
        if known is own:
            return whole
        readable = {fact: value for fact, value in own.facts.items() if value is not MISSING}
        whole = replace(own, facts={**self.base_facts, **readable})
        self._cards[name] = own, whole
        return whole

    def own_card(self, name: str) -> Card:
        """The same without what the base class says."""
        try:
            card = read_card(self.target(name))
        except (ImportError, SyntaxError, OSError) as error:
            raise UsageError(f"The {self.kind} {name!r} cannot be read: {error}") from error
        if card.no_option and self.with_options:
            raise UsageError(f"The {self.kind} {name!r} ({self.origin(name)}): {card.no_option}")
        return card

    def load(self, name: str) -> type[T]:
        """The class itself, imported now."""
        target = self.target(name)
        module, _, attribute = target.rpartition(":")
        try:
            loaded = _import_file(Path(module)) if module.endswith(".py") else importlib.import_module(module)
            cls: type[T] = getattr(loaded, attribute)
        except Exception as error:  # a plugin may fail in any way; its name is what the user needs
            raise UsageError(f"The {self.kind} {name!r} ({target}) cannot be loaded: {error}") from error
        return cls

    def make(self, name: str, options: Mapping[str, Any] = {}) -> T:
        """One of its kind with these options; what a name has behind a colon goes in as the option `variant`."""
        cls: Any = self.load(name)
        variant = {"variant": variant_of(name)} if variant_of(name) else {}
        thing: T = cls(**variant, **options)
        return thing

    def add_plugin(self, path: Path) -> list[str]:
        """Register every class of this kind that a file defines (found by its base class, nothing is run)."""
        targets = {name: f"{path.resolve()}:{cls}" for name, cls in _classes_in(path, self.marker)}
        for name, target in targets.items():
            self.register(name, target, f"plugin {path}")
        return sorted(targets)

    def _table(self) -> dict[str, str]:
        if self._targets is None:
            self._targets = {}
            self._add_builtins()
            self._add_entry_points()
        return self._targets

    def _add_builtins(self) -> None:
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            return
        for path in sorted(Path(next(iter(spec.submodule_search_locations))).glob("*.py")):
            if path.stem.startswith("_"):
                continue
            for name, cls in _classes_in(path, self.marker):
                self.register(name, f"{self.package}.{path.stem}:{cls}", "built-in")

    def _add_entry_points(self) -> None:
        for entry in metadata.entry_points(group=f"bench.{self.kind}s"):
            owner = entry.dist.name if entry.dist else "an entry point"
            try:
                if importlib.util.find_spec(entry.module) is None:
                    raise ImportError(f"no module {entry.module}")
                if not _NAME.fullmatch(entry.name):
                    raise ValueError(no_name(self.kind, entry.name))
                self.register(entry.name, entry.value, owner)
            except (ImportError, ValueError) as error:
                warnings.warn(f"The {self.kind} plugin {entry.name!r} of {owner} is broken: {error}", stacklevel=2)


def _classes_in(path: Path, marker: str) -> list[tuple[str, str]]:
    """(registered name, class name) of the classes in a file that derive from `marker`.

    The registered name is the class attribute `name` where there is one, else the file's own name.
    """
    try:
        derived = [node for node in classes_in(path) if derives(path, node, marker)]
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise UsageError(f"The plugin file {path} cannot be read: {why}.") from error
    public = [node for node in derived if not node.name.startswith("_")]
    return [(_class_name_attribute(path, node) or path.stem, node.name) for node in public]


def _class_name_attribute(path: Path, node: ast.ClassDef) -> str | None:
    for statement in node.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        value = getattr(statement, "value", None)
        if value and any(isinstance(target, ast.Name) and target.id == "name" for target in targets):
            return _written_name(path, node.name, value)
    return None


def _written_name(path: Path, owner: str, value: ast.expr) -> str:
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        raise UsageError(
            f"{path}: the name of {owner} is read without running the file: write it out, as in "
            f'name = "{path.stem}", not {ast.unparse(value)}.'
        )
    return value.value


def _import_file(path: Path) -> Any:
    """Import a plugin file under a name of its own; a second call gives the same module."""
    name = f"bench_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with imports_from(path.parent):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


OF_RECIPE = {"recipe": "the recipe in --set recipe.KEY=VALUE"}
OF_METHODS = {EXTERNAL: "scores that `bench import` brought here", "all": "every method", **OF_RECIPE}
METHODS: Registry[Any] = Registry("method", "methods", base="bench.models.method:Method", reserved=OF_METHODS)
PROTOCOLS: Registry[Any] = Registry(
    "protocol", "protocols", base="bench.planning.protocol:Protocol", reserved=OF_RECIPE
)
DATASETS: Registry[Any] = Registry(
    "dataset", "bench.data.sets", base="bench.data.dataset:DatasetSource", with_options=False
)
FIGURES: Registry[Any] = Registry(
    "figure", "bench.report.figures", base="bench.report.figures.figure:Figure", with_options=False
)
REGISTRIES: Mapping[str, Registry[Any]] = {one.kind: one for one in (METHODS, PROTOCOLS, DATASETS, FIGURES)}


def add_plugin_file(path: Path) -> list[str]:
    """Register whatever methods, protocols, datasets and figures a file defines; none at all is an error."""
    path = expanded(path)
    added = [name for registry in REGISTRIES.values() for name in registry.add_plugin(path)]
    if not added:
        *others, last = (registry.marker for registry in REGISTRIES.values())
        raise UsageError(f"{path} defines no class derived from {', '.join(others)} or {last}.")
    return added
