"""The table of GLIA's trial, from committed records: `results/study/glia_trial.md`. docs/study.md has the runs.

    python -m benchmarks.trial_table [RESULTS]

With a results folder its finished trial runs are kept first, in `results/reference/trial/`. Every row is one change of
GLIA, held against the study's GLIA over the same folds and contents. GLIA made again is no row.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.core.progress import counted
from bench.core.registry import add_plugin_file
from bench.metrics.comparisons import holm
from bench.metrics.contents import OverContents
from bench.records.results import Results
from bench.records.store import Store
from bench.report.arms import Arm
from bench.report.cells import Cell
from bench.report.compare import compare_arms
from bench.report.readme import mean_text
from bench.report.reference import FOLDER, keep
from bench.report.selection import PresetResults, by_split_rule

PLUGIN = Path(__file__).parent / "glia_trial.py"
TRIAL = FOLDER / "trial"
PAGE = FOLDER.parent / "study" / "glia_trial.md"
PRESET = SET = "study"
BASELINE = "glia"
SAME = "glia_trial"
"""GLIA itself where nothing is changed."""
BESIDE = ("adapter",)
"""Methods of the study itself that stand beside the trial's, at the trial's rate."""
RATE = 0.001
SEED = 0
"""The trial has one; the study's own rows may have more."""
HEADS = ("Change", "SRCC [95% over contents]", "PLCC [95% over contents]", "SRCC minus GLIA's, paired", "p after Holm")

READING = (
    "Means over the study's folds under one seed; every interval is by itself, over contents as is p, which Holm "
    "corrects for all rows. docs/study.md says what each change is."
)


def rows_of(study: Results, trial: Results) -> list[tuple[str, ...]]:
    """GLIA itself, then every change that has all folds, the plainest first; cells as text."""
    at_rate = study.select(preset=PRESET, train=SET, seed=SEED).where(
        lambda record: record.spec.recipe.lr == RATE and record.spec.method in (BASELINE, *BESIDE)
    )
    part = folds_of(at_rate, trial)
    asked = (arm for arm in part.arms if arm.method != SAME or _changes(arm))
    arms = sorted((arm for arm in asked if complete(part, arm)), key=_place)
    glia = next(arm for arm in arms if arm.method == BASELINE)
    names = [(", ".join([arm.title, *_changes(arm)]).replace("_", r"\_"),) for arm in arms]
    return rows_against(part, glia, arms, names)


def folds_of(study: Results, trial: Results) -> PresetResults:
    """Some runs of the study and all of the trial's on its folds, filed together."""
    (part,) = by_split_rule(Results([*study.records, *trial.select(preset=PRESET, train=SET).records]))
    return part


def rows_against(
    part: PresetResults, baseline: Arm, arms: Sequence[Arm], names: Sequence[tuple[str, ...]]
) -> list[tuple[str, ...]]:
    """A row for each arm: what it is called, its means, its paired difference to a baseline, corrected for all rows."""
    differences = [_over_contents(part, arm, baseline) for arm in arms]
    corrected = iter(holm([over.p for over in differences if over is not None and over.p is not None]))
    return [
        (*name, *map(mean_text, _cells(part, arm)), *_told(over, corrected))
        for name, arm, over in zip(names, arms, differences, strict=True)
    ]


def _place(arm: Arm) -> tuple[object, ...]:
    places = (BASELINE, *BESIDE)
    return (places.index(arm.method) if arm.method in places else len(places), *arm.order())


def complete(part: PresetResults, arm: Arm) -> bool:
    """Whether an arm has all folds."""
    return all(len(cell.values) >= part.rules.planned(part.preset) for cell in _cells(part, arm))


def _cells(part: PresetResults, arm: Arm) -> Iterator[Cell]:
    experiment = next(e for e in part.experiments() if e.is_own_test)
    return (Cell.of(part.runs(arm, experiment), experiment, metric) for metric in ("srcc", "plcc"))


def _changes(arm: Arm) -> list[str]:
    """What is not as in GLIA's row, as "name=value"."""
    return [*arm.option_changes(), *(change for change in arm.run_changes() if not _is_rate(change))]


def _is_rate(change: str) -> bool:
    return change.startswith("tuned=") or change == f"lr={RATE}"


def _over_contents(part: PresetResults, arm: Arm, baseline: Arm) -> OverContents | None:
    """The paired difference over contents; none for the baseline itself."""
    comparison = compare_arms(part, [arm], [baseline], "srcc")
    return comparison.rows[0].contents if comparison else None


def _told(over: OverContents | None, corrected: Iterator[float]) -> tuple[str, str]:
    """A difference with its interval, and its p value; dashes where there is none."""
    if over is None or over.p is None or over.low is None or over.high is None:
        return "–", "–"
    return f"{over.estimate:+.3f} [{over.low:+.3f}, {over.high:+.3f}]", f"{next(corrected):.3f}"


def page_of(study: Results, trial: Results) -> str:
    """The page in Markdown."""
    rows = [HEADS, ("---", "---:", "---:", "---:", "---:"), *rows_of(study, trial)]
    return "\n".join(
        [
            f"**GLIA's trial: one change at a time, at a rate of {RATE} where a row says no other.**",
            "",
            *(f"| {' | '.join(row)} |" for row in rows),
            "",
            f"{READING} A row is here when all of its folds are.",
            "",
        ]
    )


def main() -> None:
    """Keep the trial's runs, if a folder is given, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", help="a results folder whose trial runs are kept")
    wish = parser.parse_args()
    add_plugin_file(PLUGIN)
    kept = Store(TRIAL)
    kept.ready()
    if wish.results:
        print(f"{counted(keep(Store(wish.results), kept, (PRESET,)), 'record')} kept.")
    PAGE.write_text(page_of(Results.read(Store(FOLDER)), Results.read(kept)), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
