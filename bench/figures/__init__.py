"""The papers' figures from records: which there are, and `make_figure`, which draws one and writes its files."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError
from bench.progress import counted

if TYPE_CHECKING:
    from bench.figures.scene import Drawing, Scene
    from bench.results import Results

FORMATS = ("png", "svg")
VIEWS = ("same", "own")


@dataclass(frozen=True)
class Kind:
    """A figure there is: its module, what it shows, and the protocol whose runs it needs."""

    module: str
    summary: str
    protocol: str
    image: bool = False
    """Whether a picture may be named that it looks at."""
    views: bool = False
    """Whether it may be told what the models look at."""
    states: bool = False
    """Whether it walks through trained models, whose kept weights it needs."""

    def load(self) -> Callable[[Scene], Iterator[Drawing]]:
        """The function that draws it."""
        draw: Callable[[Scene], Iterator[Drawing]] = importlib.import_module(f"bench.figures.{self.module}").draw
        return draw


FIGURES: dict[str, Kind] = {
    "parameters": Kind("parameters", "SRCC against trainable parameters (LoDa Fig. 1)", "main"),
    "scatter": Kind("scatter", "predicted against human scores with the fitted logistic", "main"),
    "distortions": Kind("distortions", "PLCC and SRCC by distortion and family (LoDa Fig. 4)", "main"),
    "data_efficiency": Kind("data_efficiency", "SRCC against the share of the dataset trained on", "data_efficiency"),
    "cross": Kind("cross", "SRCC of every training set on every test set", "cross"),
    "training": Kind("training", "loss and validation curves of training", "main"),
    "gmad": Kind("gmad", "image pairs of the gMAD competition (GLIA Fig. 4)", "gmad"),
    "attention": Kind(
        "attention", "attention maps beside the image (GLIA Fig. 3, LoDa Fig. 7)", "main", image=True, states=True
    ),
    "spectra": Kind(
        "spectra", "Fourier spectra of the features, block by block (LoDa Fig. 6)", "main", views=True, states=True
    ),
}


class NothingToDraw(UsageError):
    """There are no records for a figure; the message names the command that makes them."""


def make_figures(names: Sequence[str], results: Results, out: Path, **wishes: Any) -> list[Path]:
    """Several figures, or all that there are records for where none is named."""
    for name in names:
        kind_named(name)
    if names:
        return [path for name in dict.fromkeys(names) for path in make_figure(name, results, out, **wishes)]
    written: list[Path] = []
    refused: NothingToDraw | None = None
    for name, kind in FIGURES.items():
        if (wishes.get("image") and not kind.image) or (wishes.get("views", VIEWS[0]) != VIEWS[0] and not kind.views):
            continue
        try:
            written += make_figure(name, results, out, **wishes)
        except NothingToDraw as nothing:
            refused = refused or nothing
    if not written and refused:
        raise refused
    return written


def make_figure(
    name: str, results: Results, out: Path, *, formats: Sequence[str] = FORMATS, **options: Any
) -> list[Path]:
    """Draw a figure from the records and write it into `out`; one preset, and often one dataset, a file.

    `options` are the fields of bench.figures.scene.Wish. The same records (and weights) give the same bytes.
    """
    from bench.figures.scene import Wish, scenes
    from bench.figures.style import house_style, save

    kind = kind_named(name)
    unknown = [ending for ending in formats if ending not in FORMATS]
    if unknown or not formats:
        raise UsageError(f"Unknown figure format {', '.join(unknown) or 'nothing'}. There are: {', '.join(FORMATS)}.")
    wish = Wish(**options)
    if wish.image and not kind.image:
        raise UsageError(f"--image is for {', '.join(n for n, k in FIGURES.items() if k.image)}, not for {name}.")
    if wish.views not in VIEWS or (wish.views != VIEWS[0] and not kind.views):
        raise UsageError(f"--views {wish.views!r}: it is {' or '.join(VIEWS)}, and for the spectra only.")
    draw, written = kind.load(), []
    for scene in scenes(results, wish):
        with house_style():
            for drawing in draw(scene):
                for ending in dict.fromkeys(formats):
                    path = out / f"{drawing.stem}.{ending}"
                    save(drawing.figure, path)
                    written.append(path)
    if not written:
        raise NothingToDraw(_nothing(name, kind, results, wish.methods, wish.datasets))
    return written


def kind_named(name: str) -> Kind:
    """The figure of a name; a typo gets suggestions."""
    if name not in FIGURES:
        close = difflib.get_close_matches(name, FIGURES, n=2, cutoff=0.5)
        hint = f"Did you mean {' or '.join(close)}?" if close else f"There are: {', '.join(FIGURES)}."
        raise UsageError(f"Unknown figure {name!r}. {hint}")
    return FIGURES[name]


def _nothing(name: str, kind: Kind, results: Results, methods: Sequence[str], datasets: Sequence[str]) -> str:
    command = f"bench run -p {kind.protocol}"
    command += f" -m {','.join(methods)}" if methods else ""
    command += f" -d {','.join(datasets)}" if datasets else ""
    have = (
        f"{counted(len(results), 'record')} here, without what it shows" if len(results) else "there are no records yet"
    )
    if kind.states:
        have += " with kept weights" if not len(results) else " or no kept weights ([run] keep_weights in bench.toml)"
    return f"Nothing to draw for {name}: {have}. This command makes them: {command}"
