"""The pictures of a dataset by name, small enough to be shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench.core.errors import DataError, UsageError
from bench.core.runtime import Runtime
from bench.data.dataset import Dataset
from bench.data.locate import load_dataset, source_of
from bench.data.pixels.decode import decode

SIDE = 400
"""Pixels of the longer side of a picture in a figure."""


def pictures_of(dataset: str, names: Sequence[str], runtime: Runtime) -> list[np.ndarray]:
    """The named pictures of a dataset, uint8 [H, W, 3]."""
    with needing_pictures(dataset, runtime):
        loaded: Dataset = load_dataset(dataset, runtime.data, runtime.cache, partial=True)
        return [shrunk(loaded.root / name, dataset) for name in names]


@contextmanager
def needing_pictures(dataset: str, runtime: Runtime) -> Iterator[None]:
    """Where a dataset's pictures are not on this machine, say that it is they which are missing."""
    missing = f"it needs the pictures of {dataset}, and they are not here."
    try:
        source_of(dataset, runtime.data, runtime.cache)
    except UsageError as error:  # not even its name is known here
        raise DataError(f"{missing} {error}") from error
    try:
        yield
    except DataError as error:
        raise DataError(f"{missing} {error}") from error


def shrunk(path: Path, dataset: str) -> np.ndarray:
    """A picture brought down to the size of a figure's panel."""
    picture = Image.fromarray(decode(path, dataset))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def show_picture(axes: Any, picture: np.ndarray, **looks: Any) -> None:
    """A picture (or a map of one) in a panel of its own, without axes around it."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.imshow(picture, **looks)
