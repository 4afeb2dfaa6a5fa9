"""What is in force and where each value came from: built-in, `bench.toml` in the working folder, or a flag."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.cards import Option
from bench.errors import UsageError

FILE = "bench.toml"

SETTINGS: dict[str, Option] = {
    option.name: option
    for option in (
        Option("method", "str", ""),
        Option("protocol", "str", "main"),
        Option("preset", 'Literal["", "demo", "paper"]', ""),
        Option("backbone", "str", ""),
        Option("splits", "int", 0, least=0),
        Option("device", 'Literal["auto", "cpu", "cuda", "mps"]', "auto"),
        Option("precision", 'Literal["fp32", "bf16"]', "fp32"),
        Option("overwrite", 'Literal["never", "changed", "failed", "always"]', "changed"),
        Option("results", "str", "results"),
        Option("cache", "str", ""),
        Option("cache_limit_gb", "float", 20.0, least=0),
        Option("keep_weights", 'Literal["auto", "always", "never"]', "auto"),
        Option("checkpoint_minutes", "float", 5.0, least=0),
        Option("threads", "int", 0, least=0),
        Option("pack", "int", 0, least=0),
        Option("compile", "bool", False),
        Option("executor", 'Literal["serial", "ray"]', "serial"),
        Option("address", "str", ""),
    )
}
"""Every setting that `[run]` in bench.toml or a flag may give, with its built-in value."""


@dataclass(frozen=True)
class Config:
    """The settings in force, each with its origin, and the data section as written."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    data: Mapping[str, Any] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    path: Path | None = None

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def preset(self) -> str:
        """The preset in force: what was asked for, else `paper` where data is configured, else `demo`."""
        return str(self.values["preset"]) or ("paper" if self.data else "demo")

    @property
    def cache(self) -> Path:
        """Where stores, caches and converted weights are kept."""
        return Path(self.values["cache"]).expanduser() if self.values["cache"] else default_cache()


def default_cache() -> Path:
    """The user's cache folder, as the platform's own rule has it."""
    home = os.environ.get("GLIA_BENCH_CACHE")
    if home:
        return Path(home)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glia-bench"


def read_config(folder: Path, flags: Mapping[str, Any]) -> Config:
    """Built-in values, then bench.toml, then the flags that were given (None means not given)."""
    values = {name: option.default for name, option in SETTINGS.items()}
    origins = dict.fromkeys(values, "built-in")
    path = folder / FILE
    written = _read_file(path)
    for name, value in written.get("run", {}).items():
        values[name] = _checked(name, value, path)
        origins[name] = FILE
    for name, value in flags.items():
        if value is not None:
            values[name], origins[name] = value, f"--{name.replace('_', '-')}"
    plugins = tuple(str((folder / plugin).resolve()) for plugin in _plugins(written, path))
    return Config(values, origins, written.get("data", {}), plugins, path if written else None)


def _read_file(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path.name} cannot be read: {error}") from error
    unknown = sorted(set(written) - {"run", "data", "plugins"})
    if unknown:
        raise UsageError(
            f"{path.name} has an unknown section {', '.join(unknown)}; it may hold [run], [data] and plugins."
        )
    for section in ("run", "data"):
        if not isinstance(written.get(section, {}), dict):
            raise UsageError(f"{path.name}: {section} must be a section, written [{section}].")
    return written


def _checked(name: str, value: Any, path: Path) -> Any:
    if name not in SETTINGS:
        raise UsageError(f"{path.name}: [run] has no setting {name!r}; there are {', '.join(SETTINGS)}.")
    setting = SETTINGS[name]
    words = [value] if isinstance(value, str) else value
    if setting.type == "str":
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise UsageError(f"{path.name}: [run] {name} must be a text or a list of texts, not {value!r}.")
        value = ",".join(words)
    if name == "precision" and value == "auto":
        raise UsageError(
            f'{path.name}: [run] precision = "auto" is no setting any more: it let the machine choose, and so the '
            'numbers differed. Without the line runs are fp32, as the papers train; "bf16" asks for the other.'
        )
    try:
        return setting.parse(str(value))
    except UsageError as error:
        raise UsageError(f"{path.name}: [run] {error}") from None


def _plugins(written: Mapping[str, Any], path: Path) -> list[str]:
    files = written.get("plugins", [])
    if not isinstance(files, list) or not all(isinstance(file, str) for file in files):
        raise UsageError(f'{path.name}: plugins must be a list of files, as in plugins = ["mine.py"], not {files!r}.')
    return files
