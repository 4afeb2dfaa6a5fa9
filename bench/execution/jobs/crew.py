"""How many processes make a plan's runs at once on this machine, and with how many threads each. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from bench.core.progress import counted
from bench.core.runtime import Runtime
from bench.data.pixels.store import usable_cores

AUTO = "auto"
MARGIN = 1.2
"""Runs of a plan differ: so many times the measured memory is set aside for each that follows."""
CONTEXT_BYTES = 1 << 30
"""What a process holds on a card besides its tensors: CUDA's context and kernels."""
KEPT_FREE = 0.05
"""This share of a card stays free."""
CGROUP = Path("/sys/fs/cgroup")
"""Where Linux says how much processor time a container gets: in one file, or in the two of cgroup v1."""
QUOTAS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))


@dataclass(frozen=True)
class Crew:
    """So many processes at once, each with so many threads (0: torch's choice)."""

    count: int
    threads: int = 0
    measured: bool = False
    """Whether one begins alone, and only as many follow as the memory that it took leaves room for."""

    def in_words(self) -> str:
        """ "4 runs at once, 2 threads each"."""
        most = "Up to " if self.measured else ""
        return f"{most}{counted(self.count, 'run')} at once, {counted(self.threads, 'thread')} each"


@dataclass(frozen=True)
class Room:
    """What a run took of a card, and what is free there while its process still holds that."""

    reserved: int
    free: int
    card: int


def crew_of(jobs: int | str, runs: int, runtime: Runtime) -> Crew:
    """Who makes so many runs, where `jobs` at once are asked for.

    The threads of each do not depend on how many runs are left: an interrupted plan goes on in the same bits.
    """
    cores = _cores()
    if jobs == AUTO:
        kind = _device_type(runtime.device)
        if kind == "mps":  # one process fills it, and what a run takes cannot be measured there
            return Crew(1, runtime.threads)
        threads = runtime.threads or 1
        return Crew(max(1, min(cores // threads, runs)), threads, measured=kind == "cuda")
    asked = max(1, int(jobs))
    if asked == 1:
        return Crew(1, runtime.threads)
    return Crew(max(1, min(asked, runs)), runtime.threads or max(1, cores // asked))


def with_room(crew: Crew, room: Room) -> int:
    """How many processes a card takes, the one that was measured among them."""
    each = room.reserved * MARGIN + CONTEXT_BYTES
    return max(1, min(crew.count, 1 + math.floor((room.free - room.card * KEPT_FREE) / each)))


def _cores() -> int:
    """How many cores this process may use, of which a container may give it a share only."""
    for names in QUOTAS:
        try:
            quota, period = map(int, " ".join((CGROUP / name).read_text() for name in names).split())
        except (OSError, ValueError):  # no such file, or "max"
            continue
        if quota > 0:
            return max(1, min(usable_cores(), math.ceil(quota / period)))
    return usable_cores()


def _device_type(name: str) -> str:
    if name != "auto":
        return name
    from bench.core.machine import pick_device

    return pick_device(name).type
