"""What the page is about: a chapter for each preset and set of rules, a contest for each thing that was measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.records.results import Experiment, Record, Results
from bench.report.cells import Cell
from bench.report.figures.scene import Scene, Subject, Wish, scenes
from bench.report.selection import PresetResults
from bench.report.table import Cost, Number, Table
from bench.report.tables.fill import Column, Layout, Line, dataset_title, fill

METRICS = ("srcc", "plcc")
GROUPS = {
    "own": "Each set by itself",
    "across": "Trained on one set, tested on another",
    "whole": "Trained on the whole of one set, tested on another",
}
"""The kinds of contests, in the order in which they are shown, and what stands above each."""


@dataclass(frozen=True, eq=False)
class Entry:
    """A method in a contest: the runs behind its number, and the number of each metric with rank and mark."""

    subject: Subject
    cell: Cell
    numbers: Mapping[str, Number]

    @property
    def number(self) -> Number:
        """Its SRCC, which it is ranked by."""
        return self.numbers["srcc"]

    @property
    def value(self) -> float:
        """Its median SRCC; of a method without any finished run less than any other."""
        return -2.0 if self.number.value is None else self.number.value


@dataclass(frozen=True, eq=False)
class Contest:
    """One thing that was measured (trained on what, tested on what) and the methods that were, the best first.

    Those that take no part in ranks come last.
    """

    experiment: Experiment
    entries: tuple[Entry, ...]
    splits: int
    """How many splits (in k-fold: folds) a complete number is over."""
    ranked: bool
    """Whether its numbers may be compared at all; those of epochs chosen on the test part may not."""

    @property
    def title(self) -> str:
        """The sets as tables spell them."""
        source, target = dataset_title(self.experiment.train), dataset_title(self.experiment.tested)
        return source if self.experiment.is_own_test else f"{source} → {target}"


@dataclass(frozen=True, eq=False)
class Chapter:
    """One preset's records under one set of rules: their contests by group, and each group as a table has it."""

    scene: Scene
    contests: Mapping[str, tuple[Contest, ...]]
    tables: Mapping[str, Table]

    @property
    def part(self) -> PresetResults:
        """The records."""
        return self.scene.part

    @property
    def name(self) -> str:
        """What it goes by in addresses: letters, digits and hyphens only."""
        words = [self.part.preset.name, *self.part.rules.unusual, *(["smoke"] if self.scene.smoke else [])]
        return "-".join(words)

    @property
    def title(self) -> str:
        """What a heading says of it."""
        words = [f"Preset {self.part.preset.name}", *self.part.rules.unusual, *(["smoke"] if self.scene.smoke else [])]
        return ", ".join(words)

    @cached_property
    def all_contests(self) -> list[Contest]:
        """The contests of all groups, in order."""
        return [contest for group in GROUPS for contest in self.contests.get(group, ())]

    @cached_property
    def subjects(self) -> list[Subject]:
        """Every method that some contest has, in the papers' order, by its first name there."""
        by_arm = {e.subject.arm: e.subject for contest in self.all_contests for e in contest.entries}
        return sorted(by_arm.values(), key=lambda subject: subject.arm.order())

    @cached_property
    def costs(self) -> dict[Subject, Cost]:
        """What each method's runs cost, over all contests."""
        from bench.report.cells import cost_of

        runs: dict[object, dict[str, Record]] = {}
        for contest in self.all_contests:
            for entry in contest.entries:
                runs.setdefault(entry.subject.arm, {}).update({r.key: r for r in entry.cell.records})
        return {subject: cost_of(list(runs[subject.arm].values())) for subject in self.subjects}

    @cached_property
    def records(self) -> list[Record]:
        """Every record of the chapter, in order of their keys."""
        return sorted((r for arm in self.part.arms for r in self.part.records_of(arm)), key=lambda record: record.key)

    @cached_property
    def experiments(self) -> set[Experiment]:
        """Everything that some record of it was trained and tested on."""
        return self.part.experiments()


def chapters(results: Results) -> list[Chapter]:
    """A chapter of whole runs for each preset and set of rules; of smoke runs only where there are no others."""
    result = []
    for whole, smoke in scenes(results, Wish()):
        scene = whole if whole.part.arms else smoke
        if scene.part.arms:
            result.append(_chapter(scene))
    return result


def _chapter(scene: Scene) -> Chapter:
    contests: dict[str, tuple[Contest, ...]] = {}
    tables: dict[str, Table] = {}
    for group, experiments in _experiments(scene.part).items():
        subjects = scene.subjects(experiments)
        if subjects:
            tables[group], contests[group] = _filled(scene, group, experiments, subjects)
    return Chapter(scene, contests, tables)


def _experiments(part: PresetResults) -> dict[str, list[Experiment]]:
    """The experiments of each group: the usual share of a set is trained on; the preset's own sets come first."""
    order = {name: place for place, name in enumerate(part.preset.main)}
    usual = [e for e in part.experiments() if e.fraction == 0.8]

    def sort(experiments: Iterable[Experiment]) -> list[Experiment]:
        return sorted(experiments, key=lambda e: (order.get(e.train, 99), e.train, order.get(e.tested, 99), e.target))

    return {
        "own": sort(e for e in usual if e.is_own_test and e.source == "split"),
        "across": sort(e for e in usual if e.part == "all" and e.source == "split"),
        "whole": sort(e for e in usual if e.part == "all" and e.source == "all"),
    }


def _filled(
    scene: Scene, group: str, experiments: Sequence[Experiment], subjects: Sequence[Subject]
) -> tuple[Table, tuple[Contest, ...]]:
    """A group's table, made as every table is, and the contests that are its columns."""
    columns = tuple(Column(_heading(e), e, metric) for e in experiments for metric in METRICS)
    lines = tuple(Line((subject.label,), subject.arm, subject.arm) for subject in subjects)
    table = fill(scene.part, Layout("report", GROUPS[group], ("Method",), columns, lines, counted=False))
    contests = []
    for place, experiment in enumerate(experiments):
        entries = []
        for row, subject in zip(table.rows, subjects, strict=True):
            numbers = dict(zip(METRICS, row.cells[len(METRICS) * place :], strict=False))
            entries.append(Entry(subject, scene.cell(subject.arm, experiment), _only_numbers(numbers)))
        shown = [entry for entry in entries if entry.cell.records]
        if any(entry.cell.values for entry in shown):
            order = sorted(shown, key=lambda entry: (not entry.subject.ranked, -entry.value))
            splits = max(entry.cell.folds or entry.number.of for entry in order)
            contests.append(Contest(experiment, tuple(order), splits, scene.part.rules.ranked))
    return table, tuple(contests)


def _heading(experiment: Experiment) -> str:
    source = dataset_title(experiment.train)
    return source if experiment.is_own_test else f"{source} → {dataset_title(experiment.tested)}"


def _only_numbers(cells: Mapping[str, Number | str]) -> dict[str, Number]:
    return {name: cell for name, cell in cells.items() if isinstance(cell, Number)}
