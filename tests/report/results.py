"""Made-up results of whole protocols, for tests of what tables make of them."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.registry import PROTOCOLS
from bench.core.spec import RunSpec
from bench.planning.presets import preset_named
from bench.planning.protocol import MethodChoice, Request, merge
from bench.records.results import Record, Results
from bench.report.table import Table
from tests.report.records import records_of


def specs_of(
    protocols: str,
    preset: str = "demo",
    methods: str = "",
    datasets: Sequence[str] = (),
    splits: int = 0,
    **common: object,
) -> list[RunSpec]:
    """The merged plan of some protocols."""
    chosen = preset_named(preset)
    choices = tuple(MethodChoice(name) for name in methods.split(",") if name)
    request = Request(chosen, choices, tuple(datasets), splits or chosen.splits, common=common)
    return merge([spec for name in protocols.split(",") for spec in PROTOCOLS.make(name).plan(request)])


def results_of(*args: object, **kwargs: object) -> Results:
    """Results as if the plan had been run."""
    return Results(records_of(specs_of(*args, **kwargs)))  # type: ignore[arg-type]


def tables_of(protocol: str, records: Sequence[Record] | Results) -> dict[str, Table]:
    """A protocol's tables by name."""
    results = records if isinstance(records, Results) else Results(records)
    return {table.name: table for table in PROTOCOLS.make(protocol).tables(results)}
