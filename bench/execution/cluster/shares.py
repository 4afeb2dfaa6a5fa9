"""What a run asks of a cluster: a share of a card by its measured memory, so that small probes share one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.core.spec import RunSpec

STEPS = 20
"""Shares of a card come in twentieths."""
MARGIN = 1.3
CONTEXT_BYTES = 1 << 30
"""What a process holds on a card besides its tensors: CUDA's context and kernels."""


@dataclass(frozen=True)
class Cluster:
    """What a cluster has: in all, and the smallest card and the largest node where that is known."""

    cpus: float
    gpus: float
    card_bytes: int = 0
    node_bytes: int = 0


@dataclass
class Shares:
    """The most memory that runs of one kind were seen to use, on cards and on hosts."""

    threads: int = 0
    peaks: dict[tuple[str, ...], int] = field(default_factory=dict)

    def learn(self, record: Mapping[str, Any]) -> None:
        """Take note of a record's peak memory."""
        device = record.get("numerics", {}).get("trained", {}).get("device_type", "")
        peak = record.get("memory_peak_bytes")
        if record.get("status") == "done" and device and isinstance(peak, int):
            key = kind_of(RunSpec.from_dict(record["spec"]), device)
            self.peaks[key] = max(peak, self.peaks.get(key, 0))

    def learn_all(self, records: Iterable[Mapping[str, Any]]) -> Shares:
        """Take note of many."""
        for record in records:
            self.learn(record)
        return self

    def wishes(self, spec: RunSpec, cluster: Cluster) -> dict[str, float]:
        """Ray's resources for a run: a whole card until its memory is known, none where there are no cards."""
        cpus = float(self.threads or 1)
        if cluster.gpus:
            peak = self.peaks.get(kind_of(spec, "cuda"), 0)
            return {"num_cpus": cpus, "num_gpus": card_share(peak, cluster.card_bytes)}
        needed = int(self.peaks.get(kind_of(spec, "cpu"), 0) * 1.1)
        wishes = {"num_cpus": cpus, "num_gpus": 0.0}
        return wishes | {"memory": needed} if 0 < needed <= cluster.node_bytes else wishes

    def slots(self, spec: RunSpec, cluster: Cluster) -> int:
        """How many runs like this one the cluster makes at once."""
        wishes = self.wishes(spec, cluster)
        by_cpu = cluster.cpus / max(wishes["num_cpus"], 1e-9)
        by_gpu = cluster.gpus / wishes["num_gpus"] if wishes["num_gpus"] else by_cpu
        return max(1, math.floor(min(by_cpu, by_gpu)))


def card_share(peak_bytes: int, card_bytes: int) -> float:
    """The share of a card that a run with this peak needs, rounded up; a whole one where either is not known."""
    if not peak_bytes or not card_bytes:
        return 1.0
    share = math.ceil((peak_bytes * MARGIN + CONTEXT_BYTES) / card_bytes * STEPS) / STEPS
    return share if share <= 0.5 else 1.0


def kind_of(spec: RunSpec, device: str) -> tuple[str, ...]:
    """Runs of one kind use the same memory."""
    recipe = spec.recipe
    options = json.dumps(dict(spec.options), sort_keys=True)
    return (device, spec.method, options, spec.backbone, spec.precision, str(recipe.batch), str(recipe.size))
