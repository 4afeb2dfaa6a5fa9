"""Every method trained and tested on each dataset by itself: GLIA's and LoDa's Tables 1."""

from __future__ import annotations

from typing import ClassVar

from bench.core.spec import RunSpec, Target
from bench.planning.protocol import Protocol, Request
from bench.records.results import Results
from bench.report.table import Table
from bench.report.tables.fill import Layout, Line, by_preset, fill, own_columns
from bench.report.tables.ranking import ranking_table
from protocols.variants import compared


class Main(Protocol):
    """Medians of SRCC and PLCC over the splits of each dataset (GLIA Table 1, LoDa Table 1)."""

    title: ClassVar[str] = "Comparison on each dataset"

    def plan(self, request: Request) -> list[RunSpec]:
        """Split by split, so that an unfinished plan already compares all methods."""
        return [
            request.spec(method, dataset, [Target.of(dataset)], split)
            for split in range(request.splits)
            for dataset in request.wanted(request.preset.main)
            for method in request.chosen("linear_probe", "full_finetune", "adapter", "lora", "vpt", "loda", "glia")
        ]

    def tables(self, results: Results) -> list[Table]:
        """A preset's comparison, and a ranking over its datasets where there are at least two and it may be ranked."""
        result = []
        for part in by_preset(results):
            columns = own_columns(part.own_test_sets(part.preset.main))
            arms, left_out = compared(part, columns)
            if arms:
                layout = Layout(
                    name="main",
                    title="Performance comparison measured by medians of SRCC and PLCC, with trainable parameters "
                    "in parentheses.",
                    leads=("Method",),
                    columns=tuple(columns),
                    lines=tuple(Line((arm.title,), arm, arm) for arm in arms),
                    published=(("GLIA", "1"), ("LoDa", "1")),
                    notes=left_out,
                )
                table = fill(part, layout)
                ranking = ranking_table(table) if part.rules.ranked else None
                result += [table, ranking] if ranking else [table]
        return result
