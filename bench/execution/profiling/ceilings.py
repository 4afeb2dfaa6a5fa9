"""What a device can do at best, measured: matrix multiplications a second and bytes copied a second."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from bench.core.machine import DTYPES

MATRIX = {"cpu": 1536, "cuda": 8192, "mps": 4096}
COPY_BYTES = {"cpu": 128 << 20, "cuda": 2 << 30, "mps": 512 << 20}
REPEATS = 5


def measure_ceilings(device: torch.device, precision: str) -> dict[str, float]:
    """`matmul_flops` and `copy_bytes` a second, each the best of a few tries; a copy reads and writes every byte."""
    count = COPY_BYTES.get(device.type, 64 << 20)
    source = torch.zeros(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return {
        "matmul_flops": matmul_rate(device, precision),
        "copy_bytes": 2 * count / best_seconds(lambda: target.copy_(source), device),
    }


def matmul_rate(device: torch.device, precision: str) -> float:
    """Floating-point operations a second in a product of large matrices, the best of a few tries."""
    n = MATRIX.get(device.type, 1024)
    a, b = (torch.randn(n, n, device=device).to(DTYPES[precision]) for _ in range(2))
    return 2 * n**3 / best_seconds(lambda: torch.mm(a, b), device)


def best_seconds(work: Callable[[], object], device: torch.device) -> float:
    """The shortest of a few tries: what is slower had company."""
    work()
    tries = []
    for _ in range(REPEATS):
        wait_for(device)
        begin = time.perf_counter()
        work()
        wait_for(device)
        tries.append(time.perf_counter() - begin)
    return min(tries)


def wait_for(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
