"""The search behind `bench tune`: candidates as ordinary runs below results/tuning/, and how they did as a file."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.choices import Trial, Trials, best, write_choices
from bench.console import grid, note, say
from bench.data.locate import loader_name
from bench.driver import report_problems
from bench.errors import RunError, UsageError
from bench.executors import execute_serial
from bench.orders import ExecutionOptions
from bench.planning import Settings, recipes_of_methods, sort_settings, weights_token
from bench.presets import preset_named
from bench.progress import Display, counted
from bench.registry import METHODS
from bench.runtime import Runtime
from bench.spec import Scalar
from bench.store import Store
from bench.tuning import Search, candidates, trials


@dataclass(frozen=True)
class Wish:
    """A `bench tune` command line."""

    method: str
    dataset: str
    splits: int
    rates: str
    option: str
    preset: str
    backbone: str
    weights: str
    settings: tuple[str, ...]
    file: Settings


def run_search(wish: Wish, results: Path, make_runtime: Callable[..., Runtime]) -> int:
    """Try every candidate in every split, print and write down how each did; the exit code says whether some failed."""
    search, files = _search(wish)
    tried = candidates(search)
    store = Store(results / "tuning")
    runtime = make_runtime(results=store.root, weight_files=files, keep_weights="never")
    loader_name(search.dataset, runtime.data)  # a wrong name is one error, not one a candidate
    pending = store.pending([candidate.spec for candidate in tried])
    inside = f"{len(tried) // search.splits} in each of {counted(search.splits, 'split')}"
    note(
        f"{counted(len(tried), 'candidate')} for {search.method} on {search.dataset}, {inside}; "
        f"{len(tried) - len(pending)} tried before."
    )
    with Display() as display:
        beside = {candidate.spec.key: _text(candidate.settings) for candidate in tried}
        options = ExecutionOptions(report=display.report, say=display.line, beside=beside)
        summary = execute_serial(pending, runtime, options)
    report_problems(store)
    if summary.interrupted:
        return 130
    found = trials(tried, store, summary.failed)
    _show(search, found)
    chosen = _chosen(found)
    path = write_choices(results, search.preset.name, search.method, search.dataset, found)
    say(f"Chosen: {chosen}. Written: {path}")
    say("`bench run … --recipe tuned` uses it in these splits, and on sets that it is not tested on here.")
    return 1 if any(trial.srcc is None for tried in found.values() for trial in tried) else 0


def _search(wish: Wish) -> tuple[Search, dict[str, Path]]:
    """What the command line asks to try, and the weights files it names."""
    METHODS.target(wish.method)
    preset = preset_named(wish.preset)
    files, token = weights_token(wish.weights)
    common = {"weights": token} | ({"backbone": wish.backbone} if wish.backbone else {})
    name, _, values = wish.option.partition("=")
    if wish.option and not values:
        raise UsageError(f"--option {wish.option!r} is not of the form NAME=VALUE,VALUE.")
    settings = sort_settings(wish.settings, [wish.method], [])
    if settings.spec:
        raise UsageError(f"--set {', '.join(settings.spec)}: tuning is inside random splits and whole training parts.")
    own = recipes_of_methods(wish.file, settings).get(wish.method, {})
    search = Search(
        wish.method,
        wish.dataset or preset.main[0],
        preset,
        wish.splits or preset.splits,
        rates=_numbers(wish.rates),
        option=name,
        values=[value for value in values.split(",") if value],
        common=common,
        recipe={**wish.file.recipe, **settings.recipe, **own},
        options={**wish.file.methods.get(wish.method, {}), **settings.methods.get(wish.method, {})},
    )
    return search, files


def _show(search: Search, found: Trials) -> None:
    """A row for each candidate, a column for each split, and why some failed."""
    rows = [_row([tried[i] for tried in found.values()]) for i in range(len(next(iter(found.values()))))]
    title = f"{search.method} on {search.dataset}: validation SRCC by split"
    grid(("candidate", *map(str, found), "mean", "s.e."), rows, title=title)
    say("s.e.: standard error of the mean, by the number of validation pictures; versions of one content raise it.")
    for why in dict.fromkeys(trial.why for tried in found.values() for trial in tried if trial.why):
        say(f"Failed: {why}")


def _row(tried: Sequence[Trial]) -> tuple[str, ...]:
    known = [trial.srcc for trial in tried if trial.srcc is not None]
    values = ["-" if trial.srcc is None else f"{trial.srcc:.3f}" for trial in tried]
    mean = f"{statistics.fmean(known):.3f}" if len(known) == len(tried) else "-"
    return _text(tried[0].settings), *values, mean, _standard_error(tried)


def _standard_error(tried: Sequence[Trial]) -> str:
    """Of the mean over splits, from how many pictures each was scored on."""
    from bench.stats import srcc_standard_error

    each = [srcc_standard_error(trial.n, trial.srcc) for trial in tried if trial.srcc is not None and trial.n > 3]
    return f"{math.hypot(*each) / len(each):.3f}" if len(each) == len(tried) else "-"


def _chosen(found: Trials) -> str:
    """What each split chose, splits of one mind together."""
    chosen: dict[str, list[int]] = {}
    for split, tried in found.items():
        if all(trial.srcc is None for trial in tried):
            raise RunError(f"No candidate could be trained in split {split}: {tried[0].why}.")
        chosen.setdefault(_text(best(tried).settings), []).append(split)
    return "; ".join(
        f"{text} in {'split' if len(splits) == 1 else 'splits'} {', '.join(map(str, splits))}"
        for text, splits in chosen.items()
    )


def _text(settings: Mapping[str, Scalar]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _numbers(text: str) -> list[float]:
    try:
        rates = [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise UsageError(f"--lr {text!r} is not a list of numbers.") from None
    if not rates or min(rates) <= 0:
        raise UsageError(f"--lr {text!r} must name positive numbers.")
    return rates
