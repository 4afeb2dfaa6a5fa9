"""Two models' steps in alternation, each in a process of its own: ratios that a noisy machine cannot turn round.

    python benchmarks/side_by_side.py loda --official CHECKOUT [--rounds 5] [--threads 2] [--only train]
    python benchmarks/side_by_side.py glia [--rounds 5] [--threads 2] [--only train]

`loda`: our LoDa beside the authors' model, read from the user's own checkout of NeosXu/LoDa (none of it is here);
random weights, ViT-B/16 and ResNet-50, batches of 8 at 224 pixels, fp32. `glia`: our GLIA beside our adapter on as
many tokens, F_s there already. With `--precision bf16` what is ours takes the trainer's mixed precision, which pays
where the CPU has bf16 instructions; the authors' model stays as it is.

A process loads, warms up and then does one step when told to, so that the two never run at once. Wall-clock ratios
are taken round by round, and their median is printed with the extremes; so is the ratio of CPU seconds, which other
processes on the machine disturb less.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from bench.core.machine import DTYPES, autocast
from bench.core.registry import METHODS
from bench.core.spec import Recipe
from bench.models.losses import plcc_squared
from bench.models.weights.load import load_vit, toolbox
from bench.training.step import gradients

BATCH, SIZE = 8, 224
Step = Callable[[], object]
PAIRS = {"loda": ("official", "loda"), "glia": ("adapter", "glia")}
"""What is measured, and what stands below the fraction line: the first of each."""


def ours(method: str, precision: str) -> dict[str, Step]:
    """A method of the harness: the trainer's step and a scoring pass."""
    pictures, human = _batch()
    built = METHODS.make(method)
    vit, _ = load_vit("vit_base_patch16_224", "random", SIZE, files={}, cache=Path())
    model = built.build(vit, Recipe(), toolbox({}, Path(), random=True))
    optimiser = torch.optim.AdamW(built.parameter_groups(model, 3e-4), lr=3e-4, weight_decay=1e-2, fused=True)
    inputs = dict.fromkeys(model.features.pictures, pictures)
    mixed = partial(autocast, "cpu", precision)
    with torch.no_grad(), mixed():
        inputs |= {name: frozen.compute(pictures).float() for name, frozen in model.features.frozen.items()}

    def train() -> None:
        model.train()
        optimiser.zero_grad(set_to_none=True)
        gradients(model, inputs, human, plcc_squared, mixed)
        optimiser.step()

    def score() -> None:
        model.eval()
        with torch.inference_mode(), mixed():
            model(inputs)

    return {"train": train, "score": score}


def official(checkout: Path) -> dict[str, Step]:
    """The authors' model with its own loss, optimiser and freezing, as their trainer calls them."""
    import yaml

    for name in ("src", "src.model", "src.utils"):  # their packages import loggers that a step does not need
        package = types.ModuleType(name)
        package.__path__ = [str(checkout / name.replace(".", "/"))]
        sys.modules[name] = package
    helpers = types.ModuleType("src.utils.utils")
    helpers.to_2tuple = lambda value: (value, value)  # type: ignore[attr-defined]
    sys.modules["src.utils.utils"] = helpers
    sys.path.insert(0, str(checkout))
    from src.model.loda import LoDa  # type: ignore[import-not-found]
    from src.utils.loss import plcc_loss  # type: ignore[import-not-found]
    from timm.layers import PatchEmbed  # theirs is the same convolution, without arguments that timm now passes

    settings = yaml.safe_load((checkout / "config/model/loda.yaml").read_text())
    settings["learner_param"] |= {"embed_dim": 768, "interaction_block_num": 12}
    settings["feature_model"]["load_timm_model"] = False
    net = LoDa(cfg=_dotted({"model": settings}), embed_layer=PatchEmbed)
    net.freeze()
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-4, weight_decay=1e-2)
    pictures, human = _batch()

    def train() -> None:
        net.train()
        optimiser.zero_grad()
        loss = plcc_loss(net(pictures), human.unsqueeze(1))
        loss.backward()
        optimiser.step()

    def score() -> None:
        net.eval()
        with torch.no_grad():
            net(pictures)

    return {"train": train, "score": score}


def _batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(BATCH, 3, SIZE, SIZE, generator=generator), torch.randn(BATCH, generator=generator)


class _Dotted(dict[str, Any]):
    """Settings read as attributes, as their code does."""

    __getattr__ = dict.__getitem__


def _dotted(value: Any) -> Any:
    return _Dotted({k: _dotted(v) for k, v in value.items()}) if isinstance(value, dict) else value


def serve(name: str, threads: int, precision: str, checkout: Path | None) -> None:
    """A worker: does a step for every line it reads, and answers with wall seconds, CPU seconds and peak memory."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    steps = official(checkout) if name == "official" and checkout is not None else ours(name, precision)
    print("ready", flush=True)
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        steps[line.strip()]()
        spent = time.perf_counter() - wall, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps([*spent, peak]), flush=True)


class Worker:
    """One contender in its process."""

    def __init__(self, name: str, threads: int, precision: str, checkout: Path | None) -> None:
        command = [sys.executable, __file__, name, "--worker", "--threads", str(threads), "--precision", precision]
        command += ["--official", str(checkout)] if checkout else []
        environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # or waiting threads would count as work
        self.name = name
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        if self._line() != "ready":
            raise SystemExit(f"{name} did not start.")

    def step(self, what: str) -> list[float]:
        """One step: wall seconds, CPU seconds, peak kilobytes so far."""
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return json.loads(self._line())

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


def measure(workers: tuple[Worker, Worker], what: str, rounds: int) -> None:
    """Alternate, and print the second's share of the first."""
    spent: list[list[list[float]]] = [[], []]
    for worker in workers:
        worker.step(what)
    for number in range(rounds):
        for i in (0, 1) if number % 2 else (1, 0):
            spent[i].append(workers[i].step(what))
    below, above = workers
    walls, cpus = ([b[k] / a[k] for a, b in zip(*spent, strict=True)] for k in (0, 1))
    images = [BATCH / median(seconds[0] for seconds in one) for one in spent]
    print(
        f"{what}: {above.name} / {below.name} = {median(walls):.3f} of the wall clock ({min(walls):.3f} to "
        f"{max(walls):.3f}), {median(cpus):.3f} of CPU seconds ({min(cpus):.3f} to {max(cpus):.3f}); images/s "
        f"{images[1]:.2f} and {images[0]:.2f}; peak GB {spent[1][-1][2] / 1e6:.2f} and {spent[0][-1][2] / 1e6:.2f}",
        flush=True,
    )


def main() -> None:
    """Parse and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="loda or glia")
    parser.add_argument("--official", type=Path, help="A checkout of github.com/NeosXu/LoDa.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=("score", "train"))
    parser.add_argument("--precision", choices=tuple(DTYPES), default="fp32", help="Of what is ours.")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.worker:
        serve(asked.name, asked.threads, asked.precision, asked.official)
        return
    if asked.name not in PAIRS or (asked.name == "loda" and not asked.official):
        parser.error("say glia, or loda --official CHECKOUT")
    first, second = PAIRS[asked.name]
    how = asked.threads, asked.precision, asked.official
    workers = (Worker(first, *how), Worker(second, *how))
    for what in (asked.only,) if asked.only else ("score", "train"):
        measure(workers, what, asked.rounds)


if __name__ == "__main__":
    main()
