"""Made-up image sets, methods and designs, on which it is known what an interval should have held.

A set has contents, versions of them in kinds, scores, and methods. What a method says of an image is the image's
quality, an error that it makes in the whole content, one of the image alone (half of both is common to all methods),
and one that depends on what it learned from (`learned`) and on its seed (`seed`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

KINDS, FACTORS = 25, 6
CONTENT_ERROR, IMAGE_ERROR, COMMON = 0.35, 0.35, 0.5
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """What is alike in all sets: how much each kind of distortion costs, and what makes kinds hard to judge."""

    cost: Floats
    hard: Floats

    @staticmethod
    def of(rng: np.random.Generator) -> World:
        return World(rng.uniform(-1.7, 1.7, KINDS), rng.normal(size=(KINDS, FACTORS)) / np.sqrt(FACTORS))


@dataclass(frozen=True)
class Sample:
    """A set: the content and score of each image, each method's untrained guess, and what each content teaches."""

    content: Ints
    human: Floats
    guess: Floats
    factors: Floats
    lesson: Floats

    @staticmethod
    def of(
        rng: np.random.Generator, world: World, sizes: Sequence[int], rough: Sequence[float], common: float = COMMON
    ) -> Sample:
        """A fresh set of contents with so many versions; `rough` is how large each method's errors are."""
        count, methods = len(sizes), len(rough)
        content = np.repeat(np.arange(count), sizes)
        kind = np.concatenate([rng.permutation(np.arange(n) % KINDS + rng.integers(KINDS)) % KINDS for n in sizes])
        images = len(content)
        quality = world.cost[kind] + 0.3 * rng.normal(size=count)[content] + 0.3 * rng.normal(size=images)

        def error(n: int) -> Floats:
            return np.sqrt(common) * rng.normal(size=n) + np.sqrt(1 - common) * rng.normal(size=(methods, n))

        errors = CONTENT_ERROR * error(count)[:, content] + IMAGE_ERROR * error(images)
        own = rng.normal(size=(count, FACTORS)) / np.sqrt(FACTORS)
        return Sample(
            content,
            quality + 0.2 * rng.normal(size=images),
            quality + np.asarray(rough)[:, None] * errors,
            np.concatenate([world.hard[kind], own[content]], axis=1),
            rng.normal(size=(methods, count, 2 * FACTORS)),
        )


def standard_ranks(values: Floats) -> Floats:
    """Ranks along the last axis with mean 0 and length 1, of numbers without ties."""
    count = values.shape[-1]
    ranks = np.empty(values.shape)
    scale = np.sqrt(count * (count**2 - 1) / 12)
    np.put_along_axis(ranks, np.argsort(values, axis=-1), (np.arange(count) - (count - 1) / 2) / scale, axis=-1)
    return ranks


def spearman(predicted: Floats, human: Floats) -> Floats:
    """SRCC along the last axis, of numbers without ties."""
    srcc: Floats = (standard_ranks(predicted) * standard_ranks(human)).sum(axis=-1)
    return srcc


class Pool:
    """Many other test parts with as many contents, on which trained models show what they are worth."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        alike = len({len(sample.human) for sample in samples}) == 1
        groups = [list(samples)] if alike else [[sample] for sample in samples]
        self._guesses = [np.stack([sample.guess for sample in group]) for group in groups]
        self._factors = [np.stack([sample.factors.T for sample in group]) for group in groups]
        self._human = [standard_ranks(np.stack([sample.human for sample in group])[:, None]) for group in groups]

    def worth(self, training: Floats) -> Floats:
        """Each method's mean SRCC over all parts."""
        found = [
            (standard_ranks(guess + training @ factors) * human).sum(axis=-1)
            for guess, factors, human in zip(self._guesses, self._factors, self._human, strict=True)
        ]
        return np.concatenate(found).mean(axis=0)


@dataclass(frozen=True)
class Design:
    """How a set is made, split, learned from and tested."""

    contents: int
    versions: int = 25
    splits: int = 10
    fraction: float = 0.8
    unequal: bool = False
    source: str = "split"
    """"split" and "all" as in the harness."""
    target: str = "test"
    """What is tested: the "test" part of the split, of "folds" in turn, or another set ("all")."""
    seeds: int = 1
    learned: float = 0.15
    seed: float = 0.3

    @property
    def name(self) -> str:
        """What sets the design apart, in words."""
        text = f"{self.contents} {'pictures' if self.versions == 1 else 'contents'}"
        said = {
            "of unequal size": self.unequal,
            f"{self.fraction:g} learned from": self.fraction != 0.8,
            "the whole learned from": self.source == "all",
            "another set tested": self.target == "all",
            f"{self.seeds} seeds": self.seeds > 1,
            "the seed alone matters": self.learned == 0,
            f"what is learned from weighs {self.learned / self.seed:.2g} × the seed": self.learned > self.seed / 2,
        }
        return ", ".join([text, *(words for words, holds in said.items() if holds)])

    @property
    def models(self) -> str:
        """How many models are trained of a method."""
        unit = "fold" if self.target == "folds" else "split"
        return f"{self.splits} {unit}{'s' * (self.splits > 1)}"

    @property
    def seeds_alone(self) -> bool:
        """Whether a source's trainings differ in their seeds only, and its methods in what it taught them."""
        return self.source == "all" and self.learned > 0

    @property
    def held_out(self) -> int:
        """How many contents a split's test part has."""
        return self.contents - round(0.8 * self.contents)

    @property
    def ratio(self) -> float:
        """Nadeau and Bengio's, as `Cell.overlap` has it."""
        return 0.0 if self.source == "all" else self.held_out / (self.contents - self.held_out)

    def sizes(self, rng: np.random.Generator, count: int) -> list[int]:
        """How many versions each of some contents has."""
        return rng.integers(5, 40, count).tolist() if self.unequal else [self.versions] * count

    def sample(self, rng: np.random.Generator, world: World, count: int, rough: Sequence[float]) -> Sample:
        return Sample.of(rng, world, self.sizes(rng, count), rough)

    def parts(self, rng: np.random.Generator) -> Iterator[tuple[Ints, Ints]]:
        """The contents that each model learns from, and those it is tested on."""
        everything = np.arange(self.contents)
        if self.target == "folds":
            for fold in np.array_split(rng.permutation(self.contents), self.splits):
                yield from [(np.setdiff1d(everything, fold), fold)] * self.seeds
            return
        for _ in range(self.splits):
            order = rng.permutation(self.contents)
            learned = everything if self.source == "all" else order[: max(1, round(self.fraction * self.contents))]
            yield from [(learned, order[len(order) - self.held_out :])] * self.seeds

    def trained(self, rng: np.random.Generator, sample: Sample, learned: Ints) -> Floats:
        """What training leaves in each method: more of chance, the fewer contents it learned from."""
        lesson = sample.lesson[:, learned].sum(axis=1) / len(learned) * np.sqrt(0.8 * self.contents)
        trained: Floats = self.learned * lesson + self.seed * rng.normal(size=lesson.shape)
        return trained
