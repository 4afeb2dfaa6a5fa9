"""The log of a training's steps, line by line in a file that is written every few seconds (docs/records.md)."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby
from math import isfinite
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor

from bench.core.errors import StoreError
from bench.core.files import write_text
from bench.records.steps import Line, read_steps

WRITE_SECONDS = 10.0
"""So far apart are writes: a step itself only takes note of its loss, without waiting for the device."""
MOST_LINES = 2000
"""A longer training has lines that each stand for several steps."""

Tell = Callable[[Sequence[Line]], None]


class Step(NamedTuple):
    """One step: its number and its epoch, both from 1, the rate at which it was made, and its loss."""

    step: int
    epoch: int
    lr: float
    loss: float


class StepLog:
    """The steps of one training. What cannot be written ends no run: its log then lacks some lines."""

    def __init__(self, path: Path | None, steps: int, tell: Tell | None = None) -> None:
        self.path, self.steps, self.tell = path, steps, tell
        self.every = -(-steps // MOST_LINES)
        self.begin(0)

    def begin(self, step: int) -> None:
        """Go on from a step: the lines up to it stay, later ones are of steps that were lost."""
        self._fresh: list[tuple[int, int, float]] = []
        self._losses: list[Tensor] = []
        self._unwritten: list[Step] = []
        self._until, self._since = step, time.monotonic()
        self._file = (0, 0)
        self._due = self._since + WRITE_SECONDS

    def keep_until(self, step: int) -> None:
        """Make the file end with a step. A new file, for a record may hold the old one under another name."""
        self.begin(step)
        if self.path is None:
            return
        lines = [line for line in read_steps(self.path) if line["step"] <= step] if step else []
        with suppress(OSError, StoreError):
            if not lines:
                self.path.unlink(missing_ok=True)
                return
            write_text(self.path, "".join(json.dumps(line) + "\n" for line in lines))
            self._file = _known_by(self.path)

    def add(self, number: int, epoch: int, lr: float, loss: Tensor) -> bool:
        """Take note of a step; whether it is time to write. The loss must be a tensor that nobody changes any more."""
        self._fresh.append((number, epoch, lr))
        self._losses.append(loss)
        return time.monotonic() > self._due

    def write(self, images_per_step: float, *, end: bool = False) -> None:
        """Write what has come since the last time. This waits for the device."""
        now = time.monotonic()
        self._due = now + WRITE_SECONDS
        if not self._fresh:
            return
        losses = torch.stack(self._losses).double().tolist()
        self._unwritten += [Step(*about, loss) for about, loss in zip(self._fresh, losses, strict=True)]
        self._fresh, self._losses = [], []
        speed = (self._unwritten[-1].step - self._until) * images_per_step / max(now - self._since, 1e-9)
        self._until, self._since = self._unwritten[-1].step, now
        if steps := self._over(end):
            self._append("".join(_line(step, speed) for step in steps))
            if self.tell is not None:
                self.tell([{**step._asdict(), "images_s": speed} for step in steps])

    def _over(self, end: bool) -> list[Step]:
        """What is to be written: each step, or in a long training the mean of each `every` steps that are over."""
        if self.every == 1:
            over, self._unwritten = self._unwritten, []
            return over
        over = []
        for group, members in groupby(list(self._unwritten), key=lambda step: (step.step - 1) // self.every):
            steps = list(members)
            if not end and steps[-1].step < min((group + 1) * self.every, self.steps):
                break
            over.append(steps[-1]._replace(loss=fmean(step.loss for step in steps)))
            del self._unwritten[: len(steps)]
        return over

    def _append(self, text: str) -> None:
        """To the file, unless it is another process's by now: who took the run over made a new one."""
        if self.path is None:
            return
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if any(self._file) and _known_by(self.path) != self._file:
                return
            with self.path.open("a") as file:
                file.write(text)
            self._file = _known_by(self.path)


def _known_by(path: Path) -> tuple[int, int]:
    """What tells a file from one that another process put in its place, or wrote to."""
    status = path.stat()
    return status.st_ino, status.st_size


def _line(step: Step, images_s: float) -> str:
    """A step as JSON, which has no word for a loss that is no number. (By hand, for it is done for every step.)"""
    loss = f"{step.loss:.6g}" if isfinite(step.loss) else "null"
    return (
        f'{{"step": {step.step}, "epoch": {step.epoch}, "loss": {loss}, "lr": {step.lr:.6g}, '
        f'"images_s": {images_s:.6g}}}\n'
    )
