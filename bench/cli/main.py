"""The `bench` command: parse, call, print. Heavy things are imported inside the commands that need them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from bench import __version__
from bench.cli.app import App, ConfigFile
from bench.cli.completion import CHOICES
from bench.cli.config import SETTINGS
from bench.cli.console import DEBUG, friendly, say
from bench.cli.help import HelpGroup
from bench.cli.invocation import CHOSEN_FILE, configure, results_folder, words_of
from bench.core.errors import UsageError
from bench.core.streams import ReaderGone, flush_streams, leave_quietly, prepare_streams, reader_may_leave


class Bench(HelpGroup):
    """The command itself, whatever it is called from: any encoding will do, and a reader may leave at any time."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse, or print help, which Click would end with status 1 where the reader has gone."""
        with reader_may_leave():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command below, or print its help."""
        with reader_may_leave():
            return super().invoke(ctx)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command; when the reader of its output has gone, end without a word."""
        prepare_streams()
        try:
            try:
                return super().main(*args, **kwargs)
            finally:
                flush_streams()
        except (ReaderGone, BrokenPipeError):
            leave_quietly()


app = App(
    name="bench",
    cls=Bench,
    help="Compare ways of fine-tuning a pretrained Vision Transformer for blind image-quality assessment.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)

Names = Optional[str]
Words = Optional[list[str]]
Results = Annotated[Optional[Path], typer.Option("--results", help="Folder for records, tables and figures.")]
Plugin = Annotated[
    Optional[list[Path]], typer.Option("--plugin", help="A Python file with further methods, protocols or datasets.")
]


def _version(wanted: bool) -> None:
    if wanted:
        say(f"glia-bench {__version__}")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    config_file: ConfigFile = None,
) -> None:
    """Compare ways of fine-tuning a pretrained Vision Transformer for blind image-quality assessment."""
    DEBUG["on"] = debug
    CHOSEN_FILE.set(config_file)


@app.command()
@friendly
def table(
    protocol: Annotated[
        Words, typer.Argument(help="Protocols, separated by commas; all that have records if none.")
    ] = None,
    method: Annotated[Words, typer.Option("--method", "-m", help="Only these methods, separated by commas.")] = None,
    dataset: Annotated[Words, typer.Option("--dataset", "-d", help="Only these datasets, separated by commas.")] = None,
    preset: Annotated[Names, typer.Option("--preset", help="Only the runs of this preset: demo, study or paper.")] = (
        None
    ),
    smoke: Annotated[bool, typer.Option("--smoke", help="Smoke runs (made with --limit) too.")] = False,
    out: Annotated[
        Optional[Path], typer.Option("--out", help="Folder for the files; tables in the results folder if not given.")
    ] = None,
    formats: Annotated[str, typer.Option("--format", help="Any of md, csv, tex, json.")] = "md,csv,tex,json",
    selection: Annotated[Names, typer.Option("--selection", help="Only runs with this selection rule.")] = None,
    cost: Annotated[bool, typer.Option("--cost", help="Add what each method costs.")] = False,
    intervals: Annotated[bool, typer.Option("--intervals", help="Add intervals over contents.")] = False,
    plcc: Annotated[
        str, typer.Option("--plcc", help="After the four-parameter logistic, or of the raw scores.")
    ] = "mapped",
    notes: Annotated[bool, typer.Option("--notes", help="Show all notes, not the weightiest three lines.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse numbers that were not made alike.")] = False,
    results: Results = None,
    plugin: Plugin = None,
) -> None:
    """Print the tables of the records there are, and write them."""
    from bench.cli.table import write_tables
    from bench.core.registry import PROTOCOLS
    from bench.core.spec import recipe_options
    from bench.report.narrowing import Narrowing
    from bench.report.tables.write import check_formats

    config = configure(plugin, results=results)
    names = words_of(protocol)
    for name in names:
        PROTOCOLS.target(name)
    check_formats(words_of(formats))
    if plcc not in CHOICES["plcc"]:
        raise UsageError(f"--plcc {plcc!r} is neither {' nor '.join(CHOICES['plcc'])}.")
    rule = recipe_options()["selection"].parse(selection) if selection is not None else None
    of = SETTINGS["preset"].parse(preset) if preset else ""
    results_folder(config, f"bench run -p {','.join(names or ['main'])}")
    wish = Narrowing(words_of(method), words_of(dataset), of, smoke)
    raise typer.Exit(
        write_tables(
            config,
            names,
            wish,
            formats=words_of(formats),
            out=out,
            selection=rule,
            cost=cost,
            intervals=intervals,
            raw_plcc=plcc == "raw",
            strict=strict,
            notes=notes,
        )
    )


@app.command()
@friendly
def status(
    forget: Annotated[
        bool, typer.Option("--forget", help="Forget the plans that nobody is making: their runs are not pending.")
    ] = False,
    results: Results = None,
    plugin: Plugin = None,
) -> None:
    """Say what is done, running, failed and pending. Also what is not usable in the results folder."""
    from bench.cli.status import print_status

    config = configure(plugin, results=results)
    root = results_folder(config)
    if forget:
        from bench.records.plans import forget_plans
        from bench.records.store import Store

        say(forget_plans(Store(root)).sentences())
    print_status(root)


def _attach() -> None:
    from bench.cli import cite_command as cli_cite
    from bench.cli import data as cli_data
    from bench.cli import export as cli_export
    from bench.cli import finetune as cli_finetune
    from bench.cli import import_command as cli_import
    from bench.cli import lists as cli_lists
    from bench.cli import page as cli_page
    from bench.cli import predict as cli_predict
    from bench.cli import profile as cli_profile
    from bench.cli import report as cli_figures
    from bench.cli import run as cli_run
    from bench.cli import tune as cli_tools

    cli_run.attach(app)
    cli_lists.attach(app)
    cli_data.attach(app)
    cli_figures.attach(app)
    cli_page.attach(app)
    cli_profile.attach(app)
    cli_tools.attach(app)
    cli_import.attach(app)
    cli_cite.attach(app)
    cli_predict.attach(app)
    cli_finetune.attach(app)
    cli_export.attach(app)


_attach()
