"""Claims: which process makes which run, so that several on one results folder share the work.

A claim is a file `<key>.<generation>` made by linking a finished temporary file to its name, which is exclusive on
local disks and NFS alike. Its holder rewrites it with a growing beat. Whoever finds the newest generation without
a new beat for a lease (by the observer's own monotonic clock, so a wrong wall clock does no harm), or held by a
dead process of the same machine, links the next generation; only one can. No file is ever taken away from a
living holder, so there is no moment at which two hold the same run.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.files import explain, write_text

LEASE_SECONDS = 90.0
BEAT_SECONDS = 10.0


@dataclass
class Claim:
    """A held claim; it beats until released."""

    path: Path
    facts: dict[str, Any]
    beat_seconds: float = BEAT_SECONDS
    lost: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> Claim:
        """Begin to beat."""
        self._thread = threading.Thread(target=self._beat, name="claim-heartbeat", daemon=True)
        self._thread.start()
        return self

    def note(self, **facts: Any) -> None:
        """Tell observers more (progress, ETA) with the next beat."""
        self.facts |= facts

    def holds(self) -> bool:
        """Whether this process is still the owner."""
        if not self.path.exists() or _newest(self.path.parent, self.facts["key"])[0] != self.path:
            self.lost.set()
        return not self.lost.is_set()

    def release(self) -> None:
        """Stop beating and remove the claim with its dead forerunners."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if self.holds():
            for path in sorted(self.path.parent.glob(f"{self.facts['key']}.*"), key=_generation):
                path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(self.beat_seconds):
            if not self.holds():
                return
            self.facts["beat"] += 1
            try:
                write_text(self.path, json.dumps(self.facts))
            except Exception:  # a full disk must not end the run; the lease covers missed beats
                continue


class Claims:
    """The claims of one results folder, as one process sees them."""

    def __init__(self, folder: Path, lease: float = LEASE_SECONDS, beat: float = BEAT_SECONDS) -> None:
        self.folder, self.lease, self.beat = folder, lease, beat
        self._seen: dict[str, tuple[str, float]] = {}

    def take(self, key: str, **facts: Any) -> Claim | None:
        """Claim a run, or None where a living process holds it."""
        path, text = _newest(self.folder, key)
        if path is not None and not self._dead(key, text):
            return None
        generation = _generation(path) + 1 if path is not None else 1
        mine = {"key": key, **_identity(), "beat": 0, "since": time.time(), **facts}
        target = self.folder / f"{key}.{generation}"
        if not self._link(target, json.dumps(mine)):
            return None
        return Claim(target, mine, self.beat).start()

    def held(self) -> dict[str, dict[str, Any]]:
        """Every living claim by key: who holds it and since when."""
        living = {}
        for key in {path.name.rpartition(".")[0] for path in self._files()}:
            path, text = _newest(self.folder, key)
            if path is not None and not self._dead(key, text):
                living[key] = _parsed(text)
        return living

    def _files(self) -> list[Path]:
        return [p for p in self.folder.glob("*.*") if p.suffix[1:].isdigit()] if self.folder.is_dir() else []

    def _dead(self, key: str, text: str) -> bool:
        facts = _parsed(text)
        if facts.get("host") == socket.gethostname() and facts.get("boot") == _boot():
            alive = _start_of(facts.get("pid", 0))
            if alive is None or alive != facts.get("started"):
                return True
        now = time.monotonic()
        known, since = self._seen.get(key, ("", now))
        if known != text:
            self._seen[key] = (text, now)
            return False
        return now - since > self.lease

    def _link(self, target: Path, text: str) -> bool:
        temporary = self.folder / f".{uuid.uuid4().hex}.tmp"
        try:
            write_text(temporary, text)
            os.link(temporary, target)
        except FileExistsError:
            return False
        except OSError as error:
            raise explain(error, target) from error
        finally:
            temporary.unlink(missing_ok=True)
        return True


def _newest(folder: Path, key: str) -> tuple[Path | None, str]:
    paths = [p for p in folder.glob(f"{key}.*") if p.suffix[1:].isdigit()]
    for path in sorted(paths, key=_generation, reverse=True):
        try:
            return path, path.read_text()
        except OSError:
            continue  # released in this moment
    return None, ""


def _generation(path: Path) -> int:
    return int(path.suffix[1:])


def _parsed(text: str) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _identity() -> dict[str, Any]:
    pid = os.getpid()
    return {"host": socket.gethostname(), "boot": _boot(), "pid": pid, "started": _start_of(pid), "id": uuid.uuid4().hex}


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
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
