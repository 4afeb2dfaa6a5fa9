"""The errors a user can meet: each is one or two lines that say what is wrong and what to do."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class BenchError(Exception):
    """Anything the user can mend; the command prints it without a traceback."""

    exit_code = 1


class UsageError(BenchError):
    """The command line, `bench.toml` or an option is wrong."""

    exit_code = 2


class DataError(BenchError):
    """A dataset is missing, incomplete or not what it says."""


class PlanError(BenchError):
    """Something that every run needs is missing: no run is to blame, and the plan stops until it is mended."""


class WeightsError(PlanError):
    """Pretrained weights are missing, damaged or do not fit the backbone."""


class RunError(BenchError):
    """One run could not produce trustworthy numbers."""


class Diverged(RunError):
    """The loss is no number any more. In a search of rates that is an answer, as a score is."""


class MixedError(BenchError):
    """Numbers that were not made alike stand side by side, and that was not to be."""


class StoreError(PlanError):
    """The results folder, or what the command writes to, cannot be read or written."""


class Interrupted(Exception):
    """The user asked to stop; the run is checkpointed and goes on with the next call."""


class ClaimLost(Exception):
    """Another process took the run over while this one slept."""


@contextmanager
def blamed(plugin: str, function: str, kind: type[BenchError] = UsageError) -> Iterator[None]:
    """A plugin's mistake ends in a sentence that names it; one of ours ("" for the plugin) is no user's to mend."""
    try:
        yield
    except BenchError:
        raise
    except Exception as error:
        if not plugin:
            raise
        called = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == function]
        line = f", line {called[0].lineno}" if called else ""
        raise kind(f"{plugin} fails in {function}(){line}: {type(error).__name__}: {error}.") from error


def closest(word: str, known: Iterable[str], count: int = 3, likeness: float = 0.5) -> list[str]:
    """The names that somebody who wrote `word` may have meant, the likeliest first."""
    return difflib.get_close_matches(word, list(known), n=count, cutoff=likeness)


def suggest(word: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """How an error about an unknown name ends: with what was probably meant, else with `otherwise` or all there are."""
    names = list(dict.fromkeys(known))
    if close := closest(word, names):
        return f"Did you mean {' or '.join(close)}?"
    return f"There are: {', '.join(sorted(names)) or 'none'}." if otherwise is None else otherwise
