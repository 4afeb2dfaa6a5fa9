"""What is wrong with the words of a command line before any command sees them: empty ones, and misplaced ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def checked(command: Any, ctx: Any, args: Sequence[str]) -> Iterator[None]:
    """Around the reading of a command's words: what the reader cannot know by itself is said in a sentence."""
    try:
        _refuse_empty(command, ctx, args)
        yield
    except Exception as error:
        if getattr(error, "option_name", ""):
            _say_where_it_goes(ctx, error)
        raise


def _refuse_empty(command: Any, ctx: Any, args: Sequence[str]) -> None:
    """Refuse a value of nothing, as an unset shell variable gives: it would mean the working folder, or all."""
    if ctx.resilient_parsing or not args:
        return
    given, _, _ = command.make_parser(ctx).parse_args(args=list(args))
    for one in command.get_params(ctx):
        value = given.get(one.name)
        words = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(word, str) and not word.strip(", ") for word in words):
            name = max(one.opts, key=len) if one.param_type_name == "option" else one.name.upper()
            ctx.fail(f"{name} is empty: give it a value{'' if one.required else ', or leave it out'}.")


def _say_where_it_goes(ctx: Any, error: Any) -> None:
    """Let the error about an option of `bench` itself that stands behind a command say where it goes."""
    name, root = error.option_name, ctx.find_root()
    if ctx is not root and any(name in one.opts for one in root.command.get_params(root)):
        command = ctx.command_path.removeprefix(root.command_path).strip()
        error.message = f"{name} goes before the command: bench {name} {command} …"
        error.possibilities = None
