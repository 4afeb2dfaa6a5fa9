"""What a Python source does, apart from how it is written down: the text that a code's hash is taken of.

Comments, layout, docstrings, import statements and what a class declares of itself do not count. A name that is
imported counts as what it stands for (`act` of `from torch.nn import GELU as act` is torch.nn.GELU), a name of our
own without the module that it lies in, so that moving a file changes nothing.

The text is the same under Python 3.11 to 3.14. `ast.dump` is not: it spells out fields as each version has them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

FACTS = frozenset({
    "name", "title", "origin", "family", "vit_b", "sized_by", "bounds", "packs", "identity_at_start", "ranked",
    "networks", "preset_recipe", "preset_options", "backbones",
})  # fmt: skip
"""What a class says of itself (bench/models/method.py): it names, bounds or lists, and changes no number.

Not so `trains_backbone` and `recipe`, nor any fact that the code itself reads.
"""

LEFT_OUT = frozenset({"ctx", "kind", "type_comment", "type_ignores"})
"""Fields that say nothing which stands not elsewhere: a name's use, the u of u"text", comments for type checkers."""


@dataclass(frozen=True)
class Import:
    """One name that a module imports: `name` of `module`, or the module itself where `name` is empty.

    `bound` is what it is called here, `whole` what that stands for.
    """

    module: str
    level: int
    name: str
    bound: str
    whole: str


@dataclass(frozen=True, eq=False)
class Source:
    """One module's source, parsed."""

    tree: ast.Module

    @staticmethod
    def of(data: bytes) -> Source:
        """From a file's bytes: the parser knows encodings and line ends."""
        return Source(ast.parse(data))

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Everything it imports, wherever the statement stands."""
        return tuple(each for node in ast.walk(self.tree) for each in _imports_of(node))

    @cached_property
    def reads(self) -> frozenset[str]:
        """Names by which it may read a class's attributes: as attributes, by getattr, or in another class's body."""
        names = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute):
                names.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.add(node.value)
            elif isinstance(node, ast.ClassDef):
                names |= _read_in_body(node)
        return frozenset(names)

    @cached_property
    def used(self) -> frozenset[str]:
        """The plain names that occur in it."""
        return frozenset(node.id for node in ast.walk(self.tree) if isinstance(node, ast.Name))

    def text(self, is_own: Callable[[Import], bool], reads: Set[str] | None = None) -> str:
        """What it does, in one line; empty where it does nothing.

        `is_own` tells names of our own, whose modules may move; `reads` are the facts that some source reads.
        """
        meant: dict[str, set[str]] = {}
        for each in self.imports:
            # no identifier has a dot or a space in it, so that nothing else is written like an imported name
            meaning = f".{each.whole.rpartition('.')[2]}" if is_own(each) else f"import {each.whole}"
            meant.setdefault(each.bound, set()).add(meaning)
        everything = sorted(meant.pop("*", ()))  # of `from module import *`: who knows which names
        names = {bound: "|".join(sorted(meanings)) for bound, meanings in meant.items()}
        facts = FACTS - (self.reads if reads is None else reads)
        return ";".join([*everything, *_Writer(names, facts).statements(self.tree.body)])


def _imports_of(node: ast.AST) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:  # `import a.b` binds a to a, `import a.b as c` binds c to a.b
            first = alias.name.partition(".")[0]
            yield Import(alias.name, 0, "", alias.asname or first, alias.name if alias.asname else first)
    elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
        module = node.module or ""
        for alias in node.names:
            yield Import(module, node.level, alias.name, alias.asname or alias.name, f"{module}.{alias.name}")


def _read_in_body(node: ast.ClassDef) -> set[str]:
    """The names that a class's own statements read: `below = least`."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    plain = [statement for statement in node.body if not isinstance(statement, functions)]
    names = (inner for statement in plain for inner in ast.walk(statement) if isinstance(inner, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Load)}


class _Writer:
    """Writes syntax trees as text: a node's kind, and its fields by name, in the order of their names."""

    def __init__(self, names: Mapping[str, str], facts: Set[str]) -> None:
        self.names, self.facts = names, facts

    def statements(self, body: Sequence[ast.stmt], of_class: bool = False) -> list[str]:
        """Those that do something."""
        active = [statement for statement in body if not _idle(statement)]
        return [self.node(s) for s in active if not (of_class and _declared(s) in self.facts)]

    def node(self, node: ast.AST) -> str:
        if isinstance(node, ast.Constant):
            # ascii, not repr: which letters repr prints as they are depends on a version's tables of letters
            return f"{type(node.value).__name__} {ascii(node.value)}"
        if isinstance(node, ast.Name):
            return f"Name {self.names.get(node.id, node.id)}"
        if isinstance(node, ast.JoinedStr):
            return f"JoinedStr([{','.join(self._joined(node))}])"
        # An empty field is left out, so that one which only newer versions have (type_params since 3.12) shows only
        # in sources that only those can read; names are sorted, so that no version's order matters.
        fields = sorted((name, value) for name, value in ast.iter_fields(node) if name not in LEFT_OUT)
        written = [(name, self._value(node, value)) for name, value in fields if value is not None and value != []]
        return f"{type(node).__name__}({','.join(f'{name}={text}' for name, text in written if text != '[]')})"

    def _value(self, node: ast.AST, value: object) -> str:
        if isinstance(value, ast.AST):
            return self.node(value)
        if not isinstance(value, list):
            return ascii(value)
        if isinstance(value[0], ast.stmt):
            return f"[{','.join(self.statements(value, isinstance(node, ast.ClassDef)))}]"
        return f"[{','.join(self._value(node, item) for item in value)}]"

    def _joined(self, node: ast.JoinedStr) -> Iterator[str]:
        """The parts of an f-string: versions differ in where they cut its plain text, and in empty pieces of it."""
        plain = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                plain += str(part.value)
                continue
            if plain:
                yield ascii(plain)
            plain = ""
            yield self.node(part)
        if plain:
            yield ascii(plain)


def _idle(node: ast.stmt) -> bool:
    """Whether a statement does nothing that counts: an import, `pass`, a docstring, or a block of nothing else."""
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Pass):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If):  # `if TYPE_CHECKING:`
        asks = any(isinstance(inner, ast.Call | ast.NamedExpr) for inner in ast.walk(node.test))
        return not asks and all(map(_idle, [*node.body, *node.orelse]))
    if isinstance(node, ast.Try):
        inside = [statement for handler in node.handlers for statement in handler.body]
        return all(map(_idle, [*node.body, *node.orelse, *node.finalbody, *inside]))
    return False


def _declared(node: ast.stmt) -> str:
    """The attribute that a statement of a class's body gives a value; empty for any other statement."""
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return ""
