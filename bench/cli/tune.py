"""Commands around results and methods: verify, compare, tune, new. Parse, call, print."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from bench.cli.app import App
from bench.cli.console import friendly, grid, note, say

if TYPE_CHECKING:
    from bench.records.store import Store
    from bench.report.compare import PairedDifference

Results = Annotated[Optional[Path], typer.Option("--results", help="The results folder.")]
Plugin = Annotated[
    Optional[list[Path]], typer.Option("--plugin", help="A Python file with further methods or datasets.")
]


def attach(app: App) -> None:
    """Put these commands on the `bench` command."""
    for command in (verify, merge, compare, tune):
        app.command()(command)
    app.command(configured=False)(new)


@friendly
def verify(
    data: Annotated[bool, typer.Option("--data", help="Check the datasets' labels, pictures and splits too.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse numbers that were not made alike.")] = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="Hold your runs against the reference results too.")
    ] = False,
    results: Results = None,
    plugin: Plugin = None,
) -> None:
    """Recompute every metric from stored predictions. Hashes, splits and specs are checked too."""
    from bench.cli.invocation import configure, results_folder
    from bench.core.code import made_by_other_code, told_apart
    from bench.core.progress import counted
    from bench.records.results import Results as Records
    from bench.records.store import Store
    from bench.report.verify import earlier_remark, mixed
    from bench.report.verify import verify as check

    config = configure(plugin, results=results)
    store = Store(results_folder(config))
    checked, findings = check(store, config.data if data else None, config.cache)
    if makers := list(filter(None, map(made_by_other_code, store.records()))):
        note(f"{told_apart(makers)}. That is no fault of theirs: they hold what that code gave.")
    if findings:
        grid(("record", "what does not fit"), [(f.key, f.what) for f in findings])
    say(f"{counted(checked, 'record')} checked: {_verdict(checked, len(findings))}.")
    records = Records.read(store)
    unlike = [f"Mixed: {line}." for line in mixed(records)]
    for line in filter(None, [earlier_remark(records), *unlike]):
        say(line)
    far = _hold_against_reference(store) if reference else 0
    raise typer.Exit(1 if findings or far or (strict and unlike) else 0)


def _hold_against_reference(store: Store) -> int:
    """Say how near one's runs are to the reference's, and what was not alike in those that are not; their number."""
    from bench.records.store import Store
    from bench.report.reference import NAME, folder_of, held_against, summary_of

    found = held_against(store, Store(folder_of(NAME)))
    far = [held for held in found if held.verdict == "other"]
    if far:
        rows = [(held.run, f"{held.difference:.3f}", ", ".join(held.unlike) or "nothing known") for held in far]
        grid(("run", "difference", "not alike"), rows, title="Not the reference's numbers")
    say(summary_of(found))
    return len(far)


def _verdict(checked: int, findings: int) -> str:
    if findings:
        return "1 thing does not fit" if findings == 1 else f"{findings} things do not fit"
    return "everything fits" if checked else "nothing to look at"


@friendly
def merge(
    other: Annotated[Path, typer.Argument(help="Another results folder; it is only read.", metavar="FOLDER")],
    keep: Annotated[
        str, typer.Option("--keep", help="Of a run that both have, made differently, keep mine or theirs.")
    ] = "",
    states: Annotated[bool, typer.Option("--states", help="Kept trained tensors too.")] = False,
    results: Results = None,
) -> None:
    """Take over another results folder's records. Each is verified first, and nothing here is overwritten."""
    from bench.cli.invocation import configure
    from bench.cli.merge import merge as take_over
    from bench.cli.merge import other_store
    from bench.core.errors import UsageError
    from bench.core.progress import Display
    from bench.records.store import Store

    if keep not in ("", "mine", "theirs"):
        raise UsageError(f"--keep {keep!r} is neither mine nor theirs.")
    config = configure(results=results)
    with Display() as display:
        merged = take_over(
            Store(Path(config["results"])),
            other_store(other),
            keep=keep,  # type: ignore[arg-type]
            states=states,
            report=display.report,
        )
    for name, why in merged.refused:
        note(f"Refused: {name}: {why.removesuffix('.')}.")
    say(merged.sentence())
    raise typer.Exit(1 if merged.refused else 0)


@friendly
def compare(
    a: Annotated[str, typer.Argument(help="A method, or method,option=value.")],
    b: Annotated[str, typer.Argument(help="Another.")],
    metric: Annotated[str, typer.Option("--metric", help="srcc, plcc, krcc or rmse.")] = "srcc",
    strict: Annotated[bool, typer.Option("--strict", help="Refuse numbers that were not made alike.")] = False,
    with_: Annotated[
        str, typer.Option("--with", help="Another results folder, or reference: for runs that you have not made.")
    ] = "",
    results: Results = None,
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
    if strict and (mixed := [line for found in compared for line in found.mixed]):
        raise MixedError(f"{mixed[0]}. Without --strict the comparison says so itself.")
    for found in compared:
        title = f"{found.a} minus {found.b}, {metric.upper()}, preset {found.preset}"
        title += f", means over {found.seeds} seeds" if found.seeds > 1 else ""
        both = [f"Both: {', '.join(found.shared)}."] if found.shared else []
        heads = ("", "difference", "splits", "95% over splits", "p", "p (Holm)", "contents", "95% over contents")
        grid(heads, [_compared(row) for row in found.rows], title=title)
        powers = filter(None, map(_power, found.rows))
        unlike = [f"Mixed: {line}." for line in found.mixed]
        for line in (*both, *found.sentences, found.summary, *powers, *found.cautions, *unlike):
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


@friendly
def tune(
    method: Annotated[str, typer.Argument(help="Methods, separated by commas, or all.")],
    dataset: Annotated[
        Optional[list[str]],
        typer.Option(
            "--dataset", "-d", help="Where to choose, one set; else the preset's set for tuning, or the first there is."
        ),
    ] = None,
    splits: Annotated[
        Optional[int], typer.Option("--splits", min=1, help="In how many splits to choose; the preset's number.")
    ] = None,
    rates: Annotated[str, typer.Option("--lr", help="Learning rates to try; the preset's if not given.")] = "",
    option: Annotated[str, typer.Option("--option", help="One more option, as NAME=VALUE,VALUE…")] = "",
    preset: Annotated[Optional[str], typer.Option("--preset", help="demo, study or paper.")] = None,
    backbone: Annotated[str, typer.Option("--backbone", help="A timm ViT by name.")] = "",
    weights: Annotated[str, typer.Option("--weights", help="pretrained, random, or a weights file.")] = "pretrained",
    device: Annotated[Optional[str], typer.Option("--device", help="auto, cpu, cuda or mps.")] = None,
    settings: Annotated[
        Optional[list[str]], typer.Option("--set", help="KEY=VALUE of the recipe, for every candidate.")
    ] = None,
    results: Results = None,
    plugin: Plugin = None,
) -> None:
    """Choose a learning rate, and one option at most, in each split. Contents that no such run is tested on decide."""
    from bench.cli.config import file_settings
    from bench.cli.invocation import configure, one_set, runtime_of, words_of
    from bench.cli.tune_command import Wish, run_searches

    config = configure(plugin, preset=preset, device=device, results=results, splits=splits)
    wish = Wish(
        "",
        one_set(dataset, "bench tune"),
        config["splits"],
        rates,
        option,
        config.preset,
        backbone,
        weights,
        tuple(settings or ()),
        file_settings(config),
    )
    results_folder = Path(config["results"])
    make_runtime = partial(runtime_of, config, plugin)
    raise typer.Exit(run_searches(words_of(method), wish, results_folder, make_runtime))


@friendly
def new(
    kind: Annotated[str, typer.Argument(help="method, protocol or dataset.")],
    name: Annotated[str, typer.Argument(help="Its name: small letters, digits, underscores.")],
    folder: Annotated[Path, typer.Option("--in", help="The folder to make the package in.")] = Path(),
) -> None:
    """Write a working plugin for a method, a protocol or a dataset."""
    from bench.cli.new import new_package

    paths = new_package(kind, name, folder)
    for path in paths:
        say(f"Written: {path}")
    note(f"Install it with: pip install -e {paths[0].parent}   and test it with: pytest {paths[0].parent}")
