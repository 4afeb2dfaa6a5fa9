"""The command `bench compare`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.app import App
from bench.cli.commands.options import Plugin, ResultsFolder, Strict
from bench.cli.console import friendly, grid, note, say

if TYPE_CHECKING:
    from bench.records.results import Results
    from bench.report.compare import Comparison, PairedDifference
    from bench.report.pairs import Pairs


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command()(compare)


@friendly
def compare(
    methods: Annotated[
        list[str],
        typer.Argument(metavar="A B", help="Methods, each a name or name,option=value; of three or more all pairs."),
    ],
    metric: Annotated[str, typer.Option("--metric", help="srcc, plcc, krcc or rmse.")] = "srcc",
    strict: Strict = False,
    with_: Annotated[
        str, typer.Option("--with", help="Another results folder, or reference: for runs that you have not made.")
    ] = "",
    results: ResultsFolder = None,
    plugin: Plugin = None,
) -> None:
    """Compare methods over identical splits and over contents. Differences, intervals and what they mean."""
    from bench.cli.invocation import configure, results_folder
    from bench.core.errors import UsageError
    from bench.core.registry import METHODS
    from bench.records.results import Results as Records
    from bench.report.compare import PROMISES

    if len(methods) < 2:
        raise UsageError("Name at least two methods: bench compare A B.")
    if metric not in ("srcc", "plcc", "krcc", "rmse"):
        raise UsageError(f"--metric {metric!r} is none of srcc, plcc, krcc and rmse.")
    config = configure(plugin, results=results)
    names = [wish.partition(",")[0].strip() for wish in methods]
    if not Path(config["results"]).is_dir():
        for name in names:
            METHODS.target(name)
    if with_ and not Path(config["results"]).is_dir():
        records = Records([])
    else:
        records = _records(results_folder(config, f"bench run -m {','.join(names)}"))
    if with_:
        from bench.report.reference import folder_of, with_records_of

        records = with_records_of(records, _records(folder_of(with_)))
    if len(methods) == 2:
        _two(records, methods[0], methods[1], metric, strict)
    else:
        _every_two(records, methods, metric, strict)
    for line in PROMISES:
        note(line)


def _records(folder: Path) -> Results:
    """What a results folder holds; the files that are not used are named."""
    from bench.cli.problems import report_problems
    from bench.records.results import Results
    from bench.records.store import Store

    store = Store(folder)
    records = Results.read(store)
    report_problems(store)
    return records


def _two(records: Results, a: str, b: str, metric: str, strict: bool) -> None:
    """Two methods: a row for each experiment, and sentences."""
    from bench.report.compare import compare as pairs

    compared = pairs(records, a, b, metric=metric)
    _refuse_mixed([line for comparison in compared for line in comparison.mixed], strict)
    for comparison in compared:
        title = f"{comparison.a} minus {comparison.b}, {metric.upper()}, {_under(comparison)}"
        fewest, most = comparison.seeds
        title += f", means over {most if fewest == most else f'{fewest} to {most}'} seeds" if most > 1 else ""
        both = [f"Both: {', '.join(comparison.shared)}."] if comparison.shared else []
        heads = ("", "difference", "splits", "95% over splits", "p", "p (Holm)", "contents", "95% over contents")
        grid(heads, [_compared(row) for row in comparison.rows], title=title)
        powers = filter(None, map(_power, comparison.rows))
        unlike = [f"Mixed: {line}." for line in comparison.mixed]
        for line in filter(
            None, (*both, *comparison.sentences, comparison.summary, *powers, *comparison.cautions, *unlike)
        ):
            say(line)


def _every_two(records: Results, methods: list[str], metric: str, strict: bool) -> None:
    """Three methods or more: a table for each experiment, the largest difference first."""
    from bench.report.pairs import all_pairs

    tables = all_pairs(records, methods, metric=metric)
    _refuse_mixed([line for table in tables for line in table.mixed], strict)
    for table in tables:
        title = f"{table.title}: every two methods, {metric.upper()}, {_under(table)}"
        rows = [
            (pair.better, pair.worse, f"{pair.difference:+.3f}", _span(pair.low, pair.high), _p(pair.p))
            for pair in table.pairs
        ]
        grid(("better", "than", "by", f"95% over {table.over}", "p (Holm)"), rows, title=title)
        if table.shared:
            say(f"All: {', '.join(table.shared)}.")
        say(table.summary)
        for line in table.mixed:
            say(f"Mixed: {line}.")


def _under(of: Comparison | Pairs) -> str:
    """The preset, and what is unusual about how sets were split."""
    return f"preset {of.preset}" + (f", {of.rules}" if of.rules else "")


def _refuse_mixed(mixed: list[str], strict: bool) -> None:
    from bench.core.errors import MixedError

    if strict and mixed:
        raise MixedError(f"{mixed[0]}. Without --strict the comparison says so itself.")


def _power(row: PairedDifference) -> str:
    """What moves a difference in k-fold, and what so many contents and seeds could show of it."""
    spread = row.spread
    if spread is None:
        return ""
    seeds = spread.seeds
    seen, longer = (spread.detectable(spread.folds, number) for number in (seeds, seeds + 1))
    larger = spread.detectable(2 * spread.folds, seeds)
    return (
        f"{row.title}: one content's difference has standard deviations of {spread.text} by content/seed/pictures. "
        f"{spread.folds} folds of {spread.contents} contents under {seeds} seeds show {seen:.3f} at 80% power; with a "
        f"seed more it would be {longer:.3f}, with twice the contents {larger:.3f}."
    )


def _compared(row: PairedDifference) -> tuple[object, ...]:
    """A row of the comparison's table."""

    over = row.contents
    contents = ("-", "-") if over is None else (over.contents, over.why or _span(over.low, over.high))
    return row.title, f"{row.effect:+.3f}", row.n, _span(row.low, row.high), _p(row.p), _p(row.p_holm), *contents


def _span(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"[{low:+.3f}, {high:+.3f}]"


def _p(p: float | None) -> str:
    return "-" if p is None else f"{p:.3f}" if p >= 0.001 else "<0.001"
