"""The search behind `bench tune`: candidates as ordinary runs below results/tuning/, the best one as a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.console import grid, note, say
from bench.data.locate import loader_name
from bench.driver import report_problems
from bench.errors import UsageError
from bench.executors import Orders, execute_serial
from bench.planning import sort_settings, weights_token
from bench.presets import preset_named
from bench.progress import Display, counted
from bench.registry import METHODS
from bench.runtime import Runtime
from bench.store import Store
from bench.tuning import candidates, choose, trials, write_choice


@dataclass(frozen=True)
class Wish:
    """A `bench tune` command line."""

    method: str
    dataset: str
    rates: str
    option: str
    preset: str
    backbone: str
    weights: str
    settings: tuple[str, ...]


def run_search(wish: Wish, results: Path, make_runtime: Callable[..., Runtime]) -> int:
    """Try every candidate, print how each did, and write the choice; the exit code says whether some failed."""
    METHODS.target(wish.method)
    preset = preset_named(wish.preset)
    dataset = wish.dataset or preset.main[0]
    files, token = weights_token(wish.weights)
    common = {"weights": token} | ({"backbone": wish.backbone} if wish.backbone else {})
    name, _, values = wish.option.partition("=")
    if wish.option and not values:
        raise UsageError(f"--option {wish.option!r} is not of the form NAME=VALUE,VALUE.")
    tried = candidates(
        wish.method,
        dataset,
        preset,
        rates=_numbers(wish.rates),
        option=name,
        values=[value for value in values.split(",") if value],
        common=common,
        recipe=sort_settings(wish.settings, [wish.method], []).recipe,
    )
    store = Store(results / "tuning")
    runtime = make_runtime(results=store.root, weight_files=files, keep_weights="never")
    loader_name(dataset, runtime.data)  # a wrong name is one error, not one a candidate
    pending = store.pending([spec for _, spec in tried])
    before = len(tried) - len(pending)
    note(f"{counted(len(tried), 'candidate')} for {wish.method} on {dataset}, {before} tried before.")
    with Display() as display:
        summary = execute_serial(pending, runtime, Orders(report=display.report, say=display.line))
    report_problems(store)
    if summary.interrupted:
        return 130
    found = trials(tried, store, summary.failed)
    rows = [
        (", ".join(f"{k}={v}" for k, v in t.settings.items()), "-" if t.srcc is None else f"{t.srcc:.3f}", t.why)
        for t in found
    ]
    grid(("candidate", "validation SRCC", ""), rows, title=f"{wish.method} on {dataset}")
    best = choose(found)
    path = write_choice(results, preset.name, wish.method, dataset, best)
    say(f"Chosen: {', '.join(f'{k}={v}' for k, v in best.settings.items())}. Written: {path}")
    say("`bench run … --recipe tuned` uses it.")
    return 1 if any(trial.srcc is None for trial in found) else 0


def _numbers(text: str) -> list[float]:
    try:
        rates = [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise UsageError(f"--lr {text!r} is not a list of numbers.") from None
    if not rates or min(rates) <= 0:
        raise UsageError(f"--lr {text!r} must name positive numbers.")
    return rates
