"""Every arm on everything it was tested on, as rows that the page's script sorts, filters and plots."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.core.registry import stem_of
from bench.planning.usual import fact_of
from bench.records.results import Experiment, Record, Results
from bench.report.arms import Arm, method_title, shared_changes
from bench.report.cells import DIGITS, Cell, cost_of, interval_of_mean
from bench.report.page.svg import look_of
from bench.report.selection import PresetResults, by_preset
from bench.report.tables.fill import dataset_title

BYTES_A_PARAMETER = 4
"""Trained tensors are kept in fp32."""
METRICS = ("srcc", "plcc", "plcc_raw", "krcc", "rmse")
COSTS = ("trainable", "total", "disk", "seconds", "speed", "gflops", "memory")
WORDS = ("method", "family", "preset", "backbone", "train", "test", "setting")
"""The columns whose cells are texts, written as numbers of a list of texts."""
COLUMNS = (*WORDS, "splits", "failed", "srcc", "low", "high", *METRICS[1:], *COSTS, "look", "ranked", "runs")


@dataclass
class Texts:
    """Every text once: rows name it by its number."""

    known: dict[str, int] = field(default_factory=dict)

    def number(self, text: str) -> int:
        """The number of a text, a new one for a new text."""
        return self.known.setdefault(text, len(self.known))


def explorer(results: Results) -> dict[str, Any]:
    """The rows of all records, smoke runs among them: their preset says so."""
    texts = Texts()
    labels = labels_of(results)
    rows = [row for part in by_preset(results) for row in _rows(part, labels, texts)]
    return {"columns": COLUMNS, "words": WORDS, "texts": list(texts.known), "rows": rows}


def labels_of(results: Results) -> dict[Arm, str]:
    """How each arm is called: what all arms of its preset and rules changed alike is left unsaid."""
    labels: dict[Arm, str] = {}
    for part in by_preset(results):
        for smoke in (False, True):
            arms = [arm for arm in part.arms if bool(arm.limit) == smoke]
            shared = shared_changes(arms)
            labels |= {arm: arm.label(shared) for arm in arms}
    return labels


def disk_bytes(trainable: float | None) -> float | None:
    """How much a run's trained tensors take on disk, the frozen backbone left out."""
    return None if trainable is None else BYTES_A_PARAMETER * trainable


def preset_name(part: PresetResults, arm: Arm) -> str:
    """The preset with everything that keeps its numbers apart from others."""
    return ", ".join([part.preset.name, *part.rules.unusual, *(["smoke"] if arm.limit else [])])


def _rows(part: PresetResults, labels: Mapping[Arm, str], texts: Texts) -> Iterable[list[Any]]:
    """A row for each arm and each thing it was tested on, from one pass over the records."""
    for arm in part.arms:
        trained = part.records_of(arm)
        cost = _costs(trained)
        for experiment, records in _by_experiment(trained):
            yield _row(labels[arm], preset_name(part, arm), arm, experiment, records, cost, texts)


def _by_experiment(records: Sequence[Record]) -> list[tuple[Experiment, list[Record]]]:
    groups: dict[Experiment, list[Record]] = {}
    for record in records:
        spec = record.spec
        for target in spec.tests:
            groups.setdefault(Experiment(spec.train, target, spec.fraction, spec.source), []).append(record)
    return sorted(groups.items(), key=lambda item: (item[0].train, item[0].target, item[0].fraction, item[0].source))


def _row(
    label: str,
    preset: str,
    arm: Arm,
    experiment: Experiment,
    records: Sequence[Record],
    cost: Sequence[float | None],
    texts: Texts,
) -> list[Any]:
    cell = Cell.of(records, experiment, METRICS[0])
    others = [replace(cell, metric=metric) for metric in METRICS[1:]]  # of the same runs
    words = (
        label,
        method_title(stem_of(arm.method)),
        preset,
        arm.backbone,
        dataset_title(experiment.train),
        dataset_title(experiment.tested),
        _setting(experiment),
    )
    low, high = _interval(cell)
    look = look_of(arm.method)
    runs = [[cell.name_of(n), r.key, as_printed(r.value(experiment.target, "srcc"))] for n, r in cell.by_split.items()]
    medians = [as_printed(one.median) for one in (cell, *others)]
    ranked = bool(fact_of(arm.method, "ranked"))
    numbers = [len(cell.scores()), cell.failed, medians[0], low, high, *medians[1:], *cost]
    return [*map(texts.number, words), *numbers, [look.hue, texts.number(look.glyph)], ranked, runs]


def _setting(experiment: Experiment) -> str:
    """What is unusual about an experiment: the share or the whole of a source, another part of the target."""
    said = [f"{100 * experiment.fraction:g}% of it"] if experiment.fraction != 0.8 else []
    said += ["whole source"] if experiment.source == "all" else []
    said += ["validation part"] if experiment.part == "validation" else []
    return ", ".join(said)


def _interval(cell: Cell) -> tuple[float | None, float | None]:
    ends = interval_of_mean(list(cell.scores().values()), cell)
    return (as_printed(ends[0]), as_printed(ends[1])) if ends else (None, None)


def _costs(records: Sequence[Record]) -> list[float | None]:
    cost = cost_of(records)
    costs = (
        cost.trainable,
        cost.total,
        disk_bytes(cost.trainable),
        cost.train_seconds,
        cost.images_per_second,
        cost.gflops,
        cost.memory_bytes,
    )
    return [rounded(value, 10) for value in costs]


def as_printed(value: float | None) -> float | None:
    """A metric with the digits of a table: cut twice, as for the page and then for the eye, it would say another."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.{DIGITS}f}")


def rounded(value: float | None, digits: int = 4) -> float | None:
    """A number with as many significant digits as are shown, and whole where it can be: pages stay small."""
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short == int(short) else short
