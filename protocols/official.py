"""Every method on the split that a set's authors published: the one number that toolboxes print."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from bench.core.errors import UsageError
from bench.core.spec import RunSpec, Target
from bench.planning.protocol import Protocol, Request
from bench.records.results import Results
from bench.report.table import Table
from bench.report.tables.fill import Layout, Line, PresetResults, by_preset, fill, own_columns
from protocols.variants import compared

RULE = "official"


class Official(Protocol):
    """SRCC and PLCC on official test parts: KonIQ-10k's 2,015 pictures, FLIVE's 1,827, UHD-IQA's 900."""

    title: ClassVar[str] = "On the authors' splits"

    def plan(self, request: Request) -> list[RunSpec]:
        """As many trainings on the one split as there are splits asked for, each with other random numbers."""
        refuse_another_rule("official", request)
        return [
            request.spec(method, dataset, [Target.of(dataset)], number, split_rule=RULE)
            for number in range(request.splits)
            for dataset in request.wanted(request.preset.official, own=False)
            for method in request.chosen("linear_probe", "full_finetune", "adapter", "lora", "vpt", "loda", "glia")
        ]

    def tables(self, results: Results) -> list[Table]:
        """One table a preset, of the runs on official splits alone."""
        return [table for part in official_parts(results) if (table := _table(part)) is not None]


def refuse_another_rule(protocol: str, request: Request) -> None:
    """A protocol of official splits takes no other rule, and drops none that was typed."""
    asked = request.common.get("split_rule", RULE)
    if asked != RULE:
        raise UsageError(f"Protocol {protocol} is about official splits: leave out --split-rule {asked}.")


def official_parts(results: Results) -> list[PresetResults]:
    """The results on official splits, by preset and way of choosing the epoch."""
    return [part for part in by_preset(results) if part.rules.split_rule == RULE]


def named(table: Table, name: str) -> Table:
    """A table of official splits under its own name, which says so already."""
    return replace(table, name=table.name.replace(f"{name}_{RULE}", name, 1))


def _table(part: PresetResults) -> Table | None:
    columns = own_columns(part.own_test_sets(part.preset.official))
    arms, left_out = compared(part, columns)
    if not arms:
        return None
    layout = Layout(
        name="official",
        title="SRCC and PLCC on the test parts that the sets' authors published.",
        leads=("Method",),
        columns=tuple(columns),
        lines=tuple(Line((arm.title,), arm, arm) for arm in arms),
        notes=left_out,
    )
    return named(fill(part, layout), "official")
