"""Records that an earlier version made: read by their own names, and never taken for runs of this version.

A spec of schema 1 could leave its precision to the machine (`auto`), and its record knows neither the method's code
nor the pictures. So its run keeps its schema, a part of every name: it covers no wanted run and has a row of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.core.spec import SCHEMA, RunSpec, canonical_json

if TYPE_CHECKING:
    from bench.data.dataset import Dataset

EARLIER_NOTE = "made by an earlier version: code and pixels unknown"


def spec_of(record: Mapping[str, Any]) -> RunSpec:
    """The run of a record of any schema; of one that left its precision open, the precision that was recorded."""
    spec = record["spec"]
    if record.get("schema", SCHEMA) == SCHEMA or not isinstance(spec, Mapping):
        return RunSpec.from_dict(spec)
    precision = spec.get("precision", "auto")
    if precision == "auto":
        run = record.get("run")  # of a failed run it has no precision
        precision = run.get("precision", "fp32") if isinstance(run, Mapping) else "fp32"
    return RunSpec.from_dict({**spec, "precision": precision, "schema": record["schema"]})


def earlier_key(spec: Mapping[str, Any]) -> str:
    """The name that schema 1 gave to a run."""
    plain = {name: value for name, value in spec.items() if name != "recipe"} | {"schema": 1}
    text = canonical_json(plain) + canonical_json(spec["recipe"])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def earlier_data_hash(dataset: Dataset) -> str:
    """What schema 1 recorded of a dataset: names and scores, no groups."""
    digest = hashlib.sha256()
    for name, score in zip(dataset.table["image"], dataset.table["score"], strict=True):
        digest.update(f"{name}\t{float(score)!r}\n".encode())
    return digest.hexdigest()[:20]
