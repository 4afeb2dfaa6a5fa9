"""The runs that a run stands on, whose method makes its scores of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.core.code import made_by_other_code
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
    """The newest done run of each of these specs by today's code; where there is none, it is said how to make it."""
    records: dict[str, Mapping[str, Any]] = {}
    older: dict[str, str] = {}
    for record, spec in store.sound():
        for one in specs:
            if record["status"] == "done" and spec.covers(one):
                if other := made_by_other_code(record):
                    older[one.key] = other
                elif one.key not in records or _finished(record) > _finished(records[one.key]):
                    records[one.key] = record
    for one in specs:
        if one.key not in records:
            only = f" but one by {older[one.key]}" if one.key in older else ""
            raise DataError(
                f"There is no done run of {one.method} on {one.train}, split {one.split}, under the same settings"
                f"{only}: make it first, or beside this one (-m {one.method},...)."
            )
    return [Member(records[one.key], store.predictions(records[one.key]["key"])) for one in specs]


def _finished(record: Mapping[str, Any]) -> str:
    return str(record["run"].get("finished", ""))
