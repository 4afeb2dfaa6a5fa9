"""Scoring: every image's mean score over its test views, in eval mode, the same views for every method."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from bench.core.progress import Report, silent
from bench.core.threads import one_thread, trains_little
from bench.data.feed import Batch, Feed
from bench.data.views.batches import prefetched
from bench.models.method import QualityModel
from bench.training.step import Autocast

CPU_BATCH = 64
"""Rows scored at once on a CPU: larger batches leave its caches and are slower."""
VECTOR_BATCH = 1024
"""… by a model that reads no pictures, only vectors computed before."""
GPU_BATCH = 512
"""Rows that are tried first on a GPU; half as many as often as memory does not suffice."""

BatchSizes = dict[tuple[object, ...], int]
"""How many rows were found to fit, by kind of model."""


def score(
    model: QualityModel,
    feed: Feed,
    rows: np.ndarray,
    *,
    views: int,
    autocast: Autocast,
    batch_sizes: BatchSizes | None = None,
    report: Report = silent,
    what: str = "scoring",
) -> np.ndarray:
    """Mean predicted score of each row, float64, in the largest batches that fit; `batch_sizes` remembers which do."""
    model.eval()
    fitting = {} if batch_sizes is None else batch_sizes
    device = model.device
    kind = (str(device), type(model.features), sum(p.numel() for p in model.parameters()))
    first = GPU_BATCH if device.type == "cuda" else CPU_BATCH if feed.pictures else VECTOR_BATCH
    size = 1 if feed.one_by_one else fitting.setdefault(kind, first)
    while True:
        try:
            return _score(model, feed, rows, feed.test_views(views), size, autocast, device, report, what)
        except torch.OutOfMemoryError:
            if size == 1:
                raise
        if device.type == "cuda":
            torch.cuda.empty_cache()
        size = fitting[kind] = size // 2


@torch.inference_mode()
def _score(
    model: QualityModel,
    feed: Feed,
    rows: np.ndarray,
    views: int,
    size: int,
    autocast: Autocast,
    device: torch.device,
    report: Report,
    what: str,
) -> np.ndarray:
    batches = list(_batches(rows, views, size))
    totals = torch.zeros(len(rows), dtype=torch.float64, device=device)
    loaded, little = ((at, batch, feed.load(batch)) for at, batch in batches), trains_little(model)
    for done, (at, batch, tensors) in enumerate(prefetched(loaded), start=1):
        with autocast(), one_thread(little and feed.only_vectors(tensors)):
            scores = model(feed.inputs(batch, tensors))
        totals[at : at + len(batch.rows)] += scores.double()
        report(done, len(batches), what)
    return (totals / views).cpu().numpy()


def _batches(rows: np.ndarray, views: int, size: int) -> Iterator[tuple[int, Batch]]:
    for at in range(0, len(rows), size):
        part = rows[at : at + size]
        for number in range(views):
            yield at, Batch(part, np.full(len(part), number), epoch=0, training=False)
