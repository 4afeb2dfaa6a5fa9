"""The runs that a run stands on, whose method makes its scores of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.core.errors import DataError
from bench.core.spec import RunSpec, Target
from bench.records.store import Store


@dataclass(frozen=True)
class Member:
    """A run that is done, and what it predicted."""

    record: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]

    @property
    def key(self) -> str:
        """Its name."""
        return str(self.record["key"])

    def on(self, target: Target, names: Sequence[str]) -> np.ndarray:
        """Its predictions of these pictures of a target, in their order."""
        predicted = dict(zip(self.arrays[f"{target}/names"], self.arrays[f"{target}/predicted"], strict=True))
        return np.array([predicted[name] for name in names], dtype=np.float64)


def members(store: Store, specs: Sequence[RunSpec]) -> list[Member]:
    """The done run of each of these specs; one that there is not is an error that says how to make it."""
    records: dict[str, Mapping[str, Any]] = {}
    for record, spec in store.sound():
        for one in specs:
            if record["status"] == "done" and spec.covers(one):
                records[one.key] = record
    for one in specs:
        if one.key not in records:
            raise DataError(
                f"There is no done run of {one.method} on {one.train}, split {one.split}, under the same settings: "
                f"make it first, or beside this one (-m {one.method},...)."
            )
    return [Member(records[one.key], store.predictions(records[one.key]["key"])) for one in specs]
