"""How every figure looks: colour-blind-safe colours, markers, a title above, how to read it below; and its bytes."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#000000")
"""Okabe & Ito's palette without its yellow, which is too pale for lines on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.")
HATCHES = ("", "////", "....", "xxxx")
GREY = "#767676"

_DPI = 200
_RC = {
    "figure.dpi": 100,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E2E2E2",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "glia-bench",
}


@dataclass(frozen=True)
class Look:
    """What tells one method from the others, in colour and without."""

    colour: str
    marker: str
    dash: Any
    hatch: str

    @staticmethod
    def of(place: int) -> Look:
        """The look of the method at this place of the palette; it repeats after 84."""
        turn = place // len(COLOURS)
        return Look(
            COLOURS[place % len(COLOURS)],
            MARKERS[place % len(MARKERS)],
            DASHES[turn % len(DASHES)],
            HATCHES[turn % len(HATCHES)],
        )


@dataclass(frozen=True)
class Legend:
    """Handles and labels for the legend of a whole figure."""

    handles: Sequence[Any]
    labels: Sequence[str]


@contextmanager
def house_style() -> Iterator[None]:
    """matplotlib's own defaults and ours, whatever the user's matplotlibrc says; afterwards all is as before."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def panels(count: int, *, columns: int, size: tuple[float, float], **shared: Any) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels of `size` inches, at most `columns` a row; a figure is never narrower than text."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(1, min(columns, count))
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(max(columns * size[0], 4.8), rows * size[1] + 0.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for extra in axes[count:]:
        extra.set_visible(False)
    return figure, axes[:count]


def wrapped(text: str, width: int) -> str:
    """A label on as many lines as it needs, broken at spaces and after underscores, colons and commas."""
    lines = [""]
    for part in re.findall(r"[^\s_:,]*[\s_:,]*", text):
        if lines[-1] and len(lines[-1] + part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.strip() for line in lines)


def outer_labels(axes: Sequence[Axes], x: str, y: str) -> None:
    """Axis labels (and tick labels of shared axes) on the lowest panel of each column and the first of each row."""
    specs = [(one, one.get_subplotspec()) for one in axes]
    lowest = {spec.colspan.start: spec.rowspan.start for _, spec in specs if spec is not None}
    for one, spec in specs:
        assert spec is not None
        bottom, left = lowest[spec.colspan.start] == spec.rowspan.start, spec.colspan.start == 0
        if bottom:
            one.set_xlabel(x)
            one.tick_params(labelbottom=True)
        if left:
            one.set_ylabel(y)


def finish(figure: Figure, title: str, below: Sequence[str], legend: Legend | None = None) -> None:
    """Put the title above, the legend and the words under the panels: each on room added for it alone."""
    width, body = figure.get_figwidth(), figure.get_figheight()
    headline = textwrap.wrap(title, int(width * 9.6), break_on_hyphens=False)
    words = [part for line in below if line for part in textwrap.wrap(line, int(width * 18))]
    columns = _legend_columns(legend, width) if legend else 1
    rows = math.ceil(len(legend.labels) / columns) if legend else 0
    top, middle, bottom = 0.21 * len(headline) + 0.1, 0.19 * rows + 0.1, 0.13 * len(words) + 0.08
    height = top + body + middle + bottom
    figure.set_figheight(height)
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0, (middle + bottom) / height, 1, body / height))
    figure.text(0.5, 1 - 0.07 / height, "\n".join(headline), va="top", ha="center", fontsize=10.5, fontweight="bold")
    if legend:
        figure.legend(
            legend.handles,
            legend.labels,
            loc="upper center",
            bbox_to_anchor=(0.5, (middle + bottom) / height),
            borderaxespad=0.2,
            ncols=columns,
            frameon=False,
            handlelength=2.2,
        )
    place = {"x": 0.1 / width, "y": bottom / height, "va": "top", "ha": "left"}
    figure.text(s="\n".join(words), fontsize=7, color="#444444", linespacing=1.3, **place)
    _freeze(figure)


def _freeze(figure: Figure) -> None:
    """Lay the panels out once and round where they came to stand: the solver's last bits differ from call to call."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position([round(value, 5) for value in axes.get_position(original=True).bounds])


def _legend_columns(legend: Legend, width: float) -> int:
    """As many columns as fit: each is as wide as its longest label."""
    labels = legend.labels
    for columns in range(len(labels), 1, -1):
        rows = math.ceil(len(labels) / columns)
        longest = [max(map(len, labels[i : i + rows])) for i in range(0, len(labels), rows)]
        if sum(0.068 * letters + 0.62 for letters in longest) <= width:
            return len(longest)
    return 1


def save(figure: Figure, path: Path) -> None:
    """Write a figure, PNG or SVG by its ending; the same figure gives the same bytes."""
    kind = path.suffix[1:]
    metadata = {"Date": None, "Creator": "glia-bench"} if kind == "svg" else {"Software": None}
    with atomic(path) as handle:
        figure.savefig(handle, format=kind, dpi=_DPI, metadata=metadata)
