"""Which notes the screen shows: a few lines under each table, and once what several tables of one call share."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.report.table import Table
from bench.report.tables.rendering.text import below

LINES = 3
"""How many lines a screen shows below a table."""
MIXED = re.compile(r"Mixed\b")
"""Runs of one row that were not made alike: comes before everything else."""
CAUTIONS = re.compile(
    r"(Warning|Optimistic|Smoke run|Random weights|Hardly trained|Failed|Few pictures|Backbone weights|"
    r"CNN weights|Tuned by an older)\b|.*(: partial|\bmade by )"
)
"""What may keep a number from being taken at its word: such notes come before what explains."""
CHANGED = re.compile(r"Preset: .*changed: ")
"""What all rows share and their names therefore do not say."""
ELSEWHERE = re.compile(r"Not here but in the table\b")
"""Which rows somebody may look for in vain, and where they are."""
HOW_TO_READ = re.compile(r"Preset:|Medians over|One split")
SIGNS = re.compile(r"≈|\(k/n\)|Δ")
WEIGHTY = (MIXED, CAUTIONS, CHANGED, ELSEWHERE, HOW_TO_READ, SIGNS)
ORDINARY = len(WEIGHTY)
FOOTNOTE = re.compile(r"\[\d+\] ")
SENTENCE = re.compile(r"(.+?\.) [A-Z`]")


@dataclass(frozen=True)
class Shown:
    """The lines under each table, those for several tables at once, and how many notes are not there in full."""

    under: tuple[tuple[str, ...], ...]
    shared: tuple[str, ...]
    left: int


def on_screen(tables: Sequence[Table], width: int, *, everything: bool = False) -> Shown:
    """What to show of the notes of all tables of one call; `everything` leaves nothing out, and repeats nothing."""
    said = [list(dict.fromkeys(below(table))) for table in tables]
    shared = _shared(said)
    own = [[note for note in notes if note not in shared] for notes in said]
    if everything:
        return Shown(tuple(map(tuple, own)), tuple(shared), 0)
    chosen = [_few(notes, width) for notes in (*own, shared)]
    full = {line for lines in chosen for line in lines}
    left = {note for notes in said for note in notes} - full
    return Shown(tuple(chosen[:-1]), chosen[-1], len(left))


def _shared(said: Sequence[Sequence[str]]) -> list[str]:
    """The notes of more than one table, where no other table says something else of the same thing."""
    counts = Counter(note for notes in said for note in notes)
    texts: dict[str, set[str]] = {}
    for note in counts:
        texts.setdefault(_subject(note), set()).add(note)
    return [note for note, count in counts.items() if count > 1 and len(texts[_subject(note)]) == 1]


def _subject(note: str) -> str:
    """What a note is about: its number, or its first word."""
    return "Medians" if note.startswith("One split") else note.split(maxsplit=1)[0]


def _few(notes: Sequence[str], width: int) -> tuple[str, ...]:
    """As many notes as there are lines for, the weightiest first; of a weighty one at least its first sentence."""
    room = LINES
    shown: dict[str, str] = {}
    for note in sorted(notes, key=_weight):
        for text in _versions(note, width):
            lines = len(textwrap.wrap(text, width))
            if lines <= room:
                shown[note] = text
                room -= lines
                break
    return tuple(shown[note] for note in notes if note in shown)


def _weight(note: str) -> int:
    text = FOOTNOTE.sub("", note, count=1)
    return next((place for place, pattern in enumerate(WEIGHTY) if pattern.match(text)), ORDINARY)


def _versions(note: str, width: int) -> Iterator[str]:
    """A note, and where it must not be missed its first sentence, and one line of that."""
    yield note
    if _weight(note) < ORDINARY:
        begin = SENTENCE.match(note)
        if begin:
            yield f"{begin[1]} …"
        yield textwrap.shorten(note, width, placeholder=" …")
