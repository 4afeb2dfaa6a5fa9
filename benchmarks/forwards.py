"""How many ViT forwards a protocol costs, counted from the recipe: here, in the official code, and done naively.

    python benchmarks/forwards.py

The unit is one network's forward of one view of one image. A backward through frozen blocks, which only hands the
gradient on, counts as one more. LoDa's CNN runs once per view on both sides and is left out of both.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.errors import UsageError
from bench.core.registry import DATASETS
from bench.core.spec import Recipe
from bench.planning.presets import PAPER

SPLITS = 10


@dataclass(frozen=True)
class Views:
    """Views of one split: those trained on over all epochs, and those of one test."""

    images: int
    training: int
    testing: int
    epochs: int

    @staticmethod
    def of(images: int, recipe: Recipe, fraction: float = 0.8) -> Views:
        """What a recipe asks of a set with so many images."""
        train = round(fraction * images)
        training = train * recipe.train_views * recipe.epochs
        return Views(images, training, (images - train) * recipe.test_views, recipe.epochs)


@dataclass(frozen=True)
class Cost:
    """The same work done elsewhere and here, in forward-equivalents."""

    what: str
    theirs: int
    ours: int

    @property
    def ratio(self) -> float:
        """What is left of it."""
        return self.ours / self.theirs


def walked(views: Views, tests: int = 1, streams: int = 1) -> int:
    """A model trained through one ViT, with `streams` − 1 more that only look; all of them in every view."""
    return views.training * (1 + streams) + tests * views.testing * streams


def guided(views: Views) -> int:
    """GLIA here: the semantic stream once per image, for all epochs; the detail stream in every view."""
    return views.images + walked(views)


def probed(views: Views, recipe: Recipe, splits: int) -> int:
    """Linear probes here: every view of every image at most once, whatever the number of splits."""
    every = views.images * (recipe.train_views * recipe.epochs + recipe.test_views)
    return min(every, splits * (views.training + views.testing))


def koniq_costs() -> list[Cost]:
    """One KonIQ-10k split under LoDa's protocol (and ten of the linear probe).

    The official code tests after each epoch, and so does a naive model that does as it does; the rows with "tested
    once" grant the other side what needs no cleverness.
    """
    images = DATASETS.card("koniq10k").facts.get("images")
    if not isinstance(images, int):
        raise UsageError("The registered koniq10k does not say how many images it has.")
    recipe = Recipe(**{**PAPER.recipe, **PAPER.dataset_recipe("koniq10k")})  # type: ignore[arg-type]
    views = Views.of(images, recipe)
    every_epoch = views.epochs
    probe = [SPLITS * (views.training + tests * views.testing) for tests in (every_epoch, 1)]
    return [
        Cost("LoDa beside the official code", walked(views, every_epoch), walked(views)),
        Cost("GLIA beside a naive two-stream model", walked(views, every_epoch, streams=2), guided(views)),
        Cost("GLIA beside one that is tested once", walked(views, streams=2), guided(views)),
        Cost("ten linear probes beside ten naive ones", probe[0], probed(views, recipe, SPLITS)),
        Cost("ten linear probes beside ten that are tested once", probe[1], probed(views, recipe, SPLITS)),
    ]


def main() -> None:
    """Print them."""
    print("one KonIQ-10k split, ViT forward-equivalents: elsewhere, here, what is left")
    for cost in koniq_costs():
        print(f"{cost.what:<50} {cost.theirs:>10,} {cost.ours:>10,} {cost.ratio:>7.1%}")


if __name__ == "__main__":
    main()
