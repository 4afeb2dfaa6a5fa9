"""Records as tables ask for them: read once, indexed by experiment, predictions loaded only when wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bench.core.code import made_by_other_code, stands_on_older
from bench.core.collecting import collecting_later
from bench.core.errors import StoreError
from bench.core.spec import RunSpec, Target
from bench.core.split_rules import is_fixed
from bench.records.earlier import spec_of

if TYPE_CHECKING:
    import numpy as np

    from bench.records.store import Store


FEW_PICTURES = 20
"""A correlation over fewer pictures than this says little: it is said how many there were."""


@dataclass(frozen=True)
class Predictions:
    """What a run said of every test image of one target, beside what people said."""

    names: np.ndarray
    human: np.ndarray
    predicted: np.ndarray
    group: np.ndarray
    distortion: np.ndarray | None = None
    level: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Record:
    """One run as it was written down. `body` is the record's JSON; `arrays` reads its predictions."""

    spec: RunSpec
    body: Mapping[str, Any]
    arrays: Callable[[], Mapping[str, np.ndarray]] | None = None
    find: Callable[[str], Mapping[str, Any] | None] = lambda _key: None
    """The records that it may stand on, by key."""

    @staticmethod
    def from_dict(body: Mapping[str, Any], arrays: Callable[[], Mapping[str, np.ndarray]] | None = None) -> Record:
        """A record from its JSON."""
        return Record(spec_of(body), body, arrays)

    @property
    def key(self) -> str:
        """The run's name."""
        return str(self.body["key"])

    @property
    def done(self) -> bool:
        """Whether the run came to its end; a failed one has an error instead of metrics."""
        return self.body["status"] == "done"

    @property
    def error(self) -> str:
        """Why the run failed, in one line; empty for a done one."""
        error = self.body.get("error") or {}
        return ": ".join(str(error[part]) for part in ("kind", "message") if error.get(part))

    @cached_property
    def other_code(self) -> str:
        """Which other code than today's made it ("an older glia.py"); empty for today's, or where that is not known."""
        return made_by_other_code(self.body) or stands_on_older(self.body, self.find)

    def section(self, name: str) -> Mapping[str, Any]:
        """A part of the record ("data", "weights", "parameters", "run" …); empty where it was not written."""
        part = self.body.get(name)
        return part if isinstance(part, dict) else {}

    def value(self, target: str, metric: str) -> float | None:
        """A metric on a target, or None where the run does not have it."""
        number = self.section("metrics").get(target, {}).get(metric)
        return None if number is None else float(number)

    def with_metrics(self, target: str, metrics: Mapping[str, float]) -> Record:
        """The same record with further metrics on a target, computed from its predictions."""
        known = self.section("metrics")
        return replace(self, body={**self.body, "metrics": {**known, target: {**known.get(target, {}), **metrics}}})

    def predictions(self, target: str) -> Predictions | None:
        """The stored predictions on a target, or None where there are none."""
        arrays = self._arrays
        if f"{target}/predicted" not in arrays:
            return None
        named = {name: arrays.get(f"{target}/{name}") for name in Predictions.__dataclass_fields__}
        missing = [name for name in ("names", "human", "group") if named[name] is None]
        if missing:
            raise StoreError(f"The predictions of run {self.key} on {target} lack {', '.join(missing)}.")
        return Predictions(**named)  # type: ignore[arg-type]

    @cached_property
    def _arrays(self) -> Mapping[str, np.ndarray]:
        return self.arrays() if self.arrays is not None else {}


def official_in_name_only(body: Mapping[str, Any]) -> bool:
    """Whether a finished run asks for the official split and was made on a random one.

    Until that was refused, a set without an official split was split at random without a word.
    """
    rule = body.get("data", {}).get("train", {}).get("split_rule", "")
    return body["spec"].get("split_rule") == "official" and body["status"] == "done" and rule != "official split"


@dataclass(frozen=True)
class Experiment:
    """What a column measures: trained on what, how much of it, and tested on which target."""

    train: str
    target: str
    fraction: float = 0.8
    source: str = "split"

    @property
    def tested(self) -> str:
        """The set that is tested on, a part of it or all."""
        return Target(self.target).dataset

    @property
    def part(self) -> str:
        """Which part of that set: "test", "all" or "validation"."""
        return Target(self.target).part

    @property
    def is_own_test(self) -> bool:
        """Whether it tests on the held-out part of the set that it trains on."""
        return self.target == Target.of(self.train)

    @property
    def datasets(self) -> set[str]:
        """The sets it trains and tests on."""
        return {self.train, self.tested}


class Results:
    """All records of a results folder, as questions that tables ask. Order of reading never matters."""

    def __init__(self, records: Iterable[Record], *, intervals: bool = False, raw_plcc: bool = False) -> None:
        self.records = tuple(sorted(records, key=lambda record: record.key))
        self.intervals = intervals
        """Whether numbers get intervals over contents, which reads the stored predictions."""
        self.raw_plcc = raw_plcc
        """Whether tables show the PLCC of the raw scores in place of that after the logistic."""

    @staticmethod
    def read(store: Store) -> Results:
        """Every sound record of a store.

        Collecting garbage waits meanwhile: thousands of records without a cycle would be searched again and again.
        """

        def arrays_of(key: str) -> Callable[[], Mapping[str, np.ndarray]]:
            return lambda: store.predictions(key)

        bodies: dict[str, Mapping[str, Any]] = {}
        with collecting_later():
            sound = [(bodies.setdefault(str(body["key"]), body), spec) for body, spec in store.sound()]
            return Results(Record(spec, body, arrays_of(str(body["key"])), bodies.get) for body, spec in sound)

    def __len__(self) -> int:
        return len(self.records)

    def where(self, keep: Callable[[Record], bool]) -> Results:
        """The results of the records that are kept."""
        records = (record for record in self.records if keep(record))
        return Results(records, intervals=self.intervals, raw_plcc=self.raw_plcc)

    def select(self, **fields: Any) -> Results:
        """The results whose spec (or recipe) has these values: `select(method="glia", selection="val")`."""

        def matches(record: Record) -> bool:
            spec, recipe = record.spec, record.spec.recipe
            return all(getattr(spec if hasattr(spec, k) else recipe, k) == v for k, v in fields.items())

        return self.where(matches)

    def presets(self) -> set[str]:
        """The presets that records were made under."""
        return {record.spec.preset for record in self.records}


def first_split_hashes(done: Sequence[Record]) -> str:
    """The hash of the first split of each set that somebody else split, so that others can hold theirs against it."""
    first: dict[str, tuple[int, str]] = {}
    for record in (record for record in done if is_fixed(record.spec.split_rule)):
        here = (record.spec.split, str(record.section("data").get("train", {}).get("split_hash"))[:12])
        first[record.spec.train] = min(here, first.get(record.spec.train, here))
    return "".join(f"; split {number} of {name}: {digest}" for name, (number, digest) in sorted(first.items()))
