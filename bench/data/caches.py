"""What lies in the cache folder, what of it is in use, and how it is kept below a limit.

Every entry is `<cache>/<kind>/<name>`. Pixel stores and frozen inputs can be made again and are evicted, the least
recently used first, unless a process uses or builds them: frozen inputs to make room for others, pixel stores by
`bench cache limit` only. Anything else (weights, generated sets) goes only when asked for by name.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import shutil
import socket
import time
import uuid
import weakref
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import UsageError

RECOMPUTABLE = ("frozen", "pixels")
FOREIGN_SECONDS = 24 * 3600.0
"""A mark of use left by another machine, whose processes cannot be seen from here, counts for this long."""
_MARK = "in-use."
_SIDECAR = ".sha256"
"""A file of this ending holds the hash of the one it is named after, and comes and goes with it."""
_KEYS = {"frozen": 2, "pixels": 1}
"""How many parts stand behind the set's name in an entry's: the input's name and the key, or the key alone."""


@dataclass(frozen=True)
class Entry:
    """One thing in the cache. `used` is the time of last use in seconds since 1970."""

    kind: str
    name: str
    path: Path
    bytes: int
    used: float
    in_use: bool

    @property
    def of(self) -> str:
        """The set (or a smoke run's part of it) that pixels or frozen inputs were made from; else the entry's name."""
        return self.name.rsplit("-", _KEYS[self.kind])[0] if self.kind in _KEYS else self.name

    def answers_to(self, name: str, sets: Collection[str] = ()) -> bool:
        """Whether a user who says `name` means this entry: its kind, its own name, or that of its set.

        A smoke run's part of a set is called NAME-100; so may another of the user's `sets` be, which then is not meant.
        """
        part = self.of not in sets and re.fullmatch(rf"{re.escape(name)}-\d+", self.of)
        return name in (self.kind, self.name, self.of) or bool(part)


def cache_entries(cache: Path) -> list[Entry]:
    """Everything in the cache, by kind and name."""
    entries = []
    for folder in sorted(p for p in _children(cache) if p.is_dir()):
        for path in sorted(_children(folder)):
            beside = path.suffix == _SIDECAR and path.with_suffix("").exists()
            if path.name != "claims" and not path.name.startswith(".") and not beside:
                with contextlib.suppress(FileNotFoundError):  # removed by another process in this moment
                    facts = path.stat()
                    size = _size(path) + _size(_sidecar(path))
                    entries.append(Entry(folder.name, path.name, path, size, facts.st_mtime, in_use(path)))
    return entries


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + _SIDECAR)


def remove(entry: Entry) -> None:
    """Delete an entry; whoever has it open goes on with what is mapped, whoever comes later makes it anew."""
    gone = entry.path.with_name(f".{uuid.uuid4().hex}.gone")
    with contextlib.suppress(FileNotFoundError):
        entry.path.rename(gone)  # at once, so that nobody opens half an entry
        if gone.is_dir():
            shutil.rmtree(gone, ignore_errors=True)
        else:
            gone.unlink()
            _sidecar(entry.path).unlink(missing_ok=True)


def bytes_of(gigabytes: float) -> int:
    """A limit in bytes; one that no disk could reach is refused."""
    if not math.isfinite(gigabytes * 2**30):
        raise UsageError(f"A cache's limit is a number of gigabytes, such as 20, not {gigabytes:g}.")
    return int(gigabytes * 2**30)


def why_not_less(cache: Path) -> str:
    """Why `limit` leaves what it leaves: what is in use, and what only goes by name; empty where nothing is left."""
    entries = cache_entries(cache)
    used = sum(entry.in_use for entry in entries)
    kinds = sorted({entry.kind for entry in entries if entry.kind not in RECOMPUTABLE})
    said = [f"{used} in use by runs"] if used else []
    return "; ".join(said + ([f"{' and '.join(kinds)} only by name (bench cache rm {kinds[0]})"] if kinds else []))


def limit(cache: Path, limit_bytes: int, reserve: int = 0, kinds: Collection[str] = RECOMPUTABLE) -> list[Entry]:
    """Bring the cache, and `reserve` bytes to come, below a limit; returns what was removed for it.

    Nothing is removed where even removing all that is allowed would not make the room.
    """
    entries = cache_entries(cache)
    excess = sum(entry.bytes for entry in entries) + reserve - limit_bytes
    allowed = [entry for entry in entries if entry.kind in kinds and not entry.in_use]
    if reserve and sum(entry.bytes for entry in allowed) < excess:
        return []
    removed = []
    for entry in sorted(allowed, key=lambda entry: entry.used):
        if excess <= 0:
            break
        remove(entry)
        removed.append(entry)
        excess -= entry.bytes
    return removed


def stays_below(cache: Path, limit_bytes: int, needed: int) -> bool:
    """Whether so many more bytes keep the cache below the limit."""
    return sum(entry.bytes for entry in cache_entries(cache)) + needed <= limit_bytes


def fits(cache: Path, limit_bytes: int, needed: int) -> bool:
    """Whether so many more bytes fit below the limit and on the disk, after removing the oldest frozen inputs.

    Pixel stores stay: a plan goes split by split, and would build them anew for each.
    """
    limit(cache, limit_bytes, reserve=needed, kinds=("frozen",))
    return stays_below(cache, limit_bytes, needed) and needed <= shutil.disk_usage(cache).free


def mark_in_use(folder: Path, owner: object) -> None:
    """Note in a cache folder that this process uses it for as long as `owner` lives; its time of use becomes now."""
    with contextlib.suppress(OSError):  # a read-only cache serves as well
        mark = _new_mark(folder)
        weakref.finalize(owner, _unmark, mark, os.getpid())


@contextlib.contextmanager
def in_use_until_named(folder: Path, named: Path) -> Iterator[None]:
    """Note that this process uses a folder that it is making, and that is called `named` once it is made."""
    mark = _new_mark(folder)
    try:
        yield
    finally:
        for place in (folder, named):
            _unmark(place / mark.name, os.getpid())


def _new_mark(folder: Path) -> Path:
    mark = folder / f"{_MARK}{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
    for other in _children(folder):
        if other.name.startswith(_MARK) and not _lives(other):
            other.unlink(missing_ok=True)
    mark.touch()
    return mark


def in_use(folder: Path) -> bool:
    """Whether a living process uses a cache folder."""
    return any(_lives(mark) for mark in _children(folder) if mark.name.startswith(_MARK))


def _unmark(mark: Path, pid: int) -> None:
    if os.getpid() == pid:  # a forked child inherits the finaliser, not the use
        with contextlib.suppress(OSError):
            mark.unlink()


def _lives(mark: Path) -> bool:
    host, pid, _ = mark.name[len(_MARK) :].rsplit(".", 2)
    try:
        if host != socket.gethostname():
            return time.time() - mark.stat().st_mtime < FOREIGN_SECONDS
        os.kill(int(pid), 0)
    except PermissionError:
        return True  # it lives and is somebody else's
    except (OSError, ValueError):
        return False
    return True


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _size(path: Path) -> int:
    """Bytes of all files below a path; a sparse file counts in full, for it may fill up."""
    if path.is_file():
        return path.stat().st_size
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(folder) / name).lstat().st_size
    return total
