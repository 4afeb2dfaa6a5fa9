"""A pack: runs that differ only in split, seed or a number of the optimiser, trained together on one device.

Every run keeps its own data order, loss, optimiser, clipping, checkpoint, tests and record; the network's passes are
made together (bench/stacked.py). A pack ends in the numbers of its runs made one by one, up to rounding: within 2e-4
in fp32 and 0.04 in bf16 on the tiny networks of tests/test_packed.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Event

import numpy as np
import torch
from torch import Tensor

from bench.data.batches import prefetched, send
from bench.errors import ClaimLost, Interrupted, UsageError
from bench.feed import Batch
from bench.losses import LOSSES
from bench.machine import forget_peak_memory
from bench.optimiser import Joint
from bench.progress import Report, silent
from bench.run import Outcome, job_of, now, tested_run, training_facts
from bench.runtime import Runtime
from bench.session import Session, prepare
from bench.spec import RunSpec
from bench.stacked import Stack
from bench.states import keep_state, take_up_state
from bench.step import random_states, restore_random_states
from bench.store import Store
from bench.threads import one_thread
from bench.train import Job, Lane, Trained, epoch_batches

Made = tuple[int, Outcome | Exception]
"""Which run of a pack, and what came of it."""


def make_pack(
    specs: Sequence[RunSpec], runtime: Runtime, report: Report = silent, *, stop: Event, lost: Sequence[Event]
) -> Iterator[Made]:
    """Make the runs together and give each as it is done.

    Raises a UsageError before anything is trained where they cannot be made together, with the reason.
    """
    started, store = now(), Store(runtime.results)
    forget_peak_memory(runtime.device)
    sessions: list[Session] = []
    states: list[list[Tensor]] = []
    for spec in specs:
        sessions.append(prepare(spec, runtime, report, beside=sessions[0] if sessions else None))
        states.append(random_states(sessions[-1].device))
    facts = {run: kept for run, s in enumerate(sessions) if (kept := take_up_state(s, store)) is not None}
    runs = [run for run in range(len(specs)) if run not in facts]
    jobs = [job_of(sessions[run], store, stop=stop, lost=lost[run]) for run in runs]
    failed = {}
    for run, end in zip(runs, train_together(jobs, [states[run] for run in runs], report), strict=True):
        if isinstance(end, Exception):
            failed[run] = end
        else:
            facts[run] = training_facts(sessions[run], end)
            keep_state(sessions[run], store, facts[run])
    for run, session in enumerate(sessions):
        if run in failed:
            yield run, failed[run]
            continue
        if stop.is_set():  # what is trained is kept: the next call only tests
            raise Interrupted
        try:
            made = tested_run(session, facts[run], started, report)
        except Exception as error:
            yield run, error
            continue
        yield run, made


def train_together(
    jobs: Sequence[Job], states: Sequence[list[Tensor]], report: Report = silent
) -> list[Trained | Exception]:
    """Train the jobs side by side; `states` are the random generators with which each begins.

    A run whose training fails, or whose claim is lost, ends alone: its exception stands in its place. Runs that were
    stopped at another step, or have other numbers of batches, go on in packs of their own.
    """
    lanes, begun = [Lane(job) for job in jobs], list(states)
    for run, lane in enumerate(lanes):
        if lane.resume():
            begun[run] = random_states(lane.job.device)
    ends: dict[int, Trained | Exception] = {}
    for runs in _in_step(lanes):
        pack = _Pack([lanes[run] for run in runs], [begun[run] for run in runs])
        try:
            ends |= dict(zip(runs, pack.train(report), strict=True))
        finally:
            pack.stack.close()
    return [ends[run] for run in range(len(jobs))]


def _in_step(lanes: Sequence[Lane]) -> list[list[int]]:
    """The lanes' numbers, together where they stand at the same step and have as many steps an epoch."""
    found: dict[tuple[int, int], list[int]] = {}
    for run, lane in enumerate(lanes):
        found.setdefault((lane.per_epoch, lane.position.step), []).append(run)
    return list(found.values())


@dataclass(frozen=True)
class Piece:
    """Batches of equal size of several runs, or the one batch that all of them share, with what was loaded ahead."""

    runs: list[int]
    batches: list[Batch]
    loaded: dict[str, Tensor] | None


class _Pack:
    def __init__(self, lanes: Sequence[Lane], states: Sequence[list[Tensor]]) -> None:
        self.lanes, self.alive = list(lanes), list(range(len(lanes)))
        self.failed: dict[int, Exception] = {}
        self._joint: dict[tuple[int, ...], Joint] = {}
        job = lanes[0].job
        if job.parts > 1:
            raise UsageError("their batches are computed in parts to save memory")
        if job.compiled:
            raise UsageError("their steps are compiled")
        self.device, self.loss = job.device, LOSSES[job.recipe.loss]
        self.stack = Stack([lane.job.model for lane in lanes], states, job.device)
        self.human = torch.stack([lane.human for lane in lanes])
        self.same_batches = all(_same_batches(lane.job, job) for lane in lanes)
        for lane in lanes:
            lane.begin(together=len(lanes))

    def train(self, report: Report) -> list[Trained | Exception]:
        """All epochs that are left; what came of each run."""
        recipe = self.lanes[0].job.recipe
        for epoch in range(self.lanes[0].position.epoch, recipe.epochs):
            self.begin_epoch()
            for pieces in self.stream(epoch):
                for piece in pieces:
                    with one_thread(self.small(piece)):
                        self.step(epoch, piece)
                lane = self.lanes[self.alive[0]]
                report(lane.position.step, lane.steps, "training")
                if lane.position.step % lane.per_epoch:
                    self.keep()
            self.end_epoch(epoch)
            if not self.alive:
                break
            if epoch + 1 < recipe.epochs:
                self.keep()
        return [self.failed.get(run) or lane.finish() for run, lane in enumerate(self.lanes)]

    def begin_epoch(self) -> None:
        """The pass is the first model's own forward: the others are only scored."""
        self.lanes[0].job.model.train()

    def stream(self, epoch: int) -> Iterator[list[Piece]]:
        """The epoch's steps, each loaded ahead."""
        made = self.lanes[self.alive[0]].made(epoch)
        alive = self.alive[:1] if self.same_batches else self.alive
        batches = [epoch_batches(self.lanes[run].job, epoch)[made:] for run in alive]
        return prefetched(self._pieces(list(step)) for step in zip(*batches, strict=True))

    def _pieces(self, batches: list[Batch]) -> list[Piece]:
        """Runs whose batches have the same size go together; sizes differ by one where an epoch does not divide."""
        if self.same_batches:
            return [Piece(list(self.alive), batches, self._load(self.alive[:1], batches))]
        sizes = sorted({len(batch.rows) for batch in batches})
        pieces = []
        for size in sizes:
            chosen = [(run, b) for run, b in zip(self.alive, batches, strict=True) if len(b.rows) == size]
            runs, same = [run for run, _ in chosen], [b for _, b in chosen]
            pieces.append(Piece(runs, same, self._load(runs, same)))
        return pieces

    def _load(self, runs: list[int], batches: list[Batch]) -> dict[str, Tensor] | None:
        """Where all runs see the same views, one look fetches them all."""
        feed = self.lanes[runs[0]].job.feed
        if any(self.lanes[run].job.feed is not feed for run in runs):
            return None
        return feed.load(_joined(batches))

    def small(self, piece: Piece) -> bool:
        """Whether a step of these runs keeps one thread busy, and no more."""
        lane = self.lanes[piece.runs[0]]
        return lane.little and piece.loaded is not None and lane.job.feed.only_vectors(piece.loaded)

    def _inputs(self, piece: Piece) -> dict[str, Tensor]:
        runs = piece.runs[: len(piece.batches)]
        if piece.loaded is not None:
            return self.lanes[runs[0]].job.feed.inputs(_joined(piece.batches), piece.loaded)
        each = [self.lanes[run].job.feed.inputs(batch) for run, batch in zip(runs, piece.batches, strict=True)]
        return {name: torch.cat([inputs[name] for inputs in each]) for name in each[0]}

    def step(self, epoch: int, piece: Piece) -> None:
        """One step of these runs."""
        job, inputs = self.lanes[piece.runs[0]].job, self._inputs(piece)
        rows = send(np.stack([batch.rows for batch in piece.batches]), self.device)
        if self.same_batches:
            human = self.human[piece.runs[0]][rows[0]]
        else:
            human = self.human[send(np.array(piece.runs), self.device)].gather(1, rows)
            inputs = {name: value.unflatten(0, rows.shape) for name, value in inputs.items()}
        values = self.stack.gradients(piece.runs, inputs, human, self.loss, job.autocast)
        for run in piece.runs:
            self.lanes[run].optimiser.make_ready(self.lanes[run].position.step)
        self.joint(piece.runs).step()
        for run, value in zip(piece.runs, values, strict=True):
            self.lanes[run].stepped(epoch, value)

    def joint(self, runs: Sequence[int]) -> Joint:
        """The optimisers of these runs."""
        if tuple(runs) not in self._joint:
            self._joint[tuple(runs)] = Joint([self.lanes[run].optimiser for run in runs], self.device)
        return self._joint[tuple(runs)]

    def end_epoch(self, epoch: int) -> None:
        """Every run's own end of the epoch; those that failed, or are another's by now, leave."""
        for run in list(self.alive):
            lane = self.lanes[run]
            try:
                if lane.job.lost.is_set():
                    raise ClaimLost
                lane.end_epoch(epoch)
            except Exception as error:
                self.failed[run] = error
                self.alive.remove(run)

    def keep(self) -> None:
        """Keep every run's state, at the same step, from time to time and before a stop."""
        stopping = self.lanes[self.alive[0]].job.stop.is_set()
        if not (stopping or self.lanes[self.alive[0]].due()):
            return
        before = random_states(self.device)
        for run in self.alive:
            if not self.lanes[run].job.lost.is_set():
                restore_random_states(self.stack.dice.states(run), self.device)
                self.lanes[run].save()
        restore_random_states(before, self.device)
        if stopping:
            raise Interrupted


def _same_batches(job: Job, other: Job) -> bool:
    """Whether two runs see the same pictures in the same order (runs that try learning rates do)."""
    alike = job.split == other.split and job.recipe.seed == other.recipe.seed and job.feed is other.feed
    return alike and np.array_equal(job.train, other.train)


def _joined(batches: Sequence[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    rows, numbers = (np.concatenate([getattr(b, name) for b in batches]) for name in ("rows", "numbers"))
    return replace(batches[0], rows=rows, numbers=numbers)
