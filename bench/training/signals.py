"""What may be asked of a run while it is under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event


@dataclass(frozen=True)
class Signals:
    """Two events that a run looks at after each step. An executor sets them, a run only reads them."""

    stop: Event = field(default_factory=Event)
    """Stop here: the run saves its state, and the next command goes on from it."""
    lost: Event = field(default_factory=Event)
    """Another process has taken the run over: leave it and write nothing."""
