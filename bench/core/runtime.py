"""Where and how runs are done: everything that must not change a number, and so is not in the spec."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.files import expanded

CACHE_VARIABLE = "GLIA_BENCH_CACHE"


@dataclass(frozen=True)
class Runtime:
    """The machine's side of a run. Plain data, so that it travels to other processes."""

    results: Path
    cache: Path
    data: Mapping[str, Any] = field(default_factory=dict)
    device: str = "auto"
    threads: int = 0
    weight_files: Mapping[str, Path] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    cache_limit_bytes: int = 20 << 30
    use_cache: bool = True
    keep_weights: str = "auto"
    anew_since: float = 0.0
    """Before when no weights count that were kept of a run with other test views; the run's own are put aside."""
    checkpoint_seconds: float = 300.0
    partial: bool = False
    parts: int = 1
    """In how many parts a training batch is computed; the gradient is that of the whole batch."""
    compiled: bool = False
    """Whether the repeated parts of a model go through torch.compile in training steps."""
    graphs: bool = False
    """Whether training steps are replayed as CUDA graphs."""
    members: tuple[Any, ...] = ()
    """The specs of the runs whose stored predictions a run reads (bench/planning/members.py), in their order."""
    pack: int = 0
    """How many runs that learn a head only are trained together on a CPU; 0: as the method says."""
    log: str = ""
    """A tracker that is told of each run: a module with `init`, `log` and `finish`, or a file of one."""


def likely_device(name: str) -> str:
    """The type of the device that a name most likely means here, told without torch: for notes and estimates."""
    if name != "auto":
        return name
    if sys.platform == "darwin":
        return "mps"
    return "cuda" if Path("/dev/nvidiactl").exists() else "cpu"


def default_cache() -> Path:
    """The user's cache folder, as the platform's own rule has it."""
    home = os.environ.get(CACHE_VARIABLE)
    if home:
        return expanded(home)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glia-bench"
