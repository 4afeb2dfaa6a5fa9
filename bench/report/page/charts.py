"""What the page draws of records before any script runs: intervals, dots of splits, histograms, ranks, curves, bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from bench.metrics.comparisons import FEWEST_SPLITS
from bench.report.figures.scene import Subject
from bench.report.page.chapters import Contest, Entry
from bench.report.page.sentences import short
from bench.report.page.svg import Scale, bar, dot, drawing, element, line, look_of, mark, scale_of, text

if TYPE_CHECKING:
    from bench.metrics.comparisons import CriticalDifference

LANE = 26
"""Pixels of the height of one method's row."""
LONGEST_NAME = 36
"""Letters of a name that stand beside a mark in a drawing."""


def interval_of(entry: Entry) -> tuple[float, float] | None:
    """The 95% interval of the mean over splits; None of fewer splits than a test takes."""
    number = entry.number
    if number.n < FEWEST_SPLITS or number.low is None or number.high is None:
        return None
    return number.low, number.high


def scale_of_contest(contest: Contest) -> Scale:
    """One scale for all methods of a contest: their splits and intervals."""
    ends = [end for entry in contest.entries for end in interval_of(entry) or ()]
    return scale_of([*ends, *(value for entry in contest.entries for value in entry.cell.values.values())])


def lane(entry: Entry, scale: Scale) -> Markup:
    """One method's number: its splits as dots, the interval as a line, the median as its mark."""
    method, label, middle = entry.subject.arm.method, entry.subject.label, LANE / 2
    parts: list[Markup] = []
    interval = interval_of(entry)
    if interval:
        parts.append(line(scale.at(interval[0]), middle, scale.at(interval[1]), middle, f"interval hue{_hue(method)}"))
    for run, value in entry.cell.values.items():
        parts.append(dot(scale.at(value), middle, method, f"{label}, {entry.cell.name_of(run)}: {short(value)}"))
    said = f"{label}: no finished run"
    if entry.number.value is not None:
        said = f"{label}: median SRCC {short(entry.value)} of {len(entry.cell.scores())}"
        said += f", 95% interval {short(interval[0])} to {short(interval[1])}" if interval else ""
        parts.append(mark(scale.at(entry.value), middle, method, said))
    return drawing(said, LANE, *_grid(scale, LANE), *parts, kind="lane")


def axis(scale: Scale, what: str = "SRCC") -> Markup:
    """The numbers below some lanes."""
    ticks = scale.ticks()
    labels = [text(scale.at(tick), 12, _tick(tick, ticks), "tick", _anchor(scale.at(tick))) for tick in ticks]
    return drawing(f"{what} from {short(scale.low)} to {short(scale.high)}", 16, *labels, kind="axis")


def histogram(scores: Sequence[float], label: str) -> Markup:
    """How often which score was given."""
    low, high = min(scores), max(scores)
    if not high > low:
        return Markup("")
    count = min(24, max(6, round(math.sqrt(len(scores)))))
    counts = [0] * count
    for score in scores:
        counts[min(int((score - low) / (high - low) * count), count - 1)] += 1
    height, top = 96, max(counts)
    scale = Scale(low, high)
    width = (scale.right - scale.left) / count
    bars = []
    for place, number in enumerate(counts):
        tall = height * number / top
        ends = [low + (high - low) * end / count for end in (place, place + 1)]
        said = f"{ends[0]:.3g} to {ends[1]:.3g}: {number}"
        bars.append(bar(scale.left + place * width, max(width - 0.3, 0.3), height - tall, tall, "column", said))
    ticks = scale.ticks(5)
    labels = [text(scale.at(t), height + 16, f"{t:g}", "tick", _anchor(scale.at(t))) for t in ticks]
    return drawing(label, height + 22, *bars, *labels)


def split_dots(contest: Contest) -> Markup:
    """Every run of every method, a line through the same runs of two: whether the order holds within splits."""
    entries = [entry for entry in contest.entries if entry.cell.values]
    step, top = 44, 34
    scale = scale_of([value for entry in entries for value in entry.cell.values.values()])
    places = {id(entry): top + step * number for number, entry in enumerate(entries)}
    parts: list[Markup] = list(_grid(scale, top + step * (len(entries) - 1) + 14))
    for above, below in zip(entries, entries[1:], strict=False):
        for split in sorted(set(above.cell.values) & set(below.cell.values)):
            ends = [(scale.at(entry.cell.values[split]), places[id(entry)]) for entry in (above, below)]
            parts.append(line(*ends[0], *ends[1], "pair"))
    for entry in entries:
        method, y = entry.subject.arm.method, places[id(entry)]
        parts.append(text(0, y - 14, entry.subject.label, "name"))
        for run, value in entry.cell.values.items():
            said = f"{entry.subject.label}, {entry.cell.name_of(run)}: {short(value)}"
            parts.append(dot(scale.at(value), y, method, said, "dot big"))
    height = top + step * (len(entries) - 1) + 20
    ticks = scale.ticks()
    parts += [text(scale.at(t), height + 10, _tick(t, ticks), "tick", _anchor(scale.at(t))) for t in ticks]
    return drawing(f"SRCC of every run on {contest.title}", height + 16, *parts)


def ranks(difference: CriticalDifference, names: Mapping[str, str], methods: Mapping[str, str]) -> Markup:
    """Mean ranks over datasets, the best on top, and bars over methods within the critical difference."""
    order = list(difference.mean_ranks)
    scale = Scale(1.0, float(max(len(order), 2)), right=98.0 - 2 * len(difference.groups))
    step, top = 26, 34
    places = {key: top + step * number for number, key in enumerate(order)}
    best = difference.mean_ranks[order[0]]
    parts = [line(scale.at(best), 12, scale.at(min(best + difference.cd, scale.high)), 12, "critical")]
    parts.append(text(scale.at(best), 8, f"critical difference {difference.cd:.2f}", "tick"))
    for number, group in enumerate(difference.groups):
        ends = [places[key] for key in (group[0], group[-1])]
        x = 99.5 - 1.6 * number
        parts.append(element("line", x1=f"{x}%", x2=f"{x}%", y1=ends[0] - 8, y2=ends[1] + 8, class_="clique"))
    for key, rank in difference.mean_ranks.items():
        y = places[key]
        parts.append(line(scale.left, y, scale.at(rank), y, "stem"))
        parts.append(mark(scale.at(rank), y, methods[key], f"{names[key]}: mean rank {rank:.2f}"))
        after = scale.at(rank) < 55
        words = f"{shorten(names[key])}  {rank:.2f}"
        parts.append(text(scale.at(rank) + (2.2 if after else -2.2), y + 4, words, "name", "start" if after else "end"))
    height = top + step * len(order)
    return drawing("Mean ranks over datasets", height, *parts)


def shorten(name: str) -> str:
    """A name as far as a drawing has room for it; its mark has the whole."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def curves(lines: Mapping[Subject, Mapping[float, float]], label: str) -> Markup:
    """SRCC against the share of a set that was trained on, a line a method."""
    shares = sorted({share for points in lines.values() for share in points})
    across = Scale(min(shares), max(shares), 6, 94)
    up = scale_of([value for points in lines.values() for value in points.values()])
    height, top = 150, 8

    def y(value: float) -> float:
        return round(top + (1 - (up.at(value) - up.left) / (up.right - up.left)) * height, 1)

    parts = []
    for tick in up.ticks():
        parts += [line(0, y(tick), 100, y(tick), "grid"), text(0, y(tick) - 3, _tick(tick, up.ticks()), "tick")]
    for subject, points in lines.items():
        method, known = subject.arm.method, sorted(points.items())
        for (a, first), (b, second) in zip(known, known[1:], strict=False):
            parts.append(line(across.at(a), y(first), across.at(b), y(second), f"curve hue{_hue(method)}"))
        parts += [mark(across.at(s), y(v), method, f"{subject.label}, {100 * s:g}%: {short(v)}") for s, v in known]
    parts += [text(across.at(share), height + 28, f"{100 * share:g}%", "tick", "middle") for share in shares]
    return drawing(label, height + 34, *parts)


def lollipops(groups: Mapping[str, Mapping[Subject, tuple[int, float]]], label: str) -> Markup:
    """How many pictures each group has and SRCC among them, a bar with its mark for each method."""
    values = [srcc for of_group in groups.values() for _, srcc in of_group.values()]
    scale = Scale(min(0.0, *values), 1.0)
    parts: list[Markup] = []
    y = 16.0
    for group, of_group in groups.items():
        sizes = {size for size, _ in of_group.values()}
        parts.append(text(0, y, f"{group.replace('_', ' ')} ({'/'.join(map(str, sorted(sizes)))})", "name"))
        y += 12
        for subject, (_, srcc) in of_group.items():
            method = subject.arm.method
            parts.append(line(scale.at(0), y, scale.at(srcc), y, f"stalk hue{_hue(method)}"))
            parts.append(mark(scale.at(srcc), y, method, f"{subject.label}, {group}: {short(srcc)}"))
            y += 13
        y += 16
    ticks = scale.ticks()
    parts += [text(scale.at(t), y, _tick(t, ticks), "tick", _anchor(scale.at(t))) for t in ticks]
    return drawing(label, y + 6, *_grid(scale, y - 12), *parts)


def _grid(scale: Scale, height: float) -> list[Markup]:
    return [line(scale.at(tick), 0, scale.at(tick), height, "grid") for tick in scale.ticks()]


def _tick(value: float, ticks: Sequence[float]) -> str:
    """A round number as an axis has it: as many digits as tell its neighbours apart."""
    step = min((abs(b - a) for a, b in zip(ticks, ticks[1:], strict=False)), default=0.1)
    digits = max(1, -math.floor(math.log10(step) + 1e-9)) + (f"{step:.0e}"[0] == "2" and f"{step:.1e}"[2] == "5")
    return f"{value:.{digits}f}".replace("0.", ".", 1).replace("-", "−") if value else "0"


def _anchor(x: float) -> str:
    return "start" if x < 5 else "end" if x > 95 else "middle"


def _hue(method: str) -> int:
    return look_of(method).hue
