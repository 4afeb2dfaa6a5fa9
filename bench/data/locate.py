"""From a dataset's name to the dataset: where bench.toml says it lies, who loads it, and subsets for smoke runs."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.data.dataset import Dataset, DatasetSource, Place
from bench.errors import UsageError
from bench.progress import Report, silent
from bench.registry import DATASETS

COMMON_SETTINGS = ("path", "loader", "download")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")  # it becomes part of file names
LEAST_IMAGES = 3
"""A split needs three contents."""


def dataset_names(data_config: Mapping[str, Any]) -> list[str]:
    """Every name a user may write: the registered sets and those bench.toml adds; "folder" is only a loader."""
    own = [name for name, entry in data_config.items() if isinstance(entry, Mapping)]
    return sorted((set(DATASETS.names()) - {"folder"}) | set(own))


def loader_of(name: str, data_config: Mapping[str, Any]) -> type[DatasetSource]:
    """The class that loads a set; unknown names, of sets or of loaders, are errors with suggestions."""
    entry = _entry(name, data_config)
    loader = entry.get("loader", name)
    if not isinstance(loader, str):
        raise UsageError(f"[data.{name}] loader must be a name, not {loader!r}.")
    if loader != name:
        DATASETS.target(loader)
        _refuse_second_meaning(name, loader)
    if loader == name and name not in DATASETS:
        if name in data_config:
            raise UsageError(
                f'[data.{name}]: no dataset has this name; for a folder of your own write loader = "folder".'
            )
        names = dataset_names(data_config)
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(names)}."
        raise UsageError(f"Unknown dataset {name!r}. {hint}")
    return DATASETS.load(loader)


def _refuse_second_meaning(name: str, loader: str) -> None:
    """The name of a registered set under another loader would put other pictures' numbers under that set's title."""
    if name in DATASETS:
        title = DATASETS.card(name).facts.get("title") or name
        raise UsageError(
            f'[data.{name}] loader = "{loader}": the name {name} means {title}, and the numbers of other pictures '
            f"would stand under it. Give your set a name of its own, such as [data.my_{name}]."
        )


def place_of(
    name: str, data_config: Mapping[str, Any], cache: Path, partial: bool = False, progress: Report = silent
) -> Place:
    """Where a set lies: `[data.NAME] path`, else one of its usual folder names below `[data] root`."""
    source, entry = loader_of(name, data_config), _entry(name, data_config)
    allowed = (*COMMON_SETTINGS, *source.settings)
    for setting in entry:
        if setting not in allowed:
            close = difflib.get_close_matches(setting, allowed, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(allowed)}."
            raise UsageError(f"[data.{name}] has no setting {setting!r}; {hint}")
    options = {key: value for key, value in entry.items() if key not in COMMON_SETTINGS}
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
    """The dataset of a name, checked; with `limit`, a subset of that many images."""
    dataset = source_of(name, data_config, cache, partial=partial, progress=progress).load()
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
    kept = sorted(row for _, _, row in sorted(order)[:limit])
    table = dataset.table.iloc[kept].reset_index(drop=True)
    note = f"limited to {limit} of {len(dataset)} images"
    return replace(dataset, name=f"{dataset.name}-{limit}", table=table, notes=(*dataset.notes, note))


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
    return Path(value).expanduser()
