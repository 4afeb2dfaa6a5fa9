"""How much work a computation is: floating-point operations, and bytes that its operations read and write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Work:
    """Operations (two a multiply-add, as torch counts) and bytes of one computation."""

    flops: int
    bytes: int


def count_work(compute: Callable[[], object]) -> Work:
    """Run it once and count. Bytes: all that operations read and write, as if nothing stayed in a cache."""
    with _Traffic() as traffic, FlopCounterMode(display=False) as counter:
        compute()
    return Work(counter.get_total_flops(), traffic.bytes)


class _Traffic(TorchDispatchMode):
    """Adds up what operations read and write; a view moves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns):
            given = _tensors((*args, *(kwargs or {}).values()))
            self.bytes += sum(t.numel() * t.element_size() for t in (*given, *_tensors((result,))))
        return result


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    tensors: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            tensors.append(value)
        elif isinstance(value, list | tuple):
            tensors += _tensors(value)
    return tensors
