"""TensorBoard as a tracker: event files below tensorboard/ in the results folder, one folder per run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter

FOLDER = "tensorboard"
_open: list[SummaryWriter] = []


def init(*, id: str, name: str, config: Mapping[str, Any], dir: str, first_step: int) -> None:
    """Begin a run, or go on with it: events from the first step on are told anew."""
    finish()
    writer = SummaryWriter(str(Path(dir) / FOLDER / id), purge_step=first_step if first_step > 1 else None)
    writer.add_text("run", f"{name}\n\n```\n{json.dumps(config, indent=1)}\n```")
    _open.append(writer)


def log(values: Mapping[str, float | None], *, step: int) -> None:
    """One point of each curve."""
    for name, value in values.items():
        if value is not None:
            _open[-1].add_scalar(name, value, step)


def finish() -> None:
    """Write out and close what is open."""
    while _open:
        _open.pop().close()
