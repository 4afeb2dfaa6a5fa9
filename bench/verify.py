"""`bench verify`: every stored number recomputed from stored predictions, every hash checked again."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import BenchError, StoreError
from bench.metrics import score_metrics
from bench.spec import RunSpec
from bench.store import Store

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
    sets: dict[str, Any] = {}
    for record in store.records():
        checked += 1
        findings += [Finding(record["key"], what) for what in _check(store, record)]
        if data is not None and record["status"] == "done":
            findings += [Finding(record["key"], what) for what in _check_data(record, data, cache, sets)]
    findings += [Finding(problem.path.name, problem.why) for problem in store.problems]
    return checked, findings


def _check(store: Store, record: Mapping[str, Any]) -> Iterator[str]:
    if record["status"] != "done":
        return
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


def _check_data(record: Mapping[str, Any], data: Mapping[str, Any], cache: Any, sets: dict[str, Any]) -> Iterator[str]:
    from bench.data.locate import load_dataset
    from bench.session import split_of

    spec = RunSpec.from_dict(record["spec"])
    known = record["data"]["train"]
    place = f"{spec.train}/{spec.limit}"
    try:
        if place not in sets:
            sets[place] = load_dataset(spec.train, data, cache, limit=spec.limit)
    except BenchError:
        return  # the dataset is not on this machine: nothing to compare with
    dataset = sets[place]
    if dataset.hash() != known["hash"]:
        yield f"{spec.train} has other names or scores here than when the run was made"
    elif split_of(spec, dataset).hash(dataset.table["image"].tolist()) != known["split_hash"]:
        yield f"split {spec.split} of {spec.train} is another one here"
