"""Drawings in SVG: every text escaped, and places in per cent, so that words keep their size at any width."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup, escape

from bench.report.figures.style import COLOURS, Look

GLYPH = 5.0
"""Half the width of a mark, in pixels."""


def element(name: str, *content: object, **attributes: object) -> Markup:
    """An element; an underscore in an attribute's name stands for a hyphen, and one at its end for nothing."""
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    written = "".join(f' {key}="{escape(_plain(value))}"' for key, value in pairs)
    inner = Markup("").join(escape(part) for part in content)
    return Markup(f"<{name}{written}>{inner}</{name}>")


def drawing(label: str, height: float, *content: object, kind: str = "") -> Markup:
    """A drawing as wide as its place, with the words that a screen reader says of it."""
    return element(
        "svg", *content, class_=f"drawing {kind}".strip(), height=height, width="100%", role="img", aria_label=label
    )


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line; x in per cent, y in pixels."""
    return element("line", x1=percent(x1), y1=y1, x2=percent(x2), y2=y2, class_=kind)


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> Markup:
    """Words at a place."""
    return element("text", words, x=percent(x), y=y, class_=f"label {kind}".strip(), text_anchor=anchor)


def mark(x: float, y: float, method: str, title: str, kind: str = "mark") -> Markup:
    """A method's mark, named where a pointer rests on it."""
    look = look_of(method)
    inside = [element("title", title), element("use", href=f"#{look.glyph}")]
    return element("svg", *inside, x=percent(x), y=y, overflow="visible", class_=f"{kind} hue{look.hue}")


def dot(x: float, y: float, method: str, title: str, kind: str = "dot") -> Markup:
    """One split's number: a small dot in the method's colour."""
    hue = look_of(method).hue
    return element("circle", element("title", title), cx=percent(x), cy=y, r=2.6, class_=f"{kind} hue{hue}")


def bar(x: float, width: float, y: float, height: float, kind: str, title: str) -> Markup:
    """A bar."""
    box = {"x": percent(x), "width": percent(width), "y": y, "height": height}
    return element("rect", element("title", title), **box, class_=kind)


def percent(value: float) -> str:
    """A place across a drawing."""
    return f"{value:.2f}".rstrip("0").rstrip(".") + "%"


def _plain(value: object) -> object:
    return f"{value:g}" if isinstance(value, float) else value


# Scales --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """From numbers to per cent of a drawing's width, between two margins."""

    low: float
    high: float
    left: float = 1.5
    right: float = 98.5

    def at(self, value: float) -> float:
        """Where a number stands; what lies beyond the ends stands at the end."""
        share = (value - self.low) / (self.high - self.low)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def ticks(self, most: int = 4) -> list[float]:
        """A few round numbers on it."""
        step = nice_step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(place * step, 10) for place in range(first, last + 1)]


def scale_of(values: Iterable[float], *, least: float = 0.1, top: float = 1.0) -> Scale:
    """A scale that holds some correlations and spans at least so much: small differences must not look large."""
    known = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = max(min(known), -1.0), min(max(known), top)
    air = max(0.04 * (high - low), (least - (high - low)) / 2, 0.0)
    low, high = max(low - air, -1.0), min(high + air, top)
    return Scale(min(low, high - least), high)


def nice_step(rough: float) -> float:
    """The least of 1, 2, 2.5 and 5 times a power of ten that is not below a number."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))


# Marks ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PageLook:
    """A method's look on the page: the number of its colour, and the name of its mark."""

    hue: int
    glyph: str


def look_of(method: str) -> PageLook:
    """The same colour and the same mark that the method has in figures."""
    look = Look.of(method)
    return PageLook(COLOURS.index(look.colour), f"glyph-{_word(look.marker)}")


def glyphs() -> Markup:
    """The marks, to be used by name."""
    return Markup("").join(
        element("symbol", element("path", d=path), id=f"glyph-{_word(name)}", overflow="visible")
        for name, path in _PATHS.items()
    )


def _word(marker: object) -> str:
    """A marker's name in an attribute: some are signs or tuples."""
    words = {"^": "up", "v": "down", "<": "left", ">": "right", "*": "star", "D": "diamond", "P": "plus", "X": "cross"}
    return words.get(str(marker), "-".join(map(str, marker)) if isinstance(marker, tuple) else str(marker))


def _polygon(corners: int, turn: float = -90.0, inner: float = 1.0, size: float = GLYPH * 1.15) -> str:
    """A polygon around the origin; with `inner` below 1 a star."""
    points = []
    for number in range(corners * (2 if inner < 1 else 1)):
        angle = math.radians(turn + number * 360 / (corners * (2 if inner < 1 else 1)))
        radius = size * (inner if inner < 1 and number % 2 else 1.0)
        points.append(f"{radius * math.cos(angle):.2f} {radius * math.sin(angle):.2f}")
    return f"M{' L'.join(points)}Z"


_PLUS = "M-1.7 -5.2H1.7V-1.7H5.2V1.7H1.7V5.2H-1.7V1.7H-5.2V-1.7H-1.7Z"
_CROSS = "M-2.5 -4.9L0 -2.4L2.5 -4.9L4.9 -2.5L2.4 0L4.9 2.5L2.5 4.9L0 2.4L-2.5 4.9L-4.9 2.5L-2.4 0L-4.9 -2.5Z"
_PATHS: dict[object, str] = {
    "o": "M0 -4.6A4.6 4.6 0 1 1 0 4.6A4.6 4.6 0 1 1 0 -4.6Z",
    "s": "M-4.1 -4.1H4.1V4.1H-4.1Z",
    "^": _polygon(3, -90),
    "v": _polygon(3, 90),
    "<": _polygon(3, 180),
    ">": _polygon(3, 0),
    "D": _polygon(4, -90, size=5.6),
    "P": _PLUS,
    "X": _CROSS,
    "p": _polygon(5),
    "h": _polygon(6),
    "*": _polygon(5, inner=0.45, size=6.4),
    "d": "M0 -6.2L3.4 0L0 6.2L-3.4 0Z",
    "8": _polygon(8, -67.5),
    (4, 1, 0): _polygon(4, inner=0.4, size=6.2),
    (6, 1, 0): _polygon(6, inner=0.5, size=6.2),
    (3, 1, 0): _polygon(3, inner=0.35, size=6.4),
}
"""The outline of each marker of bench.report.figures.style."""
