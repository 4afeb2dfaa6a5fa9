"""Scoring: every image's mean score over its test views, in eval mode, the same views for every method."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from bench.data.batches import prefetched
from bench.feed import Batch, Feed
from bench.progress import Report, silent
from bench.step import Autocast

SCORING_BATCH = 64


@torch.inference_mode()
def score(
    model: nn.Module,
    feed: Feed,
    rows: np.ndarray,
    *,
    views: int,
    autocast: Autocast,
    report: Report = silent,
    what: str = "scoring",
) -> np.ndarray:
    """Mean predicted score of each row, float64."""
    model.eval()
    count = feed.test_views(views)
    batches = list(_batches(rows, count))
    device = next(model.parameters()).device
    totals = torch.zeros(len(rows), dtype=torch.float64, device=device)
    loaded = ((at, batch, feed.load_pictures(batch)) for at, batch in batches)
    for done, (at, batch, pictures) in enumerate(prefetched(loaded), start=1):
        with autocast():
            scores = model(feed.inputs(batch, pictures))
        totals[at : at + len(batch.rows)] += scores.double()
        report(done, len(batches), what)
    return (totals / count).cpu().numpy()


def _batches(rows: np.ndarray, views: int) -> Iterator[tuple[int, Batch]]:
    for at in range(0, len(rows), SCORING_BATCH):
        part = rows[at : at + SCORING_BATCH]
        for number in range(views):
            yield at, Batch(part, np.full(len(part), number), epoch=0, training=False)
