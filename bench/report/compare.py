"""Two methods side by side: paired differences over identical splits and over contents, in numbers and words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import TYPE_CHECKING

from bench.core.code import told_apart
from bench.core.errors import RunError, StoreError, UsageError
from bench.records.results import Experiment, Results
from bench.report.arms import Arm, shared_changes
from bench.report.cells import Cell
from bench.report.mixing import Named, mixtures
from bench.report.opponents import any_seed, fitting, paired, why_none
from bench.report.selection import by_split_rule
from bench.report.tables.fill import PresetResults, dataset_title
from bench.report.tables.notes import EXTERNAL_NOTE
from bench.report.verdicts import ALPHA, sentences, summary

if TYPE_CHECKING:
    from bench.metrics.contents import OverContents
    from bench.metrics.variance import Spread

LOWER_IS_BETTER = ("rmse",)
UNLIKE = "the two were tested on other pictures, or under other labels"
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

    `low`, `high` and `p` are over splits and None below three of them; `p_holm` is corrected for those of its preset.
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
    seeds: int = 1
    """Under how many seeds both were trained."""

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
    """What can be said of two arms under one preset and split rule: a row an experiment, a sentence a training set."""

    preset: str
    rules: str
    """What is unusual about how sets were split; "" where nothing is."""
    a: str
    b: str
    shared: tuple[str, ...]
    """What both changed alike, which their names do not say."""
    rows: tuple[PairedDifference, ...]
    sentences: tuple[str, ...]
    summary: str
    cautions: tuple[str, ...] = ()
    mixed: tuple[str, ...] = ()
    """What differs in how the two were made (bench.report.mixing)."""

    @property
    def seeds(self) -> tuple[int, int]:
        """The fewest and the most seeds that a row is a mean over."""
        counts = [row.seeds for row in self.rows]
        return min(counts), max(counts)


def compare(results: Results, a: str, b: str, *, metric: str = "srcc") -> list[Comparison]:
    """Compare two methods, each "name" or "name,option=value,…", on every experiment that both have: one a preset.

    Differences are paired by split (and by seed, of which the mean counts), tested with Nadeau and Bengio's correction
    for overlapping splits, and p-values are corrected by Holm over the experiments. Beside it stands an interval over
    contents, which has the power that few splits lack, and another promise (`PROMISES`).
    """
    comparisons = []
    for part in by_split_rule(results):
        if comparison := compare_arms(part, fitting(part, a), fitting(part, b), metric):
            comparisons.append(comparison)
    if not comparisons:
        raise UsageError(why_none(results, a, b))
    return comparisons


def compare_arms(part: PresetResults, first: Sequence[Arm], second: Sequence[Arm], metric: str) -> Comparison | None:
    """What can be said of two methods that some arms stand for; None where they have nothing in common."""
    pairs = paired(part, first, second)
    rows = _rows(part, pairs, metric)
    return _comparison(part, pairs, rows) if rows else None


def _comparison(part: PresetResults, pairs: Sequence[tuple[Arm, Arm]], rows: Sequence[PairedDifference]) -> Comparison:
    first, second = pairs[0] if len(pairs) == 1 else map(any_seed, pairs[0])
    names = _names(first, second)
    return Comparison(
        part.preset.name,
        part.rules.title,
        *names,
        () if first.external or second.external else _shared(first, second),
        tuple(rows),
        sentences(names, rows),
        summary(names, rows),
        (*_cautions(*pairs[0]), *_older(part, pairs, rows)),
        mixtures(column for pair in pairs for column in _columns(part, pair, rows)),
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
    seeds: set[int] = set()
    for runs in shared:
        for split in runs.splits:
            spec = runs.one.by_split[split].spec
            by_split.setdefault(spec.split, []).append(runs.difference(split))
            seeds.add(spec.recipe.seed)
    cell = shared[0].one
    test = corrected_paired_test([fmean(values) for values in by_split.values()], cell.overlap())
    over, spread = _over_contents(shared), _spread(shared)
    row = PairedDifference(
        cell.experiment, cell.metric, test.effect, test.n, contents=over, spread=spread, seeds=len(seeds)
    )
    return row if test.n < FEWEST_SPLITS else replace(row, low=test.low, high=test.high, p=test.p)


def _over_contents(shared: Sequence[_Shared]) -> OverContents | None:
    """The difference over contents, from the predictions that both have stored for the common splits and seeds."""
    from bench.metrics.contents import OverContents, paired_interval

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
    try:
        return paired_interval(first, second, shared[0].one.metric)
    except RunError:  # tested on other pictures, or under other labels
        return OverContents(float("nan"), None, None, 0, UNLIKE)


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
