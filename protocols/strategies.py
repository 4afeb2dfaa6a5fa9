"""Fine-tuning strategies side by side on one backbone: GLIA's and LoDa's Tables 6."""

from __future__ import annotations

from typing import ClassVar

from bench.core.spec import RunSpec, Target
from bench.planning.protocol import Protocol, Request
from bench.records.results import Results
from bench.report.table import Table
from bench.report.tables.fill import Layout, Line, by_preset, fill, own_columns
from protocols.variants import compared


class Strategies(Protocol):
    """The seven strategies of the papers, each as its own paper has it (GLIA Table 6, LoDa Table 6)."""

    title: ClassVar[str] = "Fine-tuning strategies"

    def plan(self, request: Request) -> list[RunSpec]:
        """Every strategy on the sets of Table 6."""
        return [
            request.spec(method, dataset, [Target.of(dataset)], split)
            for split in range(request.splits)
            for dataset in request.wanted(request.preset.strategies)
            for method in request.chosen("linear_probe", "full_finetune", "adapter", "lora", "vpt", "loda", "glia")
        ]

    def tables(self, results: Results) -> list[Table]:
        """One table a preset where at least two strategies were run; sized ones are in strategies_matched."""
        result = []
        for part in by_preset(results):
            columns = own_columns(name for name in part.preset.strategies if name in part.own_test_sets())
            arms, left_out = compared(part, columns)
            arms = [arm for arm in arms if not arm.budget]
            if len(arms) > 1:
                layout = Layout(
                    name="strategies",
                    title="Comparison of fine-tuning methods.",
                    leads=("Method",),
                    columns=tuple(columns),
                    lines=tuple(Line((arm.title,), arm, arm) for arm in arms),
                    published=(("GLIA", "6"), ("LoDa", "6")),
                    notes=left_out,
                )
                result.append(fill(part, layout))
        return result
