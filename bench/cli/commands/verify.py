"""The command `bench verify`: parse, call, print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.app import App
from bench.cli.commands.options import Plugin, ResultsFolder, Strict
from bench.cli.console import friendly, grid, note, say

if TYPE_CHECKING:
    from bench.records.store import Store


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command()(verify)


@friendly
def verify(
    data: Annotated[bool, typer.Option("--data", help="Check the datasets' labels, pictures and splits too.")] = False,
    strict: Strict = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="Hold your runs against the reference results too.")
    ] = False,
    results: ResultsFolder = None,
    plugin: Plugin = None,
) -> None:
    """Recompute every metric from stored predictions. Hashes and specs are checked too, with --data also splits."""
    from bench.cli.invocation import configure, results_folder
    from bench.core.code import told_apart
    from bench.core.errors import MixedError
    from bench.core.progress import counted
    from bench.records.results import Results as Records
    from bench.records.store import Store
    from bench.report.verify import DataNow, earlier_remark, mixed
    from bench.report.verify import verify as check

    config = configure(plugin, results=results)
    store = Store(results_folder(config))
    now = DataNow(config.data, config.cache, results=store.root, partial=True) if data else None
    checked, findings = check(store, now)
    records = Records.read(store)
    if makers := [record.other_code for record in records.records if record.other_code]:
        note(f"{told_apart(makers)}. That is no fault of theirs: they hold what that code gave.")
    if findings:
        grid(("record", "what does not fit"), [(f.key, f.what) for f in findings])
    if now is not None and now.absent:
        say(f"Not on this machine, so not compared: {', '.join(sorted(now.absent))}.")
    say(f"{counted(checked, 'record')} checked: {_verdict(checked, len(findings))}.")
    unlike = [f"Mixed: {line}." for line in mixed(records)]
    for line in filter(None, [earlier_remark(records), *unlike]):
        say(line)
    far = _hold_against_reference(store) if reference else 0
    if strict and unlike:
        raise MixedError("What is mixed is refused under --strict.")
    raise typer.Exit(1 if findings or far else 0)


def _hold_against_reference(store: Store) -> int:
    """Say how near one's runs are to the reference's, and what was not alike in those that are not; their number."""
    from bench.records.store import Store
    from bench.report.reference import NAME, folder_of, held_against, summary_of

    pairs = held_against(store, Store(folder_of(NAME)))
    far = [held for held in pairs if held.verdict == "other"]
    if far:
        rows = [(held.run, f"{held.difference:.3f}", ", ".join(held.unlike) or "nothing known") for held in far]
        grid(("run", "difference", "not alike"), rows, title="Not the reference's numbers")
    say(summary_of(pairs))
    return len(far)


def _verdict(checked: int, findings: int) -> str:
    if findings:
        return "1 thing does not fit" if findings == 1 else f"{findings} things do not fit"
    return "everything fits" if checked else "nothing to look at"
