"""What the README says of the reference records: the study's table, and a line for each pair of the demo's sets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from bench.core.errors import UsageError
from bench.core.progress import counted
from bench.planning.usual import fact_of
from bench.records.results import Experiment, Results
from bench.report.arms import PAPER_LAST, PAPER_ORDER, Arm, count_text, method_title
from bench.report.cells import Cell, cost_of
from bench.report.pairs import Pairs, all_pairs
from bench.report.selection import PresetResults, by_split_rule

STRATEGIES = (*PAPER_ORDER, *PAPER_LAST)
BASELINE = "ridge"
"""What a frozen network gives in seconds, in closed form."""
COMPARED = (BASELINE, *STRATEGIES)
"""Who is held against whom."""
SET = "study"
CROSS = "demo"
"""The preset whose runs across sets are told of."""
OPEN, CLOSE = "<!-- study: written by make results -->", "<!-- /study -->"
CROSS_OPEN, CROSS_CLOSE = "<!-- across sets: written by make results -->", "<!-- /across sets -->"
HEADS = ("Method", "SRCC [95% over contents]", "PLCC [95% over contents]", "SRCC minus ridge's, paired")


def write_readme(page: Path, results: Results) -> bool:
    """Put what there is to say between its two marks in a page; whether anything was put."""
    text = old = page.read_text(encoding="utf-8")
    for begin, end, lines in (
        (OPEN, CLOSE, study_lines(results)),
        (CROSS_OPEN, CROSS_CLOSE, cross_lines(results)),
    ):
        if begin in text and lines:
            before, _, rest = text.partition(begin)
            text = before + "\n".join([begin, *lines, end]) + rest.partition(end)[2]
    if text != old:
        page.write_text(text, encoding="utf-8")
    return text != old


def cross_lines(results: Results) -> list[str]:
    """A line for each pair of sets: how far the strategies' scores spread, and how many differences are told apart."""
    own = results.select(preset=CROSS)
    try:
        tables = all_pairs(own, STRATEGIES)
    except UsageError:  # not all of them are there
        return []
    part = next(by_split_rule(own))
    return [_across(part, pairs) for pairs in tables if pairs.experiment.tested != pairs.experiment.train]


def _across(part: PresetResults, pairs: Pairs) -> str:
    arms = _arms(part, pairs.experiment)
    means = {arms[name].title: fmean(_cell(part, arms[name], pairs.experiment).values.values()) for name in STRATEGIES}
    low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
    return f"- {pairs.summary} Mean SRCC from {means[low]:.3f} ({low}) to {means[high]:.3f} ({high})."


def study_lines(results: Results) -> list[str]:
    """The table in Markdown and a sentence of what it shows; nothing before all strategies have all folds."""
    for part in by_split_rule(results.select(preset=SET)):
        experiment = next((e for e in part.experiments() if e.train == SET and e.tested == SET), None)
        if experiment is None or part.rules.unusual:
            continue
        arms = _arms(part, experiment)
        if set(COMPARED) <= set(arms):
            return _lines(part, experiment, arms, _told_apart(results, arms))
    return []


def _arms(part: PresetResults, experiment: Experiment) -> dict[str, Arm]:
    """By method, the arm to show: at the rate that was found for it, else as it comes; complete ones alone."""
    chosen: dict[str, Arm] = {}
    for arm in part.arms:
        plain = not arm.options and all(name == "seed" for name, _ in arm.recipe)
        complete = len(_cell(part, arm, experiment).values) >= part.rules.planned(part.preset)
        constant = bool(fact_of(arm.method, "constant"))
        if plain and (complete or constant) and (arm.tuned or arm.method not in chosen):
            chosen[arm.method] = arm
    return chosen


def _cell(part: PresetResults, arm: Arm, experiment: Experiment, metric: str = "srcc") -> Cell:
    return Cell.of(part.runs(arm, experiment), experiment, metric)


def _told_apart(results: Results, arms: Mapping[str, Arm]) -> Pairs:
    """All pairs of those that are compared."""
    of_set = results.select(preset=SET, train=SET)
    wishes = [",".join([name, *arms[name].run_changes()]) for name in COMPARED]
    return next(pairs for pairs in all_pairs(of_set, wishes) if pairs.experiment.train == SET)


def _lines(part: PresetResults, experiment: Experiment, arms: Mapping[str, Arm], apart: Pairs) -> list[str]:
    names = [*COMPARED, *sorted(set(arms) - set(COMPARED))]
    rows = [_row(part, experiment, arms[name], apart if name in COMPARED else None) for name in names]
    table = [HEADS, ("---", "---:", "---:", "---"), *rows]
    return ["| " + " | ".join(row) + " |" for row in table] + ["", _sentence(part, experiment, arms, apart)]


def _row(part: PresetResults, experiment: Experiment, arm: Arm, apart: Pairs | None) -> tuple[str, ...]:
    cells = [_cell(part, arm, experiment, metric) for metric in ("srcc", "plcc")]
    size = cost_of(cells[0].records).trainable
    label = f"{arm.title} ({count_text(size)})" if size else arm.title
    against = "" if apart is None else _against(apart, arm.title)
    return label, *(mean_text(cell) for cell in cells), against


def _against(apart: Pairs, title: str) -> str:
    """A method's difference to the baseline with its interval; a dash for the baseline itself."""
    baseline = method_title(BASELINE)
    for pair in apart.pairs:
        if {pair.better, pair.worse} == {title, baseline}:
            ends = [end for end in (pair.low, pair.high) if end is not None]
            turned = -1 if pair.better == baseline else 1
            low, high = sorted(turned * end for end in ends) if ends else (None, None)
            span = f" [{low:+.3f}, {high:+.3f}]" if low is not None else ""
            return f"{turned * pair.difference:+.3f}{span}"
    return "–"


def mean_text(cell: Cell) -> str:
    """A mean over folds and seeds with its interval; a dash where the number is undefined."""
    from bench.metrics.contents import interval

    if not cell.values:
        return "–"
    over = interval(list(cell.predictions().values()), cell.metric)
    span = "" if over.low is None or over.high is None else f" [{over.low:.3f}, {over.high:.3f}]"
    return f"{fmean(cell.values.values()):.3f}{span}"


def _sentence(part: PresetResults, experiment: Experiment, arms: Mapping[str, Arm], apart: Pairs) -> str:
    known = sorted({_cell(part, arms[name], experiment).seeds for name in STRATEGIES})
    seeds = f"{known[0]} to {counted(known[-1], 'seed')}" if known[1:] else counted(known[0], "seed")
    said = ", ".join(f"{pair.better} from {pair.worse}" for pair in apart.pairs if pair.told_apart)
    means = f"Means over {part.rules.planned(part.preset)} folds and {seeds}, each strategy at its own rate"
    means += "; differences are over the seeds that both have" if known[1:] else ""
    return f"{means}; every interval is by itself. {apart.summary}" + (f" Told apart: {said}." if said else "")
