"""From a dataset's name to the dataset: where bench.toml says it lies, who loads it, and subsets for smoke runs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.core.errors import UsageError, suggest
from bench.core.files import expanded
from bench.core.mixes import is_mix, sets_of
from bench.core.progress import Report, silent
from bench.core.registry import DATASETS
from bench.data.dataset import Dataset, DatasetSource, Place, joined

COMMON_SETTINGS = {
    "path": "The set's folder.",
    "loader": 'Who reads it, for a set of your own: "folder", or the name of a plugin\'s dataset.',
    "download": "Addresses for `bench data download`, as URL#sha256=HEX.",
}
"""What `[data.NAME]` may say of any set, and what it means."""
OWN_SETTINGS = {"title": "How tables and figures call a set of your own."}
"""What it may say of a set of the user's own besides."""
SETTINGS_OF_ALL = {"root": "The folder below which the registered sets lie, each under one of its usual names."}
"""What `[data]` itself may say, beside a section for each set."""
TITLES: dict[str, str] = {}
"""How tables and figures call the user's own sets, where bench.toml says so: name → title."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")  # it becomes part of file names
LEAST_IMAGES = 3
"""A split needs three contents."""


def dataset_names(data_config: Mapping[str, Any]) -> list[str]:
    """Every name a user may write: the registered sets and those bench.toml adds; "folder" is only a loader."""
    own = [name for name, entry in data_config.items() if isinstance(entry, Mapping)]
    return sorted((set(DATASETS.names()) - {"folder"}) | set(own))


def refuse_unknown_settings(data_config: Mapping[str, Any], *, of_sets: bool = True) -> None:
    """Whatever `[data]` says must be a setting there is; `of_sets`: its sets' sections too."""
    for setting, value in data_config.items():
        if isinstance(value, Mapping):
            if of_sets:
                refuse_unknown_of_set(setting, value, data_config)
        elif setting not in SETTINGS_OF_ALL:
            hint = suggest(setting, SETTINGS_OF_ALL, f"A set is a section, written [data.{setting}].")
            raise UsageError(f"bench.toml: [data] has no setting {setting!r}. {hint}")


def refuse_unknown_of_set(name: str, entry: Mapping[str, Any], data_config: Mapping[str, Any]) -> None:
    """The same for one set's section, as far as its loader can be read without importing it."""
    try:
        loader = loader_name(name, data_config)
        own = DATASETS.own_card(loader).facts.get("settings", {} if DATASETS.origin(loader) == "built-in" else None)
    except UsageError:
        return  # a wrong loader is said where the set is used, and stops no other
    if isinstance(own, Mapping | tuple):  # a plugin's class may have them from a base in another file
        _refuse_others(name, entry, own)


def _refuse_others(name: str, entry: Mapping[str, Any], own: Iterable[str]) -> None:
    """Refuse what a set's section says that is no setting of it; `own` are its loader's."""
    allowed = (*COMMON_SETTINGS, *own, *(() if name in DATASETS else OWN_SETTINGS))
    for setting in entry:
        if setting not in allowed:
            raise UsageError(f"[data.{name}] has no setting {setting!r}. {suggest(setting, allowed)}")


def take_titles(data_config: Mapping[str, Any]) -> None:
    """Remember how the user's own sets are called; a title that is no text is an error."""
    TITLES.clear()
    for name, entry in data_config.items():
        title = entry.get("title") if isinstance(entry, Mapping) and name not in DATASETS else None
        if title is not None and (not isinstance(title, str) or not title.strip()):
            raise UsageError(f"[data.{name}] title must be a text, not {title!r}.")
        if title:
            TITLES[name] = title


def is_absent(name: str, data_config: Mapping[str, Any]) -> bool:
    """Whether a set is merely not on this machine: no section speaks of it, and its folder is nowhere."""
    if name in data_config:
        return False
    source = loader_of(name, data_config)
    place = _folder(name, source, {}, data_config) if source.folders else Path()
    return place is None or not place.is_dir()


def name_for(folder: Path) -> str:
    """What a folder goes by as a set of the user's own."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", folder.name).strip("_") or "set"
    if not _NAME.fullmatch(name) or name in DATASETS:
        name = f"my_{name}"
    return name


def section_for(folder: Path) -> str:
    """The lines of bench.toml that make a folder a set of the user's own, to be copied as they are."""
    return f'[data.{name_for(folder)}]\nloader = "folder"\npath = {json.dumps(str(folder), ensure_ascii=False)}'


def loader_of(name: str, data_config: Mapping[str, Any]) -> type[DatasetSource]:
    """The class that loads a set; unknown names, of sets or of loaders, are errors with suggestions."""
    return DATASETS.load(loader_name(name, data_config))


def loader_name(name: str, data_config: Mapping[str, Any]) -> str:
    """The registered name of the class that loads a set."""
    entry = _entry(name, data_config)
    loader = entry.get("loader", name)
    if not isinstance(loader, str):
        raise UsageError(f"[data.{name}] loader must be a name, not {loader!r}.")
    if loader == name and name not in DATASETS:
        if name in data_config:
            raise UsageError(
                f'[data.{name}]: no dataset has this name; for a folder of your own write loader = "folder".'
            )
        raise UsageError(f"Unknown dataset {name!r}. {suggest(name, dataset_names(data_config))}")
    try:
        DATASETS.target(loader)
    except UsageError as error:
        raise UsageError(f"[data.{name}] loader: {error}") from None
    if loader != name:
        _refuse_second_meaning(name, loader)
    return loader


def _refuse_second_meaning(name: str, loader: str) -> None:
    """The name of a registered set under another loader would put other pictures' numbers under that set's title."""
    if name in DATASETS:
        title = DATASETS.card(name).facts["title"] or name
        raise UsageError(
            f'[data.{name}] loader = "{loader}": the name {name} means {title}, and the numbers of other pictures '
            f"would stand under it. Give your set a name of its own, such as [data.my_{name}]."
        )


def place_of(
    name: str, data_config: Mapping[str, Any], cache: Path, partial: bool = False, progress: Report = silent
) -> Place:
    """Where a set lies: `[data.NAME] path`, else one of its usual folder names below `[data] root`."""
    source, entry = loader_of(name, data_config), _entry(name, data_config)
    _refuse_others(name, entry, source.settings)
    options = {key: value for key, value in entry.items() if key not in (*COMMON_SETTINGS, *OWN_SETTINGS)}
    return Place(_folder(name, source, entry, data_config), cache, options, partial, progress)


def source_of(
    name: str, data_config: Mapping[str, Any], cache: Path, *, partial: bool = False, progress: Report = silent
) -> DatasetSource:
    """The set's loader, ready to load."""
    place = place_of(name, data_config, cache, partial, progress)
    return loader_of(name, data_config)(name, place)


def load_dataset(
    name: str,
    data_config: Mapping[str, Any],
    cache: Path,
    *,
    partial: bool = False,
    limit: int = 0,
    progress: Report = silent,
) -> Dataset:
    """The dataset of a name, checked; with `limit`, a subset of that many images (of each, where it is of several)."""
    if is_mix(name):
        common: dict[str, Any] = {"partial": partial, "limit": limit, "progress": progress}
        return joined(name, [load_dataset(part, data_config, cache, **common) for part in sets_of(name)])
    dataset = source_of(name, data_config, cache, partial=partial, progress=progress).loaded()
    return subset(dataset, limit) if limit and limit < len(dataset) else dataset


def subset(dataset: Dataset, limit: int) -> Dataset:
    """`limit` images of a dataset, the same on every machine, spread evenly over its contents.

    Contents take turns in the order of a hash, each giving one image a turn, so at least three contents are kept.
    As long as `limit` covers all contents, none is lost, and the subset's splits are those of the whole set.
    """
    if limit < LEAST_IMAGES:
        raise UsageError(f"A limit of {limit} images leaves nothing to split; give at least {LEAST_IMAGES}.")
    turns: dict[str, int] = {}
    order = []
    rows = list(zip(dataset.table["group"], dataset.table["image"], strict=True))
    for row in sorted(range(len(rows)), key=lambda i: _hash(rows[i][1])):
        group = rows[row][0]
        turns[group] = turns.get(group, 0) + 1
        order.append((turns[group], _hash(group), row))
    chosen_rows = sorted(row for _, _, row in sorted(order)[:limit])
    table = dataset.table.iloc[chosen_rows].reset_index(drop=True)
    note = f"limited to {limit} of {len(dataset)} images"
    name, notes = f"{dataset.name}-{limit}", (*dataset.notes, note)
    return replace(dataset, name=name, table=table, notes=notes, part_of=dataset.name)


def _hash(name: str) -> bytes:
    return hashlib.sha256(f"subset:{name}".encode()).digest()


def _entry(name: str, data_config: Mapping[str, Any]) -> Mapping[str, Any]:
    if name in data_config and not _NAME.fullmatch(name):
        raise UsageError(f"[data.{name}]: a dataset's name is made of letters, digits, '_' and '-', from a letter on.")
    entry = data_config.get(name, {})
    if not isinstance(entry, Mapping):
        raise UsageError(f"bench.toml: data.{name} must be a section, written [data.{name}].")
    return entry


def _folder(
    name: str, source: type[DatasetSource], entry: Mapping[str, Any], data_config: Mapping[str, Any]
) -> Path | None:
    if "path" in entry:
        return _path(f"[data.{name}] path", entry["path"])
    if "root" not in data_config:
        return None
    root = _path("[data] root", data_config["root"])
    usual = (*source.folders, name)
    try:
        there = {entry.name.lower(): entry for entry in sorted(root.iterdir(), reverse=True) if entry.is_dir()}
    except OSError as error:
        raise UsageError(f"[data] root: the folder {root} cannot be read: {error.strerror or error}.") from error
    for folder in usual:
        if folder.lower() in there:
            return there[folder.lower()]
    return root / usual[0]


def _path(what: str, value: Any) -> Path:
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise UsageError(f"{what} must be a folder's path, not {value!r}.")
    return expanded(value)
