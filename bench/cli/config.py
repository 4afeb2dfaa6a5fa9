"""What is in force and where each value came from: built-in, `bench.toml`, or a flag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.cli.config_file import FILE, find_file, option_placed, read_file, shown
from bench.core.cards import COUNT_OR_AUTO, Option
from bench.core.errors import UsageError, suggest
from bench.core.files import expanded
from bench.core.runtime import CACHE_VARIABLE, default_cache

if TYPE_CHECKING:
    from bench.planning.plan import Settings

SETTINGS: dict[str, Option] = {
    option.name: option
    for option in (
        Option("method", "str", "", meaning="Methods, or all.", unset="the protocol's own"),
        Option("protocol", "str", "main", meaning="Protocols: which runs to do, and which tables to write."),
        Option(
            "preset",
            'Literal["", "demo", "study", "paper"]',
            "",
            meaning="Backbone, sets and recipe: the papers', or ones that fit a laptop.",
            unset="paper where [data] is configured, else demo",
        ),
        Option("backbone", "str", "", meaning="A timm ViT by name.", unset="the preset's"),
        Option(
            "splits", "int", 0, 0, meaning="How many splits.", unset="the preset's: 10 (paper), 3 (demo), 7 (study)"
        ),
        Option(
            "seeds",
            "int",
            0,
            0,
            meaning="How many seeds each split is trained with.",
            unset="the preset's: 1, or 3 (study)",
        ),
        Option(
            "device",
            'Literal["auto", "cpu", "cuda", "mps"]',
            "auto",
            meaning="Where networks are computed; auto: a card if there is one.",
        ),
        Option(
            "precision",
            'Literal["fp32", "bf16"]',
            "fp32",
            meaning="What networks are computed in; part of a run's identity.",
        ),
        Option(
            "overwrite",
            'Literal["never", "changed", "failed", "always"]',
            "changed",
            meaning="Which finished runs to repeat: none, those of other code, failed ones too, or all.",
        ),
        Option("results", "str", "results", meaning="Folder for records, tables and figures."),
        Option(
            "cache",
            "str",
            "",
            meaning="Folder for pixel stores, frozen inputs and converted weights.",
            unset=f"{CACHE_VARIABLE}, else glia-bench in the user's cache folder",
        ),
        Option("cache_limit_gb", "float", 20.0, 0, meaning="How large frozen inputs and pixel stores may grow."),
        Option(
            "keep_weights",
            'Literal["auto", "always", "never"]',
            "auto",
            meaning="Whether trained tensors are kept for further tests and figures; auto: up to 64 MB per run.",
        ),
        Option("checkpoint_minutes", "float", 5.0, 0, meaning="How often an unfinished run is kept."),
        Option("threads", "int", 0, 0, meaning="CPU threads.", unset="torch's choice"),
        Option(
            "jobs",
            COUNT_OR_AUTO,
            1,
            1,
            meaning="How many runs at once on this machine, each in a process of its own with its share of the "
            "processor's threads; auto: as many as there are cores, with one thread each, or have room on the card.",
        ),
        Option("pack", "int", 0, 0, meaning="How many alike runs are trained together; 1: none.", unset="by method"),
        Option("compile", "bool", False, meaning="Training steps through torch.compile, block by block."),
        Option("graphs", "bool", False, meaning="Training steps replayed as CUDA graphs, on a card."),
        Option(
            "executor", 'Literal["serial", "ray"]', "serial", meaning="Runs one by one here, or spread over a cluster."
        ),
        Option("address", "str", "", meaning="A running Ray cluster.", unset="$RAY_ADDRESS, else this machine alone"),
        Option(
            "log",
            "str",
            "",
            meaning="A tracker that is told of each run: wandb, trackio, tensorboard, or a module or .py file with "
            "init, log and finish.",
            unset="none",
        ),
    )
}
"""Every setting that `[run]` in bench.toml or a flag may give, with its built-in value."""


@dataclass(frozen=True)
class Config:
    """The settings in force, each with its origin, and the other sections as written."""

    values: Mapping[str, Any]
    origins: Mapping[str, str]
    data: Mapping[str, Any] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    path: Path | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """What `[recipe]` sets."""
    methods: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What `[method.NAME]` sets, by method."""

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def preset(self) -> str:
        """The preset in force: what was asked for, else `paper` where data is configured, else `demo`."""
        return str(self.values["preset"]) or ("paper" if self.data else "demo")

    @property
    def cache(self) -> Path:
        """Where stores, caches and converted weights are kept."""
        return expanded(self.values["cache"]) if self.values["cache"] else default_cache()


def read_config(folder: Path, flags: Mapping[str, Any], chosen: Path | None = None) -> Config:
    """Built-in values, then bench.toml, then the flags that were given (None means not given).

    The file is the chosen one, else the nearest in the folder and those above it. Where it lies above, the results
    folder stands beside it unless something else is asked for.
    """
    values = {name: option.default for name, option in SETTINGS.items()}
    origins = dict.fromkeys(values, "built-in")
    path = expanded(chosen) if chosen else find_file(folder)
    written = read_file(path) if path else {}
    if path and not chosen and path.parent != folder:
        values["results"], origins["results"] = str(path.parent / values["results"]), f"built-in, beside {FILE}"
    for name, value in written.get("run", {}).items():
        values[name] = _checked(name, value, shown(path or Path(FILE)))
        origins[name] = path.name if path else FILE
    for name, value in flags.items():
        if value is not None:
            values[name], origins[name] = value, f"--{name.replace('_', '-')}"
    if not values["results"].strip():
        raise UsageError("results is empty: name the folder of the records, or leave it out.")
    values["results"] = str(expanded(values["results"]))
    sections = (written.get(section, {}) for section in ("recipe", "method"))
    return Config(values, origins, written.get("data", {}), tuple(written.get("plugins", ())), path, *sections)


def file_settings(config: Config) -> Settings:
    """What `[recipe]` and `[method.NAME]` set, read as `--set` would read it; what nobody knows is refused."""
    from bench.core.registry import METHODS, variant_of
    from bench.planning.plan import Settings, sort_settings

    name, settings = shown(config.path or Path(FILE)), Settings()
    try:
        section = "recipe"
        settings.recipe = sort_settings(_texts("recipe", config.recipe), [], []).recipe
        for method, own in config.methods.items():
            section = f"method.{method}"
            METHODS.target(method)
            if METHODS.card(method).facts["family"] and not variant_of(method):
                raise UsageError(f'holds for no method: write one of the family, as in [method."{method}:NAME"].')
            sorted_ones = sort_settings(_texts(method, _with_files(method, own, config.path)), [method], [])
            settings.methods |= sorted_ones.methods
            settings.recipes |= sorted_ones.recipes
    except UsageError as error:
        raise UsageError(f"{name}: [{section}] {error}") from None
    return settings


def _with_files(method: str, section: Mapping[str, Any], path: Path | None) -> Mapping[str, Any]:
    """A method's section, with the files that its options name meant from the folder of the file that says so."""
    from bench.core.registry import METHODS

    files = METHODS.card(method).facts["files"]
    return {key: option_placed(value, path) if path and key in files else value for key, value in section.items()}


def _texts(owner: str, section: Mapping[str, Any]) -> list[str]:
    return [f"{owner}.{key}={_text(value)}" for key, value in section.items()]


def _text(value: Any) -> str:
    """A value of the file as a flag would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _checked(name: str, value: Any, file: str) -> Any:
    if name not in SETTINGS:
        raise UsageError(f"{file}: [run] has no setting {name!r}. {suggest(name, SETTINGS)}")
    setting = SETTINGS[name]
    words = [value] if isinstance(value, str) else value
    if setting.type == "str":
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise UsageError(f"{file}: [run] {name} must be a text or a list of texts, not {value!r}.")
        value = ",".join(words)
    if name == "precision" and value == "auto":
        raise UsageError(
            f'{file}: [run] precision = "auto" is no setting any more: it let the machine choose, and so the '
            'numbers differed. Without the line runs are fp32, as the papers train; "bf16" asks for the other.'
        )
    try:
        return setting.parse(str(value))
    except UsageError as error:
        raise UsageError(f"{file}: [run] {error}") from None
