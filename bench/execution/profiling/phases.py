"""Where the time of a training step goes, seen from outside of the trainer: its feed, its model, its optimiser."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from bench.data.feed import Batch, Feed
from bench.execution.profiling.ceilings import wait_for
from bench.training.loop import Job

PHASES = ("data", "forward", "backward", "optimiser", "overhead")


@dataclass
class TimedFeed(Feed):
    """A feed that remembers when each batch of pictures was ready, and how long the trainer waited for the rest."""

    ready: list[float] = field(default_factory=list)
    reading: float = 0.0
    watched: bool = False
    """Whether to wait for the device after each batch, so that the time it took is known: not at full speed."""

    def load_pictures(self, batch: Batch) -> dict[str, Tensor]:
        """As the feed does; called from the prefetching thread."""
        pictures = super().load_pictures(batch)
        self.ready.append(time.perf_counter())
        return pictures

    def inputs(self, batch: Batch, pictures: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """As the feed does; called by the trainer, which waits."""
        begin = time.perf_counter()
        tensors = super().inputs(batch, pictures)
        if self.watched:
            wait_for(self.maker.device)
        self.reading += time.perf_counter() - begin
        return tensors


class _Marks:
    """Seconds by phase, from marks that hooks set."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.restart()

    def restart(self) -> None:
        """Forget what was marked so far."""
        self.seconds = dict.fromkeys(PHASES, 0.0)
        self.at = time.perf_counter()
        self.asked = [self.at]

    def mark(self, phase: str) -> None:
        """Everything since the last mark belongs to this phase."""
        wait_for(self.device)
        now = time.perf_counter()
        self.seconds[phase] += now - self.at
        self.at = now
        if phase == "optimiser":
            self.asked.append(now)


def watch(job: Job, train: Callable[[Job], object], warm: Job | None = None) -> tuple[float, dict[str, float]]:
    """Train, and say how long it took and how many seconds went where.

    data: waiting for pictures and frozen inputs. backward: from the score to the optimiser, the loss included.
    overhead: everything else that the trainer does, from its start to its end. `warm` is trained first and not
    counted.
    """
    feed = job.feed
    assert isinstance(feed, TimedFeed)
    marks = _Marks(job.device)
    handles = [
        job.model.register_forward_pre_hook(lambda *_: marks.mark("overhead")),
        job.model.register_forward_hook(lambda *_: marks.mark("forward")),
        register_optimizer_step_pre_hook(lambda *_: marks.mark("backward")),
        register_optimizer_step_post_hook(lambda *_: marks.mark("optimiser")),
    ]
    feed.watched = True
    try:
        if warm is not None:
            train(warm)
        feed.ready.clear()
        feed.reading = 0.0
        marks.restart()
        train(job)
    finally:
        feed.watched = False
        for handle in handles:
            handle.remove()
    marks.mark("overhead")
    waited = sum(max(0.0, ready - asked) for ready, asked in zip(feed.ready, marks.asked, strict=False))
    data = min(waited + feed.reading, marks.seconds["overhead"])
    shares = marks.seconds | {"data": data, "overhead": marks.seconds["overhead"] - data}  # in the order of PHASES
    return sum(shares.values()), shares
