"""The command `bench figure`: parse, call, print."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from bench.cli.app import App
from bench.cli.commands.options import OnlyMethods, OnlySets, Plugin, ReadFolder, Words
from bench.cli.console import DEBUG, friendly, grid, note, say

if TYPE_CHECKING:
    from bench.report.figures import Refusal, Written


def attach(app: App) -> None:
    """Put this command on the `bench` command."""
    app.command()(figure)


@friendly
def figure(
    names: Annotated[Words, typer.Argument(help="Figures, separated by commas; all that have records if none.")] = None,
    method: OnlyMethods = None,
    dataset: OnlySets = None,
    image: Annotated[str, typer.Option("--image", help="A picture of the dataset, or a file, for attention.")] = "",
    views: Annotated[
        str, typer.Option("--views", help="For spectra: same (one crop for all methods) or own (the views of each).")
    ] = "same",
    formats: Annotated[Words, typer.Option("--format", help="Any of png, svg and pdf; png,svg if not given.")] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="No title and no words on the page, for a paper; they are printed instead.")
    ] = False,
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Where figures go; figures/ in the results folder if not given.")
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="Only list the figures there are.")] = False,
    results: ReadFolder = None,
    plugin: Plugin = None,
) -> None:
    """Draw figures from the records there are. Some need kept weights or the datasets' pictures."""
    from bench.cli.invocation import configure, results_folder, runtime_of, words_of
    from bench.cli.problems import note_official_in_name_only, report_problems
    from bench.core.errors import UsageError
    from bench.core.progress import Display
    from bench.records.results import Results
    from bench.records.store import Store
    from bench.report.figures import USUAL_FORMATS, facts, make_figures

    config = configure(plugin, results=results)
    if list_them:
        _list()
        return
    figures = words_of(names)
    protocols = dict.fromkeys(facts(name)["protocol"] for name in figures)
    store = Store(results_folder(config, f"bench run -p {','.join(protocols) or 'main'}"))
    everything = Results.read(store)
    report_problems(store)
    note_official_in_name_only(everything)
    options: dict[str, Any] = {"formats": words_of(formats) or USUAL_FORMATS, "strict": DEBUG["on"], "plain": plain}
    options |= {"methods": words_of(method), "datasets": words_of(dataset), "image": image, "views": views}
    if "all" in options["methods"]:
        options["methods"] = ()
    options |= {"runtime": runtime_of(config, plugin), "tell": lambda made: _tell(made, plain=plain)}
    with Display() as display:
        outcome = make_figures(figures, everything, out or store.root / "figures", report=display.report, **options)
    if outcome.without_records and not figures:
        note(f"Nothing to draw for {', '.join(outcome.without_records)}; `bench figure NAME` says why.")
    asked_amiss = all(isinstance(refusal.error, UsageError) for refusal in outcome.refused)
    raise typer.Exit((2 if asked_amiss else 1) if outcome.refused else 0)


def _list() -> None:
    """Print every figure: what it shows, what it needs, and where it comes from."""
    from bench.report.figures import FIGURES, facts

    rows = []
    for name in FIGURES:
        needs = [f"runs of {facts(name)['protocol']}"]
        needs += ["pictures"] if facts(name)["needs_pictures"] else []
        needs += ["kept weights"] if facts(name)["needs_weights"] else []
        rows.append((name, FIGURES.card(name).summary, ", ".join(needs), FIGURES.origin(name)))
    grid(("figure", "what it shows", "needs", "from"), rows)


def _tell(outcome: Written | Refusal, *, plain: bool) -> None:
    """Print where a figure was written, and what a plain one does not say; or why it was not drawn."""
    from bench.report.figures import Written

    if not isinstance(outcome, Written):
        note(f"Not drawn: {outcome.line}")
        return
    for path in outcome.paths:
        say(f"Written: {path}")
    if plain:
        say(" ".join([f"  {outcome.drawing.title}.", *outcome.drawing.words]))
