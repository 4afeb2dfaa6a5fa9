"""What a Ray cluster has: processors, cards, and how large the smallest card and the largest node are."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

from bench.execution.cluster.shares import Cluster

PROBE_SECONDS = 60.0


def look_at_cluster(ray: Any, cards: bool) -> Cluster:
    """The cluster as it is now; with `cards`, every node with GPUs is asked how large they are."""
    nodes = [node for node in ray.nodes() if node["Alive"]]
    total = {name: sum(node["Resources"].get(name, 0.0) for node in nodes) for name in ("CPU", "GPU")}
    largest = max((node["Resources"].get("memory", 0.0) for node in nodes), default=0.0)
    smallest = _smallest_card(ray, nodes) if cards and total["GPU"] else 0
    return Cluster(total["CPU"], total["GPU"], smallest, int(largest))


def card_bytes() -> int:
    """The memory of this machine's smallest NVIDIA card, 0 where there is none to ask."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return 0
    command = [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        return min(int(line) for line in text.split()) << 20
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def _smallest_card(ray: Any, nodes: list[dict[str, Any]]) -> int:
    """The smallest card of the cluster; 0, so that every run gets a whole one, where a node does not answer."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = []
    for node in nodes:
        if node["Resources"].get("GPU"):
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            asked.append(ray.remote(card_bytes).options(num_cpus=0, scheduling_strategy=there).remote())
    try:
        return int(min(ray.get(asked, timeout=PROBE_SECONDS), default=0))
    except ray.exceptions.RayError:
        return 0
