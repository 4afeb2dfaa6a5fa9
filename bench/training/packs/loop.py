"""A pack: runs that train a head only, and differ in split or a number of the optimiser, trained together on a CPU.

Every run keeps its own data order, dropout, loss, optimiser, clipping, checkpoint, tests and record; the features are
looked up and the heads computed together (bench/training/packs/stack.py). A pack ends in the bits of its runs made one
by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import ClaimLost, Interrupted
from bench.core.progress import Report, silent
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec
from bench.core.threads import one_thread
from bench.data.feed import Batch
from bench.data.views.batches import prefetched
from bench.data.views.buffers import BufferPool
from bench.models.dropout import draw_mask
from bench.records.store import Store
from bench.training.loop import Job, Trained, TrainingState, epoch_batches, loss_of
from bench.training.packs.stack import HeadStack
from bench.training.record import Outcome, now
from bench.training.run import job_of, tested_run, training_facts
from bench.training.session import Session, prepare
from bench.training.shared import Shared
from bench.training.signals import Signals
from bench.training.states import keep_trained, restore_trained
from bench.training.tracking import tell_afterwards


def make_pack(
    specs: Sequence[RunSpec],
    runtime: Runtime,
    report: Report = silent,
    signals: Sequence[Signals] = (),
    shared: Shared | None = None,
) -> Iterator[tuple[int, Outcome | Exception]]:
    """Run the specs together; yields the number of each run and its outcome, as soon as it is there.

    Raises a UsageError before anything is trained where they cannot be trained together, with the reason. `signals`:
    those of each run, which share one `stop`.
    """
    started, store = now(), Store(runtime.results)
    signals = signals or [Signals() for _ in specs]
    sessions, states = _prepared(specs, runtime, report, Shared() if shared is None else shared)
    facts = {run: restored for run, s in enumerate(sessions) if (restored := restore_trained(s, store)) is not None}
    runs = [run for run in range(len(specs)) if run not in facts]
    jobs = [job_of(sessions[run], store, signals[run]) for run in runs]
    failed = {}
    for run, end in zip(runs, train_together(jobs, [states[run] for run in runs], report), strict=True):
        if isinstance(end, Exception):
            failed[run] = end
        else:
            facts[run] = training_facts(sessions[run], end)
            keep_trained(sessions[run], store, facts[run])
    for run, session in enumerate(sessions):
        if run in failed:
            yield run, failed[run]
            continue
        if signals[run].stop.is_set():  # what is trained is kept: the next call only tests
            raise Interrupted
        try:
            outcome = tested_run(session, facts[run], started, report)
        except Exception as error:
            yield run, error
            continue
        tell_afterwards(specs[run], runtime, outcome[0])
        yield run, outcome


def _prepared(
    specs: Sequence[RunSpec], runtime: Runtime, report: Report, shared: Shared
) -> tuple[list[Session], list[Tensor]]:
    """The sessions of a pack, and the random generator with which each run begins."""
    sessions: list[Session] = []
    states: list[Tensor] = []
    for spec in specs:
        sessions.append(prepare(spec, runtime, report, shared, beside=sessions[0] if sessions else None))
        states.append(torch.get_rng_state())
    return sessions, states


def train_together(jobs: Sequence[Job], states: Sequence[Tensor], report: Report = silent) -> list[Trained | Exception]:
    """Train the jobs side by side; `states` are the random generators with which each begins.

    A run whose training fails, or whose claim is lost, ends alone: its exception stands in its place. Runs that were
    stopped at another step, or have other numbers of batches, go on in packs of their own.
    """
    trainings, begun = [TrainingState(job) for job in jobs], list(states)
    for run, training in enumerate(trainings):
        if training.resume():
            begun[run] = torch.get_rng_state()
    ends: dict[int, Trained | Exception] = {}
    for runs in _in_step(trainings):
        pack = _Pack([trainings[run] for run in runs], [begun[run] for run in runs])
        ends |= dict(zip(runs, pack.train(report), strict=True))
    return [ends[run] for run in range(len(jobs))]


def _in_step(trainings: Sequence[TrainingState]) -> list[list[int]]:
    """The trainings' numbers, together where they stand at the same step and have as many steps per epoch."""
    groups: dict[tuple[int, int], list[int]] = {}
    for run, training in enumerate(trainings):
        groups.setdefault((training.per_epoch, training.position.step), []).append(run)
    return list(groups.values())


@dataclass(frozen=True)
class PackBatch:
    """Batches of equal size of several runs, with what was loaded and drawn ahead for them."""

    runs: list[int]
    rows: np.ndarray
    together: Batch
    loaded: dict[str, Tensor]
    masks: Tensor
    """What the heads' dropout multiplies by, [runs, B, width]: each run's as it would draw them alone."""
    states: list[Tensor]
    """The runs' random generators after that."""


class _Pack:
    """Trainings that stand at the same step, going on together."""

    def __init__(self, trainings: Sequence[TrainingState], states: Sequence[Tensor]) -> None:
        self.trainings, self.alive = list(trainings), list(range(len(trainings)))
        self.failed: dict[int, Exception] = {}
        self.job = trainings[0].job
        self.loss = loss_of(self.job)
        self.heads = HeadStack([training.job.model for training in trainings])
        self.human = torch.stack([training.human for training in trainings])
        self.states = list(states)
        self.generators = [torch.Generator().set_state(state) for state in states]
        self._pool = BufferPool()
        for training in trainings:
            training.begin(together=len(trainings))

    def train(self, report: Report) -> list[Trained | Exception]:
        """All epochs that are left; the outcome of each run."""
        recipe = self.job.recipe
        for epoch in range(self.trainings[0].position.epoch, recipe.epochs):
            self.job.model.train()
            for pieces in self.stream(epoch):
                for piece in pieces:
                    self.step(epoch, piece)
                training = self.trainings[self.alive[0]]
                report(training.position.step, training.steps, "training", training.facts())
                if training.position.step % training.per_epoch:
                    self.keep()
            self.end_epoch(epoch)
            if not self.alive:
                break
            if epoch + 1 < recipe.epochs:
                self.keep()
        return [self.failed.get(run) or training.finish() for run, training in enumerate(self.trainings)]

    def stream(self, epoch: int) -> Iterator[list[PackBatch]]:
        """The epoch's steps, each loaded and drawn ahead."""
        first = self.trainings[self.alive[0]].made(epoch)
        batches = [epoch_batches(self.trainings[run].job, epoch)[first:] for run in self.alive]
        return prefetched(self._pieces(list(step)) for step in zip(*batches, strict=True))

    def _pieces(self, batches: list[Batch]) -> list[PackBatch]:
        """Runs whose batches have the same size go together; sizes differ by one where an epoch does not divide."""
        sizes: dict[int, list[int]] = {}
        for place, batch in enumerate(batches):
            sizes.setdefault(len(batch.rows), []).append(place)
        return [
            self._piece([self.alive[place] for place in places], [batches[place] for place in places])
            for _, places in sorted(sizes.items())
        ]

    def _piece(self, runs: list[int], batches: list[Batch]) -> PackBatch:
        rows, numbers = (np.stack([getattr(batch, name) for batch in batches]) for name in ("rows", "numbers"))
        together = replace(batches[0], rows=rows.ravel(), numbers=numbers.ravel())
        masks = self._masks(runs, rows.shape[1])
        states = [self.generators[run].get_state() for run in runs]
        return PackBatch(runs, rows, together, self.job.feed.load(together), masks, states)

    def _masks(self, runs: Sequence[int], count: int) -> Tensor:
        model = self.job.model
        masks = self._pool.empty((len(runs), count, next(model.head.parameters()).shape[-1]))
        if not model.dropout.p:
            return masks.fill_(1)
        with one_thread():
            for run, mask in zip(runs, masks, strict=True):
                draw_mask(mask, model.dropout.p, self.generators[run])
        return masks

    def step(self, epoch: int, piece: PackBatch) -> None:
        """One step of these runs."""
        job, runs = self.job, piece.runs
        with one_thread(self.trainings[0].little and job.feed.only_vectors(piece.loaded)):
            with torch.no_grad(), job.autocast():
                features = job.model.features(job.feed.inputs(piece.together, piece.loaded)).float()
            dropped = torch.mul(features.view_as(piece.masks), piece.masks, out=piece.masks)
            human = self.human[runs].gather(1, torch.from_numpy(piece.rows))
            values = self.heads.gradients(runs, dropped, human, self.loss)
            for run, value, state in zip(runs, values, piece.states, strict=True):
                self.trainings[run].advance(epoch, value)
                self.states[run] = state

    def end_epoch(self, epoch: int) -> None:
        """Every run's own end of the epoch; those that failed, or are another's by now, leave."""
        for run in list(self.alive):
            training = self.trainings[run]
            try:
                if training.job.signals.lost.is_set():
                    raise ClaimLost
                training.end_epoch(epoch)
            except Exception as error:
                self.failed[run] = error
                self.alive.remove(run)

    def keep(self) -> None:
        """Keep every run's state, at the same step, from time to time and before a stop."""
        stopping = self.job.signals.stop.is_set()
        if not (stopping or self.trainings[self.alive[0]].due()):
            return
        for run in self.alive:
            if not self.trainings[run].job.signals.lost.is_set():
                torch.set_rng_state(self.states[run])  # a checkpoint holds the generator of its own run
                self.trainings[run].save()
        if stopping:
            raise Interrupted
