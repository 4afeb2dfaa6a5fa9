"""The structure of a table, apart from how it is written: header, rows of cells, notes and a footer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Number:
    """One measured or published number with what stands behind it."""

    value: float | None
    n: int = 0
    of: int = 0
    mean: float | None = None
    std: float | None = None
    low: float | None = None
    high: float | None = None
    rank: int = 0
    """1 best (bold), 2 second (underlined) among the complete numbers of its column."""
    tied: bool = False
    """Not distinguishable from the best of its column (corrected paired test)."""
    failed: int = 0
    difference: float | None = None
    """measured − published, only where dataset, split rule and backbone match."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the tidy CSV says of the number: dataset, metric, method …"""

    @property
    def complete(self) -> bool:
        """Whether every split that was asked for is in."""
        return self.value is not None and self.n == self.of


@dataclass(frozen=True)
class Row:
    """A labelled row. `block` separates measured from published rows."""

    label: str
    cells: tuple[Number | str, ...]
    block: str = "measured"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table of a protocol. `header` holds (group, column) pairs: ("KonIQ", "SRCC")."""

    name: str
    title: str
    header: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    first_column: str = "Method"
    notes: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()
    demo: bool = False
