"""Whether runs that stand side by side were made alike: devices, kernels and versions, as their records tell.

Not compared are the host, the number of threads, and how many runs were trained together: what they move lies within
the tolerances of docs/reproducibility.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from bench.core.progress import counted
from bench.records.results import Experiment, Record
from bench.report.cells import Cell

Named = tuple[str, Record]
"""A run under the name of its row."""

FACTS: dict[str, Callable[[Any], str]] = {
    "device_type": "on {}".format,
    "precision": "in {}".format,
    "device": "on {}".format,
    "instructions": "with {}".format,
    "tf32": lambda on: "with TF32" if on else "without TF32",
    "torch": str,
    "timm": str,
    "numpy": str,
    "pillow": str,
    "compiled": lambda on: "with compiled steps" if on else "with plain steps",
    "graphs": lambda on: "by CUDA graphs" if on else "step by step",
    "parts": lambda count: f"in {count} parts per batch" if count > 1 else "by whole batches",
}
"""What is compared, the most important first, and how a value of it is said."""
VERSIONS = ("torch", "timm", "numpy", "pillow")
MOST_LINES = 2
MOST_NAMES = 3


def mixtures(columns: Iterable[Iterable[Named]]) -> tuple[str, ...]:
    """What differs among the runs of one column, in any: a line each, two at most, the most important first."""
    lines: dict[tuple[int, str], None] = {}
    for runs in columns:
        done = [(name, record) for name, record in runs if record.done]
        trained = _differences(done, "trained")
        elsewhere = any("tested" in record.section("numerics") for _, record in done)
        tested = _differences(done, "tested") if elsewhere else {}
        lines |= dict.fromkeys((list(FACTS).index(fact), line) for fact, line in (tested | trained).items())
    return tuple(dict.fromkeys(line for _, line in sorted(lines)))[:MOST_LINES]


def columns_of(names: Sequence[str], cells: Sequence[Sequence[Cell]]) -> Iterable[list[Named]]:
    """The runs that a table compares, column by column; its other metrics are of the same runs."""
    columns: dict[tuple[Experiment, ...], list[Named]] = {}
    for column in zip(*cells, strict=True):
        experiments = tuple(cell.experiment for cell in column)
        columns[experiments] = [(name, run) for name, cell in zip(names, column, strict=True) for run in cell.records]
    return columns.values()


def made_on(records: Iterable[Record]) -> str:
    """The versions and the machines behind some records, in one line."""
    blocks = list({_facts(b): b for record in records if record.done for b in blocks_of(record)}.values())
    versions = [f"{name} {_all(block.get(name) for block in blocks)}" for name in VERSIONS[:3]]
    machines = sorted({_machine(block) for block in blocks})
    return f"{', '.join(versions)}; on {' and '.join(machines)}" if blocks else "not recorded"


def blocks_of(record: Record, side: str = "trained") -> list[Mapping[str, Any]]:
    """On what a run was trained (before a stop and at the end) or tested; schema 1 noted a part of it elsewhere."""
    said = record.section("numerics")
    if said:
        return [said["tested"]] if side == "tested" and "tested" in said else [*said.get("begun", ()), said["trained"]]
    run = record.section("run")
    return [{"compiled": False, "parts": 1, **run, **run.get("versions", {})}] if "device_type" in run else []


def _facts(block: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple(map(block.get, FACTS))


def _value(block: Mapping[str, Any], fact: str) -> object:
    """A fact of a block; None where it is unknown, or does not matter to the device: a GPU's name, a CPU's kernels."""
    own_to = {"device": "a GPU", "instructions": "a CPU"}.get(fact)
    device = "a CPU" if block.get("device_type") == "cpu" else "a GPU"
    return block.get(fact) if own_to in (None, device) else None


def _machine(block: Mapping[str, Any]) -> str:
    kind = _value(block, "device") or _value(block, "instructions")
    return f"{block.get('device_type')} ({kind})" if kind else str(block.get("device_type"))


def _all(values: Iterable[object]) -> str:
    return "/".join(sorted({str(value) for value in values if value})) or "unknown"


def _differences(runs: Sequence[Named], side: str) -> dict[str, str]:
    """Fact → what is to be said of it, where the runs differ."""
    blocks = [blocks_of(record, side) for _, record in runs]
    sentences: dict[str, str] = {}
    if len({tuple(map(_facts, of_run)) for of_run in blocks}) < 2:  # as thousands of runs are
        return sentences
    for fact in FACTS:
        if fact in ("device", "instructions") and "device_type" in sentences:
            continue  # a GPU and a CPU have been told apart
        values = [tuple(dict.fromkeys(_value(block, fact) for block in of_run)) for of_run in blocks]
        known = [(name, record, v) for (name, record), v in zip(runs, values, strict=True) if v and None not in v]
        if len({value for _, _, value in known}) > 1:
            sentences[fact] = _sentence(fact, known, side)
    return sentences


def _sentence(fact: str, known: Sequence[tuple[str, Record, tuple[object, ...]]], side: str) -> str:
    """ "split 3 of GLIA was trained on cuda, the others on cpu", or of versions only which there are."""
    counts = Counter(value for _, _, value in known)
    usual = max(counts, key=lambda value: (counts[value], str(value)))
    if fact in VERSIONS:
        return f"{fact} {_joined(sorted({str(one) for value in counts for one in value}))}"

    def say(value: tuple[object, ...]) -> str:
        return _joined([FACTS[fact](one) for one in value])

    others = sorted((value for value in counts if value != usual), key=str)
    said = [f"{_names(known, value)} {side} {say(value)}" for value in others]
    return f"{', '.join(said)}, the others {say(usual)}"


def _by_seed(known: Sequence[tuple[str, Record, tuple[object, ...]]]) -> list[tuple[str, Record, tuple[object, ...]]]:
    """The same with each seed as a row of its own, where folds of several stand in one."""
    seeds: dict[str, set[int]] = {}
    for name, record, _ in known:
        seeds.setdefault(name, set()).add(record.spec.recipe.seed)
    return [
        (f"seed {r.spec.recipe.seed} of {name}" if r.spec.folds and len(seeds[name]) > 1 else name, r, own)
        for name, r, own in known
    ]


def _names(known: Sequence[tuple[str, Record, tuple[object, ...]]], value: object) -> str:
    """The runs with a value, with their verb: whole rows by name, of others the splits."""
    known = _by_seed(known)
    splits: dict[str, list[int]] = {}
    for name, record, own in known:
        if own == value:
            splits.setdefault(name, []).append(record.spec.split)
    if len(splits) > MOST_NAMES:
        return f"{counted(sum(map(len, splits.values())), 'run')} of {len(known)} were"
    rows = Counter(name for name, _, _ in known)
    names = [name if len(own) == rows[name] else f"{_numbered(own)} of {name}" for name, own in splits.items()]
    plural = len(names) > 1 or names[0].startswith("splits ")
    return f"{_joined(names)} {'were' if plural else 'was'}"


def _numbered(splits: Iterable[int]) -> str:
    numbers = [str(split) for split in sorted(set(splits))]
    return f"split{'s' if len(numbers) > 1 else ''} {_joined(numbers)}"


def _joined(words: Sequence[str]) -> str:
    return " and ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), words[-1]])
