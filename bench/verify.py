"""`bench verify`: every stored number recomputed from stored predictions, every hash checked again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError, DataError, StoreError
from bench.metrics import score_metrics
from bench.progress import Report, silent
from bench.results import official_in_name_only
from bench.spec import RunSpec
from bench.store import Store

if TYPE_CHECKING:
    from bench.data.dataset import Dataset

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Finding:
    """Something that does not fit."""

    key: str
    what: str


def verify(store: Store, data: Mapping[str, Any] | None = None, cache: Any = None) -> tuple[int, list[Finding]]:
    """(records checked, what does not fit). With `data`, splits and labels are checked against the datasets too."""
    findings: list[Finding] = []
    checked = 0
    now = None if data is None else DataNow(data, cache)
    for record in store.records():
        checked += 1
        findings += [Finding(record["key"], what) for what in _check(store, record)]
        if now is not None and record["status"] == "done":
            findings += [Finding(record["key"], what) for what in now.complaints(record)]
    findings += [Finding(problem.path.name, problem.why) for problem in store.problems]
    return checked, findings


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
            again = score_metrics(arrays[f"{target}/predicted"], arrays[f"{target}/human"])
        except (KeyError, BenchError) as error:
            yield f"{target}: {error}"
            continue
        for name, value in again.items():
            if not math.isclose(float(stored.get(name, math.nan)), float(value), rel_tol=1e-6, abs_tol=TOLERANCE):
                yield f"{target}: {name} is stored as {stored.get(name)} and recomputed as {value}"


class DataNow:
    """The datasets as they are on this machine now, each loaded once, beside what records say of theirs."""

    def __init__(self, data: Mapping[str, Any], cache: Path, *, partial: bool = False, report: Report = silent) -> None:
        self._data, self._cache, self._partial, self._report = data, cache, partial, report
        self._sets: dict[tuple[str, int], Dataset | None] = {}
        self._splits: dict[tuple[object, ...], str] = {}

    def complaints(self, record: Mapping[str, Any]) -> Iterator[str]:
        """What a finished run saw otherwise than it would be now; nothing of sets that are not on this machine."""
        spec = RunSpec.from_dict(record["spec"])
        for target, known in record["data"]["tests"].items():
            name = target.rpartition(":")[0]
            dataset = self._set(name, spec.limit) if name != spec.train else None
            if dataset is not None and dataset.hash() != known["hash"]:
                yield f"{name} has other names or scores here than when the run was made"
        dataset, known = self._set(spec.train, spec.limit), record["data"]["train"]
        if dataset is None:
            return
        if dataset.hash() != known["hash"]:
            yield f"{spec.train} has other names or scores here than when the run was made"
            return
        try:
            here = self._split_hash(spec, dataset)
        except DataError as error:
            yield str(error).removesuffix(".")
            return
        if here != known["split_hash"]:
            yield f"split {spec.split} of {spec.train} is another one here"

    def _set(self, name: str, limit: int) -> Dataset | None:
        from bench.data.locate import load_dataset

        if (name, limit) not in self._sets:
            try:
                self._sets[name, limit] = load_dataset(
                    name, self._data, self._cache, partial=self._partial, limit=limit, progress=self._report
                )
            except BenchError:
                self._sets[name, limit] = None
        return self._sets[name, limit]

    def _split_hash(self, spec: RunSpec, dataset: Dataset) -> str:
        from bench.session import split_of

        validation = spec.recipe.selection == "val" or any(test.endswith(":validation") for test in spec.tests)
        about = (spec.train, spec.limit, spec.split, spec.fraction, spec.source, spec.split_rule, validation)
        if about not in self._splits:
            self._splits[about] = split_of(spec, dataset).hash(dataset.table["image"].tolist())
        return self._splits[about]
