"""Two models' steps in alternation, each in a process of its own: ratios that a noisy machine cannot turn round.

    python -m benchmarks.side_by_side loda --official CHECKOUT [--rounds 5] [--threads 2] [--only train]
    python -m benchmarks.side_by_side glia [--rounds 5] [--threads 2] [--only train]

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
from pathlib import Path
from statistics import median

import torch

from bench.core.machine import DTYPES
from benchmarks.contenders import batch_of, official, ours

BATCH, SIZE = 8, 224
PAIRS = {"loda": ("official", "loda"), "glia": ("adapter", "glia")}
"""What is measured, and what stands below the fraction line: the first of each."""


def serve(name: str, threads: int, precision: str, checkout: Path | None) -> None:
    """A worker: does a step for every line it reads, and answers with wall seconds, CPU seconds and peak memory."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    batch = batch_of(BATCH, SIZE)
    is_official = name == "official" and checkout is not None
    steps = official(checkout, batch) if is_official else ours(name, precision, batch)
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
        command = [
            sys.executable,
            "-m",
            "benchmarks.side_by_side",
            name,
            "--worker",
            "--threads",
            str(threads),
            "--precision",
            precision,
        ]
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
