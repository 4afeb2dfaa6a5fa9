"""Claims: which process makes which run, so that several on one results folder share the work.

A claim is a file `<key>/<generation>` made by linking a finished temporary file to its name, which is exclusive on
local disks and NFS alike. Its holder rewrites it with a growing beat. Whoever finds the newest generation without
a new beat for a lease (by the observer's own monotonic clock, so a wrong wall clock does no harm), or held by a
dead process of the same machine, links the next generation; only one can. No file is ever taken away from a
living holder, so there is no moment at which two hold the same run. One folder a key keeps each step independent
of how many runs are being made elsewhere.

A successor also learns how many processes died at the run (`Deaths`), so that a run that kills its process
cannot do so for ever.
"""

from __future__ import annotations

import json
import math
import os
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.core.files import explain
from bench.core.processes import identity, lives_here, memory_kills

LEASE_SECONDS = 90.0
BEAT_SECONDS = 10.0


@dataclass(frozen=True)
class Deaths:
    """How often the processes at a run died one after the other without getting further: for memory, or unexplained.

    `together`: while they made other runs with it, so that nobody knows whose fault it was.
    """

    memory: int = 0
    unexplained: int = 0
    together: int = 0

    @property
    def any(self) -> bool:
        """Whether there were any."""
        return bool(self.memory or self.unexplained or self.together)


@dataclass(eq=False)
class Claim:
    """A held claim; it beats until released."""

    path: Path
    facts: dict[str, Any]
    deaths: Deaths = Deaths()
    beat_seconds: float = BEAT_SECONDS
    lost: threading.Event = field(default_factory=threading.Event)
    _beating: threading.Lock = field(default_factory=threading.Lock)

    def note(self, **facts: Any) -> None:
        """Tell observers more (progress, ETA) with the next beat."""
        self.facts = self.facts | facts

    def holds(self) -> bool:
        """Whether this process is still the owner; a claim that cannot be read for a moment is not lost."""
        self._is_seen()
        return not self.lost.is_set()

    def _is_seen(self) -> bool:
        """Whether the claim was read and is this process's own: only then may it be written over or removed."""
        held = still_held(self.path, self.facts["id"])
        if held is False:
            self.lost.set()
        return bool(held) and not self.lost.is_set()

    def beat(self) -> None:
        """Show that the holder lives."""
        with self._beating:
            if self.lost.is_set() or not self._is_seen():
                return
            self.note(beat=self.facts["beat"] + 1, **_pulse())
            with suppress(OSError):  # a full disk must not end the run; the lease covers missed beats
                _put(self.path, self.facts)

    def release(self) -> None:
        """Stop beating and remove the claim with its dead forerunners."""
        HEART.forget(self)
        with self._beating:
            seen = self._is_seen()
            self.lost.set()
        if not seen:
            return
        for path in _generations(self.path.parent):
            path.unlink(missing_ok=True)
        with suppress(OSError):  # somebody is claiming the key anew
            self.path.parent.rmdir()

    def abandon(self) -> None:
        """Stop beating and leave the claim to whoever takes it next, with the deaths that it knows of."""
        HEART.forget(self)
        with self._beating:
            if self._is_seen():
                _put(self.path, self.facts | {"laid_down": True})
            self.lost.set()


class Heart:
    """One thread that beats for all claims of this process, be they one or a thousand."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew: a forked process has neither the thread nor the claims."""
        self._due: dict[Claim, float] = {}
        self._changed = threading.Condition()
        self._started = False
        self._wakes = math.inf

    def keep(self, claim: Claim) -> None:
        """Beat for a claim from now on."""
        with self._changed:
            due = self._due[claim] = time.monotonic() + claim.beat_seconds
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="claims-heart", daemon=True).start()
            elif due < self._wakes:
                self._changed.notify()

    def forget(self, claim: Claim) -> None:
        """Beat for it no more."""
        with self._changed:
            self._due.pop(claim, None)

    def _run(self) -> None:
        while True:
            with self._changed:
                claim = min(self._due, key=self._due.__getitem__, default=None)
                self._wakes = self._due[claim] if claim else math.inf
                pause = self._wakes - time.monotonic()
                if claim is None or pause > 0:
                    self._changed.wait(pause if claim else None)
                    continue
                self._due[claim] = time.monotonic() + claim.beat_seconds
            claim.beat()


HEART = Heart()
os.register_at_fork(after_in_child=HEART.reset)


class Claims:
    """The claims of one results folder, as one process sees them."""

    def __init__(self, folder: Path, lease: float = LEASE_SECONDS, beat: float = BEAT_SECONDS) -> None:
        self.folder, self.lease, self.beat = folder, lease, beat
        self._seen: dict[str, tuple[str, float]] = {}

    def take(self, key: str, mark: str = "", **facts: Any) -> Claim | None:
        """Claim a run, or None where a living process holds it. `mark` changes whenever the run gets further."""
        path, text = _newest(self.folder / key)
        if path is not None and not self._dead(key, text):
            return None
        deaths = _deaths(_parsed(text), mark, self.lease) if path is not None else Deaths()
        generation = int(path.name) + 1 if path is not None else 1
        mine = {"key": key, **identity(), "beat": 0, "since": time.time(), "mark": mark, **facts}
        mine |= {"deaths": vars(deaths), **_pulse()}
        target = self.folder / key / str(generation)
        if not self._link(target, mine):
            return None
        claim = Claim(target, mine, deaths, self.beat)
        HEART.keep(claim)
        return claim

    def held(self) -> dict[str, dict[str, Any]]:
        """Every living claim by key: who holds it, since when, and for how many seconds it has been `silent`."""
        living = {}
        for key in self._keys():
            path, text = _newest(self.folder / key)
            if path is not None and not self._dead(key, text):
                living[key] = _parsed(text) | {"silent": _age(path)}
        return living

    def deadly(self) -> set[str]:
        """Keys of runs at which two processes or more died, which did nothing else, without getting further."""
        keys = set()
        for key in self._keys():
            before = _parsed(_newest(self.folder / key)[1]).get("deaths", {})
            if isinstance(before, dict) and (before.get("memory") or before.get("unexplained")):
                keys.add(key)
        return keys

    def _keys(self) -> list[str]:
        return sorted(p.name for p in self.folder.iterdir() if p.is_dir()) if self.folder.is_dir() else []

    def _dead(self, key: str, text: str) -> bool:
        facts = _parsed(text)
        if facts.get("laid_down") or lives_here(facts) is False:
            return True
        now = time.monotonic()
        known, since = self._seen.get(key, ("", now))
        if known != text:
            self._seen[key] = (text, now)
            return False
        return now - since > self.lease

    def _link(self, target: Path, facts: dict[str, Any]) -> bool:
        temporary = self.folder / f".{uuid.uuid4().hex}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(facts))
            return _exclusive_link(temporary, target)
        except OSError as error:
            raise explain(error, target) from error
        finally:
            temporary.unlink(missing_ok=True)


def still_held(claim: Path, holder: str) -> bool | None:
    """Whether a claim is the newest on its key and its holder's own; None where that cannot be read in this moment."""
    try:
        return _listed(claim.parent)[-1:] == [claim] and _parsed(claim.read_text()).get("id") == holder
    except FileNotFoundError:
        return False
    except OSError:
        return None


def _exclusive_link(source: Path, target: Path) -> bool:
    """Link a file to a name that must be free; the key's folder may vanish under it by another's release."""
    while True:
        target.parent.mkdir(exist_ok=True)
        try:
            os.link(source, target)
        except FileExistsError:
            return False
        except FileNotFoundError:
            continue
        return True


def _put(path: Path, facts: dict[str, Any]) -> None:
    """Replace a claim's text. Claims need not survive a power cut, so nothing is synced to the disk."""
    temporary = path.parent.parent / f".{facts['id']}.tmp"
    try:
        temporary.write_text(json.dumps(facts))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _pulse() -> dict[str, Any]:
    """What every beat tells: the machine's count of processes killed for memory, and when, in time since its start."""
    return {"memory_kills": memory_kills(), "alive": time.monotonic()}


def _deaths(before: dict[str, Any], mark: str, lease: float) -> Deaths:
    """The deaths after that of a holder: one more, or none if the run got further than where that holder began.

    The count of kills for memory is the whole machine's: one death with a kill tells only if it is read soon after it,
    a second one in a row always.
    """
    known = before.get("deaths")
    if before.get("mark") != mark or not isinstance(known, dict):
        return Deaths()
    memory, unexplained, together = (int(known.get(kind, 0)) for kind in ("memory", "unexplained", "together"))
    if before.get("laid_down"):
        return Deaths(memory, unexplained, together)
    if before.get("together", 1) > 1:
        return Deaths(memory, unexplained, together + 1)
    alive, kills = before.get("alive"), memory_kills()
    soon = isinstance(alive, float) and time.monotonic() - alive <= lease
    if (soon or unexplained) and lives_here(before) is False and kills > before.get("memory_kills", kills):
        return Deaths(memory + 1, unexplained, together)
    return Deaths(memory, unexplained + 1, together)


def _newest(folder: Path) -> tuple[Path | None, str]:
    for path in reversed(_generations(folder)):
        try:
            return path, path.read_text()
        except OSError:
            continue  # released in this moment
    return None, ""


def _generations(folder: Path) -> list[Path]:
    """A key's claim files, oldest first; none where they cannot be listed."""
    try:
        return _listed(folder)
    except OSError:
        return []


def _listed(folder: Path) -> list[Path]:
    return sorted((p for p in folder.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))


def _parsed(text: str) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _age(path: Path) -> float:
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return 0.0
