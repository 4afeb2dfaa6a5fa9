"""Pictures to measure speed on where no dataset is: seeded noise of KonIQ's stored size, kept in the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from bench.core.files import write_text

NAME = "synthetic"
HEIGHT, WIDTH = 384, 512


def synthetic_set(cache: Path, count: int) -> tuple[str, dict[str, str]]:
    """The name of a set of `count` pictures, and its entry for the data section of a configuration."""
    folder = cache / "profile" / f"{NAME}-{count}"
    labels = folder / "labels.csv"
    if not labels.exists():
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(0)
        lines = ["image,score"]
        for i in range(count):
            smooth = np.kron(random.uniform(0, 255, (HEIGHT // 16, WIDTH // 16, 3)), np.ones((16, 16, 1)))
            noise = random.integers(-14, 15, smooth.shape, dtype=np.int16)  # ten times as fast as a normal one
            noisy = np.clip(smooth.astype(np.int16) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(folder / f"{i}.png", compress_level=0)
            lines.append(f"{i}.png,{i}")
        write_text(labels, "\n".join(lines) + "\n")  # last, so that a set without it is made again
    return NAME, {"loader": "folder", "path": str(folder)}
