"""What the pictures of a set hold: a hash of each file's bytes, made once and found again by size and time.

The hashes of a folder's files lie in `<cache>/contents/<folder>-<hash of its path>.json`: name → size, times of
modification and change, hash. They are made while the pixel store is built, which reads every file anyway, by `bench
data check --deep`, or else by the first run. A file whose size and times have not changed is not read again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from bench.core.errors import DataError, StoreError
from bench.core.files import write_text
from bench.core.progress import Report, silent
from bench.data.dataset import Dataset

BATCH = 256
"""Files read between two looks at the progress."""

Stamp = tuple[int, int, int]
"""Size, time of modification and time of change of a file, in nanoseconds; a new name alone moves the last."""
Known = tuple[int, int, int, str]
"""A file's stamp and its hash."""


class Contents:
    """The content hashes of a folder's files, as far as they are known; safe from any thread."""

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        where = root.resolve()
        token = hashlib.sha256(str(where).encode()).hexdigest()[:20]
        self.path = cache / "contents" / f"{where.name}-{token}.json"
        self._known = _read(self.path)
        self._new: dict[str, Known] = {}

    def find(self, name: str) -> str | None:
        """The hash of a file that has not changed since it was made."""
        known = self._new.get(name) or self._known.get(name)
        if known is None:
            return None
        return known[3] if known[:3] == self._stamp(name) else None

    def hash_of(self, name: str) -> str:
        """The hash of a file, which is read where it is new or has changed."""
        digest = self.find(name)
        if digest is not None:
            return digest
        stamp = self._stamp(name)  # before the bytes: a file that changes meanwhile is read again
        try:
            with (self.root / name).open("rb") as file:
                digest = hashlib.file_digest(file, _new_hash).hexdigest()
        except OSError as error:
            raise _unreadable(self.root / name, error) from None
        self._new[name] = (*stamp, digest)
        return digest

    def twins(self, names: Iterable[str]) -> list[list[str]]:
        """The names of files of equal bytes, where there are several; no file of a size of its own is read for it."""
        by_size: dict[int, list[str]] = {}
        for name in names:
            by_size.setdefault(self._stamp(name)[0], []).append(name)
        alike: dict[str, list[str]] = {}
        for name in (name for same in by_size.values() if len(same) > 1 for name in same):
            alike.setdefault(self.hash_of(name), []).append(name)
        return [same for same in alike.values() if len(same) > 1]

    def __enter__(self) -> Contents:
        return self

    def __exit__(self, *_error: object) -> None:
        """Keep what was learnt, beside what other processes have learnt; a cache that takes nothing costs time only."""
        if self._new:
            self._known = _read(self.path) | self._new
            self._new = {}
            with suppress(StoreError):
                write_text(self.path, json.dumps(self._known))

    def _stamp(self, name: str) -> Stamp:
        try:
            facts = os.stat(os.path.join(self.root, name))  # noqa: PTH116, PTH118 (a Path each takes twice as long)
        except OSError as error:
            raise _unreadable(self.root / name, error) from None
        return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns


def pixels_hash(dataset: Dataset, cache: Path, progress: Report = silent, workers: int = 4) -> str:
    """One hash over the contents of all pictures of a set in the order of their names: the same wherever they lie.

    A set that was made here and is verified by its loader has the hash that it was given then.
    """
    if dataset.content:
        return dataset.content
    if dataset.parts:
        return "+".join(pixels_hash(part, cache, progress, workers) for part in dataset.parts)
    names = dataset.table["image"].tolist()
    with Contents(dataset.root, cache) as contents:
        hashes = {name: contents.find(name) for name in names}
        missing = [name for name in names if hashes[name] is None]
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            progress(start, len(missing), f"{dataset.name}: hashing pictures once")
            with ThreadPoolExecutor(workers, thread_name_prefix="contents") as pool:
                hashes |= dict(zip(batch, pool.map(contents.hash_of, batch), strict=True))
    return hashlib.sha256("\n".join(str(hashes[name]) for name in names).encode()).hexdigest()[:20]


def _read(path: Path) -> dict[str, Known]:
    """What a file says; nothing where there is none, or none that can be trusted."""
    try:
        said = json.loads(path.read_text())
        return {str(name): (int(a), int(b), int(c), str(digest)) for name, (a, b, c, digest) in said.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _new_hash() -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=16)


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"The picture {path} cannot be read ({error.strerror}).")
