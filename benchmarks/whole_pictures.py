"""What a test on whole pictures costs (`views=native`) beside one on crops: the harness's own scoring, in turns.

    python benchmarks/whole_pictures.py [--backbone NAME] [--pictures 4] [--rounds 2] [--tokens 1024]

Pictures of 1024 × 768 pixels under the paper's recipe (short side 384), random weights, one thread, CPU seconds. The
first picture of each kind is scored before the clock starts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

from bench.core.registry import METHODS
from bench.core.runtime import Runtime
from bench.core.spec import Recipe, RunSpec, Target
from bench.models.vit import vit_shape
from bench.planning.presets import PAPER
from bench.training.scoring import score
from bench.training.session import Session, prepare

KINDS = {"1 crop": {"test_views": 1}, "15 crops": {"test_views": 15}, "whole": {"views": "native"}}


def made_set(folder: Path, count: int) -> Path:
    """A folder of noise with a csv."""
    folder.mkdir()
    random, lines = np.random.RandomState(0), ["image,score"]
    for number in range(max(10, count)):
        Image.fromarray(random.randint(0, 256, (768, 1024, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        lines.append(f"{number}.png,{number}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def scorings(home: Path, backbone: str, count: int, tokens: int) -> dict[str, Callable[[], object]]:
    """By kind, the scoring of so many pictures by a plain ViT with LoRA."""
    data = {"noise": {"loader": "folder", "path": str(made_set(home / "noise", count)), "csv": "labels.csv"}}
    runtime = Runtime(home / "results", home / "cache", data, "cpu", threads=1)
    made: dict[str, Callable[[], object]] = {}
    for kind, changes in KINDS.items():
        bound = {"tokens": tokens} if "views" in changes else {}
        recipe = Recipe(**changes, **bound)  # type: ignore[arg-type]
        spec = RunSpec(
            "lora",
            "noise",
            (Target("noise:test"),),
            options=METHODS.card("lora").defaults(),
            backbone=backbone,
            weights="random",
            recipe=recipe,
        )
        session = prepare(spec, runtime)
        made[kind] = _scoring(session, np.arange(count))
        _scoring(session, np.arange(1))()
    return made


def _scoring(session: Session, rows: np.ndarray) -> Callable[[], object]:
    def run() -> object:
        views = session.spec.recipe.test_views
        return score(session.model, session.feed, rows, views=views, autocast=session.autocast)

    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default=PAPER.backbone)
    parser.add_argument("--pictures", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=Recipe.tokens)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        runs = scorings(Path(home), asked.backbone, asked.pictures, asked.tokens)
        seconds: dict[str, list[float]] = {kind: [] for kind in runs}
        for _ in range(asked.rounds):
            for kind, run in runs.items():
                began = time.process_time()
                run()
                seconds[kind].append((time.process_time() - began) / asked.pictures)
    one = median(seconds["1 crop"])
    print(f"{asked.backbone}, {vit_shape(asked.backbone).patch}-pixel patches, at most {asked.tokens} of them")
    for kind, found in seconds.items():
        spread = f"{min(found):.2f} to {max(found):.2f}"
        print(f"{kind:9} {median(found):.2f} s a picture ({spread}), {median(found) / one:.1f} of one crop")


if __name__ == "__main__":
    main()
