"""Every two of several methods side by side: which of them differ, whatever pair one looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.core.errors import UsageError
from bench.core.progress import counted
from bench.records.results import Experiment, Results
from bench.report.cells import Cell
from bench.report.compare import PairedDifference, compare_arms
from bench.report.mixing import mixtures
from bench.report.opponents import Opponents, alike, none_of_all
from bench.report.selection import PresetResults, by_split_rule
from bench.report.verdicts import ALPHA

OVER_CONTENTS, OVER_SPLITS = "contents", "splits"


@dataclass(frozen=True)
class Pair:
    """Two methods on one experiment, the one with the higher mean first; `p` is corrected for all pairs."""

    better: str
    worse: str
    difference: float
    low: float | None
    high: float | None
    p: float | None

    @property
    def told_apart(self) -> bool:
        """Whether chance is no explanation of the difference."""
        return self.p is not None and self.p < ALPHA


@dataclass(frozen=True)
class Pairs:
    """All pairs of one experiment, the largest difference first.

    `over` says what intervals and p are over: contents, or splits where some pair has no interval over contents.
    """

    preset: str
    rules: str
    """What is unusual about how sets were split; "" where nothing is."""
    experiment: Experiment
    title: str
    metric: str
    over: str
    count: int
    pairs: tuple[Pair, ...]
    shared: tuple[str, ...] = ()
    """What all changed alike, which their names do not say."""
    mixed: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """How many are told apart, and how large the others' differences could still be."""
        apart = sum(pair.told_apart for pair in self.pairs)
        words = (
            f"{self.title}: of {counted(len(self.pairs), 'pair')} {apart} can be told apart (α = {ALPHA} after Holm, "
            f"over {self.count} {self.over})."
        )
        others = [pair for pair in self.pairs if not pair.told_apart and pair.low is not None and pair.high is not None]
        if not others:
            return words
        most = max(max(-(pair.low or 0.0), pair.high or 0.0) for pair in others)
        return f"{words} The others may be equal, or differ by up to {most:.3f}, where their 95% intervals end."


def all_pairs(results: Results, wishes: Sequence[str], *, metric: str = "srcc") -> list[Pairs]:
    """Every two of the methods on every experiment that all pairs have, each "name" or "name,option=value,…".

    Holm's correction is over the pairs of an experiment. Intervals are as in `compare`: of each pair by itself.
    """
    if len(set(wishes)) < len(wishes):
        raise UsageError("A method is named twice: name each once.")
    tables = [table for part in by_split_rule(results) for table in _of_part(part, wishes, metric)]
    if not tables:
        raise none_of_all(results, wishes)
    return tables


def _of_part(part: PresetResults, wishes: Sequence[str], metric: str) -> Iterator[Pairs]:
    """The experiments of one preset and split rule in which every two of the methods can be compared."""
    opponents = alike(part, wishes)
    if opponents is None:
        return
    arms, names = opponents.arms, opponents.names
    known: dict[Experiment, list[tuple[str, str, PairedDifference]]] = {}
    for a, b in combinations(wishes, 2):
        found = compare_arms(part, arms[a], arms[b], metric)
        for row in found.rows if found else ():
            known.setdefault(row.experiment, []).append((names[a], names[b], row))
    for rows in known.values():
        if len(rows) == len(wishes) * (len(wishes) - 1) // 2:
            yield _pairs(part, rows, opponents)


def _pairs(part: PresetResults, rows: Sequence[tuple[str, str, PairedDifference]], opponents: Opponents) -> Pairs:
    from bench.metrics.comparisons import holm

    one = rows[0][2]
    by_contents = all(row.contents is not None and not row.contents.why for *_, row in rows)
    count = one.contents.contents if by_contents and one.contents else one.n
    found = [_ends(row, by_contents) for *_, row in rows]
    ps = [p for *_, p in found]
    corrected = list(holm([p for p in ps if p is not None])) if all(p is not None for p in ps) else [None] * len(ps)
    pairs = [_pair(a, b, row.sign(1.0), ends, p) for (a, b, row), ends, p in zip(rows, found, corrected, strict=True)]
    pairs.sort(key=lambda pair: -abs(pair.difference))
    over = OVER_CONTENTS if by_contents else OVER_SPLITS
    about = (part.preset.name, part.rules.title, one.experiment, one.title, one.metric)
    runs = [
        (opponents.names[wish], record)
        for wish, arms in opponents.arms.items()
        for arm in arms
        for record in Cell.of(part.runs(arm, one.experiment), one.experiment, one.metric).records
    ]
    return Pairs(*about, over, count, tuple(pairs), opponents.shared, mixtures([runs]))


def _ends(row: PairedDifference, by_contents: bool) -> tuple[float, float | None, float | None, float | None]:
    """(difference, low, high, p) of a comparison, over contents or over splits."""
    if by_contents and row.contents is not None:
        return row.contents.estimate, row.contents.low, row.contents.high, row.contents.p
    return row.effect, row.low, row.high, row.p


def _pair(
    a: str, b: str, higher_is_better: int, ends: tuple[float, float | None, float | None, float | None], p: float | None
) -> Pair:
    """The pair with the better method first, so that its difference is in its favour."""
    difference, low, high, _ = ends
    if difference * higher_is_better >= 0:
        return Pair(a, b, difference, low, high, p)
    return Pair(b, a, -difference, None if high is None else -high, None if low is None else -low, p)
