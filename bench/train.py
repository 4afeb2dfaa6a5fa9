"""Training one prepared model: AdamW, cosine per step, batch loss in fp32; interruptible and resumable to the bit."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.checkpoint import Position, load_checkpoint, save_checkpoint
from bench.data.batches import prefetched
from bench.errors import ClaimLost, Interrupted, RunError
from bench.evaluate import score
from bench.feed import Batch, Feed
from bench.losses import LOSSES
from bench.method import Method, QualityModel
from bench.metrics import srcc
from bench.progress import Report, silent
from bench.spec import Recipe
from bench.step import Autocast, gradients, gradients_in_parts, learning_rate


@dataclass(frozen=True)
class Job:
    """What is trained on what: a model, its data and its recipe, and where an unfinished state is kept."""

    method: Method
    model: QualityModel
    feed: Feed
    train: np.ndarray
    validation: np.ndarray
    recipe: Recipe
    split: int
    device: torch.device
    autocast: Autocast
    checkpoint: Path
    checkpoint_seconds: float = 300.0
    parts: int = 1
    stop: threading.Event = field(default_factory=threading.Event)
    lost: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Trained:
    """What training leaves behind besides the model's own tensors."""

    losses: tuple[float, ...]
    curve: tuple[float, ...]
    best_epoch: int
    seconds: float
    images: int


def train(job: Job, report: Report = silent) -> Trained:
    """Run the recipe to its end, from the last checkpoint where there is one; leaves the selected epoch's tensors."""
    optimiser = _optimiser(job)
    best: dict[str, Tensor] = {}
    position, running = Position(), torch.zeros((), device=job.device)
    found = load_checkpoint(job.checkpoint, job.model, optimiser, job.device)
    if found is not None:
        position, running, best = found
    per_epoch = batches_per_epoch(len(job.train), job.recipe)
    began, saved = time.perf_counter() - position.seconds, time.monotonic()
    human = _targets(job)
    for epoch in range(position.epoch, job.recipe.epochs):
        job.model.train()
        for batch, pictures in _stream(job, epoch, position.step % per_epoch if epoch == position.epoch else 0):
            running += _step(job, optimiser, batch, pictures, human, position.step, per_epoch * job.recipe.epochs)
            position.step += 1
            position.epoch = epoch
            report(position.step, per_epoch * job.recipe.epochs, "training")
            due = time.monotonic() - saved > job.checkpoint_seconds
            if job.lost.is_set():
                raise ClaimLost
            if (due or job.stop.is_set()) and position.step % per_epoch:
                position.seconds = time.perf_counter() - began
                save_checkpoint(job.checkpoint, job.model, optimiser, position, running, best, job.device)
                saved = time.monotonic()
                if job.stop.is_set():
                    raise Interrupted
        _end_epoch(job, position, running, per_epoch, best, epoch)
        running = torch.zeros((), device=job.device)
        position.epoch = epoch + 1
        if job.stop.is_set() and epoch + 1 < job.recipe.epochs:
            position.seconds = time.perf_counter() - began
            save_checkpoint(job.checkpoint, job.model, optimiser, position, running, best, job.device)
            raise Interrupted
    if best:
        job.model.load_trainable_state(best)
    images = len(job.train) * job.recipe.train_views * job.recipe.epochs
    last = position.best_epoch if best else job.recipe.epochs - 1
    return Trained(tuple(position.losses), tuple(position.curve), last, time.perf_counter() - began, images)


def batches_per_epoch(images: int, recipe: Recipe) -> int:
    """An epoch is cut into equal batches of at most `batch`, so that no PLCC is taken over a tiny remainder."""
    return -(-images * recipe.train_views // recipe.batch)


def epoch_order(rows: np.ndarray, recipe: Recipe, split: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, view numbers) of an epoch, each image `train_views` times, shuffled by (seed, split, epoch)."""
    generator = np.random.RandomState(np.array([recipe.seed, split, epoch, 0x611A], dtype=np.uint32))
    repeated = np.repeat(rows, recipe.train_views)
    numbers = np.tile(np.arange(recipe.train_views), len(rows))
    order = generator.permutation(len(repeated))
    return repeated[order], numbers[order]


def _stream(job: Job, epoch: int, skip: int) -> Iterator[tuple[Batch, dict[str, Tensor]]]:
    """An epoch's batches with their pictures, prepared one ahead; `skip` of them were made before a stop."""
    rows, numbers = epoch_order(job.train, job.recipe, job.split, epoch)
    count = batches_per_epoch(len(job.train), job.recipe)
    parts = list(zip(np.array_split(rows, count), np.array_split(numbers, count), strict=True))[skip:]
    batches = (Batch(r, n, epoch, training=True) for r, n in parts)
    return prefetched((batch, job.feed.load_pictures(batch)) for batch in batches)


def _optimiser(job: Job) -> torch.optim.Optimizer:
    groups = job.method.parameter_groups(job.model, job.recipe.lr)
    for group in groups:
        group["base"] = group["lr"]
    fused = job.device.type == "cuda"
    return torch.optim.AdamW(groups, lr=job.recipe.lr, weight_decay=job.recipe.weight_decay, fused=fused)


def _targets(job: Job) -> Tensor:
    """Scores by row, standardised over the training part (the PLCC loss does not notice, the others need it)."""
    scores = job.feed.scores()
    part = scores[job.train]
    spread = float(part.std())
    if not spread > 0:
        raise RunError("All training scores are equal: there is nothing to learn a correlation from.")
    return torch.from_numpy((scores - part.mean()) / spread).float().to(job.device)


def _step(
    job: Job,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    pictures: dict[str, Tensor],
    human: Tensor,
    step: int,
    steps: int,
) -> Tensor:
    inputs = job.feed.inputs(batch, pictures)
    target = human[torch.from_numpy(batch.rows).to(human.device)]
    loss = LOSSES[job.recipe.loss]
    optimiser.zero_grad(set_to_none=True)
    if job.parts > 1:
        value = gradients_in_parts(job.model, inputs, target, loss, job.autocast, job.parts)
    else:
        value = gradients(job.model, inputs, target, loss, job.autocast)
    penalty = job.model.features.penalty()
    if penalty is not None:
        penalty.backward()
    rate = learning_rate(step, steps, schedule=job.recipe.schedule, warmup=job.recipe.warmup)
    for group in optimiser.param_groups:
        group["lr"] = group["base"] * rate
    if job.recipe.clip:
        torch.nn.utils.clip_grad_norm_([p for p in job.model.parameters() if p.requires_grad], job.recipe.clip)
    optimiser.step()
    job.model.features.after_step(step + 1, steps)
    return value


def _end_epoch(
    job: Job, position: Position, running: Tensor, per_epoch: int, best: dict[str, Tensor], epoch: int
) -> None:
    """The one moment an epoch waits for the device: its mean loss, and model selection where it is asked for."""
    mean = float(running) / per_epoch
    if not np.isfinite(mean):
        raise RunError(f"The loss is {mean} in epoch {epoch + 1}: training diverged. Try a lower lr or clip=1.")
    position.losses.append(mean)
    if job.recipe.selection == "last":
        return
    predicted = score(job.model, job.feed, job.validation, views=job.recipe.test_views, autocast=job.autocast)
    quality = srcc(predicted, job.feed.scores()[job.validation])
    if not position.curve or quality > max(position.curve):
        position.best_epoch = epoch
        best.clear()
        best.update({name: value.clone() for name, value in job.model.trainable_state().items()})
    position.curve.append(quality)
