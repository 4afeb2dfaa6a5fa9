"""Every set onto every set: what a model learned on one is worth on all others, and what it lost on the way."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import ClassVar

from bench.core.spec import RunSpec, Target
from bench.planning.protocol import Protocol, Request
from bench.records.results import Experiment, Results
from bench.report.table import Number, Table
from bench.report.tables.fill import Column, Layout, Line, PresetResults, by_preset, dataset_title, fill

FROZEN = "ridge"
"""The method that leaves the backbone as it is: retention is measured against it."""
OF_PICTURES = ("size", "short_side", "interpolation", "norm", "views", "tokens")
"""What of the recipe says how pictures reach the network."""
RETENTION = (
    "Retention: mean SRCC on the sets that were not trained on, over that of a ridge regression on the frozen "
    "backbone that learned from the same set and sees pictures alike; below 1, training lost what the backbone knew of "
    "other pictures."
)


class Matrix(Protocol):
    """SRCC of every training set on every test set, each set's own held-out part on the diagonal."""

    title: ClassVar[str] = "Every set onto every set"
    pairs: ClassVar[bool] = True
    looks_for_shared_pictures: ClassVar[bool] = True
    refuses: ClassVar[tuple[str, ...]] = ("fraction",)

    def plan(self, request: Request) -> list[RunSpec]:
        """One training a set and split; its model is tested on its own test part and on all of every other set."""
        sets = request.preset.matrix
        pairs = request.paired([(train, test) for train in sets for test in sets if train != test])
        tests = {
            train: [Target.of(train), *(Target.of(test, "all") for source, test in pairs if source == train)]
            for train, _ in pairs
        }
        return [
            request.spec(method, train, tests[train], split)
            for split in range(request.splits)
            for train in tests
            for method in request.chosen("linear_probe", "full_finetune", "lora", "glia", FROZEN)
        ]

    def tables(self, results: Results) -> list[Table]:
        """One table a preset and set of rules: a row for each training set and method, a column for each test set."""
        return [table for part in by_preset(results) if (table := _table(part)) is not None]


def _table(part: PresetResults) -> Table | None:
    """None of models that were not tested on their own set: those are of `cross`, which has its table."""
    own = {e.train for e in part.experiments() if e.is_own_test}
    across = [e for e in part.across() if e.train in own]
    order = {name: place for place, name in enumerate(dict.fromkeys((*part.preset.matrix, *part.preset.main)))}
    trains, tests = (
        sorted(names, key=lambda name: (order.get(name, len(order)), name))
        for names in ({e.train for e in across}, {name for e in across for name in e.datasets})
    )
    columns = (
        [Column("", Experiment(trains[0], Target.of(test, "all")), name=dataset_title(test)) for test in tests]
        if trains
        else []
    )
    lines = [
        Line((dataset_title(train), arm.title), arm, arm, train=train)
        for train in trains
        for arm in part.arms_in([Column("", e) for e in across if e.train == train])
    ]
    if not lines:
        return None
    layout = Layout(
        name="matrix",
        title="SRCC of every training set on every test set.",
        leads=("Trained on", "Method"),
        columns=tuple(columns),
        lines=tuple(lines),
        named_lead=1,
        ranked_within=0,
        tiers=("", "tested on"),
        notes=("A set's own held-out part where it was trained on; all others whole.",),
    )
    return _with_retention(fill(part, layout), lines, tests)


def _with_retention(table: Table, lines: list[Line], tests: list[str]) -> Table:
    """The table with a last column: how much of the frozen backbone's skill on other sets is left."""
    unseen = [
        {test: value for test, value in zip(tests, map(_value, row.cells), strict=True) if value is not None}
        for row in table.rows
    ]
    for line, known in zip(lines, unseen, strict=True):
        known.pop(line.train, None)
    plain_last = reversed(list(zip(lines, unseen, strict=True)))
    frozen = {_seen(line): known for line, known in plain_last if line.arm.method == FROZEN}
    if not frozen:
        return table
    rows = tuple(
        replace(row, cells=(*row.cells, _retention(line, known, frozen.get(_seen(line), {}))))
        for line, known, row in zip(lines, unseen, table.rows, strict=True)
    )
    return replace(table, rows=rows, header=(*table.header, ("", "Retention")), notes=(*table.notes, RETENTION))


def _seen(line: Line) -> tuple[object, ...]:
    """What a row shares with the frozen backbone that it is held against: the set, the network, how it sees pictures.

    What stands on no ViT is held against the preset's.
    """
    arm = line.arm
    network = (arm.backbone, arm.weights) if arm.backbone else (arm.plain.backbone, "pretrained")
    return line.train, *network, arm.precision, arm.limit, *((k, v) for k, v in arm.recipe if k in OF_PICTURES)


def _value(cell: Number | str) -> float | None:
    """A number that all its splits are in."""
    return cell.value if isinstance(cell, Number) and cell.complete else None


def _retention(line: Line, known: dict[str, float], frozen: dict[str, float]) -> Number:
    """Over the sets of which both have a whole number; none where there is no such set, or the frozen one is lost."""
    both = sorted(set(known) & set(frozen))
    base = statistics.fmean(frozen[name] for name in both) if both else 0.0
    value = statistics.fmean(known[name] for name in both) / base if base > 0 else None
    return Number(
        value, n=len(both), of=len(both), facts={"method": line.arm.method, "train": line.train, "metric": "retention"}
    )
