"""From records to the page: its parts one by one, and all of them as one file. The same records give the same bytes."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from bench import __version__
from bench.core.progress import counted
from bench.records.results import Record, Results
from bench.report.arms import Arm, arms_of
from bench.report.page.chapters import Chapter, chapters
from bench.report.page.competition import duels
from bench.report.page.datasets import SPLIT_COLUMNS, matrices, ranking, set_views
from bench.report.page.explorer import explorer, labels_of
from bench.report.page.front import COST_NOTE, COSTS, FrontChapter, failures, front, left_aside
from bench.report.page.papers import paper_tables
from bench.report.page.pictures import Pictures
from bench.report.page.runs import Log, chosen_runs, details
from bench.report.page.svg import glyphs, look_of

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).with_name("templates")
SCRIPTS = ("common.js", "route.js", "charts.js", "explorer.js", "scatter.js", "runs.js", "live.js")
"""The page's script, in the order in which it is read."""
DATA_PARTS = ("explorer", "runs", "pictures")
"""The parts that are data for the script; all others are HTML."""


def no_log(_key: str) -> Log:
    """No run has noted its steps."""
    return ()


@dataclass(frozen=True)
class Ask:
    """What the page is made of besides records: steps that runs noted, pictures, and whether one run alone is wanted.

    `memory` keeps what was made of a record, for a page that is made again and again.
    """

    log_of: Callable[[str], Log] = no_log
    pictures: Pictures = field(default_factory=Pictures)
    only: str = ""
    live: bool = False
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """The page in parts, by name, and the sentences in front of it."""

    parts: Mapping[str, str]
    sentences: tuple[str, ...]
    live: bool = False
    title: str = "Report"

    @property
    def html(self) -> str:
        """All of it as one file that needs nothing else."""
        style, script = _style(), _script()
        shown = {name: Markup(text) for name, text in self.parts.items()}
        return (
            _environment()
            .get_template("page.html")
            .render(
                parts=shown,
                data_parts=DATA_PARTS,
                title=self.title,
                version=__version__,
                style=Markup(style),
                script=Markup(script),
                policy=_policy(style, script, live=self.live),
                live=as_json(self.hashes()) if self.live else "",
                glyphs=glyphs(),
            )
        )

    def hashes(self) -> dict[str, str]:
        """A hash of each part: whoever shows the page has those that it was made of, and asks for what has changed."""
        return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in self.parts.items()}


def make_page(results: Results, ask: Ask | None = None) -> Page:
    """The page of some records."""
    ask = ask or Ask()
    all_chapters = chapters(results)
    fronts = front(all_chapters)
    every = arms_of(results.records)
    shown = [record for record in results.records if record.key == ask.only] or chosen_runs(all_chapters, every)
    contests = [duel for chapter in all_chapters for duel in duels(chapter)]
    looked_into = details(shown, every, labels_of(results), ask.log_of, ask.memory)
    ask.pictures.want_pairs(contests)
    ask.pictures.want_runs(shown, looked_into)
    parts = {
        "front": _render("front.html", fronts=fronts, **_front_facts(results, fronts)),
        "explorer": as_json(explorer(results)),
        "sets": _render("sets.html", chapters=_set_chapters(all_chapters), split_columns=SPLIT_COLUMNS),
        "runs": as_json({**looked_into, "all": len(results), "only": ask.only}),
        "pairs": _render("pairs.html", duels=contests, pictures=ask.pictures),
        "published": _render("published.html", tables=paper_tables(all_chapters)),
        "pictures": as_json({"thumbs": ask.pictures.thumbs, "note": ask.pictures.note}),
    }
    if ask.only:
        parts = {name: parts[name] for name in ("runs", "pictures")}
    return Page(parts, tuple(_sentences(fronts)), ask.live, _title(results, shown, every, ask.only))


def _front_facts(results: Results, fronts: Sequence[FrontChapter]) -> dict[str, Any]:
    return {
        "costs": COSTS,
        "cost_note": COST_NOTE,
        "failures": failures(results),
        "aside": left_aside(results),
        "runs": counted(len(results), "run"),
        "empty": not any(chapter.groups for chapter in fronts),
    }


def _set_chapters(every: Sequence[Chapter]) -> list[dict[str, Any]]:
    return [
        {"chapter": one, "views": set_views(one), "ranking": ranking(one), "matrices": matrices(one)} for one in every
    ]


def _sentences(fronts: Sequence[FrontChapter]) -> list[str]:
    return [panel.finding.sentence for one in fronts for _, panels in one.groups for panel in panels]


def _title(results: Results, shown: Sequence[Record], arms: Mapping[Record, Arm], only: str) -> str:
    if only:
        return f"{arms[shown[0]].label()}, split {shown[0].spec.split}"
    return f"{counted(len(results), 'run')}"


def as_json(data: Any) -> str:
    """Data for the script, with nothing in it that could end its element."""
    text = json.dumps(data, separators=(",", ":"), sort_keys=True, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _render(name: str, **context: Any) -> str:
    return _environment().get_template(name).render(**context)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["look_of"] = look_of
    environment.globals["swatch"] = _swatch
    environment.filters["unbroken"] = _unbroken
    return environment


def _swatch(method: str) -> Markup:
    """A method's mark by its name, as in the drawings."""
    look = look_of(method)
    return Markup('<svg class="swatch hue{}" aria-hidden="true"><use href="#{}"/></svg>').format(look.hue, look.glyph)


def _unbroken(sentence: str) -> Markup:
    """A sentence whose intervals stay on one line."""
    pieces = re.split(r"(\[[^\]]*\])", sentence)
    return Markup("").join(
        Markup('<span class="whole">{}</span>').format(piece) if number % 2 else piece
        for number, piece in enumerate(pieces)
    )


@cache
def _style() -> str:
    return (TEMPLATES / "style.css").read_text(encoding="utf-8")


@cache
def _script() -> str:
    bodies = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    return f'(() => {{\n"use strict";\n{bodies}}})();\n'


def _policy(style: str, script: str, *, live: bool) -> str:
    """What the page may do: run its own script, show pictures that are in it, and when served ask for its own news."""

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    rules = ["default-src 'none'", f"style-src {source(style)}", f"script-src {source(script)}", "img-src data:"]
    rules += ["base-uri 'none'", "form-action 'none'"] + (["connect-src 'self'"] if live else [])
    return "; ".join(rules)
