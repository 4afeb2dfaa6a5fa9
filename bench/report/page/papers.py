"""The papers' tables with their footnotes: beside what was measured, and never in one column with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.report.page.chapters import Chapter
from bench.report.published import NOTES, PublishedRow, Source, name_of, rows
from bench.report.tables.fill import METRIC_TITLES, dataset_title
from bench.report.tables.rendering.text import groups, number_text

SOURCES: dict[Source, str] = {
    ("GLIA", "1"): "Each set by itself",
    ("LoDa", "1"): "Each set by itself",
    ("GLIA", "2"): "Trained on one set, tested on another",
    ("LoDa", "2"): "Trained on one set, tested on another",
    ("GLIA", "3"): "Less to train on",
    ("LoDa", "5"): "Less to train on",
    ("GLIA", "6"): "Strategies",
    ("LoDa", "6"): "Strategies",
}
"""The tables of methods that the page shows; those of one paper's parts are with `bench table`."""
Key = tuple[str, str, str]


@dataclass(frozen=True)
class PaperRow:
    """A row as printed (or measured), with the numbers of its footnotes."""

    label: str
    cells: tuple[str, ...]
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class PaperTable:
    """A paper's table: columns of (what, metric), the rows measured here and those printed there, footnotes."""

    title: str
    about: str
    columns: tuple[tuple[str, str], ...]
    measured: tuple[PaperRow, ...]
    rows: tuple[PaperRow, ...]
    notes: tuple[str, ...]
    whole: str

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The upper level of its header: what was measured, and how many columns it spans."""
        return groups(self.columns)


def paper_tables(chapters: Sequence[Chapter]) -> list[PaperTable]:
    """The papers' tables that are about sets or methods of these chapters; without paper runs, the two main ones."""
    named = {name for chapter in chapters for e in chapter.experiments for name in e.datasets}
    shown = [source for source in SOURCES if _concerns(source, named)] or list(SOURCES)[:2]
    like_theirs = [chapter for chapter in chapters if _is_like_theirs(chapter)]
    return [_table(source, like_theirs) for source in shown]


def _is_like_theirs(chapter: Chapter) -> bool:
    """Whether its numbers may stand beside the papers': of the papers' sets, split as there, and of all pictures."""
    return not chapter.part.preset.made and chapter.part.rules.published and not chapter.scene.smoke


def _concerns(source: Source, names: set[str]) -> bool:
    return any(key[0] in names for row in rows(source) for key in row.values)


def _table(source: Source, chapters: Sequence[Chapter]) -> PaperTable:
    printed = rows(source)
    keys = list(dict.fromkeys(key for row in printed for key in row.values))
    notes: dict[str, int] = {}
    lines = []
    for row in printed:
        numbers = tuple(notes.setdefault(note, len(notes) + 1) for note in row.notes)
        cells = tuple(_number(row.values.get(key)) for key in keys)
        lines.append(PaperRow(_label(row), cells, numbers))
    columns = tuple((_pair(key), METRIC_TITLES.get(key[2], key[2])) for key in keys)
    whole = NOTES.get(source, {}).get("", "")
    ours = tuple(_measured(chapters, keys)) if all(row.fraction == 0.8 for row in printed) else ()
    return PaperTable(name_of(source), SOURCES[source], columns, ours, tuple(lines), tuple(notes), whole)


def _measured(chapters: Sequence[Chapter], keys: Sequence[Key]) -> Iterator[PaperRow]:
    """Rows of what was measured here under the papers' preset and splits; demos and studies never stand here."""
    for chapter in chapters:
        rows: dict[tuple[str, Key], str] = {}
        for contest in [*chapter.contests.get("own", ()), *chapter.contests.get("across", ())]:
            for entry in contest.entries:
                for metric, number in entry.numbers.items():
                    key = contest.experiment.train, contest.experiment.tested, metric
                    rows[entry.subject.label, key] = number_text(number)
        for subject in chapter.subjects:
            cells = tuple(rows.get((subject.label, key), "–") for key in keys)
            if set(cells) - {"–"}:
                unusual = f" ({', '.join(chapter.part.rules.unusual)})" if chapter.part.rules.unusual else ""
                yield PaperRow(subject.label + unusual, cells)


def _pair(key: Key) -> str:
    return dataset_title(key[0]) if key[0] == key[1] else f"{dataset_title(key[0])} → {dataset_title(key[1])}"


def _label(row: PublishedRow) -> str:
    return row.label + (f", {100 * row.fraction:g}%" if row.fraction != 0.8 else "")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
