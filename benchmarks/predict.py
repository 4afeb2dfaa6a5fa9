"""How much of a network's own rate `bench predict` keeps: ViT-B, 15 views, JPEGs of one megapixel.

    python benchmarks/predict.py [--device cuda] [--pictures 8] [--rounds 2]

The network alone is the same forward pass on views that lie ready. Both are timed in turn, by wall clock and by the
processor time of the whole process: on a CPU that others use, only the latter means something.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageFilter

from bench.core.code import code_of
from bench.core.machine import pick_device, set_up
from bench.core.progress import silent
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec, Target
from bench.scoring.about import About
from bench.scoring.many import score_many
from bench.scoring.pictures import open_picture
from bench.scoring.scorer import Scorer
from bench.training.session import build_networks
from bench.training.shared import Shared


def scorer_of(method: str, device: str, cache: Path) -> Scorer:
    """An untrained ViT-B by the paper's recipe: it costs what a trained one does."""
    from bench.core.registry import METHODS

    options = METHODS.card(method).defaults()
    spec = RunSpec(method, "koniq10k", (Target.of("koniq10k"),), options=options, weights="random")
    set_up(0)
    networks = build_networks(spec, Runtime(cache, cache), silent, pick_device(device), Shared())
    code = code_of(method)
    return Scorer(About(spec, networks.weights_hash(), str(code["method"]), int(code["numerics"])), networks)


def photographs(folder: Path, count: int) -> list[Path]:
    """JPEGs of 1152 × 864 pixels with the roughness of photographs."""
    random, paths = np.random.RandomState(0), []
    for number in range(count):
        coarse = random.randint(0, 255, (54, 72, 3), dtype=np.uint8)
        picture = Image.fromarray(coarse).resize((1152, 864), Image.Resampling.BICUBIC)
        grain = Image.effect_noise(picture.size, 20).convert("RGB").filter(ImageFilter.GaussianBlur(0.7))
        paths.append(folder / f"{number}.jpg")
        Image.blend(picture, grain, 0.2).save(paths[-1], quality=92)
    return paths


def main() -> None:
    """Print both rates and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--method", default="adapter")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pictures", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=1)
    wish = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        paths = photographs(Path(scratch), wish.pictures)
        scorer = scorer_of(wish.method, wish.device, Path(scratch))
        ready = scorer.cut(open_picture(paths[0]))
        float(scorer.raw_of(ready))
        ratios = [_round(scorer, paths, ready) for _ in range(wish.rounds)]
    wall, cpu = (float(np.median(values)) for values in zip(*ratios, strict=True))
    print(f"share of the network's own rate: {wall:.3f} by wall clock, {cpu:.3f} by processor time")


def _round(scorer: Scorer, paths: list[Path], ready: object) -> tuple[float, float]:
    alone = _timed(lambda: [scorer.raw_of(ready) for _ in paths])  # type: ignore[arg-type]
    whole = _timed(lambda: list(score_many([scorer], paths)))
    for what, (wall, cpu) in (("the network alone", alone), ("bench predict", whole)):
        print(f"{what:>18}: {len(paths) / wall:8.2f} pictures/s, {cpu / len(paths):8.3f} s of processor a picture")
    return alone[0] / whole[0], alone[1] / whole[1]


def _timed(call) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
