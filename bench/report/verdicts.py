"""What a comparison of two methods says, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core.progress import counted
from bench.report.tables.fill import dataset_title

if TYPE_CHECKING:
    from bench.report.compare import PairedDifference

ALPHA = 0.05


def sentences(names: Sequence[str], rows: Sequence[PairedDifference]) -> tuple[str, ...]:
    """One for each training set; where there is one set and several comparisons the summary says all."""
    trained: dict[str, list[PairedDifference]] = {}
    for row in rows:
        trained.setdefault(row.experiment.train, []).append(row)
    if len(trained) == 1 and len(rows) > 1:
        return ()
    return tuple(
        _of_one(names, own[0]) if len(own) == 1 else f"{dataset_title(name)}: {_of_several(names, own)}"
        for name, own in trained.items()
    )


def _of_one(names: Sequence[str], row: PairedDifference) -> str:
    """What the only comparison of a training set says."""
    better, worse = names if row.sign(row.effect) >= 0 else reversed(names)
    size = f"{abs(row.effect):.3f} {row.metric.upper()}"
    if row.p_holm is None:
        text = f"{counted(row.n, 'common split')} cannot tell {names[0]} from {names[1]} (they differ by {size})"
    elif row.verdict:
        text = f"{better} is better than {worse} by {size} over {row.n} splits (p = {row.p_holm:.2g} after Holm)"
    else:
        text = (
            f"{names[0]} and {names[1]} cannot be told apart (they differ by {size} over {row.n} splits, "
            f"p = {row.p_holm:.2g} after Holm)"
        )
    return f"{row.title}: {text}{_and_over_contents(names, row)}."


def _and_over_contents(names: Sequence[str], row: PairedDifference) -> str:
    """How the interval over contents goes with what the splits said."""
    if row.contents is None or row.contents.why:
        return ""
    over = row.verdict_over_contents
    if not over:
        return "; over contents it may be chance" if row.verdict else ", nor over contents"
    return "; over contents likewise" if over == row.verdict else f"; over contents {names[over < 0]} is better"


def _of_several(names: Sequence[str], rows: Sequence[PairedDifference]) -> str:
    """In how many comparisons of a training set which is better."""
    over_splits, over_contents = (
        _tally(names, [getattr(row, verdict) for row in rows]) for verdict in ("verdict", "verdict_over_contents")
    )
    return f"of {len(rows)} comparisons, {over_splits} over splits and {over_contents} over contents."


def _tally(names: Sequence[str], verdicts: Sequence[int]) -> str:
    wins = [(name, verdicts.count(sign)) for name, sign in zip(names, (1, -1), strict=True)]
    return " and ".join(f"{name} is better in {count}" for name, count in wins if count) or "none is decided"


def summary(names: Sequence[str], rows: Sequence[PairedDifference]) -> str:
    """What all comparisons say together; of a single one its sentence says all."""
    if len(rows) == 1:
        return ""
    better, worse = (sum(row.verdict == sign for row in rows) for sign in (1, -1))
    open_ = len(rows) - better - worse
    return (
        f"Of {len(rows)} comparisons, {names[0]} is better in {better}, {names[1]} in {worse}, and {open_} cannot be "
        f"told apart over splits (α = {ALPHA} after Holm){_tally_over_contents(names, rows)}."
    )


def _tally_over_contents(names: Sequence[str], rows: Sequence[PairedDifference]) -> str:
    """The same over contents, where any comparison has an interval of them."""
    if all(row.contents is None or row.contents.why for row in rows):
        return ""
    return f"; over contents {_tally(names, [row.verdict_over_contents for row in rows])}"
