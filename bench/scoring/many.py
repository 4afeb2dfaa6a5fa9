"""Many pictures through one model or several: decoded in parallel, scored one by one, each as if it were alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from bench.core.errors import BenchError
from bench.data.pixels.build import ordered
from bench.data.pixels.store import usable_cores
from bench.scoring.pictures import Source, name_of, open_picture
from bench.scoring.scorer import Cut, Scorer

BEHIND = 2
"""So many pictures are in work on a GPU before the number of the first is waited for."""


@dataclass(frozen=True)
class Scored:
    """One picture's numbers, one for each model; or why it has none."""

    name: str
    raw: np.ndarray
    scores: np.ndarray
    error: str = ""

    @property
    def raw_mean(self) -> float:
        """Its raw number: the mean over models."""
        return float(self.raw.mean())

    @property
    def score(self) -> float:
        """Its score: the mean over models."""
        return float(self.scores.mean())

    @property
    def spread(self) -> float:
        """How far the models differ: the standard deviation of their scores; 0 for one model."""
        return float(self.scores.std(ddof=1)) if len(self.scores) > 1 else 0.0


@dataclass(frozen=True)
class _Ready:
    name: str
    cuts: tuple[Cut, ...] = ()
    error: str = ""


def score_many(scorers: Sequence[Scorer], sources: Sequence[Source], workers: int = 0) -> Iterator[Scored]:
    """Every picture's numbers in the order given; of a bad one the error, and the rest goes on."""
    count = workers or usable_cores()
    waiting: deque[tuple[str, list[Tensor]]] = deque()

    def ready(place: int) -> _Ready:
        return _prepared(scorers, sources[place], name_of(sources[place], place))

    with ThreadPoolExecutor(count, thread_name_prefix="decode") as pool:
        for one in ordered(pool, ready, range(len(sources)), ahead=2 * count):
            if one.error:
                while waiting:
                    yield _finished(scorers, *waiting.popleft())
                yield Scored(one.name, np.array([]), np.array([]), one.error)
                continue
            values = [scorer.raw_of(cut) for scorer, cut in zip(scorers, one.cuts, strict=True)]
            waiting.append((one.name, values))
            if len(waiting) > BEHIND:
                yield _finished(scorers, *waiting.popleft())
        while waiting:
            yield _finished(scorers, *waiting.popleft())


def _prepared(scorers: Sequence[Scorer], source: Source, name: str) -> _Ready:
    """The views of a picture for each model, made in a thread of their own."""
    try:
        picture = open_picture(source)
    except BenchError as error:
        return _Ready(name, error=str(error))
    return _Ready(name, tuple(scorer.cut(picture) for scorer in scorers))


def _finished(scorers: Sequence[Scorer], name: str, values: Sequence[Tensor]) -> Scored:
    raw = np.array([s.raw_number(value) for s, value in zip(scorers, values, strict=True)], dtype=np.float64)
    return Scored(name, raw, np.array([float(s.on_scale(one)) for s, one in zip(scorers, raw, strict=True)]))
