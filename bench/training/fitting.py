"""Learning one run by whatever its method learns by: gradient descent, a fit of its own, both, or nothing at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import ClaimLost, Interrupted, RunError
from bench.core.hashes import file_behind
from bench.core.progress import Report, silent
from bench.data.captions import texts_of
from bench.data.feed import Batch, Feed
from bench.models.part import BATCH, Load, TrainingPart
from bench.training.checkpoints import was_fitted
from bench.training.loop import Job, Trained, standardised, train


def learn(job: Job, report: Report = silent) -> Trained:
    """Run whatever the method learns by to its end; leaves what was learned in the model."""
    began = time.perf_counter()
    descends = job.method.learns in ("descent", "fit_then_descent")
    fits = job.method.learns in ("fit", "fit_then_descent")
    if fits and not (descends and was_fitted(job.checkpoint, job.model, job.identity)):
        job.model.eval()
        with torch.no_grad():
            job.method.fit(job.model, training_part(job, report))
        _refuse_nonsense(job)
    seconds = time.perf_counter() - began
    if descends:
        return train(job, report, before=seconds if fits else 0.0)
    if job.log is not None:
        job.log.unlink(missing_ok=True)  # of the time when this method descended: nothing here has steps
    images = len(job.train) * job.recipe.train_views if job.method.learns == "fit" else 0
    return Trained((), (), -1, seconds, images, ({**job.numerics, "packed": 1},))


def training_part(job: Job, report: Report = silent) -> TrainingPart:
    """The training part of a job as a fit sees it."""
    names = job.feed.dataset.table["group"].to_numpy(dtype=str)
    return TrainingPart(
        scores=standardised(job),
        contents=names[job.train],
        views=job.recipe.train_views,
        load=_loader(job),
        device=job.device,
        seed=job.recipe.seed,
        originals=None if job.originals is None else _originals(job, job.originals, set(names[job.train]), report),
        texts=partial(_texts, job),
        autocast=job.autocast,
        report=report,
    )


def _texts(job: Job, token: str) -> list[str]:
    """A text about each picture of the training part, of the file with this hash; other pictures' are not looked at."""
    path = file_behind(token, job.files, "--set METHOD.captions=FILE")
    dataset = job.feed.dataset
    sets = dataset.parts or (dataset,)
    pictures = [(one.part_of or one.name, image) for one in sets for image in one.table["image"]]
    return texts_of([pictures[row] for row in job.train], path)


def _originals(job: Job, feed: Feed, contents: set[str], report: Report) -> Callable[[str], Tensor]:
    """A look-up of the inputs of undistorted pictures, of the training part's contents alone."""
    rows = np.flatnonzero([group in contents for group in feed.dataset.table["group"]])

    def stacked(name: str) -> Tensor:
        parts = []
        for at in range(0, len(rows), BATCH):
            _heed(job)
            report(at, len(rows), "looking at undistorted pictures")
            part = rows[at : at + BATCH]
            batch = Batch(part, np.zeros(len(part), dtype=np.int64), epoch=0, training=False)
            with job.autocast():
                parts.append(feed.inputs(batch)[name].cpu())
        if not parts:
            raise RunError("None of the training part's contents has its undistorted picture.")
        return torch.cat(parts)

    return stacked


def _loader(job: Job) -> Load:
    """Views of the first epoch, as descent would see them; a wish to stop is heeded between two batches."""

    def load(pictures: np.ndarray, view: int) -> Mapping[str, Tensor]:
        _heed(job)
        batch = Batch(job.train[pictures], np.full(len(pictures), view), epoch=0, training=True)
        with job.autocast():
            return job.feed.inputs(batch)

    return load


def _heed(job: Job) -> None:
    """Stop where somebody wishes it."""
    if job.signals.lost.is_set():
        raise ClaimLost
    if job.signals.stop.is_set():
        raise Interrupted


def _refuse_nonsense(job: Job) -> None:
    """What a fit found must be there, and be numbers."""
    features = job.model.features
    for name in features.fitted:
        tensor: Tensor = getattr(features, name)
        if not tensor.numel():
            raise RunError(f"The fit left {name} empty.")
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise RunError(f"The fit put numbers into {name} that are not finite.")
