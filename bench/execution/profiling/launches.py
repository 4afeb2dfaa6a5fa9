"""What a step asks of its device: kernels launched on a card and how long they compute, or operators on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.profiler_util import EventList
from torch.profiler import ProfilerActivity, profile

from bench.execution.profiling.ceilings import wait_for

COPY = "aten::copy_"
"""What every move and cast ends in."""


@dataclass(frozen=True)
class Launches:
    """Of one step, on average."""

    operators: float
    """What the host is asked for: those that others call are not counted."""
    copies: float
    """How often numbers are only moved or cast, inside of those too."""
    kernels: float | None = None
    """What a card is given to do, its copies among it; None on other devices."""
    busy_seconds: float | None = None
    """How long a card computes; kernels side by side count once. None on other devices."""

    @property
    def of_device(self) -> float:
        """What is given to the device: kernels, or operators where host and device are one."""
        return self.operators if self.kernels is None else self.kernels


def count_launches(work: Callable[[], object], steps: int, device: torch.device) -> Launches:
    """Do the work of so many steps once under torch's profiler."""
    on_card = device.type == "cuda"
    wait_for(device)
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_card else [])]) as profiler:
        work()
        wait_for(device)
    events: EventList = profiler.events()
    operators = sum(_is_operator(event) and not _is_operator(event.cpu_parent) for event in events) / steps
    copies = sum(event.name == COPY for event in events) / steps
    if not on_card:
        return Launches(operators, copies)
    spans = [(one.time_range.start, one.time_range.end) for one in events if _on_card(one)]
    return Launches(operators, copies, len(spans) / steps, union(spans) / 1e6 / steps)


def _is_operator(event: Any) -> bool:
    return event is not None and event.name.startswith("aten::")


def _on_card(event: Any) -> bool:
    """Whether an event is a kernel or a copy on the card, and not what the host called it by."""
    return str(event.device_type).endswith("CUDA") and not getattr(event, "is_user_annotation", False)


def union(spans: Iterable[tuple[float, float]]) -> float:
    """How long at least one of the spans lasts."""
    total, end = 0.0, float("-inf")
    for begin, until in sorted(spans):
        total += max(0.0, until - max(begin, end))
        end = max(end, until)
    return total
