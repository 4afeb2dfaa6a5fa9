"""Every ablation of both papers in one word."""

from __future__ import annotations

from typing import ClassVar

from bench.core.registry import PROTOCOLS
from bench.core.spec import RunSpec
from bench.planning.protocol import Protocol, Request
from bench.records.results import Results
from bench.report.table import Table

PARTS = ("components", "guidance", "strategies", "strategies_matched", "pretraining", "scale", "modules")


class Ablation(Protocol):
    """Components, guidance, strategies and their budget-matched twin, pretraining, scale and modules together."""

    title: ClassVar[str] = "All ablations"
    refuses: ClassVar[tuple[str, ...]] = ("backbone", "weights", "fraction", "budget")

    def plan(self, request: Request) -> list[RunSpec]:
        """The runs of all parts; what two of them share is made once."""
        return [spec for name in PARTS for spec in PROTOCOLS.make(name).plan(request)]

    def tables(self, results: Results) -> list[Table]:
        """The tables of all parts."""
        return [table for name in PARTS for table in PROTOCOLS.make(name).tables(results)]
