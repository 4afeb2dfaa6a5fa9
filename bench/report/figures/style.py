"""How every figure looks: one colour-blind-safe look per method, a title above, how to read it below; and its bytes."""

from __future__ import annotations

import hashlib
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#000000")
"""Okabe & Ito's palette without its yellow, which is too pale for lines on white."""
MARKERS: tuple[Any, ...] = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (8, 2, 1, 2, 1, 2)), (0, (1, 4)))
HATCHES = ("", "////", "....", "xxxx", "----", "||||")
GREY = "#767676"
INK = "#222222"

OWN_PLACES = ("linear_probe", "full_finetune", "adapter", "lora", "vpt", "loda", "glia", "bitfit", "ssf")
"""Methods in the order of the palette; a new one goes to the end, so that the others keep their looks."""
OTHER_MARKERS: tuple[Any, ...] = ("p", "h", "*", "d", "8", (4, 1, 0), (6, 1, 0), (3, 1, 0))
"""Markers of all other methods (comparators, plugins, peft's variants): never of one with a place of its own."""

NARROWEST = 4.8
"""Inches: a page with words on it is never narrower than this."""

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
    "pdf.fonttype": 42,
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
    def of(method: str) -> Look:
        """The look of a method, by its name alone: the same in every figure, whoever else is drawn.

        The built-in ones have places of their own. A plugin or a variant gets one by a hash of its name, among those
        that no built-in has; two of them may meet in one look, and then their names tell them apart.
        """
        if method in OWN_PLACES:
            place = OWN_PLACES.index(method)
            return Look._at(place, MARKERS[place])
        number = int.from_bytes(hashlib.sha256(method.encode()).digest()[:8], "big")
        number, marker = divmod(number, len(OTHER_MARKERS))
        free = len(COLOURS) * len(DASHES) - len(OWN_PLACES)
        return Look._at(len(OWN_PLACES) + number % free, OTHER_MARKERS[marker])

    @staticmethod
    def _at(place: int, marker: Any) -> Look:
        turn, colour = divmod(place, len(COLOURS))
        return Look(COLOURS[colour], marker, DASHES[turn], HATCHES[turn])


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


def panels(
    count: int, *, columns: int, size: tuple[float, float], stretch: bool = True, beside: float = 0.0, **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels of `size` inches, at most `columns` in a row, with `beside` inches for a colour bar.

    `stretch` widens few panels to the narrowest page; pictures and maps keep their size and stand in its middle.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(1, min(columns, count))
    rows = math.ceil(count / columns)
    width = columns * size[0] + beside
    figure = Figure(figsize=(max(width, NARROWEST if stretch else 0), rows * size[1] + 0.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **shared).ravel().tolist()
    for extra in axes[count:]:
        extra.set_visible(False)
    return figure, axes[:count]


def keep_in_proportion(axes: Axes, least: float = 0.1) -> None:
    """An axis of correlations spans at least so much: small differences must not look like large ones."""
    low, high = axes.get_ylim()
    missing = max(0.0, least - (high - low))
    high = min(high + missing / 2, max(high, 1.0))
    axes.set_ylim(min(low, high - least), high)


def colour_bar(figure: Figure, shown: Any, axes: Sequence[Axes], label: str, **more: Any) -> None:
    """A colour bar beside the panels, as wide in a small figure as in a large one."""
    height = figure.get_figheight()
    share = 1.0 if height < 3 else 0.7
    long = share * (height - 0.9)  # about so much of it is not words
    figure.colorbar(shown, ax=axes, label=label, shrink=share, aspect=max(5.0, long / 0.16), pad=0.02, **more)


def printed(value: float, digits: int = 3, *, sign: bool = False) -> str:
    """A number as it stands in a figure: a proper minus as on the axes, and no minus before a zero."""
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if not float(text):
        text = text.lstrip("+-")
    return text.replace("-", "−")


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
    body_width, body = figure.get_figwidth(), figure.get_figheight()
    width = max(body_width, NARROWEST if title or below or legend else 0)
    headline = textwrap.wrap(title, int(width * 9.6), break_on_hyphens=False)
    words = [part for line in below if line for part in textwrap.wrap(line, int(width * 18))]
    columns = _legend_columns(legend, width) if legend else 1
    rows = math.ceil(len(legend.labels) / columns) if legend else 0
    top, middle, bottom = 0.21 * len(headline) + 0.1, 0.19 * rows + 0.1, 0.13 * len(words) + 0.08
    height = top + body + middle + bottom
    figure.set_size_inches(width, height)
    engine: Any = figure.get_layout_engine()
    share = body_width / width
    engine.set(rect=((1 - share) / 2, (middle + bottom) / height, share, body / height))
    if headline:
        place = {"y": 1 - 0.07 / height, "va": "top", "ha": "center"}
        figure.text(0.5, s="\n".join(headline), fontsize=10.5, fontweight="bold", **place)
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
    if words:
        place = {"x": 0.1 / width, "y": bottom / height, "va": "top", "ha": "left"}
        figure.text(s="\n".join(words), fontsize=7, color="#444444", linespacing=1.3, **place)
    _freeze(figure)


def _freeze(figure: Figure) -> None:
    """Lay the panels out and round where they came to stand: the solver's last bits differ from call to call."""
    figure.draw_without_rendering()
    if any(axes.images for axes in figure.axes):  # a picture keeps its shape: the room for its words is known only now
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


def save(figure: Figure, path: Path, title: str = "", words: str = "") -> None:
    """Write a figure, PNG, SVG or PDF by its ending; the same figure gives the same bytes.

    Title and words stand in the file's metadata too, so that a figure without them on its page still says what it is.
    """
    kind = path.suffix[1:]
    with atomic(path) as handle:
        figure.savefig(handle, format=kind, dpi=_DPI, metadata=_metadata(kind, title, words))


def _metadata(kind: str, title: str, words: str) -> dict[str, str | None]:
    """What a file says of itself: no date and no version, which would make other bytes of the same figure."""
    texts = {"Title": title, "Subject" if kind == "pdf" else "Description": words}
    usual: dict[str, dict[str, str | None]] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": "glia-bench"},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": "glia-bench"},
    }
    return usual[kind] | {name: text for name, text in texts.items() if text}
