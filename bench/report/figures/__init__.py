"""The papers' figures from records: which there are, and `make_figures`, which draws them and writes their files."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BenchError, StoreError, UsageError
from bench.core.progress import counted
from bench.core.registry import FIGURES, METHODS
from bench.report.figures.figure import Figure

if TYPE_CHECKING:
    from bench.records.results import Results
    from bench.report.figures.scene import Drawing, Scene, Wish

__all__ = [
    "FIGURES",
    "FORMATS",
    "USUAL_FORMATS",
    "VIEWS",
    "Figure",
    "NothingToDraw",
    "Outcome",
    "facts",
    "make_figure",
    "make_figures",
]

FORMATS = ("png", "svg", "pdf")
USUAL_FORMATS = ("png", "svg")
VIEWS = ("same", "own")
"""What the models may look at for a figure that takes views: the same crops all of them, or each its own."""


class NothingToDraw(UsageError):
    """There are no records for a figure; the message names the command that makes them."""


@dataclass(frozen=True)
class Refusal:
    """A figure that could not be drawn."""

    figure: str
    error: Exception

    @property
    def line(self) -> str:
        """Which one and why, in one line."""
        why = " ".join(str(self.error).split())
        return f"{self.figure}: {why if isinstance(self.error, BenchError) else f'{type(self.error).__name__}: {why}'}"


@dataclass(frozen=True)
class Written:
    """A figure that was drawn, and its files."""

    drawing: Drawing
    paths: tuple[Path, ...]


Tell = Callable[[Written | Refusal], object]


@dataclass
class Outcome:
    """The outcome of drawing: the files, what could not be drawn, and the figures that have no records here."""

    tell: Tell = lambda _: None
    """Called with each as it comes."""
    written: list[Written] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    without_records: list[str] = field(default_factory=list)

    @property
    def paths(self) -> list[Path]:
        """Every file that was written."""
        return [path for one in self.written for path in one.paths]

    @property
    def count(self) -> int:
        """How many figures were drawn or could not be."""
        return len(self.written) + len(self.refused)

    def add(self, outcome: Written | Refusal) -> None:
        """Note one more."""
        if isinstance(outcome, Written):
            self.written.append(outcome)
        else:
            self.refused.append(outcome)
        self.tell(outcome)


def make_figures(
    names: Sequence[str],
    results: Results,
    out: Path,
    *,
    formats: Sequence[str] = USUAL_FORMATS,
    strict: bool = False,
    tell: Tell = lambda _: None,
    **options: Any,
) -> Outcome:
    """Draw figures from the records and write them into `out`: those of the names, or all that there are records for.

    A figure that cannot be drawn stops no other, unless `strict`: its error is raised then. `tell` is called as each
    is written or refused. `options` are the fields of bench.report.figures.scene.Wish. The same records (and weights)
    give the same bytes.
    """
    from bench.report.figures.scene import Wish, scenes

    wish = Wish(**options)
    _check(names, formats, wish)
    _check_records(results, wish, facts(names[0])["protocol"] if names else "main")
    outcome, there = Outcome(tell), scenes(results, wish)
    chosen = list(dict.fromkeys(names)) or _usual_order(wish)
    for number, name in enumerate(chosen):
        wish.report(number, len(chosen), "figures")
        before = outcome.count
        for drawing in _drawings(name, there, outcome, strict=strict):
            outcome.add(_write(drawing, out, formats))
        if outcome.count == before:
            outcome.without_records.append(name)
    wish.report(len(chosen), len(chosen), "figures")
    if not outcome.count and len(names) < 2:
        raise NothingToDraw(_nothing(names[0] if names else "", results, wish))
    for name in outcome.without_records if names else ():
        with _noted(name, outcome, strict=strict):
            raise NothingToDraw(_nothing(name, results, wish))
    return outcome


def make_figure(name: str, results: Results, out: Path, **options: Any) -> list[Path]:
    """Draw one figure and write its files; what keeps it from being drawn is raised."""
    return make_figures([name], results, out, strict=True, **options).paths


def _drawings(name: str, there: Sequence[tuple[Scene, Scene]], outcome: Outcome, *, strict: bool) -> Iterator[Drawing]:
    """A figure of every preset and set of rules; of smoke runs only where these have nothing else for it."""
    for whole_and_smoke in there:
        before = outcome.count
        for scene in whole_and_smoke:
            if outcome.count == before:
                yield from _of_scene(name, scene, outcome, strict=strict)


def _of_scene(name: str, scene: Scene, outcome: Outcome, *, strict: bool) -> Iterator[Drawing]:
    from bench.records.results import Experiment
    from bench.report.figures.scene import title_of
    from bench.report.figures.style import house_style

    with house_style(), _noted(name, outcome, strict=strict):
        figure: Figure = FIGURES.make(name)
        for topic in figure.topics(scene):
            about = title_of(topic) if isinstance(topic, Experiment) else str(topic)
            about = ", ".join([about, *scene.part.rules.unusual])
            with _noted(f"{name} ({about})", outcome, strict=strict):
                yield from figure.draw(scene, topic)


@contextmanager
def _noted(figure: str, outcome: Outcome, *, strict: bool) -> Iterator[None]:
    """Any error in here keeps one figure from being drawn, and no other: a plugin may fail in any way."""
    try:
        yield
    except Exception as error:
        if strict:
            raise
        outcome.add(Refusal(figure, error))


def _write(drawing: Drawing, out: Path, formats: Sequence[str]) -> Written:
    """Write a drawing in every format; a folder that cannot be written is an error for all figures."""
    from bench.report.figures.style import save

    paths = tuple(out / f"{drawing.stem}.{ending}" for ending in dict.fromkeys(formats))
    try:
        for path in paths:
            save(drawing.figure, path, drawing.title, " ".join(drawing.words))
    except StoreError as error:
        if getattr(error.__cause__, "errno", None) in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(f"{out} cannot be written; --out DIR puts the figures elsewhere.") from error
        raise
    return Written(drawing, paths)


def facts(figure: str) -> Mapping[str, Any]:
    """What a figure's class says of itself, read from its source: loading some takes torch."""
    return FIGURES.card(figure).facts


def _usual_order(wish: Wish) -> list[str]:
    """All figures there are that take what is asked for, those that walk through models last."""
    chosen = [name for name in FIGURES if all(facts(name)[f"takes_{option}"] for option in _special(wish))]
    return sorted(chosen, key=lambda name: (facts(name)["needs_weights"], name))


def _check(names: Sequence[str], formats: Sequence[str], wish: Wish) -> None:
    """Names, formats and wishes that make no sense are refused before anything is drawn."""
    for name in names:
        FIGURES.target(name)
    unknown = [ending for ending in formats if ending not in FORMATS]
    if unknown or not formats:
        raise UsageError(f"Unknown figure format {', '.join(unknown) or 'nothing'}. There are: {', '.join(FORMATS)}.")
    if wish.views not in VIEWS:
        raise UsageError(f"--views {wish.views!r}: it is {' or '.join(VIEWS)}.")
    for option in _special(wish):
        taking = [name for name in FIGURES if facts(name)[f"takes_{option}"]]
        if others := [name for name in names if name not in taking]:
            raise UsageError(f"--{option} is for {', '.join(taking)}, not for {', '.join(others)}.")
    if not names and not _usual_order(wish):
        raise UsageError(f"No figure takes {' and '.join(f'--{option}' for option in _special(wish))} together.")


def _special(wish: Wish) -> list[str]:
    """The options that were given and that only some figures take."""
    return [option for option, given in (("image", wish.image), ("views", wish.views != VIEWS[0])) if given]


def _check_records(results: Results, wish: Wish, protocol: str) -> None:
    """Methods and datasets that no record is of are refused by name: nothing typed is dropped."""
    methods = {record.spec.method for record in results.records}
    datasets = {name for record in results.records for name in record.spec.datasets}
    if not methods:
        return
    for method in wish.methods:
        if method not in methods and method not in METHODS:
            raise UsageError(f"{method} is no method; there are {', '.join(sorted({*METHODS, *methods}))}.")
        if method not in methods:
            raise UsageError(f"There is no record of {method} here. Make some: bench run -m {method} -p {protocol}")
    for dataset in wish.datasets:
        if dataset not in datasets:
            raise UsageError(f"No record here is of {dataset}; there are some of {', '.join(sorted(datasets))}.")


def _nothing(name: str, results: Results, wish: Wish) -> str:
    """Why a figure (or, unnamed, any figure) has nothing to show, and the command that makes the records for it."""
    command = f"bench run -p {facts(name)['protocol'] if name else 'main'}"
    command += f" -m {','.join(wish.methods)}" if wish.methods else ""
    command += f" -d {','.join(wish.datasets)}" if wish.datasets else ""
    have = (
        f"{counted(len(results), 'record')} here, without what it shows" if len(results) else "there are no records yet"
    )
    if name and len(results) and facts(name)["needs_weights"]:
        have += " or no kept weights ([run] keep_weights in bench.toml)"
    about = f" for {name}" if name else ""
    return f"Nothing to draw{about}: {have}. This command makes them: {command}"
