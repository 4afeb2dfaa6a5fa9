"""Which distortions a method sees well, from the stored predictions of `main`: LoDa's Fig. 4 as tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from bench.core.spec import RunSpec, Target
from bench.planning.protocol import Protocol, Request
from bench.records.results import Experiment, Record, Results
from bench.report.arms import Arm
from bench.report.breakdown import FEWEST, family_of, metrics_by_group, place_of
from bench.report.table import Table
from bench.report.tables.fill import Column, Layout, Line, PresetResults, by_preset, dataset_title, fill, transposed
from protocols.variants import compared

NOTE = (
    "From the stored predictions of main: correlations among the test images of one distortion or family. PLCC is of "
    "the scores mapped by the logistic of the whole test part, raw PLCC of the scores as they are. "
    f"Groups of fewer than {FEWEST} images are left out."
)


class Distortions(Protocol):
    """PLCC and SRCC within each distortion and family, on sets that know their distortions (LoDa Fig. 4)."""

    title: ClassVar[str] = "By distortion"
    refuses: ClassVar[tuple[str, ...]] = ("fraction",)

    def plan(self, request: Request) -> list[RunSpec]:
        """The runs of `main` on these sets: nothing is trained for this protocol alone."""
        return [
            request.spec(method, dataset, [Target.of(dataset)], split)
            for split in range(request.splits)
            for dataset in request.wanted(request.preset.distortions, own=False)
            for method in request.chosen("full_finetune", "adapter", "vpt", "loda", "glia")
        ]

    def tables(self, results: Results) -> list[Table]:
        """For every set whose predictions name their distortions: a table by family, and one by distortion."""
        return [
            table
            for part in by_preset(results)
            for dataset in part.own_test_sets(part.preset.distortions)
            for table in _tables(part, dataset)
        ]


def _tables(part: PresetResults, dataset: str) -> list[Table]:
    experiment = Experiment(dataset, Target.of(dataset))
    arms, left_out = compared(part, [Column("", experiment)])
    records = [record for arm in arms for record in part.runs(arm, experiment)]
    scored, kinds = _scored(records, experiment.target)
    if not kinds:
        return []
    part = part.with_records(scored)
    measured = {name for record in scored for name in record.section("metrics").get(experiment.target, {})}
    families = [name for name in dict.fromkeys(family_of(kind) for kind in kinds) if f"srcc/family/{name}" in measured]
    kinds = [kind for kind in kinds if f"srcc/distortion/{kind}" in measured]
    tables = []
    if families:
        tables.append(fill(part, _layout(experiment, arms, "family", families, left_out)))
    if kinds:
        by_kind = fill(part, _layout(experiment, arms, "distortion", kinds, left_out))
        tables.append(transposed(by_kind, ("Distortion", "Metric")))
    return tables


def _layout(
    experiment: Experiment, arms: Iterable[Arm], level: str, groups: Iterable[str], left_out: Iterable[str]
) -> Layout:
    columns = [
        Column(group.replace("_", " "), experiment, f"{metric}/{level}/{group}", title)
        for group in groups
        for metric, title in (("plcc", "PLCC"), ("srcc", "SRCC"))
    ]
    titles = {"family": "family of distortions", "distortion": "distortion"}
    plural = {"family": "families", "distortion": "kinds"}[level]
    return Layout(
        name=f"distortions_{experiment.train}_{plural}",
        title=f"PLCC and SRCC within each {titles[level]} on {dataset_title(experiment.train)}.",
        leads=("Method",),
        columns=tuple(columns),
        lines=tuple(Line((arm.title,), arm, arm) for arm in arms),
        notes=(NOTE, *left_out),
    )


def _scored(records: Iterable[Record], target: str) -> tuple[list[Record], list[str]]:
    """The records with metrics by family and distortion, and the distortions there are, in KADID-10k's order."""
    scored, kinds = [], set()
    for record in records:
        predictions = record.predictions(target) if record.done else None
        if predictions is None or predictions.distortion is None:
            scored.append(record)
            continue
        names = [str(name) for name in predictions.distortion.tolist()]
        kinds |= {name for name in names if name and "+" not in name}
        scored.append(record.with_metrics(target, metrics_by_group(predictions)))
    return scored, sorted(kinds, key=place_of)
