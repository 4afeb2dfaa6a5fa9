"""GLIA's trial, each change at its own rate: `results/study/glia_trial_rates.md`. docs/study.md has the runs.

    python -m benchmarks.trial_rates [RESULTS]

With a results folder its searches are kept first, in `results/reference/trial/rates.json`: for each change, each rate
and each split of the set for tuning, the SRCC; none where a run failed. The page shows what the searches found, and
the study's folds at the rates that won, from committed records.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.core.registry import add_plugin_file
from bench.planning.presets import preset_named
from bench.records.results import Record, Results
from bench.records.store import Store
from bench.report.arms import Arm, arm_of
from bench.report.reference import FOLDER
from bench.report.selection import PresetResults
from benchmarks.trial_table import (
    BESIDE,
    HEADS,
    PAGE,
    PLUGIN,
    PRESET,
    READING,
    SEED,
    SET,
    TRIAL,
    complete,
    folds_of,
    rows_against,
)

KEPT = TRIAL / "rates.json"
RATES_PAGE = PAGE.with_name("glia_trial_rates.md")
GLIA = "GLIA (trial)"
"""GLIA as it comes."""

Scores = Mapping[str, Sequence[float | None]]
"""By rate as text, the SRCC of every split in order."""


def searched(store: Store) -> dict[str, dict[str, list[float | None]]]:
    """By change and rate, how every split did; a change that lacks a split at a rate has no such rate."""
    preset = preset_named(PRESET)
    by_split: dict[str, dict[str, dict[int, float | None]]] = {}
    for body, spec in store.sound():
        if spec.preset != PRESET or spec.train != preset.tuning:
            continue
        rates = by_split.setdefault(change_of(arm_of(spec)), {})
        score = Record(spec, body).value(spec.tests[0], "srcc") if body["status"] == "done" else None
        rates.setdefault(f"{spec.recipe.lr:g}", {})[spec.split] = score
    splits = range(preset.tuning_splits)
    return {
        change: {rate: [at[s] for s in splits] for rate, at in sorted(rates.items(), key=_rate) if set(splits) <= {*at}}
        for change, rates in by_split.items()
    }


def change_of(arm: Arm) -> str:
    """A method and what was changed, whatever its rate."""
    runs = (change for change in arm.run_changes() if not change.startswith(("lr=", "tuned=")))
    return ", ".join([arm.title, *arm.option_changes(), *runs])


def _rate(item: tuple[str, object]) -> float:
    return float(item[0])


def best_rate(scores: Scores) -> str:
    """The rate with the best mean over the splits, of those at which every run came to its end."""
    means = {rate: mean for rate, each in scores.items() if (mean := _mean(each)) is not None}
    return max(means, key=lambda rate: means[rate]) if means else ""


def _mean(each: Sequence[float | None]) -> float | None:
    sound = [score for score in each if score is not None]
    return statistics.fmean(sound) if len(sound) == len(each) else None


def own_rows(known: Mapping[str, Scores], study: Results, trial: Results) -> list[tuple[str, ...]]:
    """The study's folds at the rates that won, as far as they are run, held against GLIA at its own; cells as text."""
    part = folds_of(
        study.select(preset=PRESET, train=SET, seed=SEED).where(lambda record: record.spec.method in BESIDE), trial
    )
    own = {arm: rate for arm in part.arms if (rate := _own_rate(part, arm, known)) and complete(part, arm)}
    glia = next(arm for arm in own if change_of(arm) == GLIA)
    arms = sorted(own, key=lambda arm: (arm != glia, change_of(arm)))
    names = [(change_of(arm).replace("_", r"\_"), own[arm]) for arm in arms]
    return rows_against(part, glia, arms, names)


def _own_rate(part: PresetResults, arm: Arm, known: Mapping[str, Scores]) -> str:
    """An arm's rate where it is the one that a search chose for it; "" for all others."""
    rate = f"{part.records_of(arm)[0].spec.recipe.lr:g}"
    return rate if arm.tuned or best_rate(known.get(change_of(arm), {})) == rate else ""


def page_of(known: Mapping[str, Scores], own: Sequence[tuple[str, ...]] = ()) -> str:
    """The page in Markdown: what the searches found, and what the study's folds say at the rates that won."""
    return "\n".join([*_searches(known), *(_folds(own) if own else ())])


def _folds(own: Sequence[tuple[str, ...]]) -> list[str]:
    change, *heads = HEADS
    rows = [(change, "Rate", *heads), ("---", *["---:"] * 5), *own]
    return [
        "**On the study's folds, each at its own rate.**",
        "",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        f"{READING} A row is here when its rate is searched and all of its folds are run at it.",
        "",
    ]


def _searches(known: Mapping[str, Scores]) -> list[str]:
    """A row for each change, a column for each rate, the best bold."""
    rates = sorted({rate for scores in known.values() for rate in scores}, key=float)
    rows = [("Change", *rates), ("---", *["---:"] * len(rates))]
    for change in sorted(known):
        best = best_rate(known[change])
        rows.append((change.replace("_", r"\_"), *(_cell(known[change].get(rate), rate == best) for rate in rates)))
    return [
        "**Rates of GLIA's trial: mean SRCC over the splits of the set for tuning.**",
        "",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        'Bold: the best of a row. "–": a run diverged. Empty: not tried. Nothing of the study itself is in it.',
        "",
    ]


def _cell(each: Sequence[float | None] | None, best: bool) -> str:
    if each is None:
        return ""
    mean = _mean(each)
    text = "–" if mean is None else f"{mean:.3f}"
    return f"**{text}**" if best else text


def main() -> None:
    """Keep what searches found, if a folder is given, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", help="a results folder whose searches are kept")
    wish = parser.parse_args()
    add_plugin_file(PLUGIN)
    known = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    if wish.results:
        for change, scores in searched(Store(wish.results / "tuning")).items():
            if scores:  # a search that has only begun has none yet
                known[change] = {**known.get(change, {}), **scores}
        KEPT.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if not known:
        raise SystemExit(f"{KEPT} is not there yet: name a results folder with searches.")
    own = own_rows(known, Results.read(Store(FOLDER)), Results.read(Store(TRIAL)))
    RATES_PAGE.write_text(page_of(known, own), encoding="utf-8")
    print(RATES_PAGE)


if __name__ == "__main__":
    main()
