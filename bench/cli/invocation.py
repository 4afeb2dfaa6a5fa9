"""What every command starts with: words as they were typed, the configuration in force, the machine's side of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.config import SETTINGS, Config, file_settings, read_config
from bench.core.errors import UsageError
from bench.core.files import expanded

if TYPE_CHECKING:
    from bench.core.runtime import Runtime


CHOSEN_FILE: ContextVar[Path | None] = ContextVar("chosen_file", default=None)
"""What `--config` names in the command under way."""


def configure(plugins: Sequence[Path] | None = None, *, check_sets: bool = True, **flags: Any) -> Config:
    """What is in force here, with plugin files registered and the titles of own sets known.

    `check_sets`: whether a wrong section of one set stops the command; it says of each by itself otherwise.
    """
    from bench.core.registry import add_plugin_file
    from bench.data.locate import refuse_unknown_settings, take_titles

    plain = {name: str(value) if isinstance(value, Path) else value for name, value in flags.items()}
    config = read_config(Path.cwd(), plain, CHOSEN_FILE.get())
    for path in [*map(Path, config.plugins), *(plugins or [])]:
        add_plugin_file(path)
    if config.recipe or config.methods:
        file_settings(config)
    refuse_unknown_settings(config.data, of_sets=check_sets)
    take_titles(config.data)
    return config


def parsed(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that a setting of bench.toml may give too, each text as its setting's type; a wrong one is refused."""
    return {name: SETTINGS[name].parse(value) if isinstance(value, str) else value for name, value in flags.items()}


def untyped(**typed: Any) -> frozenset[str]:
    """What of a command nobody typed: it stands in bench.toml, for whatever takes it."""
    return frozenset(name for name, value in typed.items() if not value)


def refuse_said_twice(settings: Sequence[str], **flags: str) -> None:
    """Refuse a flag beside a `--set` of the same thing, of which one would be dropped."""
    for name, value in flags.items():
        said = [text for text in settings if text.partition("=")[0] in (name, f"recipe.{name}")]
        if value and said:
            flag = f"--{name.replace('_', '-')} {value}"
            raise UsageError(f"{flag} and --set {said[0]} say the same thing: leave one out.")


def words_of(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """The words of an option that may be given never, once or several times, and each time as a list with commas.

    Each word once, at its first place.
    """
    texts = [given] if isinstance(given, str) else given or ()
    return tuple(dict.fromkeys(word.strip() for text in texts for word in text.split(",") if word.strip()))


def one_set(given: Sequence[str] | None, command: str) -> str:
    """The set named for a command that looks at one, empty where none is; several are refused, not dropped."""
    names = words_of(given)
    if len(names) > 1:
        raise UsageError(f"{command} takes one set at a time, not {', '.join(names)}.")
    return "".join(names)


def results_folder(config: Config, command: str = "bench run") -> Path:
    """The results folder, which must be there; `command` makes the records that are looked for in it."""
    root = Path(config["results"])
    if not root.is_dir():
        raise UsageError(f"There is no results folder {root}. `{command}` makes it; --results DIR names another.")
    return root


def runtime_of(config: Config, plugins: Sequence[Path] | None = None, **more: Any) -> Runtime:
    """The machine's side of the runs, from what is in force."""
    from bench.core.runtime import Runtime
    from bench.data.caches import bytes_of

    settings = {
        "results": Path(config["results"]),
        "cache": config.cache,
        "data": config.data,
        "device": config["device"],
        "threads": config["threads"],
        "pack": config["pack"],
        "compiled": config["compile"],
        "graphs": config["graphs"],
        "plugins": (*config.plugins, *(str(p.resolve()) for p in plugins or [])),
        "cache_limit_bytes": bytes_of(config["cache_limit_gb"]),
        "keep_weights": config["keep_weights"],
        "checkpoint_seconds": config["checkpoint_minutes"] * 60,
        "log": str(expanded(config["log"]).resolve()) if config["log"].endswith(".py") else config["log"],
    }
    return Runtime(**(settings | more))
