"""Trained on KonIQ-10k's official training part, tested on other sets whole: the table of most newer papers."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from bench.core.spec import RunSpec, Target
from bench.planning.protocol import Protocol, Request
from bench.records.results import Experiment, Results
from bench.report.table import Table
from bench.report.tables.fill import Column, Layout, Line, PresetResults, dataset_title, fill
from protocols.official import RULE, named, official_parts, refuse_another_rule
from protocols.variants import compared

SOURCE = "koniq10k"
METRICS = ("srcc", "plcc")


class KoniqCross(Protocol):
    """SRCC and PLCC of models that learned KonIQ-10k and nothing else, on sets they never saw."""

    title: ClassVar[str] = "From KonIQ-10k to all"
    pairs: ClassVar[bool] = True

    def plan(self, request: Request) -> list[RunSpec]:
        """One training on the official part for each split asked for; its model is tested on every other set whole."""
        refuse_another_rule("koniq_cross", request)
        usual = [(SOURCE, target) for target in request.preset.koniq_cross]
        pairs = _from_koniq(request).paired(usual) if usual else []
        tests = {
            train: [Target.of(train), *(Target.of(test, "all") for source, test in pairs if source == train)]
            for train, _ in pairs
        }
        return [
            request.spec(method, train, tests[train], number, split_rule=RULE)
            for number in range(request.splits)
            for train in tests
            for method in request.chosen("linear_probe", "full_finetune", "adapter", "lora", "vpt", "loda", "glia")
        ]

    def tables(self, results: Results) -> list[Table]:
        """One table a preset and source."""
        return [
            table
            for part in official_parts(results)
            for source in sorted({e.train for e in part.across()})
            if (table := _table(part, source)) is not None
        ]


def _from_koniq(request: Request) -> Request:
    """The request with sets that were merely named as what is tested on: the source is known."""
    named = [name for name in request.wanted(request.preset.koniq_cross) if name != SOURCE]
    if not request.datasets or not named or request.sets.sources or request.sets.targets:
        return request
    return replace(request, datasets=(), sets=replace(request.sets, sources=(SOURCE,), targets=tuple(named)))


def tested_from(part: PresetResults, source: str) -> list[Experiment]:
    """What models of a source were tested on: its own test part, the preset's sets in their order, then others."""
    targets = [e.tested for e in part.across() if e.train == source]
    first = [name for name in part.preset.koniq_cross if name in targets]
    own = [Experiment(source, Target.of(source))] if source in part.own_test_sets() else []
    return own + [Experiment(source, Target.of(name, "all")) for name in (*first, *sorted({*targets} - {*first}))]


def _table(part: PresetResults, source: str) -> Table | None:
    columns = [Column(dataset_title(e.tested), e, metric) for e in tested_from(part, source) for metric in METRICS]
    arms, left_out = compared(part, columns)
    if not arms:
        return None
    name = "koniq_cross" if source == SOURCE else f"{source}_cross"
    layout = Layout(
        name=name,
        title=f"Trained on the official part of {dataset_title(source)}, tested on its official test part and on all "
        "of the other sets.",
        leads=("Method",),
        columns=tuple(columns),
        lines=tuple(Line((arm.title,), arm, arm) for arm in arms),
        notes=(
            "Papers with this table differ in their splits of KonIQ-10k (7,046 to 8,058 pictures learned), in how "
            "pictures reach the network and in whether PLCC is taken after a logistic; none of their numbers was "
            "checked in its own paper's text, so none stands here.",
            *left_out,
        ),
    )
    return named(fill(part, layout), name)
