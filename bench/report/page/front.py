"""What stands in front: what was run, a sentence for each set, the comparison behind it, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.core.progress import counted
from bench.records.results import Record, Results, official_in_name_only
from bench.report.arms import count_text
from bench.report.figures.scene import Subject
from bench.report.page.chapters import GROUPS, Chapter, Contest
from bench.report.page.charts import axis, interval_of, lane, scale_of_contest
from bench.report.page.explorer import disk_bytes
from bench.report.page.sentences import Finding, finding, short
from bench.report.table import Cost
from bench.report.tables.fill import dataset_title
from bench.report.tables.notes import made_note

COSTS = (
    ("Trainable", "parameters that learn"),
    ("Total", "parameters in all"),
    ("On disk", "trained tensors in fp32, the frozen backbone left out"),
    ("Training", "seconds of a run"),
    ("Images/s", "scored in a second, all views counted"),
    ("GFLOPs", "to score one view"),
    ("Peak memory", "of a run"),
)
"""The cost columns, and what each means."""
COST_NOTE = (
    "Medians over each method's runs as they went. What is frozen and was stored before cost them nothing, and of runs "
    "that were trained together the memory is that of all."
)


@dataclass(frozen=True)
class Lane:
    """A method's row in a panel."""

    subject: Subject
    drawing: Markup
    srcc: str
    interval: str
    plcc: str
    mark: str
    """Best, tied with the best, or neither."""
    count: str
    """How much of it is in, where that is not all."""


@dataclass(frozen=True)
class Panel:
    """A contest as it is shown: its sentence, and beside it every method's number with its interval."""

    anchor: str
    contest: Contest
    finding: Finding
    lanes: tuple[Lane, ...]
    axis: Markup
    with_intervals: bool


@dataclass(frozen=True)
class FrontChapter:
    """A chapter as it stands in front."""

    chapter: Chapter
    summary: str
    """What was run, in one line."""
    caution: str
    groups: tuple[tuple[str, tuple[Panel, ...]], ...]
    costs: tuple[tuple[Subject, tuple[str, ...]], ...]
    made: tuple[tuple[str, str], ...]
    mixed: tuple[str, ...]
    notes: tuple[str, ...]


def front(chapters: Sequence[Chapter]) -> list[FrontChapter]:
    """All chapters as they stand in front."""
    return [_front(chapter) for chapter in chapters]


def _front(chapter: Chapter) -> FrontChapter:
    groups = tuple(
        (GROUPS[group], tuple(_panel(chapter, contest) for contest in contests))
        for group, contests in chapter.contests.items()
        if contests
    )
    costs = tuple((subject, _cost_texts(cost)) for subject, cost in chapter.costs.items())
    mixed = dict.fromkeys(line for table in chapter.tables.values() for line in table.mixed)
    synthesis, notes = tuple(_made(chapter)), tuple(_notes(chapter))
    return FrontChapter(chapter, _summary(chapter), _caution(chapter), groups, costs, synthesis, tuple(mixed), notes)


def _summary(chapter: Chapter) -> str:
    """What was run, in one line: preset, runs, splits, backbones."""
    done = [record for record in chapter.records if record.done]
    splits = max((len(entry.cell.scores()) for c in chapter.all_contests for entry in c.entries), default=0)
    backbones = sorted({record.spec.backbone for record in done} - {""})
    shown = backbones if len(backbones) < 3 else [counted(len(backbones), "backbone")]
    return " · ".join([chapter.title, counted(len(done), "run"), counted(splits, "split"), *shown])


def _panel(chapter: Chapter, contest: Contest) -> Panel:
    scale = scale_of_contest(contest)
    lanes = []
    for entry in contest.entries:
        number, interval = entry.number, interval_of(entry)
        plcc = entry.numbers.get("plcc")
        lanes.append(
            Lane(
                entry.subject,
                lane(entry, scale),
                "failed" if number.value is None else short(number.value),
                f"{short(interval[0])} to {short(interval[1])}" if interval else "",
                short(plcc.value) if plcc and plcc.value is not None else "–",
                "best" if number.rank == 1 else "tied" if number.tied else "",
                "" if number.complete or number.value is None else f"{number.n}/{number.of}",
            )
        )
    e = contest.experiment
    anchor = "-".join([chapter.name, e.train, e.target.replace(":", "-"), *(["whole"] if e.source == "all" else [])])
    with_intervals = any(item.interval for item in lanes)
    return Panel(anchor, contest, finding(contest), tuple(lanes), axis(scale), with_intervals)


def _caution(chapter: Chapter) -> str:
    """The one thing to know before anything is quoted."""
    names = {name for e in chapter.experiments for name in e.datasets}
    said = []
    if chapter.scene.smoke:
        said.append("Smoke runs on a few pictures of each set: they show that everything works, and nothing else.")
    if chapter.part.preset.made:
        said.append(made_note(chapter.part.preset, names))
    return " ".join([*said, *chapter.part.rules.notes])


def _made(chapter: Chapter) -> Iterator[tuple[str, str]]:
    """How it was made: data, and the conditions that stand under every table."""
    sizes: dict[str, str] = {}
    for record in chapter.records:
        data = record.section("data").get("train", {})
        if data.get("n"):
            sizes.setdefault(record.spec.train, f"{dataset_title(record.spec.train)} ({data['n']:,} pictures)")
        for target in record.spec.tests:
            test = record.section("data").get("tests", {}).get(target, {})
            if target.part == "all" and test.get("n"):
                sizes.setdefault(target.dataset, f"{dataset_title(target.dataset)} ({test['n']:,} pictures)")
    done = sum(record.done for record in chapter.records)
    failed = len(chapter.records) - done
    yield "Runs", counted(done, "run") + (f", and {failed} that failed" if failed else "")
    if sizes:
        yield "Data", ", ".join(sizes.values())
    seen: dict[str, None] = {}
    for table in chapter.tables.values():
        seen |= dict.fromkeys(line for line in table.footer if not line.startswith("Mixed: "))
    for line in seen:
        name, _, said = line.partition(": ")
        yield name, said


def _notes(chapter: Chapter) -> list[str]:
    """What else stands under the tables, each note once; a row's own with the row's name."""
    notes: dict[str, None] = {}
    for table in chapter.tables.values():
        notes |= dict.fromkeys(f"{row.label}: {note}" for row in table.rows for note in row.notes)
        notes |= dict.fromkeys(table.notes)
    return list(notes)


def _cost_texts(cost: Cost) -> tuple[str, ...]:
    disk = disk_bytes(cost.trainable)
    return (
        _count(cost.trainable),
        _count(cost.total),
        _bytes(disk),
        _plain(cost.train_seconds, " s"),
        _plain(cost.images_per_second),
        _plain(cost.gflops),
        _bytes(cost.memory_bytes),
    )


def _count(value: float | None) -> str:
    return "–" if value is None else count_text(value)


def _plain(value: float | None, unit: str = "") -> str:
    if value is None:
        return "–"
    return (f"{value:,.0f}" if value >= 100 else f"{value:.3g}") + unit


def _bytes(value: float | None) -> str:
    """A size in the unit that suits it."""
    if value is None:
        return "–"
    for size, unit in ((2**30, "GB"), (2**20, "MB"), (2**10, "KB")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} B"


# What did not come to anything ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failure:
    """Runs that failed in one way."""

    error: str
    count: int
    example: Record


def failures(results: Results) -> list[Failure]:
    """The ways in which runs failed, the most frequent first."""
    by_error: dict[str, list[Record]] = {}
    for record in results.records:
        if not record.done:
            by_error.setdefault(record.error or "no reason was written down", []).append(record)
    ways = [Failure(error, len(records), records[0]) for error, records in by_error.items()]
    return sorted(ways, key=lambda failure: (-failure.count, failure.error))


def left_aside(results: Results) -> str:
    """Records that stand in no comparison, said in a sentence; "" where there are none."""
    count = sum(official_in_name_only(record.body) for record in results.records)
    return f"{counted(count, 'run')} asked for an official split and had a random one: left out." if count else ""
