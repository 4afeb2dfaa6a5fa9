"""`bench data check`: everything about one set that could make a run on it wrong, found without running anything."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.errors import BenchError, DataError
from bench.core.progress import Report, counted, silent
from bench.data.dataset import COLUMNS, Dataset
from bench.data.labels.match import SHOWN, Labels, Match, match
from bench.data.locate import LEAST_IMAGES, TITLES, dataset_names, is_absent, source_of
from bench.data.pixels.contents import Contents
from bench.data.pixels.decode import check_head, decode

_BATCH = 256
"""Pictures decoded between two looks at the progress."""
UNGROUPED = (
    "no `group` is set, so every picture counts as a scene of its own; versions of one scene may then stand on both "
    "sides of a split, and the numbers come out too high"
)


@dataclass
class CheckReport:
    """What was found of one set; `errors` make a run on it wrong, `warnings` are worth knowing."""

    name: str
    title: str
    folder: str = ""
    found: bool = False
    images_expected: int = 0
    images_found: int = 0
    label_rows: int = 0
    groups_expected: int = 0
    groups_found: int = 0
    range_known: tuple[float, float] | None = None
    range_found: tuple[float, float] | None = None
    missing: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    decoded: int | None = None
    """How many pictures were decoded in full; None where only their heads were read."""
    hash: str = ""
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    obtain: str = ""
    layout: str = ""

    @property
    def ok(self) -> bool:
        """Whether a run on the set can be trusted."""
        return self.found and not self.errors

    @property
    def verdict(self) -> str:
        """The finding in a word or two; nothing is said of pixels that nobody decoded."""
        if not self.found:
            return "not found"
        if self.errors:
            return "has errors"
        return "labels sound" if self.decoded is None else "sound"

    def lines(self) -> list[str]:
        """What a user should read below the table: errors, warnings, names (the first ten), and what to get."""
        said = [f"error: {text.removeprefix(f'{self.name}: ')}" for text in self.errors]
        said += [f"warning: {text}" for text in self.warnings]
        for what, names in (
            ("labels without a picture", self.missing),
            ("pictures without a label", self.extra),
            ("labelled twice", self.duplicates),
        ):
            if names:
                dots = ", …" if len(names) > SHOWN else ""
                said.append(f"{what} ({len(names)}): {', '.join(names[:SHOWN])}{dots}")
        if self.errors and (self.missing or not self.label_rows):
            said += [f"to get it: {self.obtain}"] if self.obtain else []
            said += [f"the folder: {self.layout}"] if self.layout else []
        return said + [f"note: {text}" for text in self.notes]


def check(
    name: str,
    data_config: Mapping[str, Any],
    cache: Path,
    *,
    partial: bool = False,
    deep: bool = False,
    workers: int = 1,
    progress: Report = silent,
) -> CheckReport:
    """Look at one set: its labels, and of its pictures the heads, or with `deep` all of them.

    Only a wrong configuration raises; everything about the data goes into the report.
    """
    source = source_of(name, data_config, cache, partial=partial)
    report = CheckReport(
        name,
        TITLES.get(name) or source.title or name,
        folder=str(source.place.path or ""),
        images_expected=source.images,
        groups_expected=source.groups,
        range_known=source.score_range if source.score_range != (0.0, 0.0) else None,
        obtain=source.obtain,
        layout=source.expected(),
    )
    try:
        with source.blamed("labels"):
            labels = source.labels()
        if labels is not None:
            _look_at_labels(labels, report)
        dataset = source.loaded()
    except DataError as error:
        report.found = source.place.path is not None and source.place.path.is_dir()
        report.errors.append(str(error))
        return report
    report.errors += misfits(dataset)
    if report.errors:
        report.found = True
        return report
    _describe(report, dataset)
    if labels is None:  # else every label has met its picture already
        _look_for_pictures(report, dataset)
    if not dataset.grouped and "group" in source.settings:
        report.notes.append(UNGROUPED)
    with Contents(dataset.root, cache) as contents:
        _look_at_pictures(report, dataset, contents, workers, progress, deep=deep)
    return report


def sets_to_check(data_config: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """(what `check all` looks at, the sets that are merely not on this machine).

    The demo sets are looked at where nothing else is configured, those of the study where they are named.
    """
    left_out = ("demo_", "study") if data_config else ("study",)
    names = [name for name in dataset_names(data_config) if not name.startswith(left_out)]
    absent = [name for name in names if is_absent(name, data_config)]
    return [name for name in names if name not in absent], absent


def check_all(names: Sequence[str], data_config: Mapping[str, Any], cache: Path, **wishes: Any) -> list[CheckReport]:
    """Look at every set; one whose settings or loader are broken is reported like the others and stops none of them."""
    reports = []
    for name in names:
        try:
            reports.append(check(name, data_config, cache, **wishes))
        except Exception as error:  # a plugin's loader may fail in any way
            kind = "" if isinstance(error, BenchError) else f"its loader failed with {type(error).__name__}: "
            reports.append(CheckReport(name, name, errors=[f"{kind}{error}"]))
    return reports


def _look_at_labels(labels: Labels, report: CheckReport) -> None:
    """Count labels against pictures before `load`, which stops at the first doubt."""
    matched: Match = match(labels)
    report.found, report.folder = True, str(labels.tree.root)
    report.label_rows = len(labels.rows)
    report.images_found = sum(path is not None for path in matched.found)
    report.groups_found = len({row.group for row in labels.rows}) if labels.grouped else 0
    report.missing = [row.image for row in matched.missing]
    report.extra = matched.extra
    report.duplicates = [later.image for _, later in matched.duplicates]
    scores = [row.original for row in labels.rows]
    report.range_found = (min(scores), max(scores)) if scores else None


def misfits(dataset: Dataset) -> list[str]:
    """What keeps a loaded table from being a dataset at all: a plugin's loader may give anything."""
    table = dataset.table
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        return [f"its loader gives no column {', '.join(missing)}"]
    wrong = [str(name) for name, score in zip(table["image"], table["score"], strict=True) if not _is_finite(score)]
    if wrong:
        return [f"the score of {wrong[0]} is no finite number ({counted(len(wrong), 'such score')})"]
    negative = [
        str(name) for name, std in zip(table["image"], table["std"], strict=True) if _is_finite(std) and std < 0
    ]
    if negative:
        return [f"the standard deviation of {negative[0]} is negative ({counted(len(negative), 'such value')})"]
    return []


def _is_finite(score: Any) -> bool:
    try:
        return math.isfinite(score)
    except TypeError:
        return False


def _look_for_pictures(report: CheckReport, dataset: Dataset) -> None:
    """Pictures and names of a set whose loader did not compare them itself."""
    names = dataset.table["image"].tolist()
    report.missing = [name for name, path in zip(names, dataset.paths(), strict=True) if not path.is_file()]
    report.images_found = len(names) - len(report.missing)
    report.duplicates = sorted(name for name, count in Counter(names).items() if count > 1)
    if report.missing:
        report.errors.append(f"there is no picture {dataset.root / report.missing[0]}")
    if report.duplicates:
        report.errors.append(f"{report.duplicates[0]} has two labels")


def _describe(report: CheckReport, dataset: Dataset) -> None:
    table = dataset.table
    report.found, report.folder, report.hash = True, str(dataset.root), dataset.hash()
    report.images_found = len(dataset)
    report.label_rows = report.label_rows or len(dataset)
    report.groups_found = int(table["group"].nunique()) if dataset.grouped else 0
    report.range_found = (float(table["original"].min()), float(table["original"].max()))
    for note in dataset.notes:
        (report.warnings if note.startswith("partial") else report.notes).append(note)
    if table["score"].nunique() < 2:
        report.errors.append("all scores are equal: nothing can be learnt or measured")
    contents = int(table["group"].nunique())
    if contents < LEAST_IMAGES:
        report.errors.append(f"it has {counted(contents, 'content')}; a split needs at least {LEAST_IMAGES}")


def _look_at_pictures(
    report: CheckReport, dataset: Dataset, contents: Contents, workers: int, progress: Report, *, deep: bool
) -> None:
    """Read every picture's head, or decode and hash all, in threads: Pillow works outside the interpreter's lock."""
    what = "decoding every picture" if deep else "reading the pictures' heads"
    names = [name for name in dataset.table["image"] if (dataset.root / name).is_file()]
    broken: list[str] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for start in range(0, len(names), _BATCH):
            batch: Sequence[str] = names[start : start + _BATCH]
            broken += filter(None, pool.map(lambda name: _trouble(dataset, name, contents, deep=deep), batch))
            progress(start + len(batch), len(names), f"{dataset.name}: {what}")
    if deep:
        report.decoded = len(names) - len(broken)
        report.warnings += _twins(dataset, names, contents)
    report.errors += broken[:SHOWN]
    if len(broken) > SHOWN:
        report.errors.append(f"{len(broken)} pictures in all cannot be used")


def _twins(dataset: Dataset, names: Sequence[str], contents: Contents) -> list[str]:
    """What is to be said of files of equal bytes in different contents, which may stand on both sides of a split."""
    group_of = dict(zip(dataset.table["image"], dataset.table["group"], strict=True))
    hashed = [name for name in names if contents.find(name)]
    twins = [same for same in contents.twins(hashed) if len({group_of[name] for name in same}) > 1]
    if not twins:
        return []
    first = ", ".join(twins[0][:3]) + (", …" if len(twins[0]) > 3 else "")
    more = f" and {counted(len(twins) - 1, 'other picture')}" if len(twins) > 1 else ""
    return [f"one picture under several names and contents: {first}{more}; it may stand on both sides of a split"]


def _trouble(dataset: Dataset, name: str, contents: Contents, *, deep: bool) -> str:
    try:
        if not deep:
            check_head(dataset.root / name, dataset.name)
        else:
            decode(dataset.root / name, dataset.name)
            contents.hash_of(name)
    except BenchError as error:
        return str(error)
    return ""
