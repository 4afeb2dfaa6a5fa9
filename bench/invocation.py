"""What every command starts with: the configuration in force, plugins registered, the machine's side of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.config import Config, read_config
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.runtime import Runtime


def configure(plugins: Sequence[Path] | None = None, **flags: Any) -> Config:
    """What is in force here, with plugin files registered and the titles of own sets known."""
    from bench.data.locate import refuse_unknown_settings, take_titles
    from bench.registry import add_plugin_file

    plain = {name: str(value) if isinstance(value, Path) else value for name, value in flags.items()}
    config = read_config(Path.cwd(), plain)
    for path in [*map(Path, config.plugins), *(plugins or [])]:
        add_plugin_file(path)
    refuse_unknown_settings(config.data)
    take_titles(config.data)
    return config


def results_folder(config: Config, command: str = "bench run") -> Path:
    """The results folder, which must be there; `command` makes the records that are looked for in it."""
    root = Path(config["results"])
    if not root.is_dir():
        raise UsageError(f"There is no results folder {root}. `{command}` makes it; --results DIR names another.")
    return root


def runtime_of(config: Config, plugins: Sequence[Path] | None = None, **more: Any) -> Runtime:
    """The machine's side of the runs, from what is in force."""
    from bench.runtime import Runtime

    settings = {
        "results": Path(config["results"]),
        "cache": config.cache,
        "data": config.data,
        "device": config["device"],
        "threads": config["threads"],
        "pack": config["pack"],
        "compiled": config["compile"],
        "plugins": (*config.plugins, *(str(p.resolve()) for p in plugins or [])),
        "cache_limit_bytes": int(config["cache_limit_gb"] * 2**30),
        "keep_weights": config["keep_weights"],
        "checkpoint_seconds": config["checkpoint_minutes"] * 60,
    }
    return Runtime(**(settings | more))
