"""In which order an epoch goes through its pictures, and into how many batches it is cut."""

from __future__ import annotations

import numpy as np

from bench.core.spec import Recipe


def batches_per_epoch(images: int, recipe: Recipe) -> int:
    """An epoch is cut into equal batches of at most `batch`, so that no PLCC is taken over a tiny remainder."""
    return -(-images * recipe.train_views // recipe.batch)


def epoch_order(rows: np.ndarray, recipe: Recipe, split: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows, view numbers) of an epoch, each image `train_views` times, shuffled by (seed, split, epoch)."""
    generator = np.random.RandomState(np.array([recipe.seed, split, epoch, 0x611A], dtype=np.uint32))
    repeated = np.repeat(rows, recipe.train_views)
    numbers = np.tile(np.arange(recipe.train_views), len(rows))
    order = generator.permutation(len(repeated))
    return repeated[order], numbers[order]
