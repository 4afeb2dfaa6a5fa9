"""Sites that have Slurm only: an array-job script, and which share of the plan a member of the array begins with."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.core.errors import UsageError

SCRIPT = """#!/bin/bash
# Written by `bench run --emit-slurm`. Every member of the array makes its share of the plan and then helps with the
# rest; claims in the results folder see to it that no run is done twice, so the array may be of any size, be
# submitted again, and run beside other `bench run`s. Adapt partition, time and memory to your site.
#SBATCH --job-name=glia-bench
#SBATCH --array=0-{last}
#SBATCH --output={logs}/slurm-%A_%a.log
#SBATCH --cpus-per-task={cpus}
{card}#SBATCH --time=24:00:00
# Two minutes before the end of its time a member stops after the step and checkpoints; its run goes on elsewhere.
# "B:" sends it to the member itself, which stands where the batch shell stood; without, only to steps of srun.
#SBATCH --signal=B:TERM@120
#SBATCH --requeue

cd {folder}
exec {command}
"""


def script(arguments: Sequence[str], *, tasks: int, results: Path, device: str, threads: int) -> str:
    """The array job that does what the command line `bench ARGUMENTS` would do, with so many tasks."""
    if tasks < 1:
        raise UsageError(f"--slurm-tasks {tasks} must be at least 1.")
    command = [sys.executable, "-m", "bench.cli", *without_slurm(arguments)]
    return SCRIPT.format(
        last=tasks - 1,
        logs=shlex.quote(str(results.resolve())),
        cpus=threads or 4,
        card="" if device == "cpu" else "#SBATCH --gres=gpu:1\n",
        folder=shlex.quote(str(Path.cwd())),
        command=shlex.join(command),
    )


def without_slurm(arguments: Sequence[str]) -> list[str]:
    """A command line without what asked for the script."""
    words: list[str] = []
    skip = False
    for argument in arguments:
        if skip:
            skip = False
        elif argument in ("--emit-slurm", "--slurm-tasks"):
            skip = True
        elif not argument.startswith(("--emit-slurm=", "--slurm-tasks=")):
            words.append(argument)
    return words


def share(environment: Mapping[str, str] = os.environ) -> tuple[int, int] | None:
    """Which part of the plan a member of an array begins with (i of n); None outside of an array."""
    try:
        number = int(environment["SLURM_ARRAY_TASK_ID"])
        first, count = environment.get("SLURM_ARRAY_TASK_MIN", "0"), environment.get("SLURM_ARRAY_TASK_COUNT", "1")
        of = max(1, int(count))
        return (number - int(first)) % of, of
    except (KeyError, ValueError):
        return None
