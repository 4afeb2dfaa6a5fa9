"""The structure of a table, apart from how it is written: header, rows of cells, notes and a footer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

UNRANKED = "not ranked"
"""The contest of rows that are in none."""
MEASURED = ""
"""The block of rows that this harness measured; every other block is named after where its numbers were published."""


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
    interval: str = ""
    """What `low` and `high` are; empty where there is no interval."""
    rank: int = 0
    """1 best (bold), 2 second (underlined) among the complete numbers of its column and block."""
    tied: bool = False
    """Not distinguishable from the best of its column (corrected paired test)."""
    failed: int = 0
    undefined: bool = False
    """Its runs are done and have no such number: a constant correlates with nothing."""
    difference: float | None = None
    """measured − published, only where dataset, split rule and backbone match."""
    shown: Literal["", "difference", "interval"] = ""
    """How it is written: by itself, with its sign and its interval, or with its interval."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the tidy CSV says of the number: dataset, metric, method …"""

    @property
    def complete(self) -> bool:
        """Whether every split that was asked for is in."""
        return self.value is not None and self.n == self.of


@dataclass(frozen=True)
class Cost:
    """What a row's runs cost, medians over its records; None where no record says."""

    trainable: float | None = None
    total: float | None = None
    train_seconds: float | None = None
    images_per_second: float | None = None
    memory_bytes: float | None = None
    gflops: float | None = None


@dataclass(frozen=True)
class Row:
    """A row: its leading cells, its numbers, and where they come from."""

    lead: tuple[str, ...]
    cells: tuple[Number | str, ...]
    block: str = MEASURED
    notes: tuple[str, ...] = ()
    cost: Cost | None = None
    contest: str = ""
    """The name of the rows that it is ranked among; empty where all rows of the block are."""

    @property
    def label(self) -> str:
        """The leading cells as one text."""
        return ", ".join(part for part in self.lead if part)


@dataclass(frozen=True)
class Table:
    """A table of a protocol. `leads` head the leading cells; `header` holds (group, column): ("KonIQ", "SRCC").

    `tiers` name the two levels of the header where that helps ("Training", "Testing"); `name` is the file's stem.
    """

    name: str
    title: str
    leads: tuple[str, ...]
    header: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()
    tiers: tuple[str, str] = ("", "")
    demo: bool = False

    def __post_init__(self) -> None:
        """Refuse rows that do not fit the header: a plugin's protocol may give anything."""
        for row in self.rows:
            for what, given, expected in (("lead", row.lead, self.leads), ("cells", row.cells, self.header)):
                if not isinstance(given, tuple) or len(given) != len(expected):
                    raise ValueError(f"table {self.name}: {what} of a row is {given!r}, no tuple of {len(expected)}")

    mixed: tuple[str, ...] = ()
    """What differs in how the compared numbers were made (bench.report.mixing); the footer says it too."""
