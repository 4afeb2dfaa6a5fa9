"""Ten splits of a linear probe on 10,000 images once its features exist: packed, and one by one.

    python benchmarks/linear_probe.py [--images 10000] [--splits 10] [--train-views 1] [--threads 0] [--folder FOLDER]

The recipe is the common one (ten epochs, batches of 128, fifteen test views) on a ViT-B's 768 features, on as many
threads as a run takes unasked. Filling the cache with a real ViT-B would take hours on a CPU and is not what is
measured, so a cheap stand-in for the network makes the features; everything after that is the harness's own code.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.core.runtime import Runtime
from bench.core.spec import RunSpec
from bench.data.feed import Batch
from bench.execution.orders import ExecutionOptions
from bench.execution.serial import execute_serial
from bench.models.vit import Vit
from bench.planning.presets import PAPER
from bench.planning.protocol import MethodChoice, Request
from bench.training.session import prepare


def make_images(folder: Path, count: int) -> None:
    """Small random pictures with random scores."""
    folder.mkdir(parents=True)
    random, lines = np.random.RandomState(0), ["image,score"]
    for i in range(count):
        pixels = random.randint(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"i{i:06d}.png", compress_level=1)
        lines.append(f"i{i:06d}.png,{pixels.mean():.4f}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def make_specs(splits: int, train_views: int = 1) -> list[RunSpec]:
    """The runs: splits under the common recipe."""
    recipe = {"train_views": train_views, "short_side": 0, "size": 32}
    request = Request(replace(PAPER, per_dataset={}), recipe=recipe, common={"weights": "random"})
    return [request.spec(MethodChoice("linear_probe", {}), "many", ("many:test",), split) for split in range(splits)]


def fill_features(spec: RunSpec, runtime: Runtime) -> None:
    """All training and test views of all images, by the stand-in."""
    weights = torch.randn(3 * 32 * 32, 768, generator=torch.Generator().manual_seed(1)) / 55
    whole = Vit.forward
    Vit.forward = lambda self, pictures: pictures.flatten(1) @ weights.to(pictures.device)  # type: ignore[method-assign]
    try:
        feed = prepare(spec, runtime).feed
        rows = np.arange(len(feed.dataset))
        views = [(e, n, True) for e in range(spec.recipe.epochs) for n in range(spec.recipe.train_views)]
        for epoch, number, training in views + [(0, n, False) for n in range(spec.recipe.test_views)]:
            feed.inputs(Batch(rows, np.full(len(rows), number), epoch, training))
    finally:
        Vit.forward = whole  # type: ignore[method-assign]


def timed(specs: list[RunSpec], runtime: Runtime) -> float:
    """Seconds for all runs, from the first look at the data to the last record."""
    shutil.rmtree(runtime.results, ignore_errors=True)
    begin = time.perf_counter()
    summary = execute_serial(specs, runtime, ExecutionOptions())
    seconds = time.perf_counter() - begin
    if len(summary.done) != len(specs):
        raise SystemExit(f"Some runs failed: {summary.failed}")
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--train-views", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="0: torch's choice, as in bench.toml.")
    parser.add_argument("--folder", type=Path, help="Kept, so that a second call finds pictures and features.")
    wish = parser.parse_args()
    home = wish.folder or Path(tempfile.mkdtemp())
    if not (home / "many").exists():
        make_images(home / "many", wish.images)
    data = {"many": {"loader": "folder", "path": str(home / "many"), "csv": "labels.csv"}}
    runtime = Runtime(home / "results", home / "cache", data, "cpu", wish.threads)
    specs = make_specs(wish.splits, wish.train_views)
    fill_features(specs[0], runtime)
    packed = timed(specs, replace(runtime, pack=wish.splits))
    alone = timed(specs, replace(runtime, pack=1))
    print(f"{wish.splits} splits on {wish.images} images: packed {packed:.1f} s, ", end="")
    print(f"one by one {alone:.1f} s, ratio {packed / alone:.2f}")
    if wish.folder is None:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
