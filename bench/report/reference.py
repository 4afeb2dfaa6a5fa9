"""Reference results: records of demo and study that come with the repository, to hold one's own against.

`python -m bench.report.reference RESULTS` keeps the finished runs of a results folder in `results/reference/`: their
records without the machine's name, one JSON file per run, and their predictions, a few kilobytes each. Only runs of a
clean commit are kept, and a run that is there already gives way to its newer self.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.core.errors import UsageError
from bench.core.files import expanded
from bench.core.progress import counted
from bench.core.spec import RunSpec, Target
from bench.planning.presets import PRESETS, in_order
from bench.records.results import Record, Results
from bench.records.store import Store
from bench.report.readme import write_readme

FOLDER = Path(__file__).parents[2] / "results" / "reference"
NAME = "reference"
METRICS = ("srcc", "plcc")
WITH_INTERVALS = ("study",)
"""The presets whose tables show intervals over contents: the demo's test parts have two each, too few for any."""
SAME = 1e-9
NEAR = 0.01
"""Differences in SRCC and PLCC up to this are called near: another seed moves a score of two contents by .06 to .17."""


@dataclass(frozen=True)
class Held:
    """One of the user's runs against the reference's: the largest difference of a metric, and what was not alike."""

    run: str
    difference: float
    unlike: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """In a word: same, near or other."""
        return "same" if self.difference <= SAME else "near" if self.difference <= NEAR else "other"


def folder_of(name: str) -> Path:
    """The results folder that a word or a path names; one without records is an error."""
    folder = FOLDER if name == NAME else expanded(name)
    if not (folder / "runs").is_dir():
        raise UsageError(f"There are no records in {folder}: name a results folder, or {NAME} in a checkout.")
    return folder


def with_records_of(own: Results, other: Results) -> Results:
    """One's own records, and the other folder's of runs that one has not made, or as far as one has not tested them."""
    made = _tests_of(own)
    theirs = _tests_of(other)
    kept = [one for one in own.records if one.done or not set(one.spec.tests) <= theirs.get(_training(one.spec), set())]
    added = (_without(record, made.get(_training(record.spec), set())) for record in other.records)
    return Results([*kept, *filter(None, added)])


def _training(spec: RunSpec) -> tuple[str, bool]:
    """What runs share that may be one record, tested on what all of them are."""
    return spec.training_key, spec.validates


def _tests_of(results: Results) -> dict[tuple[str, bool], set[Target]]:
    """By training, on what its finished runs were tested."""
    tests: dict[tuple[str, bool], set[Target]] = {}
    for record in results.records:
        if record.done:
            tests.setdefault(_training(record.spec), set()).update(record.spec.tests)
    return tests


def _without(record: Record, tests: Set[Target]) -> Record | None:
    """A record without some of its tests; None where none is left."""
    left = tuple(target for target in record.spec.tests if target not in tests)
    if not left or len(left) == len(record.spec.tests):
        return record if left else None
    metrics = {target: record.section("metrics").get(target) for target in left}
    return replace(record, spec=record.spec.with_tests(left), body={**record.body, "metrics": metrics})


def held_against(own: Store, reference: Store) -> list[Held]:
    """Every finished run of the reference that was made here too, on what both are tested on, most different first."""
    ours: dict[tuple[str, bool], list[tuple[Mapping[str, Any], RunSpec]]] = {}
    for body, spec in own.sound():
        if body["status"] == "done":
            ours.setdefault(_training(spec), []).append((body, spec))
    pairs = []
    for known, spec in reference.sound():
        shared = [(len({*spec.tests} & {*one.tests}), one == spec, body) for body, one in ours.get(_training(spec), ())]
        most, _, mine = max(shared, key=lambda one: one[:2], default=(0, False, {}))
        if most and known["status"] == "done":
            run = f"{spec.method} on {spec.train}, split {spec.split}, seed {spec.recipe.seed}"
            pairs.append(Held(run, *_compared(mine, known)))
    return sorted(pairs, key=lambda held: (-held.difference, held.run))


def summary_of(pairs: list[Held]) -> str:
    """How many runs are the reference's to the last digit, how many near it, and how far the others are."""
    if not pairs:
        return "None of your runs is one of the reference's."
    counts = {word: sum(held.verdict == word for held in pairs) for word in ("same", "near", "other")}
    middle = statistics.median(held.difference for held in pairs)
    return (
        f"{counted(len(pairs), 'run')} of the reference made here too: {counts['same']} the same to the last digit, "
        f"{counts['near']} within {NEAR}, {counts['other']} further away (median {middle:.4f})."
    )


def keep(source: Store, target: Store, presets: tuple[str, ...] = ("demo", "study")) -> int:
    """Copy finished runs of presets with made sets; how many. A run of uncommitted code is refused."""
    number = 0
    for body, spec in source.sound():
        if body["status"] != "done" or spec.preset not in presets or spec.limit:
            continue
        run = body.get("run", {})
        if not run.get("git_commit") or run.get("git_dirty"):
            raise UsageError(f"{body['key']} was not made on a clean commit: no reference can be made of it.")
        target.write(_nameless(body), source.predictions(body["key"]))
        number += 1
    return number


def _nameless(body: Mapping[str, Any]) -> dict[str, Any]:
    """A record that does not say whose machine it was."""
    return {**body, "run": {name: value for name, value in body["run"].items() if name != "host"}}


def _compared(own: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[float, tuple[str, ...]]:
    differences = [
        _apart(own["metrics"][target][name], values[name])
        for target, values in known["metrics"].items()
        if target in own["metrics"]
        for name in METRICS
    ]
    return max(differences, default=float("inf")), tuple(_unlike(own, known))


def _apart(one: float | None, other: float | None) -> float:
    """How far two numbers are apart; two undefined ones are the same, and one beside a number as far as can be."""
    if one is None or other is None:
        return 0.0 if one is other else float("inf")
    return abs(one - other)


def _unlike(own: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[str]:
    """What differs in how two runs of one specification were made."""
    about = {
        "the method's code": ("code", "method"),
        "the harness's code": ("code", "numerics"),
        "labels": ("data", "train", "hash"),
        "pictures": ("data", "train", "pixels"),
        "the split": ("data", "train", "split_hash"),
        "weights": ("weights", "hash"),
        "torch": ("numerics", "trained", "torch"),
        "the device": ("numerics", "trained", "device_type"),
        "the CPU's instructions": ("numerics", "trained", "instructions"),
        "the processor": ("numerics", "trained", "device"),
    }
    for what, path in about.items():
        if _at(own, path) != _at(known, path):
            yield what


def _at(body: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        body = body.get(name) if isinstance(body, Mapping) else None
    return body


def make_tables_of(folder: Path, out: Path) -> list[Path]:
    """The Markdown tables of every preset that a folder has records of, each preset's below its name; their paths.

    The study's numbers have intervals over contents.
    """
    from bench.report.tables.write import make_tables

    results = Results.read(Store(folder))
    files: list[Path] = []
    for preset in in_order(results.presets()):
        tables = make_tables(
            results.select(preset=preset), [], out=out / preset, formats=["md"], intervals=preset in WITH_INTERVALS
        )
        files += [path for item in tables for path in item.paths]
    return files


def main() -> None:
    """Keep the finished runs of a results folder as reference, or make the tables of those that are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", help="a results folder whose runs are kept")
    parser.add_argument("--tables", action="store_true", help="make the tables of results/reference anew")
    parser.add_argument("--preset", choices=[name for name, preset in PRESETS.items() if preset.made], action="append")
    wish = parser.parse_args()
    target = Store(FOLDER)
    target.ready()
    if wish.results:
        print(f"{counted(keep(Store(wish.results), target, tuple(wish.preset or ('demo', 'study'))), 'record')} kept.")
    if wish.tables:
        for path in make_tables_of(FOLDER, FOLDER.parent):
            print(path)
        readme = FOLDER.parents[1] / "README.md"
        if write_readme(readme, Results.read(Store(FOLDER))):
            print(readme)


if __name__ == "__main__":
    main()
