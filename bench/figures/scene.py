"""The records as figures look at them: one preset at a time, one arm a method, and what must be said below."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.arms import Arm
from bench.errors import UsageError
from bench.footers import SELECTION, demo_note
from bench.layout import PresetResults, by_preset, dataset_title
from bench.results import Experiment, Record, Results
from bench.summary import Cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.runtime import Runtime

MISSING_WEIGHTS = "random weights: a test of the machinery, not a result"


@dataclass(frozen=True)
class Wish:
    """What the user asked of a figure; nothing named means everything there is."""

    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    image: str = ""
    """A picture of the dataset by its name, or a file: for attention maps."""
    views: str = "same"
    """What models look at for their spectra: the same crops all of them, or each its own views."""
    runtime: Runtime | None = None
    """Where data and weights are: only the figures that show pictures or walk through models need it."""

    def machine(self) -> Runtime:
        """The runtime; a figure that needs one cannot be drawn without."""
        if self.runtime is None:
            raise UsageError("This figure reads pictures or models, so it needs to know where they are (a runtime).")
        return self.runtime


@dataclass(frozen=True)
class Subject:
    """A method in a figure: its arm, the name it goes by, and its place in the palette."""

    arm: Arm
    label: str
    place: int


@dataclass(frozen=True)
class Drawing:
    """A finished figure and the stem of its files."""

    stem: str
    figure: Figure


class Scene:
    """One preset's records and what the user wants to see of them."""

    def __init__(self, part: PresetResults, wish: Wish) -> None:
        self.part, self.wish = part, wish
        self.demo = part.preset.name == "demo"
        methods = dict.fromkeys(arm.method for arm in part.arms)
        self._places = {method: place for place, method in enumerate(methods)}

    def subjects(self, experiments: Iterable[Experiment]) -> list[Subject]:
        """The wanted methods with a finished run in the experiments, in the papers' order.

        A method that was run under several settings is shown with the one that changes least from the preset.
        """
        wanted = list(experiments)
        chosen: dict[str, Arm] = {}
        for arm in self.part.arms:  # plain arms come before changed ones
            asked = not self.wish.methods or arm.method in self.wish.methods
            if asked and arm.method not in chosen and any(self.cell(arm, e).values for e in wanted):
                chosen[arm.method] = arm
        labels = _labels(list(chosen.values()))
        return [Subject(arm, labels[arm], self._places[arm.method]) for arm in chosen.values()]

    def cell(self, arm: Arm, experiment: Experiment, metric: str = "srcc") -> Cell:
        """The runs of an arm in an experiment, by split."""
        return Cell.of(self.part.runs(arm, experiment), experiment, metric)

    def done(self, arm: Arm, experiment: Experiment) -> dict[int, Record]:
        """The finished runs of an arm in an experiment, by split."""
        return {split: record for split, record in self.cell(arm, experiment).by_split.items() if record.done}

    def own_tests(self) -> list[Experiment]:
        """Every wanted dataset that was trained and tested on, in the papers' order: 80/20, source split."""
        return [Experiment(name, f"{name}:test") for name in self.kept(self.part.own_test_sets(self.part.preset.main))]

    def kept(self, datasets: Iterable[str]) -> list[str]:
        """The datasets among these that the user wants."""
        return [name for name in datasets if not self.wish.datasets or name in self.wish.datasets]

    def headline(self, text: str) -> str:
        """A title that says when a figure is a demo, and when its numbers came about by unusual rules."""
        return " ".join(filter(None, ["Demo." if self.demo else "", self.part.rules.title, text]))

    def stem(self, *parts: str) -> str:
        """A file's stem that says the same."""
        return "_".join([*parts, *self.part.rules.unusual, *(["demo"] if self.demo else [])])

    def conditions(
        self, subjects: Sequence[Subject], experiments: Sequence[Experiment], *, how: str, medians: bool = True
    ) -> list[str]:
        """What stands below a figure: how to read it, what is incomplete, and the conditions of its runs."""
        cells = {s: [self.cell(s.arm, e) for e in experiments] for s in subjects}
        records = [record for row in cells.values() for cell in row for record in cell.records if record.done]
        of = max((cell.splits for row in cells.values() for cell in row), default=0)
        lines = [how]
        if medians:
            lines[0] += f" Medians over {of} splits." if of > 1 else " One split."
        lines += _incomplete(cells, of)
        if failed := self._failed(experiments):
            lines.append(f"Not shown, for all their runs here failed (bench status says why): {', '.join(failed)}.")
        backbones = sorted({f"{r.spec.backbone}" for r in records})
        selection = sorted({SELECTION[r.spec.recipe.selection] for r in records})
        lines.append(f"Preset {self.part.preset.name}; backbone {', '.join(backbones)}; {'; '.join(selection)}.")
        if any(r.spec.weights == "random" for r in records):
            lines.append(f"Backbones of {MISSING_WEIGHTS}.")
        lines += self.part.rules.notes
        if self.demo:
            lines.append(demo_note(name for e in experiments for name in e.datasets))
        return lines

    def _failed(self, experiments: Iterable[Experiment]) -> list[str]:
        """The wanted methods that have failed runs in the experiments and no finished one."""
        cells: dict[str, list[Cell]] = {}
        for arm in self.part.arms:
            if not self.wish.methods or arm.method in self.wish.methods:
                cells.setdefault(arm.title, []).extend(self.cell(arm, e) for e in experiments)
        return [
            title
            for title, row in cells.items()
            if any(cell.failed for cell in row) and not any(cell.values for cell in row)
        ]


def scenes(results: Results, wish: Wish) -> Iterator[Scene]:
    """One scene a preset and set of rules: numbers of others never share a figure."""
    known = {record.spec.method for record in results.records}
    for method in wish.methods:
        if method not in known and known:
            raise UsageError(f"There is no record of {method} here. Make some: bench run -m {method} -p main")
    return (Scene(part, wish) for part in by_preset(results))


def title_of(experiment: Experiment) -> str:
    """What was trained and tested on, as the papers spell it."""
    test = experiment.tested
    if test == experiment.train:
        return dataset_title(test)
    return f"{dataset_title(experiment.train)} → {dataset_title(test)}"


def spread(cell: Cell) -> tuple[float, float, float] | None:
    """Median, lowest and highest over the splits; None where no split has the number."""
    values = list(cell.values.values())
    return (statistics.median(values), min(values), max(values)) if values else None


def _labels(arms: Sequence[Arm]) -> dict[Arm, str]:
    """Each arm's title with what it changed, leaving out what all of them changed alike."""
    changes = {arm: arm.run_changes() for arm in arms}
    common = set.intersection(*map(set, changes.values())) if changes else set()
    return {
        arm: ", ".join([arm.title, *arm.option_changes(), *(c for c in changes[arm] if c not in common)])
        for arm in arms
    }


def _incomplete(cells: Mapping[Subject, Sequence[Cell]], of: int) -> list[str]:
    """A line for every method some of whose splits failed or are not there yet."""
    lines = []
    for subject, row in cells.items():
        shown = [cell for cell in row if cell.splits]
        failed = sum(cell.failed for cell in shown)
        fewest = min((len(cell.values) for cell in shown), default=of)
        if failed:
            lines.append(f"{subject.label}: {failed} failed {'run' if failed == 1 else 'runs'} left out.")
        elif fewest < of:
            lines.append(f"{subject.label}: only {fewest} of {of} splits everywhere.")
    return lines
