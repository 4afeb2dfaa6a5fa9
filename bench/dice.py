"""The random generators of the runs of a pack, and the masks of their heads' dropout, drawn ahead on a CPU.

Every run draws from its own generators what it would draw alone. Masks cost a linear probe more than its arithmetic,
so those of the next step are drawn by another thread while this one is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.data.buffers import BufferPool
from bench.dropout import draw_mask
from bench.step import random_states, restore_random_states
from bench.threads import one_thread


class Dice:
    """One run's own random generators: the CPU's, and where there is one, the GPU's."""

    def __init__(self, states: list[Tensor], device: torch.device) -> None:
        self.device = device
        self.generators = [torch.Generator("cpu" if i == 0 else device) for i in range(len(states))]
        self.set(states)

    def states(self) -> list[Tensor]:
        """As bench.step.random_states gives them."""
        return [generator.get_state() for generator in self.generators]

    def set(self, states: list[Tensor]) -> None:
        """Go on from these states."""
        for generator, state in zip(self.generators, states, strict=True):
            generator.set_state(state)

    def torch_dropout(self, values: Tensor, p: float) -> Tensor:
        """What torch's own dropout would draw in this run alone."""
        before = random_states(self.device)
        restore_random_states(self.states(), self.device)
        dropped = F.dropout(values, p, training=True)
        self.set(random_states(self.device))
        restore_random_states(before, self.device)
        return dropped


@dataclass(frozen=True)
class _Wish:
    """Masks for these runs, of so many elements each."""

    runs: tuple[int, ...]
    count: int
    p: float


@dataclass(frozen=True)
class _Ahead:
    """Masks on their way, and where the generators stood before."""

    wish: _Wish
    before: list[list[Tensor]]
    masks: Future[Tensor]


class Cup:
    """The dice of all runs of a pack."""

    def __init__(self, states: Sequence[list[Tensor]], device: torch.device) -> None:
        self._dice = [Dice(state, device) for state in states]
        self._pool = BufferPool()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="masks")
        self._last: _Wish | None = None
        self._ahead: _Ahead | None = None

    def states(self, run: int) -> list[Tensor]:
        """A run's generators as bench.step.random_states gives them."""
        self._take_back()
        return self._dice[run].states()

    def torch_dropout(self, runs: Sequence[int], values: Tensor, p: float) -> Tensor:
        """[runs, ...] as torch's own dropout leaves each run alone."""
        self._take_back()
        self._last = None
        return torch.stack([self._dice[run].torch_dropout(v, p) for run, v in zip(runs, values, strict=True)])

    def head_dropout(self, runs: Sequence[int], values: Tensor, p: float) -> Tensor:
        """[runs, ...] in fp32, as the dropout before the head leaves each run alone."""
        if not p:
            return values
        if values.device.type != "cpu":
            return self.torch_dropout(runs, values, p)
        masks = self._masks(_Wish(tuple(runs), values[0].numel(), p)).view(values.shape)
        if values.requires_grad:
            return values * masks
        return torch.mul(values, masks, out=self._pool.empty(values.shape))

    def close(self) -> None:
        """No more masks are wanted."""
        self._thread.shutdown()

    def _masks(self, wish: _Wish) -> Tensor:
        """[runs, count]; a wish that comes twice running is taken to come again."""
        if self._ahead is not None and self._ahead.wish == wish:
            masks = self._ahead.masks.result()
        else:
            self._take_back()
            masks = self._draw(wish)
        self._ahead = None
        if self._last == wish:
            before = [self._dice[run].states() for run in wish.runs]
            self._ahead = _Ahead(wish, before, self._thread.submit(self._draw, wish))
        self._last = wish
        return masks

    def _draw(self, wish: _Wish) -> Tensor:
        masks = self._pool.empty((len(wish.runs), wish.count))
        with one_thread():
            for run, mask in zip(wish.runs, masks, strict=True):
                draw_mask(mask, wish.p, self._dice[run].generators[0])
        return masks

    def _take_back(self) -> None:
        """The generators as if nothing had been drawn ahead."""
        if self._ahead is not None:
            self._ahead.masks.result()
            for run, states in zip(self._ahead.wish.runs, self._ahead.before, strict=True):
                self._dice[run].set(states)
            self._ahead = None
