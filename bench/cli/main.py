"""The `bench` command: parse, call, print. Heavy things are imported inside the commands that need them."""

from __future__ import annotations

import gc
from typing import Annotated, Any

import typer

from bench import __version__
from bench.cli.app import App, ConfigFile
from bench.cli.console import DEBUG, last_note, say
from bench.cli.help import HelpGroup
from bench.cli.invocation import CHOSEN_FILE
from bench.core.errors import StoreError
from bench.core.streams import ReaderGone, flush_streams, leave_quietly, prepare_streams, reader_may_leave


class Bench(HelpGroup):
    """The command itself, whatever it is called from: any encoding will do, and a reader may leave at any time."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse, or print help, which Click would end with status 1 where the reader has gone."""
        with reader_may_leave():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Run the command below, or print its help."""
        gc.enable()  # where the start held it back
        with reader_may_leave():
            return super().invoke(ctx)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command; when the reader of its output has gone, end without a word, and never well if it is lost."""
        prepare_streams()
        status: Any = 0
        try:
            try:
                return super().main(*args, **kwargs)
            except SystemExit as end:
                status = end.code
                raise
            finally:
                flush_streams()
        except (ReaderGone, BrokenPipeError):
            leave_quietly()
        except StoreError as error:
            if DEBUG["on"]:
                raise
            if not status:
                last_note(f"Error: {error}")
            leave_quietly(status or error.exit_code)


app = App(
    name="bench",
    cls=Bench,
    help="Compare ways of fine-tuning a pretrained Vision Transformer for blind image-quality assessment.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


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


def _attach() -> None:
    from bench.cli.commands import (
        cite,
        compare,
        data,
        export,
        figure,
        finetune,
        import_,
        lists,
        merge,
        new,
        predict,
        profile,
        report,
        run,
        status,
        table,
        tune,
        verify,
    )

    makers = (run, table, status, lists, data, figure, report, profile, verify, merge, compare, tune, new)
    for command in (*makers, import_, cite, predict, finetune, export):
        command.attach(app)


_attach()
