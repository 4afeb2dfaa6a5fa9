"""The machine of a run: device, instructions, precision, threads, versions, memory; as the record has them."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import bench
from bench.core.errors import UsageError

PACKAGES = ("glia-bench", "torch", "torchvision", "timm", "peft", "numpy", "scipy", "pillow")
TOOLS = ("torch", "timm", "numpy", "pillow")
"""The packages whose version can move a number of any run."""
KERNEL_LIMITS = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA", "OPENBLAS_CORETYPE")
"""Environment variables that give a CPU the kernels of an older one."""
CHECKOUT = Path(bench.__file__).resolve().parent.parent
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of glibc's malloc.h."""


def pick_device(name: str) -> torch.device:
    """The device asked for, or the best there is."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch sees no CUDA device here. Use --device cpu, or install a CUDA build.")
    if name == "mps" and not torch.backends.mps.is_available():
        raise UsageError("--device mps: torch sees no Apple GPU here. Use --device cpu.")
    return torch.device(name)


def refuse_precision(precision: str, device: torch.device) -> None:
    """Refuse what a device does not compute in.

    fp16 is never offered: its gradients vanish unless the loss is scaled, and a method that hardly trains looks weak.
    """
    if precision not in DTYPES:
        raise UsageError(f"--precision {precision!r} is none of {', '.join(DTYPES)}.")
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise UsageError(f"--precision bf16: {torch.cuda.get_device_name(device)} does not compute in it. Use fp32.")


def cpu_computes_in_bf16() -> bool:
    """Whether this CPU has instructions for bf16; where it has none, bf16 is emulated and takes many times longer."""
    return bool(_cpu_flags() & {"avx512_bf16", "amx_bf16", "bf16"})


@lru_cache(maxsize=1)
def _cpu_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def autocast(device_type: str, precision: str) -> AbstractContextManager[object]:
    """The precision of the networks; losses and heads stay in fp32."""
    return nullcontext() if precision == "fp32" else torch.autocast(device_type, dtype=DTYPES[precision])


def refuse_graphs(device: torch.device) -> None:
    """Refuse to record steps where there is no card to replay them."""
    if device.type != "cuda":
        raise UsageError(
            "--graphs (or graphs in bench.toml) replays steps on a CUDA card, and this is for a "
            f"{device.type.upper()}: leave it out."
        )


def set_up(threads: int) -> None:
    """Threads and determinism, once per process."""
    if threads:
        torch.set_num_threads(threads)
    keep_freed_memory()
    torch.backends.cudnn.benchmark = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False  # torch's own choice is True: convolutions would not be fp32


@lru_cache(maxsize=1)
def keep_freed_memory() -> bool:
    """Have glibc hand the memory of one step to the next instead of giving it back to the system; once per process.

    Where it does not (other systems have other allocators), every step asks for its pages anew.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, 32 << 20) and mallopt(M_TRIM_THRESHOLD, 256 << 20))


def forget_peak_memory(device_name: str) -> None:
    """Begin to measure a GPU's peak memory anew: what a process did before belongs to no later run."""
    if device_name != "cpu" and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory(device: torch.device) -> int:
    """The most memory used so far, in bytes: of the GPU, else of the process."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    scale = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * scale


def numerics(
    device: torch.device,
    precision: str,
    *,
    compiled: bool = False,
    graphs: bool = False,
    packed: int = 1,
    parts: int = 1,
) -> dict[str, Any]:
    """What of a machine, and of the way it works, can move a number: records hold it, tables compare it."""
    return {
        "device_type": device.type,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name(),
        "instructions": instruction_set() + (_way_to_bf16() if device.type == "cpu" and precision == "bf16" else ""),
        "precision": precision,
        "tf32": torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32,
        "compiled": compiled,
        "graphs": graphs,
        "packed": packed,
        "parts": parts,
        "threads": torch.get_num_threads(),
        **{name: _version(name) for name in TOOLS},
    }


def instruction_set() -> str:
    """The CPU's kernels: its kind, what torch makes of it, and the limits that the environment sets."""
    limits = [f"{name}={os.environ[name]}" for name in KERNEL_LIMITS if os.environ.get(name)]
    return " ".join([platform.machine(), torch.backends.cpu.get_cpu_capability(), *limits])


def _way_to_bf16() -> str:
    return " bf16" if cpu_computes_in_bf16() else " bf16 emulated"


def kernels_of(device: torch.device) -> str:
    """What decides how a device rounds, as part of a cache's key: a GPU's name, or a CPU's instruction set."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else instruction_set()


def describe(code: Sequence[Path] = ()) -> dict[str, Any]:
    """Who made a record: host, the harness's commit, Python and packages; the method's `code` belongs to the tree."""
    commit, dirty = _git()
    return {
        "host": platform.node(),
        "git_commit": commit,
        "git_dirty": dirty or bool(commit) and _untracked(tuple(code)),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }


@cache
def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


@lru_cache(maxsize=1)
def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@lru_cache(maxsize=1)
def _git() -> tuple[str, bool]:
    """The harness's own commit, where it runs from a checkout, and whether tracked files were changed."""
    if not (CHECKOUT / ".git").exists():
        return "", False
    try:
        return _ask_git("rev-parse", "HEAD").strip(), bool(_ask_git("status", "--porcelain", "-uno").strip())
    except (OSError, subprocess.SubprocessError):
        return "", False


@lru_cache(maxsize=64)
def _untracked(files: tuple[Path, ...]) -> bool:
    """Whether the checkout's commit lacks one of these files, which lies in it: nobody else could have it."""
    inside = [str(path) for path in files if path.resolve().is_relative_to(CHECKOUT)]
    try:
        return len(_ask_git("ls-files", "-z", "--", *inside).split("\0")) - 1 < len(inside) if inside else False
    except (OSError, subprocess.SubprocessError):
        return False


def _ask_git(*words: str) -> str:
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    asked = subprocess.run(
        ["git", *words], cwd=CHECKOUT, env=environment, check=True, capture_output=True, text=True, timeout=10
    )
    return asked.stdout
