"""Trained on one dataset, tested on all of another without fine-tuning: GLIA's and LoDa's Tables 2."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from bench.core.spec import RunSpec, Target
from bench.planning.protocol import Protocol, Request
from bench.records.results import Experiment, Results
from bench.report.table import Number, Table
from bench.report.tables.fill import Column, Layout, Line, PresetResults, by_preset, dataset_title, fill

SOURCES = {
    "split": "Trained on the training part of each split of the source, tested on the whole target; medians over "
    "splits. The papers do not say whether their sources are whole.",
    "all": "Trained on the whole source, tested on the whole target; the splits differ in their seed only.",
}

TARGET_NOTE = (
    "about training: the target's images are the same in all splits, and how well they stand for others is not in"
)


class Cross(Protocol):
    """SRCC on every image of a dataset that was never trained on (GLIA Table 2, LoDa Table 2)."""

    title: ClassVar[str] = "Across datasets"
    pairs: ClassVar[bool] = True
    refuses: ClassVar[tuple[str, ...]] = ("fraction",)

    source: Literal["split", "all"] = "split"
    """Trained on the training part of each split of the source, or on all of it."""

    def plan(self, request: Request) -> list[RunSpec]:
        """One training per source and split; its model is tested on every target of that source."""
        pairs = request.paired(request.preset.cross)
        targets = {train: [Target.of(test, "all") for source, test in pairs if source == train] for train, _ in pairs}
        return [
            request.spec(method, train, tests, split, source=self.source)
            for split in range(request.splits)
            for train, tests in targets.items()
            for method in request.chosen("linear_probe", "full_finetune", "adapter", "lora", "vpt", "loda", "glia")
        ]

    def tables(self, results: Results) -> list[Table]:
        """One table a preset and way of using the source."""
        return [
            table for part in by_preset(results) for source in SOURCES if (table := _table(part, source)) is not None
        ]


def _table(part: PresetResults, source: str) -> Table | None:
    experiments = {(e.train, e.tested) for e in part.across(source)}
    pairs = [pair for pair in part.preset.cross if pair in experiments] + sorted(experiments - set(part.preset.cross))
    columns = [_column(train, test, source) for train, test in pairs]
    arms = part.arms_in(columns)
    if not arms:
        return None
    layout = Layout(
        name="cross" if source == "split" else "cross_whole_source",
        title="SRCC results on cross-dataset evaluation.",
        leads=("Method",),
        columns=tuple(columns),
        lines=tuple(Line((arm.title,), arm, arm) for arm in arms),
        published=(("GLIA", "2"), ("LoDa", "2")),
        tiers=("Training", "Testing"),
        notes=(SOURCES[source],),
    )
    return _with_target_note(fill(part, layout))


def _with_target_note(table: Table) -> Table:
    """The table with what its intervals over splits and its ≈ do not cover, as far as it has any."""
    numbers = [cell for row in table.rows for cell in row.cells if isinstance(cell, Number)]
    subjects = ["Intervals"] if any("Nadeau" in number.interval for number in numbers) else []
    subjects += ["≈"] if any(number.tied for number in numbers) else []
    if not subjects:
        return table
    said = "≈ is {} it." if subjects == ["≈"] else f"{' and '.join(subjects)} are {{}} them."
    return replace(table, notes=(*table.notes, said.format(TARGET_NOTE)))


def _column(train: str, test: str, source: str) -> Column:
    experiment = Experiment(train, Target.of(test, "all"), source=source)
    return Column(dataset_title(train), experiment, "srcc", dataset_title(test))
