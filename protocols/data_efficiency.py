"""How much training data a method needs: GLIA's Table 3, LoDa's Table 5."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from bench.core.errors import UsageError
from bench.core.spec import RunSpec, Target
from bench.planning.protocol import Protocol, Request
from bench.planning.refusals import why_no_part_of_folds
from bench.records.results import Experiment, Results
from bench.report.cells import Cell
from bench.report.table import Table
from bench.report.tables.fill import Layout, Line, PresetResults, by_preset, fill, own_columns
from protocols.variants import base_of

FULL = 0.8
"""The usual training part; it is always planned beside the smaller ones, and is the same run as in `main`."""


class DataEfficiency(Protocol):
    """Training parts of 20, 40 and 60% of a set, nested, its test part fixed (GLIA Table 3, LoDa Table 5)."""

    title: ClassVar[str] = "Data efficiency"
    refuses: ClassVar[tuple[str, ...]] = ("fraction",)

    fractions: str = "0.2,0.4,0.6"
    """Shares of the set that are trained on, beside the usual 0.8."""

    def plan(self, request: Request) -> list[RunSpec]:
        """Every fraction of every split, and the full training part."""
        specs = [
            request.spec(method, dataset, [Target.of(dataset)], split, fraction=fraction)
            for split in range(request.splits)
            for dataset in request.wanted(request.preset.data_efficiency)
            for fraction in _parse(self.fractions)
            for method in request.chosen("linear_probe", "loda", "glia")
        ]
        for spec in specs:
            if why := why_no_part_of_folds(spec):
                raise UsageError(f"fractions={self.fractions!r}: {why}")
        return specs

    def tables(self, results: Results) -> list[Table]:
        """One table a preset, of whatever fractions there are."""
        return [table for part in by_preset(results) if (table := _table(part)) is not None]


def _parse(text: str) -> list[float]:
    """Fractions as written, and the full one."""
    try:
        fractions = {float(part) for part in text.split(",") if part.strip()}
    except ValueError:
        raise UsageError(f"fractions={text!r} is not a list of numbers such as 0.2,0.4.") from None
    wrong = sorted(fraction for fraction in fractions if not 0 < fraction <= FULL)
    if wrong:
        raise UsageError(f"fractions={text!r}: {wrong[0]:g} does not lie in (0, 0.8]; 20% is always kept for tests.")
    return sorted(fractions | {FULL})


def _table(part: PresetResults) -> Table | None:
    smaller = [e for e in part.experiments() if e.fraction != FULL and e.is_own_test]
    datasets = [name for name in part.own_test_sets(part.preset.main) if name in {e.train for e in smaller}]
    lines = []
    compared = {arm for e in smaller for arm in part.arms if part.runs(arm, e)}
    full = _full(part, datasets)
    for fraction in sorted({e.fraction for e in smaller} | {FULL}):
        arms = part.arms_in(own_columns(datasets, fraction=fraction))
        mode = full if fraction == FULL else _percent(fraction)
        lines += [
            Line((mode, arm.title), arm, arm, fraction=fraction)
            for arm in arms
            if arm in compared and base_of(arm) == arm
        ]
    if not lines:
        return None
    layout = Layout(
        name="data_efficiency",
        title="Data-efficient learning validation with the training set containing a part of the images.",
        leads=("Mode", "Method"),
        columns=tuple(own_columns(datasets)),
        lines=tuple(lines),
        named_lead=1,
        ranked_within=0,
        published=(("GLIA", "3"), ("LoDa", "5")),
        published_lead=lambda row: (_percent(row.fraction), row.label),
        notes=(
            "Mode: training images in percent of the whole set; a smaller part lies inside a larger one, and the test "
            "part is always the same.",
        ),
    )
    return fill(part, layout)


def _full(part: PresetResults, datasets: Sequence[str]) -> str:
    """How the full training parts are called: by their share, where all sets have the same."""
    whole = [Experiment(name, Target.of(name)) for name in datasets]
    cells = (Cell.of(part.runs(arm, e), e, "srcc") for e in whole for arm in part.arms)
    shares = {cell.share for cell in cells if cell.runs}
    return _percent(shares.pop()) if len(shares) == 1 else "all but the test part"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.3g}%"
