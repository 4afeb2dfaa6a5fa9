"""Whose code made a number: the hash of a method's source, and one number for the harness's own.

A method's code is its module and whatever that imports of its own: below `methods/`, and for a plugin below its own
folder or package (bench/core/source.py says what of them counts). What is imported or read by name at run time only
(importlib, data files) is not seen.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.core.beside import HARNESS
from bench.core.cards import source_of
from bench.core.errors import UsageError
from bench.core.progress import counted
from bench.core.registry import METHODS, stem_of
from bench.core.source import Import, Source

NUMERICS = 2
"""The version of the harness's own code where it touches numbers: the trainer, views, frozen inputs, heads, losses,
metrics, splits and seeds (tests/training/test_numerics.py lists its modules). Raised by hand, when a number moves: then
every earlier run is repeated."""

REFACTORINGS = "refactorings.json"
"""Beside a method's file: {method: {old hash: new hash}} of changes to its code that change no number."""

Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class _Code:
    """A method's code as it was read: its hash, and the files that it is of."""

    hash: str = ""
    files: tuple[Path, ...] = ()
    stamps: tuple[Stamp, ...] = ()

    @property
    def stamped(self) -> dict[Path, Stamp]:
        """Each file with what changes when it does."""
        return dict(zip(self.files, self.stamps, strict=True))


_CODES: dict[str, _Code] = {}
_LOADED: dict[str, tuple[type, _Code]] = {}


def code_hash(method: str) -> str:
    """The hash of a method's code as it lies on disk; empty where nothing of it is known here."""
    return _code(method).hash


def code_files(method: str) -> tuple[Path, ...]:
    """The files that a method's code lies in, its own first."""
    return _code(method).files


def load_method(name: str) -> type[Any]:
    """A method's class, and from now on its code is what was loaded: a process does not see later edits.

    A file that was edited after another method had loaded it would be in this process as it was, and on disk as it
    is: no hash could tell the truth of that, so the method is refused.
    """
    before = _code(name)
    loaded, target = METHODS.load(name), METHODS.target(name)
    if target not in _LOADED or _LOADED[target][0] is not loaded:
        _refuse_edited(name, before)
        _LOADED[target] = loaded, before
    return loaded


def method_of(name: str, options: Mapping[str, Any]) -> Any:
    """A method with its options, by the code that was loaded."""
    load_method(name)
    return METHODS.make(name, options)


def _refuse_edited(method: str, code: _Code) -> None:
    known = [as_loaded for loaded, as_loaded in _LOADED.values() if _held(loaded)]
    loaded = {path: stamp for one in known for path, stamp in one.stamped.items()}
    for path, stamp in code.stamped.items():
        if loaded.get(path, stamp) != stamp:
            raise UsageError(
                f"{path} was edited after this process had loaded it, so {method!r} would be made by the old "
                "text under the new one's name. Give the same command again."
            )


def code_of(method: str) -> dict[str, Any]:
    """What a record says of the code it was made by: of the method as loaded in this process, and the harness."""
    loaded, as_loaded = _LOADED.get(METHODS.target(method) if method in METHODS else "", (None, _Code()))
    known = as_loaded.hash if loaded is not None and _held(loaded) else code_hash(method)
    return {"method": known, "numerics": NUMERICS}


def _held(loaded: type) -> bool:
    """Whether a class is the one that its module holds now."""
    return getattr(sys.modules.get(loaded.__module__), loaded.__name__, None) is loaded


def same_code(method: str, one: str, other: str) -> bool:
    """Whether two hashes are of code that gives the same numbers: they are equal, or declared to be refactored."""
    if one == other:
        return True
    pairs = [pair for pair in _refactorings(method).items() if one and other]
    reached, waiting = {one}, [one]
    while waiting:
        at = waiting.pop()
        beside = {b for a, b in pairs if a == at} | {a for a, b in pairs if b == at}
        waiting += sorted(beside - reached)
        reached |= beside
    return other in reached


def made_by_other_code(record: Mapping[str, Any]) -> str:
    """Which other code than today's made a record ("an older glia.py"); empty for today's.

    Empty as well where today's is not known here, as of a colleague's plugin: such records cannot be compared.
    """
    method = record["spec"]["method"]
    try:
        now = code_hash(method)
    except UsageError:  # a plugin that can no longer be read: its records still tell what they were
        now = ""
    if not now:
        return ""
    code = record.get("code")
    if not isinstance(code, dict):
        return "a version that did not record its code"
    numerics = code.get("numerics")
    if numerics != NUMERICS:
        return f"another version of the harness (numerics {numerics}, here {NUMERICS})"
    return "" if same_code(method, str(code.get("method")), now) else f"an older {code_files(method)[0].name}"


def stands_on_older(record: Mapping[str, Any], find: Callable[[str], Mapping[str, Any] | None]) -> str:
    """Says so of a record that was made of others, where one of these is by other code or was made again since.

    `find`: the record of a key. Empty as well for a record that does not say which records these were.
    """
    made_of = zip(record.get("members") or (), record.get("made_of") or (), strict=False)
    known = ((find(str(key)), then) for key, then in made_of)
    older = any(one is not None and (one["sha256"] != then or made_by_other_code(one)) for one, then in known)
    return "older runs of its members" if older else ""


def told_apart(makers: Iterable[str]) -> str:
    """How many runs were made by which other code: "2 runs were made by an older glia.py, 1 by an older lora.py"."""
    counts = sorted(Counter(makers).items(), key=lambda item: (-item[1], item[0]))
    if not counts:
        return ""
    (maker, first), *others = counts
    said = f"{counted(first, 'run')} {'was' if first == 1 else 'were'} made by {maker}"
    return ", ".join([said, *(f"{count} by {maker}" for maker, count in others)])


def _code(method: str) -> _Code:
    if method not in METHODS:
        return _Code()
    target = METHODS.target(method)
    known = _CODES.get(target)
    if known is None or known.stamps != _stamps(known.files):
        try:
            known = _CODES[target] = _read(target, METHODS.origin(method))
        except (ImportError, OSError, SyntaxError, ValueError) as error:
            raise UsageError(f"The source of the method {method!r} cannot be read: {error}") from error
    return known


def _stamps(files: Iterable[Path]) -> tuple[Stamp, ...]:
    """What changes when a file does; nothing where one is gone."""
    try:
        return tuple((s.st_mtime_ns, s.st_size, s.st_ino) for s in (path.stat() for path in files))
    except OSError:
        return ()


@lru_cache(maxsize=512)
def _source(path: Path, _stamp: Stamp) -> Source:
    return Source.of(path.read_bytes())


@dataclass(frozen=True)
class _Home:
    """Where the modules lie that are a method's own: by the first part of their names, or loose in a folder."""

    packages: Mapping[str, Path] = field(default_factory=dict)
    loose: Path | None = None

    def files(self, importing: Path, target: Import) -> list[Path]:
        """The own files that an import loads, packages on the way included; the one that it names comes last."""
        parts = [part for part in target.module.split(".") if part]
        parts += [target.name] if target.name and target.name != "*" else []
        if target.level:
            return _in_package(importing.parents[min(target.level, len(importing.parents)) - 1], parts)
        if parts[0] in self.packages:
            return _in_package(self.packages[parts[0]], parts[1:])
        return _below(self.loose, parts) if self.loose and parts[0] not in HARNESS else []

    def owns(self, importing: Path, target: Import) -> bool:
        """Whether an imported name is of our own code, the method's or the harness's, whose modules may move."""
        first = target.module.partition(".")[0]
        return bool(target.level or first in HARNESS or self.files(importing, target))


def _in_package(place: Path, parts: list[str]) -> list[Path]:
    """The files that are run when a module of a package is imported; of a lone module its file."""
    if place.is_file():
        return [place]
    first = place / "__init__.py"
    return [*([first] if first.is_file() else []), *_below(place, parts)]


def _below(folder: Path, parts: list[str]) -> list[Path]:
    files = []
    for part in parts:
        folder = folder / part
        files.append(folder / "__init__.py" if folder.is_dir() else folder.with_name(f"{part}.py"))
    return [path for path in files if path.is_file()]


def _read(target: str, origin: str) -> _Code:
    """The code behind a registry's target: every own file that is reached from its module."""
    module, _, name = target.rpartition(":")
    start = Path(module) if module.endswith(".py") else source_of(module)
    if start.suffix != ".py":
        return _Code()
    home = _home_of(module, start, origin)
    waiting = [start] if module.endswith(".py") else [start, *home.files(start, Import(module, 0, "", "", module))]
    sources: dict[Path, Source] = {}
    stamps: dict[Path, Stamp] = {}
    for path in waiting:
        if path not in sources:
            (stamps[path],) = _stamps([path]) or ((0, 0, 0),)
            sources[path] = _source(path, stamps[path])
            waiting += [file for each in sources[path].imports for file in home.files(path, each)]
    return _Code(_hash_of(name, start, sources, home), tuple(sources), tuple(stamps.values()))


def _home_of(module: str, start: Path, origin: str) -> _Home:
    places = {METHODS.package: _place_of(METHODS.package)}
    top = start.parent if start.name == "__init__.py" else start
    if module.endswith(".py"):
        while (top.parent / "__init__.py").is_file():
            top = top.parent
        places[top.stem] = top
    else:
        first, *inside = module.split(".")
        places |= {name: _place_of(name) for name in _beside(origin)} | {first: [top, *top.parents][len(inside)]}
    loose = start.parent if module.endswith(".py") else None
    return _Home({name: place for name, place in places.items() if place}, loose)


def _place_of(package: str) -> Path | None:
    """The folder of a package, or the file of a module."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None


def _beside(distribution: str) -> set[str]:
    """The modules and packages that come with a method in one installed distribution."""
    try:
        installed = metadata.distribution(distribution)
    except (metadata.PackageNotFoundError, ValueError):  # built-in, or a plugin file
        return set()
    files = [path.parts[0].removesuffix(".py") for path in installed.files or () if path.suffix == ".py"]
    named = (installed.read_text("top_level.txt") or "").split()
    return {name for name in (*named, *files) if name.isidentifier()} - HARNESS


def _hash_of(name: str, start: Path, sources: Mapping[Path, Source], home: _Home) -> str:
    """Over the class's name, its module, and the set of all modules, whatever they are called and wherever they lie.

    Each goes in with which of the others its imported names come from: two may hold functions of one name.
    """
    reads = frozenset().union(*(source.reads for source in sources.values()))
    texts = {}
    for path, source in sources.items():
        texts[path] = source.text(lambda each, path=path: home.owns(path, each), reads)  # type: ignore[misc]
    whole = {}
    for path, source in sources.items():
        used = [each for each in source.imports if each.bound in source.used or each.name == "*"]
        linked = [(each.whole, home.files(path, each)) for each in used]
        ends = sorted(f"{what.rpartition('.')[2]}={_digest(texts[files[-1]])}" for what, files in linked if files)
        whole[path] = _digest("\n".join([texts[path], *ends]))
    others = {whole[path] for path in sources if texts[path]}
    return _digest("\n".join([name, whole[start], *sorted(others)]))[:20]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _refactorings(method: str) -> Mapping[str, str]:
    """The declared changes to a method's code that change no number, old hash → new hash."""
    files = code_files(method)
    path = files[0].parent / REFACTORINGS if files else Path()
    stamps = _stamps([path]) if files else ()
    return _declared(path, stamps).get(stem_of(method), {}) if stamps else {}


@lru_cache(maxsize=64)
def _declared(path: Path, _stamps: tuple[Stamp, ...]) -> Mapping[str, Mapping[str, str]]:
    try:
        declared = json.loads(path.read_text(encoding="utf-8"))
        sound = all(isinstance(of, str) for pairs in declared.values() for pair in pairs.items() for of in pair)
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    if not sound:
        raise UsageError(f"{path} must hold {{method: {{old hash: new hash}}}}.")
    return dict(declared)
