"""Cards: what a method, protocol or dataset says of itself, read from its source without running it.

Listing and planning must not import torch, yet they need each class's options and defaults. Both stand in
the class body as annotated fields with literal defaults, so the syntax tree is enough. What an option means is the
text below its field.
"""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypedDict, get_type_hints

from bench.core.errors import UsageError, suggest

MISSING = object()
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
COUNT_OR_AUTO = 'int | Literal["auto"]'
"""The type of an option that is a number, or `auto`."""
A_VALUE = {"int": "a whole number", "float": "a number", "bool": "true or false"}
A_VALUE |= {COUNT_OR_AUTO: "a whole number or auto"}
"""What a type's values are called."""
KINDS: Mapping[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "bool": (bool,), "str": (str,)}
"""The types of options, and those of their defaults."""


class Bound(TypedDict, total=False):
    """Which values of an option make sense; others are refused before anything is run."""

    least: float
    """The smallest value."""
    below: float
    """What a value must stay below."""
    divides: str
    """The option that it must divide: heads share a rank."""
    tiles: str
    """The option by which many of its pieces make up the picture's side, on whole patches of the backbone. Where
    nobody chose, both are derived from the backbone (bench/planning/fitting.py)."""
    of_width: bool
    """Whether it must suit the backbone's width, as a number of heads does: where somebody chose it, the model is
    tried on the backbone before anything is run."""


@dataclass(frozen=True)
class Option:
    """One option of a card: its name, its type as written, its default, and the values that make sense."""

    name: str
    type: str
    default: Any
    least: float | None = None
    """The smallest value that makes sense, where there is one."""
    below: float | None = None
    """What a value must stay below, where there is such an end."""
    meaning: str = ""
    """What it does, in a few words."""
    unset: str = ""
    """What an empty or zero value stands for, where it stands for something else."""
    divides: str = ""
    """The option that it must divide."""
    tiles: str = ""
    """The option that says how large each of so many pieces of the picture's side is."""
    of_width: bool = False
    """Whether it must suit the backbone's width."""

    @property
    def choices(self) -> tuple[Any, ...]:
        """The allowed values when the type is a `Literal[...]`, else nothing."""
        if not self.type.startswith("Literal["):
            return ()
        value = ast.literal_eval(self.type[len("Literal") :])
        return tuple(value)

    def parse(self, text: str) -> Any:
        """The value a user wrote, as this option's type; a wrong one is a UsageError that names the choices."""
        try:
            value = self._convert(text.strip())
        except ValueError:
            kinds = [str(choice) for choice in self.choices if choice != ""]
            wrong = f"is none of {', '.join(kinds)}" if kinds else f"is not {A_VALUE.get(self.type, self.type)}"
            raise UsageError(f"{self.name}={text!r} {wrong}.") from None
        self.check(value)
        return value

    def check(self, value: Any) -> None:
        """A number that makes no sense is a UsageError that says which do."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        if self.least is not None and value < self.least:
            raise UsageError(f"{self.name}={value} must be at least {self.least}.")
        if self.below is not None and value >= self.below:
            raise UsageError(f"{self.name}={value} must be less than {self.below}.")

    def _convert(self, text: str) -> Any:
        if self.choices:
            for choice in self.choices:
                if text == str(choice):
                    return choice
            raise ValueError(text)
        if self.type == "bool":
            if text.lower() not in _WORDS:
                raise ValueError(text)
            return _WORDS[text.lower()]
        if self.type == COUNT_OR_AUTO:
            return text if text == "auto" else int(text)
        if self.type == "int":
            return int(text)
        if self.type == "float":
            value = float(text)
            if value != value or value in (float("inf"), float("-inf")):
                raise ValueError(text)
            return value + 0.0  # which makes -0 be 0
        return text


@dataclass(frozen=True)
class Card:
    """A class read from source: its docstring, its options, and its other literal class attributes."""

    doc: str
    options: dict[str, Option] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    """Its methods' docstrings."""
    no_option: str = ""
    """What is said of a field that is written like an option and can be none."""

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.strip().split("\n")[0] if self.doc else ""

    def defaults(self) -> dict[str, Any]:
        """Every option with its default."""
        return {name: option.default for name, option in self.options.items()}

    def check(self, values: Mapping[str, Any]) -> None:
        """Values that make no sense, alone or beside one another, are a UsageError."""
        for name, value in values.items():
            if name in self.options:
                self.options[name].check(value)
        for part, option in self.options.items():
            whole = option.divides
            if part in values and whole in values and (not values[part] or values[whole] % values[part]):
                raise UsageError(f"{part}={values[part]} does not divide {whole}={values[whole]}: choose another.")


def read_card(target: str) -> Card:
    """The card of `"module:Class"` or `"/path/file.py:Class"`, without importing the module."""
    module, _, name = target.rpartition(":")
    path = Path(module) if module.endswith(".py") else source_of(module)
    return _parse(path, name, path.stat().st_mtime_ns)


@cache
def source_of(module: str) -> Path:
    """Where a module lies; thousands of planned runs ask for a few."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(f"no source for module {module}")
    return Path(spec.origin)


def derives(path: Path, node: ast.ClassDef, marker: str) -> bool:
    """Whether a class has a base of this name, itself or by a base of its own, in whatever file that one lies."""
    if marker in {ast.unparse(base).split(".")[-1] for base in node.bases}:
        return True
    return any(derives(home, base, marker) for home, base in _bases(path, node))


def classes_in(path: Path) -> list[ast.ClassDef]:
    """The classes that stand in a file, in their order."""
    return [node for node in _tree(path, path.stat().st_mtime_ns).body if isinstance(node, ast.ClassDef)]


@cache
def _tree(path: Path, _mtime: int) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _parse(path: Path, name: str, _mtime: int) -> Card:
    for node in classes_in(path):
        if node.name == name:
            return _card(path, node, ast.get_docstring(_tree(path, _mtime)) or "")
    raise ImportError(f"{path.name} has no class {name}")


def _bases(path: Path, node: ast.ClassDef) -> Iterator[tuple[Path, ast.ClassDef]]:
    """The bases of a class that can be read, each with its file: of the same one, or of one that it imports them from.

    An imported one without bases of its own is left out: so are `Method` and its like, for which registries speak.
    """
    here = {other.name: other for other in classes_in(path) if other is not node}
    names = [base.id for base in node.bases if isinstance(base, ast.Name)]
    for statement in _tree(path, path.stat().st_mtime_ns).body:
        if isinstance(statement, ast.ImportFrom):
            bound = {alias.asname or alias.name: alias.name for alias in statement.names}
            wanted = [bound[name] for name in names if name in bound]
            home = _home(path, statement) if wanted else None
            if home is not None:
                yield from ((home, other) for other in classes_in(home) if other.name in wanted and other.bases)
    yield from ((path, here[name]) for name in names if name in here)


def _home(path: Path, statement: ast.ImportFrom) -> Path | None:
    """The file that `from module import ...` means in a file; None where it cannot be found."""
    module = statement.module or ""
    folder = path.parents[max(statement.level, 1) - 1]
    beside = folder.joinpath(*module.split(".")).with_suffix(".py")
    if module and beside.is_file():
        return beside
    try:
        found = None if statement.level else importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    origin = (found and found.origin) or ""
    return Path(origin) if origin.endswith(".py") else None


def _card(path: Path, node: ast.ClassDef, module_doc: str) -> Card:
    options: dict[str, Option] = {}
    facts: dict[str, Any] = {}
    methods: dict[str, str] = {}
    no_option = ""
    for home, base in _bases(path, node):
        inherited = _card(home, base, module_doc)
        options |= inherited.options
        facts |= inherited.facts
        methods |= inherited.methods
        no_option = no_option or inherited.no_option
    for statement, next_one in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name, kind, value = statement.target.id, _kind(statement.annotation), _literal(statement.value)
            if kind.startswith("ClassVar"):
                facts[name] = value
            elif statement.value is not None and not name.startswith("_"):
                option = Option(name, kind, value, meaning=_text_below(next_one))
                if _is_sound(option):
                    options[name] = replace(option, default=float(value)) if kind == "float" else option
                else:
                    no_option = no_option or f"{node.name} has {ast.unparse(statement)}, and {OPTIONS_ARE}"
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            facts[statement.targets[0].id] = _literal(statement.value)
        elif isinstance(statement, ast.FunctionDef):
            methods[statement.name] = ast.get_docstring(statement) or ""
    for name, bound in _bounds(node.name, facts).items():
        if name in options:
            options[name] = replace(options[name], **bound)
    return Card(ast.get_docstring(node) or module_doc, options, facts, methods, no_option)


OPTIONS_ARE = (
    "options are int, float, bool, str or Literal[...] with a default of that type, written out; what is none has no "
    "annotation, or ClassVar."
)


def _kind(annotation: ast.expr) -> str:
    """A type as it is written, without quotes around it and without the module of ClassVar or Literal."""
    quoted = annotation.value if isinstance(annotation, ast.Constant) else None
    text = quoted if isinstance(quoted, str) else ast.unparse(annotation)
    return re.sub(r"^(?:\w+\.)+(?=(?:ClassVar|Literal)\b)", "", text).replace("'", '"')


def _is_sound(option: Option) -> bool:
    """Whether a user can set it: its values can be read from a text, and its default is one of them."""
    if option.type in KINDS:
        kinds = KINDS[option.type]
        return isinstance(option.default, kinds) and isinstance(option.default, bool) == (kinds == (bool,))
    try:
        choices = option.choices
    except (ValueError, SyntaxError):
        return False
    return option.default in choices and all(isinstance(choice, bool | int | float | str) for choice in choices)


def _bounds(owner: str, facts: Mapping[str, Any]) -> Mapping[str, Bound]:
    """What a class says in `bounds`, once it is known to be bounds."""
    kinds, declared = get_type_hints(Bound), facts.get("bounds", {})
    for kind in kinds:
        if isinstance(facts.get(kind), dict):  # how version 0.1.0 had it: nothing would be refused
            raise UsageError(f"{owner}: {kind} is said in bounds, as in bounds = {{'rank': {{'least': 1}}}}.")
    if not isinstance(declared, dict) or not all(isinstance(bound, dict) for bound in declared.values()):
        raise UsageError(f"{owner}: bounds must be written out, as in bounds = {{'rank': {{'least': 1}}}}.")
    for option, bound in declared.items():
        for kind, value in bound.items():
            if kind not in kinds:
                raise UsageError(f"{owner}: the bounds of {option} know no {kind!r}. {suggest(str(kind), kinds)}")
            if not isinstance(value, str if kinds[kind] is str else int | float):
                what = "the name of an option" if kinds[kind] is str else "a number"
                raise UsageError(f"{owner}: {kind} of {option} must be {what}, not {value!r}.")
    return declared


def _text_below(statement: ast.stmt | None) -> str:
    """What a field's own docstring says: the text that stands by itself below it."""
    value = statement.value if isinstance(statement, ast.Expr) else None
    text = value.value if isinstance(value, ast.Constant) else None
    return " ".join(text.split()) if isinstance(text, str) else ""


def _literal(node: ast.expr | None) -> Any:
    try:
        return ast.literal_eval(node) if node is not None else MISSING
    except ValueError:
        return MISSING
