"""Two methods side by side: paired differences over identical splits, dataset by dataset, in numbers and words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.arms import Arm, shared_changes
from bench.code import told_apart
from bench.errors import UsageError
from bench.layout import PresetResults, dataset_title
from bench.mixing import Named, mixtures
from bench.progress import counted
from bench.registry import METHODS
from bench.results import Experiment, Results
from bench.selection import by_split_rule
from bench.summary import Cell

if TYPE_CHECKING:
    from bench.stats import PairedTest

ALPHA = 0.05
LOWER_IS_BETTER = ("rmse",)


@dataclass(frozen=True)
class PairedDifference:
    """One experiment: `effect` is the mean of a − b over the splits both have; p is corrected by Holm."""

    experiment: Experiment
    metric: str
    effect: float
    low: float
    high: float
    p: float
    n: int
    sentence: str

    @property
    def verdict(self) -> int:
        """1 where the first is better, -1 where the second is, 0 where the splits' chance may explain it."""
        if self.p >= ALPHA or not self.effect:
            return 0
        return 1 if (self.effect < 0) == (self.metric in LOWER_IS_BETTER) else -1


@dataclass(frozen=True)
class Comparison:
    """What can be said of two arms under one preset."""

    preset: str
    a: str
    b: str
    rows: tuple[PairedDifference, ...]
    summary: str
    cautions: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()
    """What differs in how the two were made (bench.mixing)."""


def compare(results: Results, a: str, b: str, *, metric: str = "srcc") -> list[Comparison]:
    """Compare two methods, each "name" or "name,option=value,…", on every experiment that both have: one a preset.

    Differences are paired by split, tested with Nadeau and Bengio's correction for overlapping splits, and p-values
    are corrected by Holm over the experiments.
    """
    made = []
    for part in by_split_rule(results):
        pair = _pair(part, _fitting(part, a), _fitting(part, b))
        rows = _rows(part, *pair, metric) if pair else []
        if pair and rows:
            names = _names(*pair)
            summary, mixed = _summary(names, rows), mixtures(_columns(part, pair, rows))
            cautions = (*_cautions(*pair), *_older(part, pair, rows))
            made.append(Comparison(part.preset.name, *names, tuple(rows), summary, cautions, mixed))
    if not made:
        raise UsageError(_why_none(results, a, b))
    return made


def _fitting(part: PresetResults, wish: str) -> list[Arm]:
    """The arms of a method that have the wanted settings, the plainest first."""
    name, settings = _parsed(wish)
    fitting = [
        arm for arm in part.arms if arm.method == name and settings <= {*arm.option_changes(), *arm.run_changes()}
    ]
    return sorted(fitting, key=Arm.order)


def _parsed(wish: str) -> tuple[str, set[str]]:
    """Method and settings of "name,option=value,…", the values as tables write them."""
    name, *settings = [piece.strip() for piece in wish.split(",")]
    written = {"true": "yes", "false": "no"}
    pairs = [setting.partition("=") for setting in settings]
    return name, {f"{key}={written.get(value.lower(), value)}" for key, _, value in pairs}


def _pair(part: PresetResults, first: Sequence[Arm], second: Sequence[Arm]) -> tuple[Arm, Arm] | None:
    """The plainest two that differ in nothing but method and options; failing that, the plainest two."""
    shared = [(one, other) for one in first for other in second if one != other and _meet(part, one, other)]
    alike = [(one, other) for one, other in shared if one.run_changes() == other.run_changes()]
    return next(iter(alike or shared), None)


def _meet(part: PresetResults, one: Arm, other: Arm) -> bool:
    """Whether both have a finished run of one experiment and split."""
    return any(
        {r.spec.split for r in part.runs(one, e) if r.done} & {r.spec.split for r in part.runs(other, e) if r.done}
        for e in part.experiments()
    )


def _cautions(first: Arm, second: Arm) -> tuple[str, ...]:
    """What else than the methods may lie behind a difference."""
    said = []
    if first.run_changes() != second.run_changes():
        changes = [", ".join(arm.run_changes()) or "the preset's settings" for arm in (first, second)]
        said.append(f"Warning: the two differ in more than the method: {changes[0]} against {changes[1]}.")
    said += [
        f"Optimistic: {arm.title}'s epoch was chosen on the test part (selection=oracle)."
        for arm in (first, second)
        if dict(arm.recipe).get("selection") == "oracle"
    ]
    return tuple(dict.fromkeys(said))


def _older(part: PresetResults, pair: tuple[Arm, Arm], rows: Sequence[PairedDifference]) -> list[str]:
    """Which of the runs behind the differences other code than today's has made."""
    runs: dict[str, str] = {}
    for row in rows:
        one, other = (Cell.of(part.runs(arm, row.experiment), row.experiment, row.metric) for arm in pair)
        common = one.values.keys() & other.values.keys()
        runs |= {cell.by_split[split].key: cell.by_split[split].other_code for cell in (one, other) for split in common}
    makers = [maker for maker in runs.values() if maker]
    return [f"Warning: {told_apart(makers)}."] if makers else []


def _why_none(results: Results, a: str, b: str) -> str:
    """Why two wishes cannot be compared, and what to do."""
    if _parsed(a) == _parsed(b):
        return f"Both are {a}: name two different methods, or one with two settings (METHOD,OPTION=VALUE)."
    arms = [arm for part in by_split_rule(results) for arm in part.arms]
    for wish in (a, b):
        name, settings = _parsed(wish)
        of_method = [{*arm.option_changes(), *arm.run_changes()} for arm in arms if arm.method == name]
        if not of_method:
            METHODS.target(name)  # an unknown name is an error of its own
        elif not any(settings <= changes for changes in of_method):
            there = sorted({", ".join(sorted(changes)) or "none changed" for changes in of_method})
            return f"No record of {name} has {', '.join(sorted(settings))}. Settings with records: {'; '.join(there)}."
    known = sorted({arm.method for arm in arms})
    failed = sum(not record.done for record in results.records)
    names = (", ".join(known) or "none") + (f" ({counted(failed, 'run')} failed: see bench status)" if failed else "")
    return (
        f"There are no two finished runs of {a} and {b} on the same data and split. Methods with records: {names}. "
        f"This command makes them: bench run -m {_parsed(a)[0]},{_parsed(b)[0]}"
    )


def _rows(part: PresetResults, first: Arm, second: Arm, metric: str) -> list[PairedDifference]:
    from bench.stats import corrected_paired_test, holm

    tests: list[tuple[Experiment, PairedTest]] = []
    for experiment in sorted(part.experiments(), key=lambda e: (e.train, e.target, e.fraction, e.source)):
        cells = [Cell.of(part.runs(arm, experiment), experiment, metric) for arm in (first, second)]
        one, other = (cell.values for cell in cells)
        common = sorted(set(one) & set(other))
        if common:
            differences = [one[split] - other[split] for split in common]
            tests.append((experiment, corrected_paired_test(differences, *cells[0].sizes())))
    adjusted = holm([test.p for _, test in tests])
    names = _names(first, second)
    return [
        PairedDifference(
            experiment,
            metric,
            test.effect,
            test.low,
            test.high,
            p,
            test.n,
            _sentence(names, experiment, metric, test, p),
        )
        for (experiment, test), p in zip(tests, adjusted, strict=True)
    ]


def _columns(part: PresetResults, pair: tuple[Arm, Arm], rows: Sequence[PairedDifference]) -> Iterator[list[Named]]:
    """The runs behind each difference: of the splits that both have."""
    shared = shared_changes(pair)
    for row in rows:
        one, other = (Cell.of(part.runs(arm, row.experiment), row.experiment, row.metric) for arm in pair)
        common = sorted(set(one.values) & set(other.values))
        sides = zip(pair, (one, other), strict=True)
        yield [(arm.label(shared), cell.by_split[split]) for arm, cell in sides for split in common]


def _names(first: Arm, second: Arm) -> tuple[str, str]:
    """The arms' titles, with what was changed where that is what sets them apart."""
    return first.label(), second.label()


def _sentence(names: Sequence[str], experiment: Experiment, metric: str, test: PairedTest, p: float) -> str:
    effect, n = test.effect, test.n
    where = _where(experiment)
    if n == 1:
        return f"{where}: one common split says nothing about chance ({effect:+.3f})."
    size = f"{metric.upper()} {abs(effect):.3f} over {n} splits"
    if p >= ALPHA:
        return f"{where}: {names[0]} and {names[1]} cannot be told apart (mean difference in {size}, p = {p:.2g})."
    better, worse = (names[0], names[1]) if (effect < 0) == (metric in LOWER_IS_BETTER) else (names[1], names[0])
    return f"{where}: {better} is better than {worse} by {size} (p = {p:.2g})."


def _where(experiment: Experiment) -> str:
    source = dataset_title(experiment.train)
    text = source if experiment.is_own_test else f"{source} → {dataset_title(experiment.tested)}"
    text += f" ({100 * experiment.fraction:g}% for training)" if experiment.fraction != 0.8 else ""
    return text + (" (whole source)" if experiment.source == "all" else "")


def _summary(names: Sequence[str], rows: Sequence[PairedDifference]) -> str:
    better, worse = (sum(row.verdict == sign for row in rows) for sign in (1, -1))
    open_ = len(rows) - better - worse
    if len(rows) == 1:
        found = f"{names[0]} is better" if better else f"{names[1]} is better" if worse else "they cannot be told apart"
        return f"In the one comparison there is, {found} (α = {ALPHA})."
    return (
        f"Of {len(rows)} comparisons, {names[0]} is better in {better}, {names[1]} in {worse}, and {open_} cannot be "
        f"told apart (α = {ALPHA}, Holm over all of them)."
    )
