"""Two methods side by side: paired differences over identical splits, dataset by dataset, in numbers and words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.arms import Arm
from bench.errors import UsageError
from bench.layout import PresetResults, by_preset, dataset_title
from bench.results import Experiment, Results
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


def compare(results: Results, a: str, b: str, *, metric: str = "srcc") -> list[Comparison]:
    """Compare two methods, each "name" or "name,option=value,…", on every experiment that both have: one a preset.

    Differences are paired by split, tested with Nadeau and Bengio's correction for overlapping splits, and p-values
    are corrected by Holm over the experiments.
    """
    made = []
    for part in by_preset(results):
        first, second = _find(part, a), _find(part, b)
        if first is None or second is None or first == second:
            continue
        rows = _rows(part, first, second, metric)
        if rows:
            names = _names(first, second)
            made.append(Comparison(part.preset.name, *names, tuple(rows), _summary(names, rows)))
    if not made:
        known = sorted({arm.method for part in by_preset(results) for arm in part.arms})
        raise UsageError(
            f"There are no two runs of {a} and {b} on the same data and split. Methods with records: "
            f"{', '.join(known) or 'none'}. This command makes them: bench run -m {a.split(',')[0]},{b.split(',')[0]}"
        )
    return made


def _find(part: PresetResults, wish: str) -> Arm | None:
    """The plainest arm of a method that has the wanted settings."""
    name, *settings = [piece.strip() for piece in wish.split(",")]
    fitting = [
        arm for arm in part.arms if arm.method == name and set(settings) <= {*arm.option_changes(), *arm.run_changes()}
    ]
    return min(fitting, key=Arm.order, default=None)


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


def _names(first: Arm, second: Arm) -> tuple[str, str]:
    """The arms' titles, with what was changed where that is what sets them apart."""
    one, other = (", ".join([arm.title, *arm.option_changes(), *arm.run_changes()]) for arm in (first, second))
    return one, other


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
    test, _, part = experiment.target.partition(":")
    text = source if test == experiment.train and part == "test" else f"{source} → {dataset_title(test)}"
    text += f" ({100 * experiment.fraction:g}% for training)" if experiment.fraction != 0.8 else ""
    return text + (" (whole source)" if experiment.source == "all" else "")


def _summary(names: Sequence[str], rows: Sequence[PairedDifference]) -> str:
    better, worse = (sum(row.verdict == sign for row in rows) for sign in (1, -1))
    open_ = len(rows) - better - worse
    return (
        f"Of {len(rows)} comparisons, {names[0]} is better in {better}, {names[1]} in {worse}, and {open_} cannot be "
        f"told apart (α = {ALPHA}, Holm over all of them)."
    )
