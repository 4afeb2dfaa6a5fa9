"""Labels meet pictures: every label needs its picture, every picture its label, and the count must be the known one.

Each loader reads its label files into `Labels`; what is checked and how the table is built is the same for all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import DataError
from bench.core.progress import counted
from bench.data.dataset import COLUMNS, PLACE, Dataset, DatasetSource
from bench.data.labels.columns import Sheet, alike
from bench.data.labels.tree import Tree

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10
"""How many names a message lists."""


@dataclass(frozen=True, slots=True)
class Row:
    """One label: the picture's path as the label file has it, the score as printed, and what is known of it.

    `group` is the reference content, or the picture's own name where there is none: splits go by it, so it
    holds nothing that depends on how the folder was unpacked. `where` names file and row for messages.
    """

    image: str
    original: float
    where: str
    group: str
    std: float = math.nan
    distortion: str = ""
    level: int = 0
    official: str = ""


@dataclass(frozen=True)
class Labels:
    """All labels of a set, and where its pictures lie.

    In `complete` folders every picture has a label, except the `unrated` ones (references); other folders may
    hold pictures nobody rated. `turn` is given where lower is better: the two ends between which the scale is
    turned round, so that scores keep the set's own scale.
    """

    tree: Tree
    rows: list[Row]
    sheet: Sheet
    grouped: bool
    complete: tuple[str, ...] = ()
    unrated: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    turn: tuple[float, float] | None = None
    originals: Mapping[str, str] = field(default_factory=dict)
    """By content, the undistorted picture, which may be missing."""


@dataclass(frozen=True)
class Match:
    """Labels against pictures: `found` holds each row's real path, None where there is none."""

    found: list[str | None]
    missing: list[Row]
    extra: list[str]
    duplicates: list[tuple[Row, Row]]


def label_file(source: DatasetSource, tree: Tree, *names: str, help: str = "") -> Path:
    """The path of the first of these label files that is there; none is an error that says what to get."""
    path = tree.file(*names)
    if path is None:
        choice, whence = " or ".join(names), help or (source.obtain and f"It comes from {source.obtain}.")
        raise DataError(f"{source.name}: the label file {choice} is missing from {tree.root}. {whence}".rstrip())
    return tree.path(path)


@dataclass(frozen=True)
class Homes:
    """Where pictures lie whose label file gives no more than their names: each one's path, and the folders."""

    paths: list[str]
    folders: tuple[str, ...]
    notes: tuple[str, ...]


def pictures_by_name(source: DatasetSource, tree: Tree, names: Sequence[str], but: Sequence[str] = ()) -> Homes:
    """The pictures of these names wherever they lie below the tree, `but` in these folders of it.

    For sets that are unpacked in more than one way. One name in two folders is an error that names both.
    """
    homes: dict[str, list[str]] = {}
    outside = tuple(f"{alike(folder)}/" for folder in but)
    for path in tree.pictures("", deep=True):
        if not alike(path).startswith(outside):
            homes.setdefault(alike(path.rpartition("/")[2]), []).append(path)
    paths, folders = [], set()
    for name in names:
        candidates = homes.get(alike(name.rpartition("/")[2]), [])
        exact = [path for path in candidates if f"/{path}".endswith(f"/{name}")] or candidates
        if len({alike(path) for path in exact}) > 1:
            raise DataError(f"{source.name}: {name} lies in {tree.root} twice: {exact[0]} and {exact[1]}; keep one.")
        paths.append(exact[0] if exact else name)
        folders |= {path.rpartition("/")[0] for path in exact}
    met = ", ".join(folder or "the folder itself" for folder in sorted(folders))
    return Homes(paths, tuple(sorted(folders)), (f"pictures of {met}",) if met else ())


def match(labels: Labels) -> Match:
    """Find every label's picture, and every picture without a label."""
    paths = [labels.tree.file(row.image) for row in labels.rows]
    missing = [row for row, path in zip(labels.rows, paths, strict=True) if path is None]
    first: dict[str, Row] = {}
    duplicates = []
    for row, path in zip(labels.rows, paths, strict=True):  # "A.png" and "a.png" are two pictures where both are there
        earlier = first.setdefault(path or row.image, row)
        if earlier is not row:
            duplicates.append((earlier, row))
    known = {path for path in paths if path is not None}
    pictures = [name for folder in labels.complete for name in labels.tree.pictures(folder)]
    extra = [name for name in pictures if name not in known and name.lower() not in labels.unrated]
    return Match(paths, missing, extra, duplicates)


def assemble(source: DatasetSource, labels: Labels) -> Dataset:
    """The dataset, or the first doubt as a DataError; `partial` turns a smaller set into a note with both numbers."""
    matched = match(labels)
    name, partial = source.name, source.place.partial
    if matched.duplicates:
        earlier, later = matched.duplicates[0]
        more = _more([row.image for _, row in matched.duplicates])
        raise DataError(f"{name}: {later.image} has two labels: {earlier.where} and {later.where}{more}.")
    rows = enumerate(zip(labels.rows, matched.found, strict=True))
    rows_here = [(place, row, path) for place, (row, path) in rows if path is not None]
    if not rows_here:
        raise DataError(f"{name}: {_nothing_found(labels, matched)}")
    if not partial:
        complaint = complaint_about(source, labels, matched)
        if complaint:
            raise DataError(f"{name}: {complaint} Use --partial if a part of the set is meant.")
    notes = list(labels.notes)
    if partial and (len(rows_here) != len(labels.rows) or (source.images and len(rows_here) != source.images)):
        notes.append(f"partial: {len(rows_here)} of {source.images or len(labels.rows)} images")
    table = _table(rows_here, labels.turn)
    originals = {group: (path,) for group, image in labels.originals.items() if (path := labels.tree.file(image))}
    known = str(getattr(type(source), "name", ""))
    return Dataset(
        name,
        labels.tree.root,
        table,
        grouped=labels.grouped,
        notes=tuple(notes),
        originals=originals,
        source=known,
        opinions=source.opinions,
    )


def complaint_about(source: DatasetSource, labels: Labels, matched: Match) -> str:
    """What is wrong between labels, pictures and the known count, in a sentence or two; "" when all is well."""
    if matched.missing:
        row = matched.missing[0]
        more = _more([row.image for row in matched.missing])
        return f"{row.where}: there is no picture {labels.tree.path(row.image)}{more}.{_almost(labels, row)}"
    if source.images and len(labels.rows) != source.images:
        have = counted(len(labels.rows), "label")
        return f"{labels.sheet.path} has {have}; the set is known to have {source.images}."
    if matched.extra:
        return f"{labels.tree.path(matched.extra[0])} has no label in {labels.sheet.path.name}{_more(matched.extra)}."
    groups = {row.group for row in labels.rows}
    if source.groups and len(groups) != source.groups:
        return f"{labels.sheet.path} names {len(groups)} reference contents; the set is known to have {source.groups}."
    return ""


def _nothing_found(labels: Labels, matched: Match) -> str:
    """That no label has its picture: then the names are of another form, and no part of the set is meant."""
    row, others = matched.missing[0], len(labels.rows) - 1
    nor = f", nor any of the {others} others" if others else ""
    return f"{row.where}: there is no picture {labels.tree.path(row.image)}{nor}.{_almost(labels, row)}"


def _almost(labels: Labels, row: Row) -> str:
    """What lies where a picture is missing and is called almost as it; empty where nothing is."""
    there = labels.tree.with_ending(row.image)
    return "" if there is None else f" {there.rpartition('/')[2]} is there: write names with their endings."


def _table(rows: Sequence[tuple[int, Row, str]], turn: tuple[float, float] | None) -> pd.DataFrame:
    import pandas as pd

    data = {
        "image": [path for _, _, path in rows],
        "score": [row.original if turn is None else turn[0] + turn[1] - row.original for _, row, _ in rows],
        "original": [row.original for _, row, _ in rows],
        "std": [row.std for _, row, _ in rows],
        "group": [row.group for _, row, _ in rows],
        "distortion": [row.distortion for _, row, _ in rows],
        "level": [row.level for _, row, _ in rows],
        "official": [row.official for _, row, _ in rows],
    }
    table = pd.DataFrame({**data, PLACE: [place for place, _, _ in rows]}, columns=[*COLUMNS, PLACE])
    return table.sort_values("image", ignore_index=True, kind="stable")


def _more(names: Sequence[str]) -> str:
    """ " (and 12 more: a, b, …)" after the first name of a list."""
    rest = list(names[1:SHOWN])
    if not rest:
        return ""
    dots = ", …" if len(names) > SHOWN else ""
    return f" (and {len(names) - 1} more: {', '.join(rest)}{dots})"
