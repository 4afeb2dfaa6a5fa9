"""Every two of several methods side by side: which of them differ, whatever pair one looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.core.errors import UsageError
from bench.core.progress import counted
from bench.records.results import Experiment, Results
from bench.report.arms import method_title
from bench.report.compare import PairedDifference, compare
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
    experiment: Experiment
    title: str
    metric: str
    over: str
    count: int
    pairs: tuple[Pair, ...]
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
    known: dict[tuple[str, Experiment], list[tuple[str, str, PairedDifference]]] = {}
    mixed: dict[str, list[str]] = {}
    names = names_of(wishes)
    for a, b in combinations(wishes, 2):
        for one in compare(results, a, b, metric=metric):
            mixed.setdefault(one.preset, []).extend(one.mixed)
            for row in one.rows:
                known.setdefault((one.preset, row.experiment), []).append((names[a], names[b], row))
    whole = len(wishes) * (len(wishes) - 1) // 2
    tables = [
        _pairs(preset, rows, tuple(dict.fromkeys(mixed[preset])))
        for (preset, _), rows in known.items()
        if len(rows) == whole
    ]
    if not tables:
        raise UsageError("No set has finished runs of all these methods on the same splits: compare two at a time.")
    return tables


def names_of(wishes: Sequence[str]) -> dict[str, str]:
    """What each is called: its method's title, with its settings where several are of one method."""
    methods = [wish.partition(",")[0].strip() for wish in wishes]
    return {
        wish: method_title(method) + (f", {wish.partition(',')[2]}" if methods.count(method) > 1 else "")
        for wish, method in zip(wishes, methods, strict=True)
    }


def _pairs(preset: str, rows: Sequence[tuple[str, str, PairedDifference]], mixed: tuple[str, ...]) -> Pairs:
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
    return Pairs(preset, one.experiment, one.title, one.metric, over, count, tuple(pairs), mixed)


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
