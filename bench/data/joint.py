"""Several sets ready for one model: a batch's pictures are asked of their own set's feed, which other runs share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bench.core.mixes import Mix
from bench.data.dataset import Dataset
from bench.data.feed import Batch, Feed


@dataclass
class JointBatch(Batch):
    """Pictures of several sets, those of one set after those of another."""

    passes: np.ndarray
    """By picture, how often its set was gone through before: its view's epoch, as in a run on that set alone."""


@dataclass(frozen=True)
class Piece:
    """What one feed gives of a batch, and where in the batch it stands."""

    feed: Feed
    batch: Batch
    places: np.ndarray


@dataclass
class JointFeed(Feed):
    """The feeds of several sets as one, whose rows are those of its joined dataset."""

    feeds: tuple[Feed, ...] = ()
    mix: Mix | None = None

    @staticmethod
    def of(dataset: Dataset, feeds: Sequence[Feed], mix: Mix) -> JointFeed:
        """The feed of a dataset that is joined of the sets of these feeds."""
        pixels = "+".join(feed.pixels for feed in feeds)
        one = feeds[0]
        return JointFeed(
            dataset, one.maker, one.frozen, one.pictures, one.views, pixels, one.knows, feeds=tuple(feeds), mix=mix
        )

    @cached_property
    def starts(self) -> np.ndarray:
        """The row at which each set begins."""
        return np.cumsum([0, *(len(feed.dataset) for feed in self.feeds[:-1])])

    def set_of(self, rows: np.ndarray) -> np.ndarray:
        """The number of the set that each row is of."""
        numbers: np.ndarray = np.searchsorted(self.starts, rows, side="right") - 1
        return numbers

    def load_pictures(self, batch: Batch) -> dict[str, Tensor]:
        """The pictures a model reads itself; safe to call from another thread."""
        return self._together(batch, lambda feed, part: feed.load_pictures(part))

    def load(self, batch: Batch) -> dict[str, Tensor]:
        """Pictures, and the frozen inputs that every set has of the batch without a network."""
        return self._together(batch, lambda feed, part: feed.load(part))

    def inputs(self, batch: Batch, loaded: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Everything the model's forward wants for a batch, of which some may have been loaded before."""
        tensors = dict(loaded if loaded is not None else self.load(batch))
        missing = {name: frozen for name, frozen in self.frozen.frozen.items() if name not in tensors}

        def rest(feed: Feed, part: Batch) -> dict[str, Tensor]:
            get, which = feed.frozen.get, feed.which(part)
            return {name: get(name, part.rows, **which) for name in missing} | feed.known(part)

        return tensors | self._together(batch, rest)

    def _together(self, batch: Batch, ask: Callable[[Feed, Batch], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """What each feed gives of its part of a batch as one, as far as all of them give it."""
        pieces = list(self._pieces(batch))
        given = [ask(piece.feed, piece.batch) for piece in pieces]
        if len(pieces) == 1:
            return dict(given[0])
        places = np.concatenate([piece.places for piece in pieces])
        names = [name for name in given[0] if all(name in each for each in given)]
        whole = {name: torch.cat([each[name] for each in given]) for name in names}
        if np.array_equal(places, np.arange(len(places))):
            return whole
        back = torch.from_numpy(np.argsort(places))
        return {name: value[back.to(value.device)] for name, value in whole.items()}

    def _pieces(self, batch: Batch) -> Iterator[Piece]:
        """A batch by set and pass, for a feed gives one pass at a time."""
        sets = self.set_of(batch.rows)
        passes = batch.passes if isinstance(batch, JointBatch) else np.full(len(sets), batch.epoch)
        for number, epoch in sorted(set(zip(sets.tolist(), passes.tolist(), strict=True))):
            places = np.flatnonzero((sets == number) & (passes == epoch))
            rows, numbers = batch.rows[places] - self.starts[number], batch.numbers[places]
            yield Piece(self.feeds[number], Batch(rows, numbers, epoch, batch.training), places)


def sets_in(feed: Feed, rows: np.ndarray) -> list[np.ndarray]:
    """The places in `rows` that belong together because their scores are on one scale: all of them, or those of each
    set of several."""
    if not isinstance(feed, JointFeed):
        return [np.arange(len(rows))]
    numbers = feed.set_of(rows)
    return [np.flatnonzero(numbers == number) for number in range(len(feed.feeds))]
