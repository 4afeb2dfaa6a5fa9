"""From the runs behind a table's cells to numbers: medians over splits, intervals, ranks, marks and costs."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING

from bench.core.registry import DATASETS
from bench.core.split_rules import AT_RANDOM
from bench.records.results import Experiment, Record
from bench.report.table import UNRANKED, Cost, Number

if TYPE_CHECKING:
    from bench.metrics.contents import ModelScores

USUAL_SHARE = 0.8
"""Of a set: the training part where nobody asks for less."""
DIGITS = 3
"""Numbers that print the same are the same for ranking."""
NO_INTERVAL = "no interval"


@dataclass(frozen=True, eq=False)
class Cell:
    """The runs behind one number: one record per split, by today's code before other, done before failed.

    In k-fold, where a row holds several seeds, `by_split` numbers a fold anew under each of them (`repetition`). Seeds
    with fewer folds than another are `left_out`, so that all folds count alike.
    """

    experiment: Experiment
    metric: str
    by_split: dict[int, Record]
    left_out: tuple[Record, ...] = ()

    @staticmethod
    def of(records: Sequence[Record], experiment: Experiment, metric: str) -> Cell:
        """The cell of all records of an arm in an experiment; of several of one split the newest counts.

        Such are one training that was tested twice, or trainings at rates that were tuned twice.
        """
        newest = sorted(records, key=lambda r: (str(r.section("run").get("finished", "")), r.key), reverse=True)
        chosen: dict[int, Record] = {}
        for record in sorted(newest, key=lambda record: (record.other_code != "", not record.done)):
            chosen.setdefault(record.spec.repetition, record)
        runs = Counter(record.spec.recipe.seed for record in chosen.values() if record.spec.folds)
        whole = {seed for seed, count in runs.items() if count == max(runs.values())}
        part = {split: r for split, r in chosen.items() if r.spec.folds and r.spec.recipe.seed not in whole}
        by_split = {split: record for split, record in sorted(chosen.items()) if split not in part}
        return Cell(experiment, metric, by_split, tuple(part.values()))

    @property
    def records(self) -> list[Record]:
        """The chosen record of each split."""
        return list(self.by_split.values())

    @property
    def splits(self) -> int:
        """How many splits (in k-fold: folds) there is a record for, done or failed."""
        return len({record.spec.split for record in self.records})

    @property
    def runs(self) -> int:
        """How many runs there are: in k-fold one for each fold and seed."""
        return len(self.by_split)

    def name_of(self, repetition: int) -> str:
        """What a run of it is called: by its split, and by its seed where there are several."""
        spec = self.by_split[repetition].spec
        return f"split {spec.split}" + (f", seed {spec.recipe.seed}" if spec.folds and self.seeds > 1 else "")

    @property
    def seeds(self) -> int:
        """Under how many seeds its runs were trained."""
        return len({record.spec.recipe.seed for record in self.records})

    @property
    def folds(self) -> int:
        """To how many folds its set was dealt; 0 where it was split otherwise, or nothing was run."""
        return max((record.spec.folds for record in self.records), default=0)

    @property
    def share(self) -> float:
        """The share of the set that was learned from: all but a fold in k-fold, where nothing else was asked for."""
        whole = self.folds and self.experiment.fraction == USUAL_SHARE
        return 1 - 1 / self.folds if whole else self.experiment.fraction

    @property
    def failed(self) -> int:
        """How many splits have failed runs only."""
        return sum(not record.done for record in self.records)

    @cached_property
    def values(self) -> dict[int, float]:
        """The metric by split, of the done runs that have it."""
        numbers = {split: record.value(self.experiment.target, self.metric) for split, record in self.by_split.items()}
        return {split: value for split, value in numbers.items() if value is not None}

    @cached_property
    def median(self) -> float | None:
        """The number that a table shows: the median over splits, in k-fold of each fold's mean over its seeds."""
        return _median(self.scores().values())

    def scores(self) -> dict[int, float]:
        """The metric by split; in k-fold each fold's mean over its seeds."""
        found: dict[int, list[float]] = {}
        for repetition, value in self.values.items():
            found.setdefault(self.by_split[repetition].spec.split, []).append(value)
        return {split: statistics.fmean(values) for split, values in found.items()}

    def overlap(self) -> float:
        """Nadeau and Bengio's ratio: the test part of the source's split over the rest of it.

        In contents; in pictures where a content stands on both sides, or where a record is too old to know contents.
        0 where the whole source is learned from, for then nothing but the seed differs between splits. A failed run
        does not know its split's sizes.
        """
        if self.experiment.source == "all":
            return 0.0
        for record in self.records:
            train = record.section("data").get("train", {})
            for unit in ("contents", "n"):
                n, n_train, n_test = (int(train.get(name) or 0) for name in (unit, f"{unit}_train", f"{unit}_test"))
                if 0 < n_test < n and n_train + n_test <= n:
                    return n_test / (n - n_test)
        return 0.25

    def predictions(self, splits: Collection[int] | None = None) -> dict[int, ModelScores]:
        """The stored predictions of each done split (of those named) as the metric takes them; those there are."""
        from bench.metrics.contents import ModelScores

        done = {split: record for split, record in self.by_split.items() if record.done}
        stored = {
            split: record.predictions(self.experiment.target)
            for split, record in done.items()
            if splits is None or split in splits
        }
        return {
            split: ModelScores.of(self.metric, predictions.predicted, predictions.human, predictions.group)
            for split, predictions in stored.items()
            if predictions is not None
        }

    def by_seed(self, splits: Collection[int] | None = None) -> dict[int, list[ModelScores]]:
        """The stored predictions by seed, fold after fold; a seed that has fewer folds than another is left out."""
        seeds: dict[int, list[ModelScores]] = {}
        for split, scores in self.predictions(splits).items():
            seeds.setdefault(self.by_split[split].spec.recipe.seed, []).append(scores)
        most = max(map(len, seeds.values()), default=0)
        return {seed: models for seed, models in seeds.items() if len(models) == most}

    def follows_papers(self) -> bool:
        """Whether all runs had the papers' data: the whole sets, split 80/20 at random (by content where there is any).

        Nothing is compared for models of a whole source: the papers' cross-dataset sources may be or not be whole.
        """
        return self.experiment.source == "split" and all(
            record.spec.split_rule in AT_RANDOM and _whole(record, self.experiment) for record in self.records
        )


def _whole(record: Record, experiment: Experiment) -> bool:
    """Whether a run saw as many images as its sets have in the papers: no part of one, no other set of its name."""
    data = record.section("data")
    seen = {experiment.train: data.get("train", {}).get("n")}
    if experiment.part == "all":
        seen[experiment.tested] = data.get("tests", {}).get(experiment.target, {}).get("n")
    return all(n and _images(name) == n for name, n in seen.items())


def paired_scores(cells: Sequence[Cell]) -> list[dict[int, float]]:
    """The scores of several cells on the splits that all have."""
    scores = [cell.scores() for cell in cells]
    common = sorted(set.intersection(*map(set, scores)))
    return [{split: known[split] for split in common} for known in scores]


def nearest_to_median(cell: Cell) -> Record:
    """The run whose number is nearest to the median over splits; of two, the earlier split."""
    values, middle = cell.values, cell.median or 0.0
    return cell.by_split[min(values, key=lambda split: (round(abs(values[split] - middle), 12), split))]


@cache
def _images(dataset: str) -> int:
    """How many images a set has in the papers, 0 for one they do not have."""
    return int(DATASETS.card(dataset).facts.get("images") or 0) if dataset in DATASETS else 0


def summarise(
    cells: Sequence[Sequence[Cell]], of: Sequence[Sequence[int]], contests: Sequence[str], *, intervals: bool
) -> list[list[Number]]:
    """The numbers of a block of cells, ranked and marked column by column among the rows of one contest.

    `of` says for each cell how many runs a complete number has.
    """
    numbers = [
        [_number(cell, n, intervals=intervals) for cell, n in zip(row, asked, strict=True)]
        for row, asked in zip(cells, of, strict=True)
    ]
    for rows in _by_contest(contests):
        for j in range(len(cells[0])):
            complete = [i for i in rows if numbers[i][j].complete]
            if len(complete) > 1:
                marks = _marks([cells[i][j] for i in complete])
                for i, (rank, tied) in zip(complete, marks, strict=True):
                    numbers[i][j] = replace(numbers[i][j], rank=rank, tied=tied)
    return numbers


def rank_published(values: Sequence[Sequence[float | None]], contests: Sequence[str]) -> list[list[int]]:
    """Ranks within each column of a published block, among the rows of one contest."""
    ranks = [[0] * len(row) for row in values]
    for rows in _by_contest(contests):
        for j in range(len(values[0])):
            for i, rank in zip(rows, _ranks([values[i][j] for i in rows]), strict=True):
                ranks[i][j] = rank
    return ranks


def _by_contest(contests: Sequence[str]) -> list[list[int]]:
    """Row numbers of each contest; rows that take part in none are left out."""
    rows: dict[str, list[int]] = {}
    for i, name in enumerate(contests):
        if name == UNRANKED:
            continue
        rows.setdefault(name, []).append(i)
    return list(rows.values())


def cost_of(records: Sequence[Record]) -> Cost:
    """What the runs cost: medians over those that are done."""
    done = [record for record in records if record.done]

    def median(section: str, name: str) -> float | None:
        return _median([part.get(name) for part in parts[section]])

    parts = {name: [record.section(name) for record in done] for name in ("parameters", "seconds", "speed")}
    return Cost(
        trainable=median("parameters", "trainable"),
        total=median("parameters", "total"),
        train_seconds=median("seconds", "train"),
        images_per_second=median("speed", "test_images_s"),
        memory_bytes=_median([record.body.get("memory_peak_bytes") for record in done]),
        gflops=_median([record.body.get("gflops") for record in done]),
    )


def _number(cell: Cell, of: int, *, intervals: bool) -> Number:
    values = list(cell.scores().values())
    if not values:
        return Number(None, of=of, failed=cell.failed, undefined=any(record.done for record in cell.records))
    low, high, kind = _interval(cell, values, intervals=intervals)
    return Number(
        value=statistics.median(values),
        n=len(cell.values),
        of=of,
        mean=statistics.fmean(values),
        std=_deviation(values),
        low=low,
        high=high,
        interval=kind,
        failed=cell.failed,
    )


def _deviation(values: list[float]) -> float | None:
    """The sample's standard deviation (statistics.stdev computes it in fractions, which is slow for big tables)."""
    if len(values) < 2:
        return None
    mean = statistics.fmean(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _interval(cell: Cell, values: list[float], *, intervals: bool) -> tuple[float | None, float | None, str]:
    """A 95% interval: of the mean over splits from their spread, or (on request) of these models on other contents."""
    if intervals:
        return _over_contents(cell)
    ends = interval_of_mean(values, cell)
    return (*ends, "95% of the mean (Nadeau-Bengio)") if ends else (None, None, "")


def interval_of_mean(values: Sequence[float], cell: Cell) -> tuple[float, float] | None:
    """The 95% interval of the mean over splits, within what the metric can be; None of too few splits.

    Nor of imported scores of a whole set: the same scores of the same pictures in each split are one number.
    """
    from bench.metrics.comparisons import FEWEST_SPLITS, corrected_paired_test

    external = cell.experiment.part == "all" and cell.records[0].spec.external
    if external or len(values) < FEWEST_SPLITS:
        return None
    least, most = (0.0, math.inf) if cell.metric == "rmse" else (-1.0, 1.0)
    test = corrected_paired_test(values, cell.overlap())
    return max(test.low, least), min(test.high, most)


def _over_contents(cell: Cell) -> tuple[float | None, float | None, str]:
    """The interval of the mean over splits by the contents of their test parts."""
    from bench.metrics.contents import MEASURES, interval

    if cell.metric not in MEASURES:
        return None, None, f"{NO_INTERVAL}: none for metrics within distortions"
    tested = list(cell.predictions().values())
    if not tested:
        return None, None, f"{NO_INTERVAL}: no predictions"
    result = interval(tested, cell.metric)
    return result.low, result.high, f"{NO_INTERVAL}: {result.why}" if result.why else "95% of the mean over contents"


def _ranks(values: Sequence[float | None]) -> list[int]:
    """1 for the best, 2 for the second best among two or more numbers, 0 for the others."""
    rounded = [None if value is None else round(value, DIGITS) for value in values]
    order = sorted({value for value in rounded if value is not None}, reverse=True)
    if sum(value is not None for value in rounded) < 2:
        return [0] * len(rounded)
    places = {value: place for place, value in enumerate(order[:2], start=1)}
    return [0 if value is None else places.get(value, 0) for value in rounded]


def _marks(cells: Sequence[Cell]) -> list[tuple[int, bool]]:
    """Of each of a column's complete cells its rank, and whether it is marked.

    Marked is what the splits cannot tell from the best, the best itself aside. Of fewer than three splits nothing is
    ranked: no test of the differences can be made, and an order would claim one.
    """
    from bench.metrics.comparisons import FEWEST_SPLITS, best_set

    scores = [list(known.values()) for known in paired_scores(cells)]
    if len(scores[0]) < FEWEST_SPLITS:
        return [(0, False)] * len(cells)
    ranks = _ranks([cell.median for cell in cells])
    best = best_set({str(i): values for i, values in enumerate(scores)}, cells[0].overlap()) or frozenset()
    return [(rank, str(i) in best and rank != 1) for i, rank in enumerate(ranks)]


def _median(values: Iterable[object]) -> float | None:
    known = [float(value) for value in values if isinstance(value, int | float)]
    return statistics.median(known) if known else None
