"""Who holds a claim: a process by host, boot, number and start, and whether it still lives on this machine."""

from __future__ import annotations

import hashlib
import os
import socket
import uuid
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any


def identity() -> dict[str, Any]:
    """This process, so that a process number used again, or a restarted machine, is not taken for it."""
    pid, host = os.getpid(), socket.gethostname()
    return {"host": host, "boot": _boot(), "pid": pid, "started": _start_of(pid), "id": uuid.uuid4().hex}


def lives_here(facts: Mapping[str, Any]) -> bool | None:
    """Whether a holder lives; None where it is of another machine and cannot be asked after."""
    if facts.get("host") != socket.gethostname() or facts.get("boot") != _boot():
        return None
    started = _start_of(facts.get("pid", 0))
    return started is not None and started == facts.get("started")


def mark() -> str:
    """This process as a part of a file's name."""
    return f"{_place()}-{os.getpid()}-{_start_of(os.getpid())}"


def is_dead(mark: str) -> bool:
    """Whether the process of a mark was of this machine and is gone; what cannot be told counts as alive."""
    place, _, process = mark.partition("-")
    pid, _, started = process.partition("-")
    return place == _place() and pid.isdecimal() and _start_of(int(pid)) != started


def memory_kills() -> int:
    """How many processes this machine has killed for want of memory since it was booted (0 where it does not say)."""
    try:
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    except (OSError, ValueError):
        pass
    return 0


@cache
def _place() -> str:
    """What tells this machine, as started now, from others, in a few letters."""
    return hashlib.sha256(f"{socket.gethostname()}/{_boot()}".encode()).hexdigest()[:12]


@cache
def _boot() -> str:
    """What process numbers are counted in: this start of the machine, and this container of it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _start_of(pid: int) -> str | None:
    """When a process of this machine started (its tick count, so that a reused number is seen), None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:  # no /proc: only whether it lives can be told
        os.kill(pid, 0)
    except OSError:
        return None
    return "alive"
