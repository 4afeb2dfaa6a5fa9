"""What intervals and marks promise, held against simulated sets: docs/coverage.md is what this prints.

    python -m benchmarks.coverage > docs/coverage.md    # about ten minutes on one core
    python -m benchmarks.coverage --only "17 contents"  # some rows; "all pairs" for the last table

benchmarks/made_up.py says how sets are made. Every row has random numbers of its own, so that a single one can be made
again.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from bench.metrics.comparisons import best_set, corrected_paired_test, holm
from bench.metrics.contents import ModelScores, OverContents, interval, paired_interval
from benchmarks.made_up import FACTORS, Design, Floats, Ints, Pool, Sample, World, spearman

METHODS = 12
ROUGH = (1.0, 1.1)
"""The two methods that are compared over contents differ: the second makes errors a tenth larger."""
POOL = 150
SETS_A_WORLD = 50

# Trainings repeated: Nadeau and Bengio, and the marks of a column ----------------------------------------------------


@dataclass(frozen=True)
class OverSplits:
    """Scores (dataset, split, method) of equal methods, and the truth of each dataset and method."""

    scores: Floats
    truth: Floats


def over_splits(design: Design, datasets: int) -> OverSplits:
    """Twelve methods without a true difference on many datasets."""
    rng = generator("over splits", design)
    world = World.of(rng)
    made = {"test": _on_test_parts, "all": _on_another_set}[design.target]
    return made(design, rng, world, datasets)


def _on_test_parts(design: Design, rng: np.random.Generator, world: World, datasets: int) -> OverSplits:
    """Methods are drawn from one urn: the truth is the mean over datasets and methods."""
    scores = np.empty((datasets, design.splits, METHODS))
    for i in range(datasets):
        sample = design.sample(rng, world, design.contents, [1.0] * METHODS)
        for j, (learned, tested) in enumerate(design.parts(rng)):
            rows = np.isin(sample.content, tested)
            training = design.trained(rng, sample, learned) @ sample.factors[rows].T
            scores[i, j] = spearman(sample.guess[:, rows] + training, sample.human[rows])
    return OverSplits(scores, np.full((datasets, METHODS), scores.mean()))


def _on_another_set(design: Design, rng: np.random.Generator, world: World, datasets: int) -> OverSplits:
    """The target stays; its images are equally hard for all methods, so that only training tells them apart.

    Where splits are learned from the truth is that of trainings on other sources, otherwise of other seeds.
    """
    target = Sample.of(rng, world, [12] * 30, [1.0] * METHODS, common=1.0)
    scores, truth = np.empty((datasets, design.splits, METHODS)), np.empty((datasets, METHODS))

    def tested(training: Floats) -> Floats:
        return spearman(target.guess + training @ target.factors.T, target.human)

    for i in range(datasets):
        sample = design.sample(rng, world, design.contents, [1.0] * METHODS)
        trained = [design.trained(rng, sample, learned) for learned, _ in design.parts(rng)]
        scores[i] = [tested(training) for training in trained]
        if design.seeds_alone:
            same = replace(design, splits=POOL)
            truth[i] = np.mean([tested(same.trained(rng, sample, learned)) for learned, _ in same.parts(rng)], axis=0)
    return OverSplits(scores, truth if design.seeds_alone else np.full_like(truth, scores.mean()))


@dataclass(frozen=True)
class Covered:
    """How often an interval held the truth, and how wide it was beside the narrowest that would have done."""

    share: float
    width: float

    @staticmethod
    def of(errors: Sequence[float], halves: Sequence[float]) -> Covered:
        """From the distance of each estimate to the truth and half of each interval."""
        distance, half = np.asarray(errors), np.asarray(halves)
        needed = 1.96 * np.sqrt(np.mean(distance**2))
        return Covered(float(np.mean(np.abs(distance) <= half)), float(half.mean() / needed))

    def __str__(self) -> str:
        return f"{self.share:.3f} | {self.width:.2f}"


def held(scores: Floats, truth: Floats, ratio: float) -> Covered:
    """Nadeau and Bengio's intervals: scores (dataset, split) and the truth of each dataset."""
    tests = [corrected_paired_test(values.tolist(), ratio) for values in scores]
    return Covered.of(
        [t.effect - true for t, true in zip(tests, truth, strict=True)], [t.high - t.effect for t in tests]
    )


def paired(found: OverSplits, ratio: float) -> Covered:
    """The intervals of differences between the first and second, third and fourth … method."""
    scores, truth = (values[..., ::2] - values[..., 1::2] for values in (found.scores, found.truth))
    return held(np.concatenate(list(np.moveaxis(scores, 2, 0))), np.concatenate(list(truth.T)), ratio)


def single(found: OverSplits, ratio: float) -> Covered:
    """The intervals of each method's own mean."""
    return held(np.concatenate(list(np.moveaxis(found.scores, 2, 0))), np.concatenate(list(found.truth.T)), ratio)


def false_marks(scores: Floats, methods: int, ratio: float) -> float:
    """In how many columns of equal methods some method is called worse than the best."""
    called = []
    for column in scores:
        for start in range(0, METHODS, methods):
            names = {str(i): column[:, i] for i in range(start, start + methods)}
            called.append(len(best_set(names, ratio) or names) < methods)
    return float(np.mean(called))


# These trained models on other contents ------------------------------------------------------------------------------


Compared = tuple[OverContents, float]
"""An interval and the truth."""


def over_contents(design: Design, sets: int) -> tuple[Covered, Covered]:
    """The intervals of a difference of two methods' SRCC and of the first one's own, on some sets in each world."""
    rng = generator("over contents", design)
    found = [pair for _ in range(sets // SETS_A_WORLD) for pair in _in_a_world(design, rng)]
    return _held([difference for difference, _ in found]), _held([alone for _, alone in found])


def _in_a_world(design: Design, rng: np.random.Generator) -> Iterator[tuple[Compared, Compared]]:
    """A difference's interval and one method's own on each of some sets; other sets of the world show the truth."""
    world = World.of(rng)
    pool: dict[int, Pool] = {}
    for _ in range(SETS_A_WORLD):
        sample = design.sample(rng, world, design.contents, ROUGH)
        target = design.sample(rng, world, design.contents, ROUGH) if design.target == "all" else sample
        pairs, truths = [], []
        for learned, part in design.parts(rng):
            tested = np.arange(design.contents) if design.target == "all" else part
            training = design.trained(rng, sample, learned)
            pairs.append(_models(target, training, tested))
            if len(tested) not in pool:
                pool[len(tested)] = Pool([design.sample(rng, world, len(tested), ROUGH) for _ in range(POOL)])
            truths.append(pool[len(tested)].worth(training))
        first, second = ([pair[i] for pair in pairs] for i in (0, 1))
        truth = np.mean(truths, axis=0)
        yield (paired_interval(first, second, "srcc"), truth[0] - truth[1]), (interval(first, "srcc"), truth[0])


def _models(sample: Sample, training: Floats, tested: Ints) -> list[ModelScores]:
    """Both methods' predictions of a test part."""
    rows = np.isin(sample.content, tested)
    predicted = sample.guess[:, rows] + training @ sample.factors[rows].T
    names = [f"{content:04}" for content in sample.content[rows]]
    return [ModelScores.of("srcc", values, sample.human[rows], names) for values in predicted]


def _held(found: Sequence[Compared]) -> Covered:
    """Where an interval could be given, whether it held the truth."""
    ends = [(over.low, over.high, truth) for over, truth in found if over.low is not None and over.high is not None]
    errors = [over.estimate - truth for over, truth in found if over.low is not None]
    needed = 1.96 * float(np.sqrt(np.mean(np.square(errors))))
    inside = [low <= truth <= high for low, high, truth in ends]
    return Covered(float(np.mean(inside)), float(np.mean([(high - low) / 2 for low, high, _ in ends])) / needed)


# All pairs of equal methods -----------------------------------------------------------------------------------------


def false_pairs(design: Design, sets: int) -> list[float]:
    """In how many sets some pair of equal methods is told apart over contents after Holm; for each number of methods.

    Methods that have learned nothing and differ in their errors alone: no pair of them has a true difference.
    """
    rng = generator("all pairs", design)
    world = World.of(rng)
    called = {count: [False] * sets for count in PAIRED_METHODS}
    for i in range(sets):
        sample = design.sample(rng, world, design.contents, [1.0] * max(PAIRED_METHODS))
        nothing = np.zeros((max(PAIRED_METHODS), 2 * FACTORS))
        tested = [_models(sample, nothing, part) for _, part in design.parts(rng)]
        ps = {
            (a, b): paired_interval([part[a] for part in tested], [part[b] for part in tested], "srcc").p
            for a, b in combinations(range(max(PAIRED_METHODS)), 2)
        }
        for count in PAIRED_METHODS:
            among = [p for (_, b), p in ps.items() if b < count and p is not None]
            called[count][i] = min(holm(among), default=1.0) < 0.05
    return [float(np.mean(called[count])) for count in PAIRED_METHODS]


# The page ------------------------------------------------------------------------------------------------------------

SPLITS = (2, 3, 5, 10)
COLUMN_SIZES = (3, 6, 12)
SETS_OVER_SPLITS, SETS_OVER_CONTENTS = 400, 700
PROMISED = [
    Design(400, 1),
    Design(29),
    Design(30, unequal=True),
    Design(29, fraction=0.1),
    Design(29, fraction=0.4),
    Design(29, target="all"),
    Design(400, 1, target="all"),
    Design(29, target="all", source="all", learned=0.0),
]
NOT_PROMISED = [
    Design(29, target="all", source="all"),
    *(Design(29, learned=learned, seed=0.3, target=target) for target in ("test", "all") for learned in (0.3, 0.6)),
]
CONTENTS = [
    *(Design(contents, target="all", splits=2, versions=12) for contents in (8, 12, 17, 30)),
    Design(65, target="all", splits=2, versions=4),
    Design(30, target="all", source="all", splits=3, versions=12),
    *(Design(17, target="folds", splits=splits, seeds=3) for splits in (17, 8, 5)),
    Design(14, target="folds", splits=7, seeds=3),
    Design(60, splits=1),
    *(Design(contents, splits=splits) for contents, splits in ((17, 5), (17, 10), (29, 2), (29, 5), (29, 10), (81, 2))),
    Design(30, splits=5, unequal=True),
    Design(29, splits=5, fraction=0.1),
    Design(400, 1, splits=2),
    Design(200, 1, splits=10),
]
PAIRED_METHODS = (3, 7)
SETS_OF_PAIRS = 600
PAIRED = [
    Design(14, target="folds", splits=7),
    Design(17, target="folds", splits=8),
    Design(60, splits=1),
    Design(29, splits=10),
]
TOP = f"""# Coverage

What [statistics](statistics.md) promises, simulated. `python -m benchmarks.coverage` prints this page, and
`benchmarks/made_up.py` says how sets are made. An interval promises to hold the truth in 95 of 100 sets (93 is the
least we take), a column's marks to err in 5 of 100 at most. *Width* is the interval's beside that of the narrowest one
which holds it in 95.

## Trainings repeated

Nadeau and Bengio's interval over splits, of a difference (`bench compare`) and of one method's mean (the tables' csv),
and how many columns of 3, 6 and 12 equal methods have one that lacks its "≈". {SETS_OVER_SPLITS} sets per row, 12 equal
methods on each; standard errors: .005 for a share of differences, .003, .005 and .011 for the marks, if sets were all
that differs. What a method learned from weighs half as much as its seed.
"""
HEAD_SPLITS = """
| set | splits | difference covered | width | mean covered | width | false marks: 3 | 6 | 12 |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""
MIDDLE = """
With two splits nothing is marked.

## Where that promise ends

The same where what is learned from weighs as much as the seed, or twice as much: splits share most of what they learn
from, which the correction does not know. On the whole of a source trainings differ in their seed alone: the interval is
right about further seeds on this source, on which methods do differ, so that their marks are not false."""
BOTTOM = f"""
## These trained models on other contents

The jackknife's interval, of a difference (`bench compare`) and of one method's mean (`bench table --intervals`), where
the second method's errors are a tenth larger. {SETS_OVER_CONTENTS} sets per row: a standard error of .008.
Sets of too few contents, which get no interval, are not counted.

| set | models | difference covered | width | mean covered | width |
| --- | ---: | ---: | ---: | ---: | ---: |"""

PAIRS = f"""
## All pairs of several methods

In how many sets some pair of equal methods is told apart over contents after Holm's correction for all pairs
(`bench compare A B C`): 5 in 100 at most is promised. {SETS_OF_PAIRS} sets per row: a standard error of .009.

| set | models | false: of 3 methods | of 7 |
| --- | ---: | ---: | ---: |"""


def generator(part: str, design: Design) -> np.random.Generator:
    """Random numbers that depend on nothing but the row."""
    digest = hashlib.sha256(f"{part} {design}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def splits_row(design: Design) -> str:
    """A row of the first two tables."""
    found = over_splits(design, SETS_OVER_SPLITS)
    marked = design.splits > 2 and not design.seeds_alone
    marks = [f"{false_marks(found.scores, n, design.ratio):.3f}" if marked else "–" for n in COLUMN_SIZES]
    covered = (paired(found, design.ratio), single(found, design.ratio))
    return f"| {design.name} | {design.splits} | {' | '.join([*map(str, covered), *marks])} |"


def contents_row(design: Design) -> str:
    """A row of the last table."""
    covered = over_contents(design, SETS_OVER_CONTENTS)
    return f"| {design.name} | {design.models} | {' | '.join(map(str, covered))} |"


def pairs_row(design: Design) -> str:
    """A row of the table on all pairs."""
    shares = false_pairs(design, SETS_OF_PAIRS)
    return f"| {design.name} | {design.models} | {' | '.join(f'{share:.3f}' for share in shares)} |"


def page(only: str) -> Iterator[str]:
    """The page's lines, or the rows that hold a text."""
    for top, designs in ((TOP + HEAD_SPLITS, PROMISED), (MIDDLE + "\n" + HEAD_SPLITS, NOT_PROMISED)):
        yield "" if only else top
        for design in (replace(design, splits=splits) for design in designs for splits in SPLITS):
            if only in design.name:
                yield splits_row(design)
    yield "" if only else BOTTOM
    for design in CONTENTS:
        if only in design.name:
            yield contents_row(design)
    yield "" if only else PAIRS
    for design in PAIRED:
        if only in design.name or only == "all pairs":
            yield pairs_row(design)


def main() -> None:
    """Print the page, or the rows that hold a text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only rows whose set's description holds this text")
    for line in page(parser.parse_args().only):
        print(line, flush=True)


if __name__ == "__main__":
    main()
