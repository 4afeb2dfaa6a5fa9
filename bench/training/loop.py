"""Training one prepared model: AdamW, cosine per step, batch loss in fp32; interruptible and resumable to the bit."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import ClaimLost, Diverged, Interrupted, RunError
from bench.core.machine import peak_memory
from bench.core.progress import Facts, Report, silent
from bench.core.spec import Recipe
from bench.core.threads import one_thread, trains_little
from bench.data.feed import Batch, Feed
from bench.data.joint import JointFeed, sets_in
from bench.data.views.batches import prefetched, send
from bench.metrics.agreement import srcc
from bench.models.losses import LOSSES, Loss
from bench.models.method import Method, QualityModel
from bench.training.checkpoints import Identity, Position, load_checkpoint, save_checkpoint
from bench.training.faster import CompiledParts, RecordedSteps, as_cuda_graph
from bench.training.joint import Shares, within_shares
from bench.training.optimiser import Optimiser
from bench.training.orders import batches_per_epoch, epoch_order
from bench.training.scoring import BatchSizes, score
from bench.training.signals import Signals
from bench.training.step import Autocast, Forward, gradients, gradients_in_parts
from bench.training.steplog import StepLog, Tell

LOOK_SECONDS = 2.0
"""How long a loss that is shown may be out of date."""


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
    identity: Identity
    checkpoint_seconds: float = 300.0
    parts: int = 1
    compiled: bool = False
    graphs: bool = False
    numerics: Mapping[str, Any] = field(default_factory=dict)
    signals: Signals = field(default_factory=Signals)
    batch_sizes: BatchSizes = field(default_factory=dict)
    originals: Feed | None = None
    """The undistorted pictures of the set, where the method needs them."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """The user's files by their hashes, of which an option of the method may name one."""
    log: Path | None = None
    """Where the log of its steps is written."""
    tell: Tell | None = None
    """Who else is told of the lines of that log."""


@dataclass(frozen=True)
class Trained:
    """What training leaves behind besides the model's own tensors."""

    losses: tuple[float, ...]
    curve: tuple[float, ...]
    best_epoch: int
    seconds: float
    images: int
    places: tuple[Mapping[str, Any], ...] = ()
    """On what it was trained: one entry where it was never taken up elsewhere, or in another way."""


@dataclass(frozen=True)
class Look:
    """What was seen of a training when somebody last looked: when, at which step, and what."""

    at: float = -LOOK_SECONDS
    step: int = 0
    facts: Facts = field(default_factory=dict)


class TrainingState:
    """A training under way: its optimiser, where it stands, and what it has seen."""

    def __init__(self, job: Job, before: float = 0.0) -> None:
        """`before`: the seconds of a fit that descent begins from."""
        self.job = job
        self.shares = shares_of(job)
        self.images = len(job.train) * job.recipe.train_views if self.shares is None else self.shares.images
        """How many views an epoch has."""
        self.per_epoch = batches_per_epoch(len(job.train), job.recipe) if self.shares is None else self.shares.steps
        self.steps = self.per_epoch * job.recipe.epochs
        self.human = _targets(job)
        self.position, self.running = Position(seconds=before), torch.zeros((), device=job.device)
        self.best: dict[str, Tensor] = {}
        self.optimiser = Optimiser(job.method, job.model, job.recipe, job.device, self.steps)
        self.forward: Forward = CompiledParts(job.model) if job.compiled else job.model
        self.recorded = RecordedSteps(self.gradients, self.optimiser.trained, as_cuda_graph) if job.graphs else None
        self.little = trains_little(job.model)
        self._look, self.log = Look(), StepLog(job.log, self.steps, job.tell)
        self.begin()

    def begin(self, together: int = 1) -> None:
        """Start the clocks anew. Of `together` runs that are trained at once, each is charged its share of the time."""
        self.together, self.before = together, self.position.seconds
        self.began, self.saved = time.perf_counter(), time.monotonic()

    def seconds(self) -> float:
        """What the training has taken so far, in this process and before it."""
        return self.before + (time.perf_counter() - self.began) / self.together

    def places(self) -> list[dict[str, Any]]:
        """On what the steps were made, here and before a stop."""
        here = {**self.job.numerics, "packed": self.together}
        before = self.position.places
        return before if before and before[-1] == here else [*before, here]

    def resume(self) -> bool:
        """Go back to where an unfinished training was left, if it was; the random generators with it."""
        job = self.job
        checkpoint = load_checkpoint(job.checkpoint, job.model, self.optimiser.adamw, job.device, job.identity)
        if checkpoint is not None:
            self.position, self.running, self.best = checkpoint
            self.begin()
        self.log.keep_until(self.position.step)
        return checkpoint is not None

    def made(self, epoch: int) -> int:
        """How many steps of an epoch were made before a stop."""
        return self.position.step % self.per_epoch if epoch == self.position.epoch else 0

    def gradients(self, inputs: Mapping[str, Tensor], target: Tensor, within: Sequence[int] = ()) -> Tensor:
        """The loss of a batch, its gradients in the parameters; `within`: how many of it are of each set."""
        job, loss = self.job, loss_of(self.job)
        if within:
            loss = within_shares(loss, within)
        if job.parts > 1:
            return gradients_in_parts(self.forward, inputs, target, loss, job.autocast, job.parts)
        return gradients(self.forward, inputs, target, loss, job.autocast)

    def advance(self, epoch: int, value: Tensor) -> None:
        """The optimiser's step from the gradients that stand, at its rate; the device is waited for only to log."""
        self.optimiser.make_ready(self.position.step)
        self.optimiser.adamw.step()
        self.running += value
        self.position.step, self.position.epoch = self.position.step + 1, epoch
        if self.log.add(self.position.step, epoch + 1, self.optimiser.adamw.param_groups[0]["lr"], value):
            self.write_log()

    def write_log(self, *, end: bool = False) -> None:
        """Write the steps that are not written yet."""
        self.log.write(self.together * self.images / self.per_epoch, end=end)

    def facts(self) -> Facts:
        """The epoch, its mean loss so far, speed and memory, for whoever watches.

        A look waits for the device, so it is rare; the epoch may be news in between.
        """
        look, step, now = self._look, self.position.step, time.monotonic()
        if now - look.at > LOOK_SECONDS:
            step_in_epoch = (step - 1) % self.per_epoch + 1
            known = {"loss": float(self.running) / step_in_epoch, "memory_bytes": peak_memory(self.job.device)}
            seconds, steps = time.monotonic() - look.at, self.together * (step - look.step)
            if look.facts and seconds > 0:
                known["images_s"] = steps * self.images / self.per_epoch / seconds
            self._look = look = Look(time.monotonic(), step, known)
        return {"epoch": self.position.epoch + 1, "epochs": self.job.recipe.epochs, **look.facts}

    def due(self) -> bool:
        """Whether a checkpoint is due."""
        return time.monotonic() - self.saved > self.job.checkpoint_seconds

    def keep(self, stopping: bool) -> None:
        """Keep the state from time to time, and before a stop."""
        if stopping or self.due():
            self.save()
        if stopping:
            raise Interrupted

    def save(self) -> None:
        """Write everything the next step depends on, and the log up to here."""
        self.write_log()
        job = self.job
        self.position.seconds, self.position.places = self.seconds(), self.places()
        adamw = self.optimiser.adamw
        standing = (job.model, adamw, self.position, self.running, self.best)
        save_checkpoint(job.checkpoint, *standing, job.device, job.identity)
        self.saved = time.monotonic()

    def end_epoch(self, epoch: int) -> None:
        """The one moment an epoch waits for the device: its mean loss, and model selection where it is asked for."""
        mean = float(self.running) / self.per_epoch
        if not np.isfinite(mean):
            self.write_log(end=True)
            clipped = "" if self.job.recipe.clip else " or clip=1"
            raise Diverged(f"The loss is {mean} in epoch {epoch + 1}: training diverged. Try a lower lr{clipped}.")
        self.position.losses.append(mean)
        if self.job.recipe.selection != "last":
            self._select(epoch)
        self.running = torch.zeros((), device=self.job.device)
        self.position.epoch = epoch + 1

    def _select(self, epoch: int) -> None:
        job, curve = self.job, self.position.curve
        predicted = score(
            job.model,
            job.feed,
            job.validation,
            views=job.recipe.test_views,
            autocast=job.autocast,
            batch_sizes=job.batch_sizes,
        )
        human = job.feed.scores()[job.validation]
        quality = fmean(srcc(predicted[own], human[own]) for own in sets_in(job.feed, job.validation))
        if not curve or quality > max(curve):
            self.position.best_epoch = epoch
            self.best = {name: value.clone() for name, value in job.model.trainable_state().items()}
        curve.append(quality)

    def finish(self) -> Trained:
        """The selected epoch's tensors into the model, and what is to be said of the training."""
        job, position = self.job, self.position
        self.write_log(end=True)
        if self.best:
            job.model.load_trainable_state(self.best)
        images = self.images * job.recipe.epochs
        last = position.best_epoch if self.best else job.recipe.epochs - 1
        places = tuple(self.places())
        return Trained(tuple(position.losses), tuple(position.curve), last, self.seconds(), images, places)


def train(job: Job, report: Report = silent, before: float = 0.0) -> Trained:
    """Run the recipe to its end, from the last checkpoint where there is one; leaves the selected epoch's tensors.

    `before`: the seconds of a fit that it begins from.
    """
    if job.parts > 1 and job.model.features.drifting:
        raise RunError(
            "Memory ran out, and its batches cannot be computed in parts: statistics of whole batches belong to its "
            "model (bn=train). Use a smaller batch or a device with more memory."
        )
    state = TrainingState(job, before)
    state.resume()
    for epoch in range(state.position.epoch, job.recipe.epochs):
        job.model.train()
        for batch, loaded in _stream(job, epoch, state.made(epoch)):
            with one_thread(state.little and job.feed.only_vectors(loaded)):
                state.advance(epoch, _step(state, batch, loaded))
            report(state.position.step, state.steps, "training", state.facts())
            if job.signals.lost.is_set():
                raise ClaimLost
            if state.position.step % state.per_epoch:
                state.keep(job.signals.stop.is_set())
        state.end_epoch(epoch)
        if epoch + 1 < job.recipe.epochs:
            state.keep(job.signals.stop.is_set())
    return state.finish()


def shares_of(job: Job) -> Shares | None:
    """How several sets share the batches of a job; None of one set."""
    return Shares(job.feed, job.train, job.recipe, job.split) if isinstance(job.feed, JointFeed) else None


def epoch_batches(job: Job, epoch: int) -> list[Batch]:
    """An epoch cut into its batches."""
    if (shares := shares_of(job)) is not None:
        return list(shares.batches(epoch))
    rows, numbers = epoch_order(job.train, job.recipe, job.split, epoch)
    count = batches_per_epoch(len(job.train), job.recipe)
    parts = zip(np.array_split(rows, count), np.array_split(numbers, count), strict=True)
    return [Batch(r, n, epoch, training=True) for r, n in parts]


def _stream(job: Job, epoch: int, skip: int) -> Iterator[tuple[Batch, dict[str, Tensor]]]:
    """An epoch's batches, loaded ahead; the first `skip` were trained before a stop."""
    return prefetched((batch, job.feed.load(batch)) for batch in epoch_batches(job, epoch)[skip:])


def standardised(job: Job) -> np.ndarray:
    """The scores of the training part, standardised over it; of several sets each over its own."""
    return _standardised(job)[job.train]


def _standardised(job: Job) -> np.ndarray:
    scores = job.feed.scores()
    if not isinstance(job.feed, JointFeed):
        return _standard(scores, scores[job.train])
    trained = sets_in(job.feed, job.train)
    every = sets_in(job.feed, np.arange(len(scores)))
    return np.concatenate([_standard(scores[a], scores[job.train[b]]) for a, b in zip(every, trained, strict=True)])


def _standard(scores: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Scores in the standard deviations of a part of them, from its mean."""
    if len(part) < 2:
        raise RunError("There is one training picture, and no correlation can be learned from one.")
    spread = float(part.std())
    if not spread > 0:
        raise RunError("All training scores are equal: there is nothing to learn a correlation from.")
    standard: np.ndarray = (scores - part.mean()) / spread
    return standard


def _targets(job: Job) -> Tensor:
    """Scores by row, standardised over the training part (the PLCC loss does not notice, the others need it)."""
    return torch.from_numpy(_standardised(job)).float().to(job.device)


def can_be_recorded(feed: Feed, parts: int) -> bool:
    """Whether every step of a training does the same to the device.

    How sets share a batch differs from one to the next; parts of a batch put the random generators back.
    """
    return parts == 1 and not isinstance(feed, JointFeed)


def loss_of(job: Job) -> Loss:
    """What a job makes small: a loss that all may use, or the method's own."""
    return job.method.loss if job.recipe.loss == "own" else LOSSES[job.recipe.loss]


def _step(state: TrainingState, batch: Batch, loaded: dict[str, Tensor]) -> Tensor:
    """The gradients of one batch, and its loss."""
    inputs = state.job.feed.inputs(batch, loaded)
    target = state.human[send(batch.rows, state.job.device)]
    state.optimiser.adamw.zero_grad(set_to_none=True)
    if state.shares is not None:
        return state.gradients(inputs, target, state.shares.sizes(batch.rows))
    return (state.recorded or state.gradients)(inputs, target)
