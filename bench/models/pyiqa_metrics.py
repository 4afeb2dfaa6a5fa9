"""A no-reference metric of pyiqa's, where the user has installed it: whole pictures in, one number each out.

pyiqa's licence is non-commercial, so it is never a dependency and nothing of it is here: it is imported when it is
asked for by name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

from bench.core.errors import DataError, RunError, UsageError, suggest
from bench.core.machine import pick_device
from bench.core.progress import Report, silent

if TYPE_CHECKING:
    from bench.data.dataset import Dataset

SHOWN = 5
"""How many names a message lists."""


@dataclass(frozen=True)
class Metric:
    """A metric that is ready to score."""

    name: str
    score: Any
    lower_is_better: bool
    version: str
    device: str


def load_metric(name: str, device: str = "auto") -> Metric:
    """A metric by pyiqa's name; without pyiqa, or under no name of a no-reference metric, a sentence."""
    pyiqa: Any
    try:
        pyiqa = import_module("pyiqa")
    except ImportError as error:
        raise UsageError(
            f"pyiqa:{name} needs pyiqa, which cannot be imported here ({error}). Install it into this environment if "
            "its licence (PolyForm Noncommercial) suits you."
        ) from None
    known: Sequence[str] = pyiqa.list_models(metric_mode="NR")
    if name not in known:
        raise UsageError(f"pyiqa has no no-reference metric {name!r}. {suggest(name, known)}")
    chosen = str(pick_device(device))
    try:
        made = pyiqa.create_metric(name, device=chosen)
    except Exception as error:  # it loads weights and may fail in any way
        raise RunError(f"pyiqa cannot make {name}: {type(error).__name__}: {error}") from error
    return Metric(name, made, bool(made.lower_better), _version(), chosen)


def score_pictures(metric: Metric, dataset: Dataset, report: Report = silent) -> list[float]:
    """What the metric says of every whole picture of a set, in the table's order, as the metric has it."""
    names = dataset.table["image"].tolist()
    scores, odd = [], []
    for done, (name, path) in enumerate(zip(names, dataset.paths(), strict=True), start=1):
        scores.append(_score(metric, path, dataset.name))
        if not math.isfinite(scores[-1]):
            odd.append(name)
        report(done, len(names), f"{dataset.name}: pyiqa:{metric.name}")
    if odd:
        listed = ", ".join(odd[:SHOWN]) + (", …" if len(odd) > SHOWN else "")
        raise DataError(f"pyiqa:{metric.name} gives no finite number for {len(odd)} of {len(names)}: {listed}.")
    return scores


def _score(metric: Metric, path: Any, dataset: str) -> float:
    """One picture's score: RGB between 0 and 1, at its own size."""
    import torch

    from bench.data.pixels.decode import decode

    picture = torch.from_numpy(decode(path, dataset)).permute(2, 0, 1)[None].to(metric.device) / 255
    try:
        with torch.inference_mode():
            return float(metric.score(picture))
    except Exception as error:  # a picture may be too small for a network
        raise DataError(f"pyiqa:{metric.name} fails on {path}: {type(error).__name__}: {error}") from error


def _version() -> str:
    try:
        return metadata.version("pyiqa")
    except metadata.PackageNotFoundError:
        return "of an unknown version"
