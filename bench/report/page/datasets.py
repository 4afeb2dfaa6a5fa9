"""One set to look into: its scores, its splits, every split of every method, shares of it, and its distortions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from bench.core.errors import StoreError
from bench.core.spec import Target
from bench.records.results import Predictions, Record
from bench.report.breakdown import srcc_by_group
from bench.report.cells import DIGITS, nearest_to_median
from bench.report.figures.scene import Subject
from bench.report.page.chapters import Chapter, Contest
from bench.report.page.charts import curves, histogram, lollipops, ranks, split_dots
from bench.report.page.sentences import short
from bench.report.tables.fill import dataset_title

MOST_SPLITS = 20
"""Rows of the table of splits; of more, the first."""
MOST_GROUPS = 30


@dataclass(frozen=True)
class Drawn:
    """A drawing with its heading and the words that say how to read it."""

    title: str
    words: str
    picture: Markup
    subjects: tuple[Subject, ...] = ()


@dataclass(frozen=True)
class SetView:
    """A set as the page shows it."""

    name: str
    title: str
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    splits: tuple[tuple[str, ...], ...]
    more_splits: int
    drawings: tuple[Drawn, ...]


@dataclass(frozen=True)
class Matrix:
    """A method's SRCC of every training set on every test set: rows of (text, step of the colour, is its own test)."""

    subject: Subject
    tests: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, int, bool], ...]], ...]


SPLIT_COLUMNS = ("Split", "Train", "Test", "Contents to train on", "Contents to test on")


def set_views(chapter: Chapter) -> list[SetView]:
    """A view of each set that a chapter trains on, and of each that it only tests on."""
    order = {name: place for place, name in enumerate(chapter.part.preset.main)}
    names = {name for e in chapter.experiments for name in e.datasets}
    return [_view(chapter, name) for name in sorted(names, key=lambda name: (order.get(name, 99), name))]


def _view(chapter: Chapter, name: str) -> SetView:
    trained = [record for record in chapter.records if record.spec.train == name]
    by_split = _splits(trained)
    drawings = [
        *_histogram(chapter, name),
        *(_dots(contest) for contest in chapter.all_contests if _is_about(contest, name)),
        *_efficiency(chapter, name),
        *_distortions(chapter, name),
    ]
    notes = dict.fromkeys(
        note for record in trained for note in record.section("data").get("train", {}).get("notes") or ()
    )
    return SetView(
        name,
        dataset_title(name),
        tuple(_facts(chapter, name, trained)),
        tuple(map(str, notes)),
        tuple(by_split[:MOST_SPLITS]),
        max(0, len(by_split) - MOST_SPLITS),
        tuple(drawings),
    )


def _is_about(contest: Contest, name: str) -> bool:
    return contest.experiment.tested == name and any(len(entry.cell.values) > 1 for entry in contest.entries)


def _facts(chapter: Chapter, name: str, trained: Sequence[Record]) -> list[tuple[str, str]]:
    """How large the set is, as the records say."""
    data: Mapping[str, Any] = next(
        (r.section("data").get("train", {}) for r in trained if r.section("data").get("train")), {}
    )
    if not data:
        tested = [r.section("data").get("tests", {}).get(Target.of(name, "all"), {}) for r in chapter.records]
        data = next((test for test in tested if test), {})
    facts = {
        "Pictures": data.get("n"),
        "Contents": data.get("contents"),
        "Split": data.get("split_rule"),
        "Hash of names, scores and groups": data.get("hash"),
    }
    return [(label, f"{v:,}" if isinstance(v, int) else str(v)) for label, v in facts.items() if v]


def _splits(trained: Sequence[Record]) -> list[tuple[str, ...]]:
    """The sizes of each split's parts, in pictures and in contents; several shares of one split apart."""
    parts: dict[tuple[int, float], tuple[str, ...]] = {}
    for record in trained:
        data, spec = record.section("data").get("train", {}), record.spec
        if data.get("n_train"):
            label = f"{spec.split}" + (f" ({100 * spec.fraction:g}%)" if spec.fraction != 0.8 else "")
            sizes = [data.get(name) for name in ("n_train", "n_test", "contents_train", "contents_test")]
            parts[spec.split, -spec.fraction] = (label, *(f"{s:,}" if isinstance(s, int) else "–" for s in sizes))
    return [parts[key] for key in sorted(parts)]


def _histogram(chapter: Chapter, name: str) -> list[Drawn]:
    """The labels of all pictures that some test part held."""
    scores: dict[str, float] = {}
    for record in _one_a_split(chapter, name):
        for target in record.spec.tests:
            predictions = _predictions(record, target) if target.dataset == name else None
            if predictions is not None:
                scores |= dict(zip(map(str, predictions.names), map(float, predictions.human), strict=True))
    picture = histogram(list(scores.values()), f"Scores of {dataset_title(name)}") if scores else Markup("")
    words = f"The labels of the {len(scores):,} pictures that a test part held."
    return [Drawn("Scores", words, picture)] if picture else []


def _one_a_split(chapter: Chapter, name: str) -> list[Record]:
    """A finished run of each split that was tested on a set, of few splits where there are many."""
    runs: dict[tuple[str, int], Record] = {}
    for contest in chapter.all_contests:
        if contest.experiment.tested == name:
            for entry in contest.entries:
                for split, record in entry.cell.by_split.items():
                    if record.done:
                        runs.setdefault(
                            (contest.experiment.part, 0 if contest.experiment.part == "all" else split), record
                        )
    return list(runs.values())[:MOST_SPLITS]


def _predictions(record: Record, target: str) -> Predictions | None:
    try:
        return record.predictions(target)
    except StoreError:
        return None


def _dots(contest: Contest) -> Drawn:
    one = "run" if any(entry.cell.runs > entry.cell.splits for entry in contest.entries) else "split"
    words = f"Every dot is a {one}; a line joins the same {one} in two methods: where lines cross, the order changes."
    title = f"Every {one}" if contest.experiment.is_own_test else f"Every {one}, {contest.title}"
    return Drawn(title, words, split_dots(contest))


def _efficiency(chapter: Chapter, name: str) -> list[Drawn]:
    """SRCC against the share that was trained on, where there are several."""
    own = [e for e in chapter.experiments if e.train == name and e.is_own_test and e.source == "split"]
    if len({e.fraction for e in own}) < 2:
        return []
    lines: dict[Subject, dict[float, float]] = {}
    for subject in chapter.scene.subjects([e for e in own if e.fraction < 0.8]):
        for experiment in own:
            cell = chapter.scene.cell(subject.arm, experiment)
            if cell.median is not None:
                lines.setdefault(subject, {})[cell.share] = cell.median
    title = f"Less of {dataset_title(name)}"
    words = "Median SRCC on the same test parts, by the share of the set that was trained on."
    return [Drawn(title, words, curves(lines, title), tuple(lines))] if lines else []


def _distortions(chapter: Chapter, name: str) -> Iterator[Drawn]:
    """SRCC within families and kinds of distortions, from each method's run nearest to its median."""
    contests = [c for c in chapter.contests.get("own", ()) if c.experiment.train == name]
    entries = sorted((e for c in contests for e in c.entries if e.cell.values), key=lambda e: e.subject.arm.order())
    by_subject = [(entry.subject, _predictions(nearest_to_median(entry.cell), f"{name}:test")) for entry in entries]
    for title, families in (("By family of distortions", True), ("By distortion", False)):
        groups: dict[str, dict[Subject, tuple[int, float]]] = {}
        for subject, predictions in by_subject:
            measured = srcc_by_group(predictions, families=families) if predictions is not None else {}
            for group, agreement in measured.items():
                groups.setdefault(group, {})[subject] = agreement
        if len(groups) > 1:
            shown = dict(list(groups.items())[:MOST_GROUPS])
            words = "SRCC among the test pictures of one kind (how many), in each method's run nearest to its median."
            subjects = tuple(dict.fromkeys(subject for of_group in shown.values() for subject in of_group))
            yield Drawn(title, words, lollipops(shown, title), subjects)


# Over all sets -------------------------------------------------------------------------------------------------------


def ranking(chapter: Chapter) -> Drawn | None:
    """Mean ranks of the methods that have a number on every set, and what difference of ranks means something."""
    from bench.metrics.comparisons import FEWEST_SPLITS, critical_difference

    contests = [contest for contest in chapter.contests.get("own", ()) if contest.ranked]
    scores: dict[str, list[float]] = {}
    names, methods = {}, {}
    for contest in contests:
        for entry in contest.entries:
            if entry.number.complete and entry.subject.ranked:
                key = str(chapter.part.arms.index(entry.subject.arm))
                scores.setdefault(key, []).append(round(entry.value, DIGITS))
                names[key], methods[key] = entry.subject.label, entry.subject.arm.method
    scores = {key: values for key, values in scores.items() if len(values) == len(contests)}
    if len(contests) < 2 or len(scores) < 2 or min(contest.splits for contest in contests) < FEWEST_SPLITS:
        return None
    difference = critical_difference(scores)
    words = (
        f"Ranks of the median SRCC over {len(contests)} sets, 1 is best. Methods under one bar cannot be told apart "
        f"(Nemenyi at α = .05; Friedman p = {difference.p:.2g})."
    )
    return Drawn("Ranks over all sets", words, ranks(difference, names, methods))


def matrices(chapter: Chapter) -> list[Matrix]:
    """Every training set on every test set, a matrix a method; nothing where no set was tested on another."""
    contests = [contest for group in ("own", "across") for contest in chapter.contests.get(group, ())]
    if not chapter.contests.get("across"):
        return []
    values: dict[Subject, dict[tuple[str, str], float]] = {}
    by_arm = {subject.arm: subject for subject in chapter.subjects}
    for contest in contests:
        for entry in contest.entries:
            if entry.number.value is not None:
                key = contest.experiment.train, contest.experiment.tested
                values.setdefault(by_arm[entry.subject.arm], {})[key] = entry.value
    trains = list(dict.fromkeys(contest.experiment.train for contest in contests if contest.experiment.part == "all"))
    tested = {contest.experiment.tested for contest in contests if contest.experiment.part == "all"}
    known = list(dict.fromkeys(contest.experiment.tested for contest in contests))
    tests = [name for name in known if name in tested or name in trains]
    every = [value for of_subject in values.values() for value in of_subject.values()]
    ends = min(every), max(max(every), min(every) + 0.1)
    return [_matrix(subject, values[subject], trains, tests, ends) for subject in chapter.subjects if subject in values]


STEPS = 8
"""Steps of the colour of a matrix."""


def _matrix(
    subject: Subject,
    values: Mapping[tuple[str, str], float],
    trains: Sequence[str],
    tests: Sequence[str],
    ends: tuple[float, float],
) -> Matrix:
    def cell(train: str, test: str) -> tuple[str, int, bool]:
        value = values.get((train, test))
        if value is None:
            return "", -1, train == test
        step = min(int((value - ends[0]) / (ends[1] - ends[0]) * STEPS), STEPS - 1)
        return short(value), max(step, 0), train == test

    rows = tuple((dataset_title(train), tuple(cell(train, test) for test in tests)) for train in trains)
    return Matrix(subject, tuple(map(dataset_title, tests)), rows)
