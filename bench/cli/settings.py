"""Every setting there is, with what it means: for `bench config`, `bench methods show`, and docs/configuration.md.

`python -m bench.cli.settings > docs/configuration.md` writes the page; a test says when it is no longer current.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.cli.config import SETTINGS, Config, file_settings
from bench.cli.config_file import FILE, SECTIONS
from bench.core.cards import COUNT_OR_AUTO, Card, Option
from bench.core.registry import DATASETS, METHODS, PROTOCOLS, Registry
from bench.core.runtime import CACHE_VARIABLE
from bench.core.spec import recipe_options
from bench.data.locate import COMMON_SETTINGS, OWN_SETTINGS, SETTINGS_OF_ALL
from bench.planning.presets import PRESETS, preset_named
from bench.planning.setting_texts import SPEC_MEANINGS, SPEC_SETTINGS
from bench.planning.usual import own_recipe, preset_options, preset_recipe

TYPES = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
TYPES |= {COUNT_OR_AUTO: "whole number or auto"}
FILE_ONLY = ("cache", "cache_limit_gb", "checkpoint_minutes", "keep_weights", "threads")
"""The settings of `[run]` for which `bench run` has no flag."""
HEADER = ("name", "value", "default", "meaning")
VARIABLES = {
    CACHE_VARIABLE: "Folder for pixel stores, frozen inputs and converted weights; `cache` in `[run]` goes before it.",
    "XDG_CACHE_HOME": f"Where the user's cache folder is, if {CACHE_VARIABLE} does not say otherwise (~/.cache).",
    "COLUMNS": "How wide tables and help are.",
}
"""Environment variables that are read, and what they do."""

INTRODUCTION = f"""# Configuration

This page is made from the source: `python -m bench.cli.settings > docs/configuration.md`. On your machine
`bench config` says what is in force and where each value came from, `bench config --all` adds types, bounds and
meanings, and `bench methods show NAME` and `bench protocols show NAME` say the same of one method or protocol.

A value comes from a flag, else from `{FILE}`, else it is built in. The file is looked for in the working folder and
then in each folder above it; `--config FILE` names another. Relative paths in it start from its own folder. Where it is
found above, `results` stands beside it too. What the file says and nobody knows is an error.

```toml
plugins = ["mine.py"]        # files with further methods, protocols, datasets or figures

[run]                        # settings of the command, most of which have a flag
method = ["glia", "lora"]
splits = 5

[recipe]                     # for every method, as `--set recipe.epochs=20`
epochs = 20

[method.glia]                # for one method, as `--set glia.rank=32`: its options first, else the recipe's fields
rank = 32
lr = 1e-3

[data]
root = "/data/iqa"           # the registered sets, each under one of its usual names

[data.holiday]               # a set of your own
loader = "folder"
path = "/data/holiday"
```
"""


def row_of(option: Option) -> tuple[str, str, str, str]:
    """An option under `HEADER`."""
    return option.name, values_of(option), default_of(option), option.meaning


def default_of(option: Option) -> str:
    """Its default; what an empty or zero one stands for, where it stands for something else."""
    return option.unset if option.unset and not option.default else text_of(option.default)


def text_of(value: Any) -> str:
    """A value as bench.toml and `--set` have it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "empty" if value == "" else str(value)


def values_of(option: Option) -> str:
    """Its choices, or its type with the ends within which a number makes sense."""
    if option.choices:
        return " or ".join(str(choice) for choice in option.choices if choice != "")
    least = f"at least {option.least:g}" if option.least is not None else ""
    below = f"below {option.below:g}" if option.below is not None else ""
    return ", ".join(filter(None, [TYPES.get(option.type, option.type), least, below]))


def run_options() -> list[Option]:
    """What `--set` may give of a run beside recipe and options."""
    from bench.core.spec import RunSpec

    defaults = {name: getattr(RunSpec, name) for name in SPEC_SETTINGS}
    return [Option(n, kind, defaults[n], meaning=SPEC_MEANINGS[n]) for n, kind in SPEC_SETTINGS.items()]


def settings_in_force(config: Config) -> list[tuple[str, str, str]]:
    """(setting, the value that will be used, where it came from)."""
    return [(name, *_in_force(name, config)) for name in SETTINGS]


def _in_force(name: str, config: Config) -> tuple[str, str]:
    value, origin, preset = config.values[name], config.origins[name], preset_named(config.preset)
    if name == "preset" and not value:
        return preset.name, f"[data] in {FILE}" if config.data else "built-in, for no [data] is configured"
    if name in ("backbone", "splits", "seeds") and not value:
        return str(getattr(preset, name)), f"preset {preset.name}"
    if name == "cache" and not value:
        variable = next((v for v in (CACHE_VARIABLE, "XDG_CACHE_HOME") if os.environ.get(v)), "built-in")
        return str(config.cache), variable
    return default_of(Option(name, "str", value, unset=SETTINGS[name].unset)), origin


def of_a_run_in_force(config: Config) -> list[tuple[str, str, str]]:
    """(field, value, where it came from) of a run's own fields: a preset may split its sets by a rule of its own."""
    preset, plain = preset_named(config.preset), {option.name: option.default for option in run_options()}
    ruled = preset.split_rule != plain["split_rule"]
    own = {"split_rule": (preset.split_rule, f"preset {preset.name} (its own sets; others random)")} if ruled else {}
    return [(name, *own.get(name, (text_of(value), "built-in"))) for name, value in plain.items()]


def recipe_in_force(config: Config) -> list[tuple[str, str, str]]:
    """(field, value, where it came from) of the recipe that a run starts from, before its dataset and method."""
    preset, file = preset_named(config.preset), file_settings(config).recipe
    plain = {name: option.default for name, option in recipe_options().items()}
    rows = []
    for name in plain:
        origin = FILE if name in file else f"preset {preset.name}" if name in preset.recipe else "built-in"
        rows.append((name, text_of({**plain, **preset.recipe, **file}[name]), origin))
    return rows


def recipes_of_method(name: str) -> list[str]:
    """What presets and the method's own paper change for it, a line each."""
    own = own_recipe(name)
    lines = [f"its paper's recipe (--recipe own): {_said(own)}"] if own else []
    for preset in PRESETS.values():
        if changed := preset_recipe(preset, name):
            lines.append(f"recipe in preset {preset.name}: {_said(changed)}")
        if changed := preset_options(preset, name):
            lines.append(f"options in preset {preset.name}: {_said(changed)}")
    return lines


def _said(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={text_of(value)}" for name, value in values.items())


def page() -> str:
    """docs/configuration.md."""
    parts = [INTRODUCTION, "Sections: " + "; ".join(f"`{name}` ({what})" for name, what in SECTIONS.items()) + "."]
    no_flag = ", ".join(f"`{name}`" for name in FILE_ONLY)
    parts += ["## `[run]`", f"In the file alone, without a flag: {no_flag}.", _table(SETTINGS.values())]
    parts += ["## `[recipe]`", "Presets, sets and methods change some of it: `bench config --all`."]
    parts += [_table(recipe_options().values())]
    how = "With `--set`, not in bench.toml, for they say what a protocol's runs are; `split_rule` has a flag too."
    parts += ["## Of a run", how, _table(run_options())]
    parts += ["## `[method.NAME]`", *_cards(METHODS, recipes_of_method)]
    parts += ["## Options of protocols", "With `--set PROTOCOL.KEY=VALUE`.", *_cards(PROTOCOLS, lambda _name: [])]
    parts += ["## `[data]`", _meanings(SETTINGS_OF_ALL), "### `[data.NAME]`, for every set", _meanings(COMMON_SETTINGS)]
    parts += ["### For sets of your own", _meanings(OWN_SETTINGS)]
    for name in _built_in(DATASETS):
        if own := DATASETS.card(name).facts["settings"]:
            parts += [f'### `loader = "{name}"`' if name == "folder" else f"### `[data.{name}]`", _meanings(own)]
    parts += ["## Environment variables", _meanings(VARIABLES)]
    return "\n\n".join(parts) + "\n"


def _built_in(registry: Registry[Any]) -> list[str]:
    """The names that come with the package, so that the page is the same on every machine."""
    return [name for name in registry.names() if registry.origin(name) == "built-in"]


def _cards(registry: Registry[Any], more: Any) -> list[str]:
    parts = []
    for name in _built_in(registry):
        card: Card = registry.card(name)
        if lines := [*([_table(card.options.values())] if card.options else []), *(f"{line}." for line in more(name))]:
            family = [f'Written `[method."{name}:NAME"]`.'] if card.facts.get("family") else []
            parts += [f"### `{name}`", *family, *lines]
    return parts


def _table(options: Iterable[Option]) -> str:
    return _markdown(HEADER, [(f"`{row[0]}`", *row[1:]) for row in map(row_of, options)])


def _meanings(known: Mapping[str, str]) -> str:
    return _markdown(("name", "meaning"), [(f"`{name}`", meaning) for name, meaning in known.items()])


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    print(page(), end="")
