"""`bench verify`: every stored metric recomputed from stored predictions, every hash checked again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BenchError, DataError, StoreError, UsageError
from bench.core.mixes import sets_of
from bench.core.progress import Report, counted, silent
from bench.core.spec import SCHEMA, RunSpec, Target
from bench.metrics.agreement import metrics_of
from bench.records.earlier import EARLIER_NOTE, earlier_data_hash
from bench.records.results import official_in_name_only
from bench.records.store import Store

if TYPE_CHECKING:
    from bench.data.dataset import Dataset
    from bench.records.results import Results

TOLERANCE = 1e-9
UNCHANGED = ("srcc", "krcc", "plcc_raw")
"""The metrics that schema 1 defined as they are defined now: its logistic fit stopped earlier."""


@dataclass(frozen=True)
class Finding:
    """Something that does not fit."""

    key: str
    what: str


def verify(store: Store, now: DataNow | None = None) -> tuple[int, list[Finding]]:
    """(records checked, what does not fit). With the datasets as they are `now`, splits and labels are checked too."""
    findings: list[Finding] = []
    checked = 0
    for record, spec in store.sound():
        checked += 1
        findings += [Finding(record["key"], what) for what in _check(store, record)]
        if now is not None and record["status"] == "done":
            findings += [Finding(record["key"], what) for what in now.complaints(record, spec)]
    findings += [Finding(problem.path.name, problem.why) for problem in store.problems]
    findings += [Finding(name, f"cannot be compared: {why}") for name, why in (now.unread if now else {}).items()]
    return checked, findings


def earlier_remark(results: Results) -> str:
    """What a reader should know of records that an earlier version made; nothing where there are none."""
    count = sum(record.spec.schema != SCHEMA for record in results.records)
    return f"{counted(count, 'record')} {EARLIER_NOTE}. Recomputed of them: {', '.join(UNCHANGED)}." if count else ""


def mixed(results: Results) -> list[str]:
    """Which runs that tables put side by side were not made alike, a line each."""
    from bench.report.arms import shared_changes
    from bench.report.mixing import mixtures
    from bench.report.tables.fill import by_preset

    said: list[str] = []
    for part in by_preset(results):
        shared = shared_changes(part.arms)
        columns = [
            [(arm.label(shared), record) for arm in part.arms for record in part.runs(arm, experiment)]
            for experiment in sorted(part.experiments(), key=str)
        ]
        said += mixtures(columns)
    return said


def _check(store: Store, record: Mapping[str, Any]) -> Iterator[str]:
    if record["status"] != "done":
        return
    if official_in_name_only(record):
        train = record["data"]["train"]
        yield f"it says split_rule=official, but {train['name']} was split otherwise ({train['split_rule']})"
    path = store.runs / f"{record['key']}.npz"
    if not path.exists():
        yield "its predictions are missing"
        return
    if hashlib.sha256(path.read_bytes()).hexdigest() != record.get("predictions_sha256"):
        yield "its predictions were changed after they were written"
        return
    try:
        arrays = store.predictions(record["key"])
    except StoreError as error:
        yield str(error)
        return
    if set(record["metrics"]) != set(record["spec"]["tests"]):
        yield "its metrics are not of the tests its spec names"
    for target, stored in record["metrics"].items():
        try:
            both = arrays[f"{target}/predicted"], arrays[f"{target}/human"]
            again = metrics_of(*both, constant=stored.get("srcc", 0) is None)
        except (KeyError, BenchError) as error:
            yield f"{target}: {error}"
            continue
        for name, value in again.items():
            if record["schema"] != SCHEMA and name not in UNCHANGED:
                continue
            if not _close(stored.get(name, math.nan), value):
                yield f"{target}: {name} is stored as {stored.get(name)} and recomputed as {value}"


def _close(stored: float | None, again: float | None) -> bool:
    """Whether a stored number is the recomputed one; None where it is undefined."""
    if stored is None or again is None:
        return stored is again
    return math.isclose(float(stored), float(again), rel_tol=1e-6, abs_tol=TOLERANCE)


class DataNow:
    """The datasets as they are on this machine now, each loaded once, beside what records say of theirs."""

    def __init__(
        self,
        data: Mapping[str, Any],
        cache: Path,
        *,
        results: Path | None = None,
        partial: bool = False,
        report: Report = silent,
    ) -> None:
        self._data, self._cache, self._partial, self._report = data, cache, partial, report
        self._results = results
        self._sets: dict[tuple[str, int], Dataset | None] = {}
        self._pixels: dict[tuple[str, int], str] = {}
        self._splits: dict[tuple[object, ...], str] = {}
        self.unread: dict[str, str] = {}
        """The sets that are configured here and cannot be read, each with why."""
        self.absent: set[str] = set()
        """Those that are not on this machine."""

    def complaints(
        self, record: Mapping[str, Any], spec: RunSpec, tests: Collection[str] | None = None
    ) -> Iterator[str]:
        """What a finished run saw otherwise than it would be now; nothing of sets that cannot be read here.

        `tests`: the targets that matter; all of its own without.
        """
        for target, known in record["data"]["tests"].items():
            name = Target(target).dataset
            if name != spec.train and (tests is None or target in tests):
                yield from self._differences(name, spec, known)
        known, dataset = record["data"]["train"], self._set(spec.train, spec.limit)
        others = list(self._differences(spec.train, spec, known))
        yield from others
        if dataset is None or others:
            return
        try:
            here = self._split_hash(spec, dataset)
        except DataError as error:
            yield str(error).removesuffix(".")
            return
        if here != known["split_hash"]:
            yield f"split {spec.split} of {spec.train} is another one here"

    def _differences(self, name: str, spec: RunSpec, known: Mapping[str, Any]) -> Iterator[str]:
        """What is otherwise about one set; an earlier version noted less of it."""
        dataset = self._set(name, spec.limit)
        if dataset is None:
            return
        earlier = spec.schema != SCHEMA
        if known["hash"] != (earlier_data_hash(dataset) if earlier else dataset.hash()):
            labels = "names or scores" if earlier else "names, scores or groups"
            yield f"{name} has other {labels} here than when the run was made"
        elif not earlier and (here := self._pixels_of(name, spec.limit, dataset)) != known.get("pixels", here) and here:
            yield f"{name} has other pictures here, under the same names, than when the run was made"

    def _pixels_of(self, name: str, limit: int, dataset: Dataset) -> str:
        """The pictures' hash; empty where they cannot be read."""
        from bench.data.pixels.contents import pixels_hash

        if (name, limit) not in self._pixels:
            try:
                self._pixels[name, limit] = pixels_hash(dataset, self._cache, self._report)
            except BenchError as error:
                self._note_unread(name, error)
                self._pixels[name, limit] = ""
        return self._pixels[name, limit]

    def _set(self, name: str, limit: int) -> Dataset | None:
        from bench.data.locate import load_dataset

        if (name, limit) not in self._sets:
            try:
                self._sets[name, limit] = load_dataset(
                    name, self._data, self._cache, partial=self._partial, limit=limit, progress=self._report
                )
            except BenchError as error:
                self._note_unread(name, error)
                self._sets[name, limit] = None
        return self._sets[name, limit]

    def _note_unread(self, name: str, error: BenchError) -> None:
        absent = {part for part in sets_of(name) if self._is_absent(part)}
        self.absent |= absent
        if not absent:
            self.unread[name] = str(error)

    def _is_absent(self, name: str) -> bool:
        from bench.data.locate import dataset_names, is_absent

        try:
            return name not in dataset_names(self._data) or is_absent(name, self._data)
        except UsageError:  # what bench.toml says of where it lies is wrong
            return False

    def _split_hash(self, spec: RunSpec, dataset: Dataset) -> str:
        from bench.data.splits import split_of

        about = (spec.train, spec.limit, spec.split, spec.fraction, spec.source, spec.split_rule, spec.validates)
        if about not in self._splits:
            self._splits[about] = split_of(spec, dataset, self._results).hash(dataset.table["image"].tolist())
        return self._splits[about]
