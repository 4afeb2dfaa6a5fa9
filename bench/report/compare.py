"""Two methods side by side: paired differences over identical splits and over contents, in numbers and words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from bench.core.code import told_apart
from bench.core.errors import RunError, StoreError, UsageError
from bench.core.progress import counted
from bench.core.registry import METHODS
from bench.records.results import Experiment, Results
from bench.report.arms import Arm, shared_changes
from bench.report.cells import Cell
from bench.report.mixing import Named, mixtures
from bench.report.selection import by_split_rule
from bench.report.tables.fill import PresetResults, dataset_title
from bench.report.tables.notes import EXTERNAL_NOTE
from bench.report.verdicts import ALPHA, sentences, summary

if TYPE_CHECKING:
    from bench.metrics.contents import OverContents
    from bench.metrics.variance import Spread

LOWER_IS_BETTER = ("rmse",)
PROMISES = (
    "Over splits: trainings repeated on other pictures of this kind (of a whole source: with other seeds), if what is "
    "learned from moves a score at most half as far as the seed does (Nadeau–Bengio).",
    "Over contents: these trained models, tested on as many other contents in each test part, if contents are "
    "independent of one another; a picture that stands alone is a content (jackknife; each interval by itself).",
)
"""What the two intervals promise."""


@dataclass(frozen=True)
class PairedDifference:
    """One experiment: `effect` is the mean of a − b over the splits both have.

    `low`, `high` and `p` are over splits and None below three of them; `p_holm` is corrected for all experiments.
    """

    experiment: Experiment
    metric: str
    effect: float
    n: int
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    contents: OverContents | None = None
    """The same difference over contents; None where predictions are missing."""
    spread: Spread | None = None
    """What moves it, in k-fold under several seeds."""

    @property
    def title(self) -> str:
        """Training and test set as tables spell them."""
        return _where(self.experiment)

    @property
    def verdict(self) -> int:
        """1 where the first is better, -1 where the second is, 0 where the splits' chance may explain it."""
        if self.p_holm is None or self.p_holm >= ALPHA:
            return 0
        return self.sign(self.effect)

    @property
    def verdict_over_contents(self) -> int:
        """The same for these trained models on other contents."""
        return self.sign(self.contents.estimate) if self.contents and self.contents.excludes_zero else 0

    def sign(self, effect: float) -> int:
        """1 where an effect is in favour of the first, -1 where of the second."""
        if not effect:
            return 0
        return 1 if (effect < 0) == (self.metric in LOWER_IS_BETTER) else -1


@dataclass(frozen=True)
class Comparison:
    """What can be said of two arms under one preset: a row an experiment, a sentence a training set."""

    preset: str
    a: str
    b: str
    shared: tuple[str, ...]
    """What both changed alike, which their names do not say."""
    seeds: int
    rows: tuple[PairedDifference, ...]
    sentences: tuple[str, ...]
    summary: str
    cautions: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()
    """What differs in how the two were made (bench.report.mixing)."""


def compare(results: Results, a: str, b: str, *, metric: str = "srcc") -> list[Comparison]:
    """Compare two methods, each "name" or "name,option=value,…", on every experiment that both have: one a preset.

    Differences are paired by split (and by seed, of which the mean counts), tested with Nadeau and Bengio's correction
    for overlapping splits, and p-values are corrected by Holm over the experiments. Beside it stands an interval over
    contents, which has the power that few splits lack, and another promise (`PROMISES`).
    """
    comparisons = []
    for part in by_split_rule(results):
        pairs = _pairs(part, _fitting(part, a), _fitting(part, b))
        if rows := _rows(part, pairs, metric):
            comparisons.append(_comparison(part, pairs, rows))
    if not comparisons:
        raise UsageError(_why_none(results, a, b))
    return comparisons


def _comparison(part: PresetResults, pairs: Sequence[tuple[Arm, Arm]], rows: Sequence[PairedDifference]) -> Comparison:
    first, second = pairs[0] if len(pairs) == 1 else map(_any_seed, pairs[0])
    names = _names(first, second)
    return Comparison(
        part.preset.name,
        *names,
        () if first.external or second.external else _shared(first, second),
        _seeds(part, pairs, rows),
        tuple(rows),
        sentences(names, rows),
        summary(names, rows),
        (*_cautions(*pairs[0]), *_older(part, pairs, rows)),
        mixtures(column for pair in pairs for column in _columns(part, pair, rows)),
    )


def _seeds(part: PresetResults, pairs: Sequence[tuple[Arm, Arm]], rows: Sequence[PairedDifference]) -> int:
    """Under how many seeds the two were trained alike."""
    columns = (column for pair in pairs for column in _columns(part, pair, rows))
    return len({record.spec.recipe.seed for column in columns for _, record in column})


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


def _pairs(part: PresetResults, first: Sequence[Arm], second: Sequence[Arm]) -> list[tuple[Arm, Arm]]:
    """The plainest two that differ in nothing but method and options, once per seed; failing that, the plainest two."""
    shared = [(one, other) for one in first for other in second if one != other and _meet(part, one, other)]
    alike = [(one, other) for one, other in shared if one.run_changes() == other.run_changes()]
    if not alike:
        return shared[:1]
    plainest = [_any_seed(arm) for arm in alike[0]]
    return [pair for pair in alike if [_any_seed(arm) for arm in pair] == plainest]


def _any_seed(arm: Arm) -> Arm:
    """The arm whatever its seed."""
    return replace(arm, recipe=tuple((name, value) for name, value in arm.recipe if name != "seed"))


def _meet(part: PresetResults, one: Arm, other: Arm) -> bool:
    """Whether both have a finished run of one experiment and split."""
    return any(
        {r.spec.repetition for r in part.runs(one, e) if r.done}
        & {r.spec.repetition for r in part.runs(other, e) if r.done}
        for e in part.experiments()
    )


def _cautions(first: Arm, second: Arm) -> tuple[str, ...]:
    """What else than the methods may lie behind a difference."""
    said = []
    shared = _shared(first, second)
    own = [[change for change in arm.run_changes() if change not in shared] for arm in (first, second)]
    if any(own):
        changes = [", ".join(listed) or "the preset's settings" for listed in own]
        said.append(f"Warning: the two differ in more than the method: {changes[0]} against {changes[1]}.")
    if first.external or second.external:
        said += _of_imported(first, second, shared)
    said += [
        f"Optimistic: {arm.title}'s epoch was chosen on the test part (selection=oracle)."
        for arm in (first, second)
        if dict(arm.recipe).get("selection") == "oracle"
    ]
    return tuple(dict.fromkeys(said))


def _of_imported(first: Arm, second: Arm, changes: Sequence[str]) -> list[str]:
    """What is not known of imported scores, and what the runs beside them changed from the preset."""
    arms = (first, second)
    said = [f"{arm.title}: {EXTERNAL_NOTE}." for arm in arms if arm.external]
    return said + [f"{arm.title} was run with {', '.join(changes)}." for arm in arms if changes and not arm.external]


def _older(part: PresetResults, pairs: Sequence[tuple[Arm, Arm]], rows: Sequence[PairedDifference]) -> list[str]:
    """Which of the runs behind the differences other code than today's has made."""
    columns = (column for pair in pairs for column in _columns(part, pair, rows))
    runs = {record.key: record.other_code for column in columns for _, record in column}
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


def _rows(part: PresetResults, pairs: Sequence[tuple[Arm, Arm]], metric: str) -> list[PairedDifference]:
    """Every experiment that both have a split of, with p-values corrected over all that could be tested."""
    from bench.metrics.comparisons import holm

    rows = []
    for experiment in sorted(part.experiments(), key=lambda e: (e.train, e.target, e.fraction, e.source)):
        cells = [[Cell.of(part.runs(arm, experiment), experiment, metric) for arm in pair] for pair in pairs]
        shared = [_Shared(one, other) for one, other in cells if set(one.values) & set(other.values)]
        if shared:
            rows.append(_row(shared))
    tested = [row for row in rows if row.p is not None]
    adjusted = dict(zip(map(id, tested), holm([row.p for row in tested if row.p is not None]), strict=True))
    return [replace(row, p_holm=adjusted.get(id(row))) for row in rows]


@dataclass(frozen=True)
class _Shared:
    """Two arms' runs of one experiment under one seed."""

    one: Cell
    other: Cell

    @property
    def splits(self) -> list[int]:
        """The splits that both have a number of."""
        return sorted(set(self.one.values) & set(self.other.values))

    def difference(self, split: int) -> float:
        return self.one.values[split] - self.other.values[split]


def _row(shared: Sequence[_Shared]) -> PairedDifference:
    """The comparison in one experiment: the difference of a split (or fold) is the mean over the seeds that have it."""
    from bench.metrics.comparisons import FEWEST_SPLITS, corrected_paired_test

    by_split: dict[int, list[float]] = {}
    for runs in shared:
        for split in runs.splits:
            by_split.setdefault(runs.one.by_split[split].spec.split, []).append(runs.difference(split))
    cell = shared[0].one
    test = corrected_paired_test([fmean(values) for values in by_split.values()], cell.overlap())
    over, spread = _over_contents(shared), _spread(shared)
    row = PairedDifference(cell.experiment, cell.metric, test.effect, test.n, contents=over, spread=spread)
    return row if test.n < FEWEST_SPLITS else replace(row, low=test.low, high=test.high, p=test.p)


def _over_contents(shared: Sequence[_Shared]) -> OverContents | None:
    """The difference over contents, from the predictions that both have stored for the common splits and seeds."""
    from bench.metrics.contents import paired_interval

    first, second = [], []
    for runs in shared:
        try:
            one, other = runs.one.predictions(runs.splits), runs.other.predictions(runs.splits)
        except StoreError:
            return None
        if not set(one) == set(other) == set(runs.splits):
            return None
        first += [one[split] for split in runs.splits]
        second += [other[split] for split in runs.splits]
    return paired_interval(first, second, shared[0].one.metric)


def _spread(shared: Sequence[_Shared]) -> Spread | None:
    """What moves the difference; of one row per side with its seeds, which k-fold alone has."""
    from bench.metrics.variance import spread_of_difference

    if len(shared) > 1 or not all(record.spec.folds for record in shared[0].one.records):
        return None
    (runs,) = shared
    try:
        return spread_of_difference(runs.one.by_seed(runs.splits), runs.other.by_seed(runs.splits), runs.one.metric)
    except (StoreError, RunError):
        return None


def _columns(part: PresetResults, pair: tuple[Arm, Arm], rows: Sequence[PairedDifference]) -> Iterator[list[Named]]:
    """The runs behind each difference: of the splits that both have."""
    shared = _shared(*pair)
    for row in rows:
        one, other = (Cell.of(part.runs(arm, row.experiment), row.experiment, row.metric) for arm in pair)
        common = sorted(set(one.values) & set(other.values))
        sides = zip(pair, (one, other), strict=True)
        yield [(arm.label(shared), cell.by_split[split]) for arm, cell in sides for split in common]


def _names(first: Arm, second: Arm) -> tuple[str, str]:
    """The arms' titles with what tells the two apart; what both changed stands in `Comparison.shared`."""
    shared = _shared(first, second)
    return first.label(shared), second.label(shared)


def _shared(first: Arm, second: Arm) -> tuple[str, ...]:
    """What both have and at least one changed from the preset: the method's options, the recipe and all else."""
    options = tuple(change for change in first.option_changes() if change in second.option_changes())
    return options + shared_changes((first, second))


def _where(experiment: Experiment) -> str:
    source = dataset_title(experiment.train)
    text = source if experiment.is_own_test else f"{source} → {dataset_title(experiment.tested)}"
    text += f" ({100 * experiment.fraction:g}% for training)" if experiment.fraction != 0.8 else ""
    return text + (" (whole source)" if experiment.source == "all" else "")
