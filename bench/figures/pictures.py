"""The pictures of a dataset by name, small enough to be shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from bench.data.dataset import Dataset
from bench.data.decode import decode
from bench.data.locate import load_dataset
from bench.runtime import Runtime

SIDE = 400
"""Pixels of the longer side of a picture in a figure."""


def pictures_of(dataset: str, names: Sequence[str], runtime: Runtime) -> list[np.ndarray]:
    """The named pictures of a dataset, uint8 [H, W, 3]."""
    loaded: Dataset = load_dataset(dataset, runtime.data, runtime.cache, partial=True)
    return [shrunk(loaded.root / name, dataset) for name in names]


def shrunk(path: Path, dataset: str) -> np.ndarray:
    """A picture brought down to the size of a figure's panel."""
    picture = Image.fromarray(decode(path, dataset))
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)
