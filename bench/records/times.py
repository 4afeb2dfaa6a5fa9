"""How long runs take, by those of the same kind that were made before."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median_high
from typing import Any

from bench.core.spec import RunSpec
from bench.records.store import Store

Kind = tuple[object, ...]
"""What makes runs take equally long."""
OF_TIME = (
    "epochs", "batch", "train_views", "test_views", "short_side", "size", "views", "tokens", "selection",
)  # fmt: skip
"""What of the recipe costs time."""


def kind_of(spec: RunSpec) -> Kind:
    """Method, backbone, what is trained and tested on, and how; not the split, which costs nothing."""
    model = (spec.method, spec.backbone, spec.precision, *spec.options.items())
    data = (spec.train, spec.fraction, spec.source, spec.limit, spec.tests)
    return model, data, tuple(getattr(spec.recipe, name) for name in OF_TIME)


class Times:
    """Seconds of a run, by its kind: of this plan's own runs where there are any, else of earlier records."""

    def __init__(self, recorded: Mapping[Kind, float] | None = None) -> None:
        self._recorded = dict(recorded or {})
        self._own: dict[Kind, list[float]] = {}

    @staticmethod
    def read(store: Store, device: str = "") -> Times:
        """By the records of a store, those made on another type of `device` left out: of each kind the middle one."""
        by_kind: dict[Kind, list[float]] = {}
        for record, spec in store.sound():
            if record["status"] == "done" and not spec.external and device in ("", _device_of(record) or device):
                by_kind.setdefault(kind_of(spec), []).append(sum(record["seconds"].values()))
        return Times({kind: median_high(seconds) for kind, seconds in by_kind.items()})

    def learn(self, spec: RunSpec, seconds: float) -> None:
        """Take note of what a run took that was made just now."""
        self._own.setdefault(kind_of(spec), []).append(seconds)

    def of(self, kind: Kind) -> float | None:
        """What a run of this kind takes; nothing where none was ever seen."""
        own = self._own.get(kind)
        return median_high(own) if own else self._recorded.get(kind)


def _device_of(record: Mapping[str, Any]) -> str:
    """The type of device that it was trained on; empty where it does not say."""
    return str(record.get("numerics", {}).get("trained", {}).get("device_type", ""))
