"""The command `bench compare`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.app import App
from bench.cli.commands.options import Plugin, ResultsFolder, Strict
from bench.cli.console import friendly, grid, note, say

if TYPE_CHECKING:
    from bench.report.compare import PairedDifference


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command()(compare)


@friendly
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A method, or method,option=value.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    metric: Annotated[str, typer.Option("--metric", help="srcc, plcc, krcc or rmse.")] = "srcc",
    strict: Strict = False,
    with_: Annotated[
        str, typer.Option("--with", help="Another results folder, or reference: for runs that you have not made.")
    ] = "",
    results: ResultsFolder = None,
    plugin: Plugin = None,
) -> None:
    """Compare two methods over identical splits and over contents. Differences, intervals and what they mean."""
    from bench.cli.invocation import configure, results_folder
    from bench.core.errors import MixedError, UsageError
    from bench.core.registry import METHODS
    from bench.records.results import Results as Records
    from bench.records.store import Store
    from bench.report.compare import PROMISES
    from bench.report.compare import compare as pairs

    if metric not in ("srcc", "plcc", "krcc", "rmse"):
        raise UsageError(f"--metric {metric!r} is none of srcc, plcc, krcc and rmse.")
    config = configure(plugin, results=results)
    names = [wish.partition(",")[0].strip() for wish in (a, b)]
    if not Path(config["results"]).is_dir():
        for name in names:
            METHODS.target(name)
    if with_ and not Path(config["results"]).is_dir():
        records = Records([])
    else:
        records = Records.read(Store(results_folder(config, f"bench run -m {','.join(names)}")))
    if with_:
        from bench.report.reference import folder_of, with_records_of

        records = with_records_of(records, Records.read(Store(folder_of(with_))))
    compared = pairs(records, a, b, metric=metric)
    if strict and (mixed := [line for comparison in compared for line in comparison.mixed]):
        raise MixedError(f"{mixed[0]}. Without --strict the comparison says so itself.")
    for comparison in compared:
        title = f"{comparison.a} minus {comparison.b}, {metric.upper()}, preset {comparison.preset}"
        title += f", means over {comparison.seeds} seeds" if comparison.seeds > 1 else ""
        both = [f"Both: {', '.join(comparison.shared)}."] if comparison.shared else []
        heads = ("", "difference", "splits", "95% over splits", "p", "p (Holm)", "contents", "95% over contents")
        grid(heads, [_compared(row) for row in comparison.rows], title=title)
        powers = filter(None, map(_power, comparison.rows))
        unlike = [f"Mixed: {line}." for line in comparison.mixed]
        for line in filter(
            None, (*both, *comparison.sentences, comparison.summary, *powers, *comparison.cautions, *unlike)
        ):
            say(line)
    for line in PROMISES:
        note(line)


def _power(row: PairedDifference) -> str:
    """What moves a difference in k-fold, and what so many contents and seeds could show of it."""
    spread = row.spread
    if spread is None:
        return ""
    seen, more = (spread.detectable(contents, spread.seeds) for contents in (spread.contents, 2 * spread.contents))
    return (
        f"{row.title}: one content's difference has standard deviations of {spread.text} by content/seed/pictures; "
        f"{spread.contents} contents under {spread.seeds} seeds show {seen:.3f} at 80% power, twice as many {more:.3f}."
    )


def _compared(row: PairedDifference) -> tuple[object, ...]:
    """A row of the comparison's table."""

    def ends(low: float | None, high: float | None) -> str:
        return "-" if low is None or high is None else f"[{low:+.3f}, {high:+.3f}]"

    ps = ["-" if p is None else f"{p:.3f}" if p >= 0.001 else "<0.001" for p in (row.p, row.p_holm)]
    over = row.contents
    contents = ("-", "-") if over is None else (over.contents, over.why or ends(over.low, over.high))
    return row.title, f"{row.effect:+.3f}", row.n, ends(row.low, row.high), *ps, *contents
