"""The command `bench report`: parse, call, print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from bench.cli.app import App
from bench.cli.commands.options import OnlyMethods, OnlyPreset, OnlySets, Plugin, ReadFolder
from bench.cli.console import friendly, note, say

if TYPE_CHECKING:
    from bench.cli.config import Config
    from bench.records.results import Results
    from bench.records.store import Store
    from bench.report.narrowing import Narrowing
    from bench.report.page.render import Ask, Page

SAID = 6
"""How many sentences the terminal shows; all stand on the page."""


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command()(report)


@friendly
def report(
    method: OnlyMethods = None,
    dataset: OnlySets = None,
    preset: OnlyPreset = None,
    one_run: Annotated[str, typer.Option("--run", help="A page of one run; the beginning of its key is enough.")] = "",
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Small pictures of what runs err on; mind the sets' licences.")
    ] = False,
    zipped: Annotated[
        bool, typer.Option("--zip", help="Also a zip to send: the page, records and predictions.")
    ] = False,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve it on this machine, kept up to date while runs go on.")
    ] = False,
    port: Annotated[Optional[int], typer.Option("--port", help="Where --serve listens; 8642 if not given.")] = None,
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Folder for the page; report/ in the results folder if not given.")
    ] = None,
    results: ReadFolder = None,
    plugin: Plugin = None,
) -> None:
    """Make the report: one page to open in a browser, from the records there are. It needs nothing else."""
    from bench.cli.config import SETTINGS
    from bench.cli.invocation import configure, results_folder, words_of
    from bench.records.store import Store
    from bench.report.narrowing import Narrowing

    _refuse(serve=serve, port=port, zipped=zipped, one_run=one_run)
    config = configure(plugin, results=results)
    of = SETTINGS["preset"].parse(preset) if preset else ""
    wish = Narrowing(words_of(method), words_of(dataset), of, smoke=True)
    store = Store(results_folder(config))
    ask = _ask(config, store, plugin, pictures=pictures)
    if serve:
        return _serve(config, store, wish, ask, port)
    everything = _records(config, store, wish)
    folder = out or store.root / "report"
    if one_run:
        return _write_one(everything, one_run, ask, folder)
    page = _write_page(everything, ask, folder / "index.html")
    if zipped:
        _write_zip(page, everything, store, folder / "report.zip")
    return None


def _write_zip(page: Page, results: Results, store: Store, path: Path) -> None:
    """Write what is sent to a colleague."""
    from bench.core.progress import counted
    from bench.report.page.bundle import write_zip

    count = write_zip(path, page.html, results.records, store)
    say(f"Written: {path} ({counted(count, 'run')} with predictions)")


def _refuse(*, serve: bool, port: int | None, zipped: bool, one_run: str) -> None:
    """Options that mean nothing together are refused, not dropped."""
    from bench.core.errors import UsageError

    if port is not None and not serve:
        raise UsageError("--port says where --serve listens: give both.")
    given = [name for name, so in (("--serve", serve), ("--zip", zipped), ("--run", one_run)) if so]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} do not go together: give one.")


def _ask(config: Config, store: Store, plugin: Sequence[Path] | None, *, pictures: bool) -> Ask:
    from bench.cli.invocation import runtime_of
    from bench.report.page.pictures import Pictures
    from bench.report.page.render import Ask

    gathered = Pictures(runtime_of(config, plugin) if pictures else None)
    gathered.want_sheets(store.root / "figures")
    return Ask(log_of=store.steps, pictures=gathered)


def _records(config: Config, store: Store, wish: Narrowing) -> Results:
    """What is asked for of what there is; nothing at all is an error that says which command makes some."""
    from bench.cli.problems import note_official_in_name_only, report_problems
    from bench.core.errors import UsageError
    from bench.records.results import Results
    from bench.report.narrowing import narrowed

    results = Results.read(store)
    report_problems(store)
    note_official_in_name_only(results)
    if not len(results):
        raise UsageError(f"There are no records in {store.root}. This command makes some: bench run -p cross")
    return narrowed(results, wish, config.data, note)


def _write_page(results: Results, ask: Ask, path: Path) -> Page:
    """Say the sentences that stand in front of the page, then write it."""
    from bench.core.errors import StoreError
    from bench.core.files import write_text
    from bench.report.page.render import make_page

    page = make_page(results, ask)
    for sentence in page.sentences[:SAID]:
        say(sentence)
    if len(page.sentences) > SAID:
        say(f"… and {len(page.sentences) - SAID} more on the page.")
    try:
        write_text(path, page.html)
    except StoreError as error:
        raise StoreError(f"{error} --out DIR writes the page elsewhere.") from error
    if not page.sentences:
        note(f"Nothing to compare: {_why_nothing(results)}.")
    if ask.pictures.note:
        note(ask.pictures.note)
    say(f"Written: {path}. Open it in a browser: {path.resolve().as_uri()}")
    return page


def _why_nothing(results: Results) -> str:
    from bench.core.progress import counted

    failed = sum(not record.done for record in results.records)
    if failed == len(results):
        return f"{counted(failed, 'run')} here, all of which failed (bench status says why)"
    return "no run here was tested on what a comparison takes; the explorer has them all"


def _write_one(results: Results, key: str, ask: Ask, folder: Path) -> None:
    """Write a page of the run that a key, or its beginning, names."""
    from dataclasses import replace

    from bench.core.errors import UsageError
    from bench.core.files import write_text
    from bench.report.page.render import make_page

    keys = [record.key for record in results.records if record.key.startswith(key)]
    if len(keys) != 1:
        why = f"{len(keys)} runs begin so" if keys else "no run has it; the explorer of bench report has all keys"
        raise UsageError(f"--run {key}: {why}.")
    page = make_page(results, replace(ask, only=keys[0]))
    path = folder / f"run-{keys[0]}.html"
    write_text(path, page.html)
    if ask.pictures.note:
        note(ask.pictures.note)
    say(f"Written: {path}. Open it in a browser: {path.resolve().as_uri()}")


def _serve(config: Config, store: Store, wish: Narrowing, ask: Ask, port: int | None) -> None:
    """Serve until Ctrl-C; a folder without records is served too, for they may come."""
    from bench.core.errors import UsageError
    from bench.records.results import Results
    from bench.report.narrowing import narrowed
    from bench.report.page.serve import HOST, PORT, LivePage, Watcher, server

    def keep(results: Results) -> Results:
        try:
            return narrowed(results, wish, config.data, lambda _: None)
        except UsageError:  # none of them yet
            return Results([])

    live = LivePage(Watcher(store), keep, ask)
    with server(live, PORT if port is None else port) as running:
        say(f"Serving http://{HOST}:{running.server_address[1]} on this machine alone; Ctrl-C ends it.")
        from bench.core.streams import flush_streams

        flush_streams()
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            note("No longer served.")
