"""The records as figures look at them: of one preset and set of rules, one arm per method, and what must be said."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.core.errors import UsageError
from bench.core.progress import Report, silent
from bench.core.spec import Target
from bench.planning.usual import fact_of
from bench.records.results import Experiment, Record, Results
from bench.report.arms import Arm, method_title, value_text
from bench.report.cells import Cell
from bench.report.figures.style import Legend, Look, finish
from bench.report.selection import Rules
from bench.report.tables.fill import PresetResults, by_preset, dataset_title
from bench.report.tables.notes import EXTERNAL_NOTE, SELECTION, made_note

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.core.runtime import Runtime

MISSING_WEIGHTS = "random weights: a test of the machinery, not a result"
LONGEST = 24
"""Letters of changed settings that a label may carry; what is longer is said below the figure."""
LONGEST_STEM = 160
"""Letters of a file's stem; file systems take 255 bytes for a whole name."""


@dataclass(frozen=True)
class Wish:
    """What the user asked of a figure; nothing named means everything there is."""

    methods: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    image: str = ""
    """A picture of the dataset by its name, or a file: for attention maps."""
    plain: bool = False
    """No title and no words on the page, for a paper: both stand in the file's metadata and in the drawing."""
    views: str = "same"
    """What models look at for their spectra: the same crops all of them, or each its own views."""
    runtime: Runtime | None = None
    """Where data and weights are: only the figures that show pictures or walk through models need it."""
    report: Report = silent
    """Told how far drawing is."""

    def machine(self) -> Runtime:
        """The runtime; a figure that needs one cannot be drawn without."""
        if self.runtime is None:
            raise UsageError("This figure reads pictures or models, so it needs to know where they are (a runtime).")
        return self.runtime


def stands_on_vit(method: str) -> bool:
    """Whether a method has a ViT of its own: not so an ensemble, nor what reads a CNN or no network."""
    return bool(fact_of(method, "stands_on") == "vit")


@dataclass(frozen=True)
class Subject:
    """A method in a figure: its arm, the short name it goes by, and what it changed where the name does not say it."""

    arm: Arm
    label: str
    unsaid: str = ""

    @property
    def ranked(self) -> bool:
        """Whether it takes part in ranks: not so an oracle, which is told what no method may know."""
        return bool(fact_of(self.arm.method, "ranked"))

    @property
    def on_vit(self) -> bool:
        """Whether there is a ViT in it to look into."""
        return stands_on_vit(self.arm.method)

    @property
    def look(self) -> Look:
        """Its colour, marker, dash and hatch: the same in every figure."""
        return Look.of(self.arm.method)


@dataclass(frozen=True)
class Drawing:
    """A finished figure: the stem of its files, its title, and the words that say how to read it and of what it is."""

    stem: str
    figure: Figure
    title: str
    words: tuple[str, ...]


class Scene:
    """One preset's records under one set of rules, and what the user wants to see of them.

    Smoke runs (`--limit`) never share a figure with whole ones, which they stand `aside` of: they have a scene of their
    own, which is drawn where there is nothing else, and says so in title, words and file name.
    """

    def __init__(self, part: PresetResults, wish: Wish, *, aside: PresetResults | None = None) -> None:
        self.part, self.wish, self.aside = part, wish, aside
        self.demo = part.preset.made
        self.smoke = any(arm.limit for arm in part.arms)

    @property
    def score_name(self) -> str:
        """What a picture's true score is called: where sets are made here it is no opinion."""
        return "label" if self.demo else "human score"

    def subjects(self, experiments: Iterable[Experiment]) -> list[Subject]:
        """The wanted methods with a finished run in the experiments, in the papers' order.

        A method that was run under several settings is shown with the one that changes least from the preset; at the
        rate that was found for it rather than at the preset's.
        """
        chosen_experiments = list(experiments)
        there: dict[str, list[Arm]] = {}
        for arm in self._wanted(self.part):
            if any(self.cell(arm, e).values for e in chosen_experiments):
                there.setdefault(arm.method, []).append(arm)
        return self.named([min(arms, key=_preference) for arms in there.values()], chosen_experiments)

    def named(self, arms: Sequence[Arm], experiments: Sequence[Experiment]) -> list[Subject]:
        """The arms of one figure under short names: what all of them changed alike is said below it, once."""
        shared = self._shared_changes(arms, experiments)
        return [_subject(arm, [change for change in _changes(arm) if change not in shared]) for arm in arms]

    def cell(self, arm: Arm, experiment: Experiment, metric: str = "srcc") -> Cell:
        """The runs of an arm in an experiment, by split."""
        return Cell.of(self.part.runs(arm, experiment), experiment, metric)

    def done(self, arm: Arm, experiment: Experiment) -> dict[int, Record]:
        """The finished runs of an arm in an experiment, by split."""
        return {split: record for split, record in self.cell(arm, experiment).by_split.items() if record.done}

    def own_tests(self) -> list[Experiment]:
        """Every wanted dataset that was trained and tested on, in the papers' order: whole training parts of splits."""
        return [Experiment(name, Target.of(name)) for name in self.kept(self.part.own_test_sets(self.part.preset.main))]

    def kept(self, datasets: Iterable[str]) -> list[str]:
        """The datasets among these that the user wants."""
        return [name for name in datasets if not self.wish.datasets or name in self.wish.datasets]

    def drawing(
        self,
        parts: Sequence[str],
        figure: Figure,
        title: str,
        subjects: Sequence[Subject],
        experiments: Sequence[Experiment],
        *,
        how: str,
        legend: Legend | None = None,
        medians: bool = True,
        whiskers: bool = False,
        more: Sequence[str] = (),
    ) -> Drawing:
        """A figure with everything that every figure has: its title, its words below, and its name.

        `how` says how to read it and `more` what else must be known; `whiskers` are explained where some are drawn.
        """
        title = self.headline(title)
        words = self.conditions(subjects, experiments, how=how, medians=medians, whiskers=whiskers)
        words += [line for line in more if line]
        if self.wish.plain:
            finish(figure, "", (), legend)
        else:
            finish(figure, title, words, legend)
        return Drawing(self.stem(*parts), figure, title, tuple(words))

    def headline(self, text: str) -> str:
        """A title that says when a figure is a demo or a smoke run, and when its numbers are of unusual rules."""
        said = [self.part.preset.heading, "Smoke run." if self.smoke else "", self.part.rules.title, text]
        return " ".join(filter(None, said))

    def stem(self, *parts: str) -> str:
        """A file's stem: what is shown, what the user chose of it, and everything that a headline says.

        A figure of some methods never takes the name of the figure of all.
        """
        chosen = [self.wish.datasets, self.wish.methods, (Path(self.wish.image).stem,) if self.wish.image else ()]
        words = [*parts, *(word for names in chosen if not set(names) & set(parts) for word in sorted(names))]
        words += self.part.rules.unusual
        words += [name for name, so in ((self.part.preset.name, self.demo), ("smoke", self.smoke)) if so]
        stem = re.sub(r"[^\w.-]+", "-", "_".join(words))
        if len(stem) <= LONGEST_STEM:
            return stem
        return f"{stem[: LONGEST_STEM - 9]}-{hashlib.sha256(stem.encode()).hexdigest()[:8]}"

    def conditions(
        self,
        subjects: Sequence[Subject],
        experiments: Sequence[Experiment],
        *,
        how: str,
        medians: bool = True,
        whiskers: bool = False,
    ) -> list[str]:
        """What stands below a figure: how to read it, what is incomplete, and the conditions of its runs."""
        cells = {s: [self.cell(s.arm, e) for e in experiments] for s in subjects}
        records = [record for row in cells.values() for cell in row for record in cell.records if record.done]
        of = max((cell.splits for row in cells.values() for cell in row), default=0)
        if whiskers and of > 1:
            how += " Whiskers: lowest and highest split."
        if medians:
            how += f" Medians over {of} splits." if of > 1 else " One split."
        return [
            how.strip(),
            *_incomplete(cells, of),
            *self._left_out(subjects, experiments),
            self._setting([s.arm for s in subjects], experiments, records),
            *(f"{subject.label}: {subject.unsaid}." for subject in subjects if subject.unsaid),
            *self._cautions(records, experiments),
        ]

    def _wanted(self, part: PresetResults) -> list[Arm]:
        """The arms of the methods that the user wants."""
        return [arm for arm in part.arms if not self.wish.methods or arm.method in self.wish.methods]

    def _shared_changes(self, arms: Sequence[Arm], experiments: Sequence[Experiment]) -> list[str]:
        """What holds for all arms and is not the preset's own for each of them."""
        options = dict.fromkeys(change for arm in arms for change in arm.option_changes())
        shared = [change for change in options if all(change in arm.option_changes() for arm in arms)]
        settings = dict.fromkeys(change for arm in arms for change in arm.run_changes())
        return shared + [change for change in settings if all(self._has(arm, change, experiments) for arm in arms)]

    def _has(self, arm: Arm, change: str, experiments: Sequence[Experiment]) -> bool:
        """Whether an arm's runs have a setting that another arm changed: its own usual value may be the same."""
        if arm.external or change in arm.run_changes():
            return True
        name, _, value = change.partition("=")
        recipes = [record.spec.recipe for e in experiments for record in self.done(arm, e).values()]
        return bool(recipes) and all(hasattr(r, name) and value_text(getattr(r, name)) == value for r in recipes)

    def _setting(self, arms: Sequence[Arm], experiments: Sequence[Experiment], records: Sequence[Record]) -> str:
        """The line of the preset: what all runs changed in it, their backbones, and when a model was tested."""
        spelt_out = ("backbone=", "selection=", "weights=random")
        changed = [c for c in self._shared_changes(arms, experiments) if not c.startswith(spelt_out)]
        preset = self.part.preset.name + (f", changed: {', '.join(changed)}" if changed else "")
        specs = [record.spec for record in records if not record.spec.external]
        backbones = ", ".join(sorted({spec.backbone for spec in specs} - {""})) or "none"
        said = [f"backbone {backbones}"] if specs else []
        return f"{'; '.join([f'Preset {preset}', *said, *sorted({SELECTION[s.recipe.selection] for s in specs})])}."

    def _cautions(self, records: Sequence[Record], experiments: Sequence[Experiment]) -> list[str]:
        """What keeps the numbers of a figure from being a result."""
        lines = []
        limits = sorted({record.spec.limit for record in records if record.spec.limit})
        if limits:
            most = " or ".join(map(str, limits))
            lines.append(f"Smoke run: at most {most} images of each set; a test of the machinery, not a result.")
        trains = [record.section("data").get("train", {}) for record in records]
        notes = {f"{t.get('name')}: {note}" for t in trains for note in t.get("notes") or ()}
        lines += sorted(f"{note}." for note in notes if ": partial" in note)
        if any(record.spec.weights == "random" for record in records):
            lines.append(f"Backbones of {MISSING_WEIGHTS}.")
        if any(record.spec.external for record in records):
            lines.append(f"External: {EXTERNAL_NOTE}.")
        lines += self.part.rules.notes
        if self.demo:
            lines.append(made_note(self.part.preset, (name for e in experiments for name in e.datasets)))
        return lines

    def _left_out(self, subjects: Sequence[Subject], experiments: Sequence[Experiment]) -> list[str]:
        """Which methods are not shown though they were asked for or have runs, and why."""
        shown = {subject.arm.method for subject in subjects}
        lines = []
        failed = self._with_runs(self.part, shown, experiments, done=False)
        if failed:
            names = ", ".join(map(method_title, failed))
            lines.append(f"Not shown, for all their runs here failed (bench status says why): {names}.")
        smoke = self._with_runs(self.aside, shown, experiments, done=True) if self.aside else []
        if smoke:
            lines.append(f"Left out, for they are smoke runs (--limit): {', '.join(map(method_title, smoke))}.")
        named = [name for name in self.wish.methods if name not in {*shown, *failed, *smoke}]
        finished = self._with_runs(self.part, shown, experiments, done=True)
        if undrawn := [name for name in named if name in finished]:  # no loss curve, an undefined SRCC, not ranked …
            lines.append(f"Not shown, though they have runs here: {', '.join(map(method_title, undrawn))}.")
        if absent := [name for name in named if name not in finished]:
            lines.append(f"Not shown, for they have no run here: {', '.join(map(method_title, absent))}.")
        return lines

    def _with_runs(
        self, part: PresetResults, besides: Iterable[str], experiments: Sequence[Experiment], *, done: bool
    ) -> list[str]:
        """The wanted methods, some aside, that have finished (or only failed) runs in the experiments."""
        finished: dict[str, set[bool]] = {}
        for arm in self._wanted(part):
            if arm.method not in besides:
                states = {record.done for e in experiments for record in part.runs(arm, e)}
                finished.setdefault(arm.method, set()).update(states)
        return [method for method, states in finished.items() if states and (True in states) == done]


def scenes(results: Results, wish: Wish) -> list[tuple[Scene, Scene]]:
    """Two scenes per preset and set of rules, of its whole runs and of its smoke runs: others never share a figure."""
    whole = _parts(results.where(lambda record: not record.spec.limit))
    smoke = _parts(results.where(lambda record: bool(record.spec.limit)))
    pairs = []
    for preset, rules in _parts(results):
        nothing = PresetResults(preset, {}, intervals=False, rules=rules)
        aside = smoke.get((preset, rules), nothing)
        pairs.append((Scene(whole.get((preset, rules), nothing), wish, aside=aside), Scene(aside, wish)))
    return pairs


def _parts(results: Results) -> dict[tuple[str, Rules], PresetResults]:
    return {(part.preset.name, part.rules): part for part in by_preset(results)}


def title_of(experiment: Experiment) -> str:
    """What was trained and tested on, as the papers spell it."""
    test = experiment.tested
    if test == experiment.train:
        return dataset_title(test)
    return f"{dataset_title(experiment.train)} → {dataset_title(test)}"


def spread(cell: Cell) -> tuple[float, float, float] | None:
    """Median, lowest and highest over the splits; None where no split has the number."""
    values = cell.scores().values()
    return None if cell.median is None else (cell.median, min(values), max(values))


def _preference(arm: Arm) -> tuple[int, bool]:
    """Fewest changes beside what was tuned, then tuned before not; of equals the first, as tables have them."""
    return len(_changes(arm)) - arm.tuned, not arm.tuned


def _changes(arm: Arm) -> tuple[str, ...]:
    return arm.option_changes() + arm.run_changes()


def _subject(arm: Arm, changes: Sequence[str]) -> Subject:
    """The arm's title with its own changes, or with a star where they are too many for a label."""
    text = ", ".join(changes)
    if len(text) > LONGEST:
        return Subject(arm, f"{arm.title}*", text)
    return Subject(arm, f"{arm.title}, {text}" if text else arm.title)


def _incomplete(cells: Mapping[Subject, Sequence[Cell]], of: int) -> list[str]:
    """A line for the failed runs and one for the splits that are not there yet, with the methods' numbers."""
    failed, missing = [], []
    for subject, row in cells.items():
        shown = [cell for cell in row if cell.splits]
        if count := sum(cell.failed for cell in shown):
            failed.append(f"{subject.label} ({count})")
        elif numbers := {len(cell.scores()) for cell in shown} - {of}:
            most = max(len(cell.scores()) for cell in shown)
            missing.append(f"{subject.label} ({min(numbers)}{f' to {most}' if most > min(numbers) else ''})")
    lines = [f"Failed runs left out: {', '.join(failed)}."] if failed else []
    return lines + ([f"Not all {of} splits are there: {', '.join(missing)}."] if missing else [])
