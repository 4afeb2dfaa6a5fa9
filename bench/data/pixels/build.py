"""Building a pixel store: parallel, resumable after a kill, seen by readers only when it is whole."""

from __future__ import annotations

import json
import os
import shutil
import time
import warnings
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np
from PIL import Image

from bench.core.claims import Claim, Claims
from bench.core.errors import DataError
from bench.core.files import write_text
from bench.core.progress import Report
from bench.data.caches import in_use_until_named, stays_below
from bench.data.dataset import Dataset
from bench.data.pixels.contents import Contents
from bench.data.pixels.index import INDEX, PIXELS, index_text, read_index
from bench.data.pixels.policy import Policy, load_plain

JOURNAL = "journal.jsonl"
SAMPLE = 200
"""How many picture headers are read to estimate a store's size."""
SMALLER = "Pictures in their own size take most: GLIA reads smaller ones with --set fragments_from=resized."
POLL_SECONDS = 0.3

T = TypeVar("T")
R = TypeVar("R")
Entry = tuple[int, int, int]


def build(
    dataset: Dataset, policy: Policy, folder: Path, report: Report, workers: int, limit_bytes: int | None = None
) -> None:
    """Make the store at `folder`, or wait until the process that is making it is done.

    A cache that grows above `limit_bytes` by it is said to; no other store is deleted for it.
    """
    if not len(dataset):
        raise DataError(f"{dataset.name} has no images.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from None
    claims = Claims(folder.parent / "claims")
    while read_index(folder) is None:
        claim = claims.take(folder.name)
        if claim is None:
            report(0, len(dataset), f"{dataset.name}: another process builds the pixel store")
            time.sleep(POLL_SECONDS)
            continue
        try:
            if read_index(folder) is None:
                _build_claimed(dataset, policy, folder, report, workers, claim, limit_bytes)
        finally:
            claim.release()


def estimate_bytes(dataset: Dataset, policy: Policy) -> int:
    """How large the store will be, from the headers of evenly spread pictures."""
    if policy.square:
        return len(dataset) * policy.square**2 * 3
    paths = dataset.paths()
    sizes = []
    for path in paths[:: max(1, len(paths) // SAMPLE)]:
        try:
            with Image.open(path) as image:
                height, width = policy.target(image.height, image.width)
                sizes.append(height * width * 3)
        except Exception:  # a broken file is reported when it is decoded, with its name
            continue
    return int(np.mean(sizes) * len(paths)) if sizes else 0


def _build_claimed(
    dataset: Dataset,
    policy: Policy,
    folder: Path,
    report: Report,
    workers: int,
    claim: Claim,
    limit_bytes: int | None,
) -> None:
    part = folder.with_name(f"{folder.name}.part")
    try:
        part.mkdir(exist_ok=True)
        with in_use_until_named(part, folder), Contents(dataset.root, folder.parent.parent) as contents:
            entries = _finished(part)
            size = _check_room(dataset, policy, part, limit_bytes)
            report(len(entries), len(dataset), what := f"{dataset.name}: decoding pictures once, {size / 1e9:.2f} GB")

            def tell(done: int) -> None:
                report(done, len(dataset), what)

            _decode_rest(dataset, policy, part, entries, tell, workers, claim, contents)
            if claim.holds():
                _finish(part, folder, index_text(list(dataset.table["image"]), entries), entries)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _finish(part: Path, folder: Path, index: str, entries: list[Entry]) -> None:
    """Give a whole store its name; one whose pixels were deleted while it was built must never get it."""
    try:
        write_text(part / INDEX, index)
        if (part / PIXELS).stat().st_size < sum(height * width * 3 for height, width, _ in entries):
            raise FileNotFoundError
        shutil.rmtree(folder, ignore_errors=True)  # only an unreadable one can stand there
        part.rename(folder)
    except FileNotFoundError:
        raise DataError(
            f"The pixel store {folder} was deleted while it was built: run the same command again, and leave "
            "the cache folder alone until it is done."
        ) from None
    (folder / JOURNAL).unlink(missing_ok=True)


def _unwritable(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"Cannot write the pixel store {folder} ({error.strerror}): make room, or choose another cache folder; "
        "the pictures decoded so far are kept."
    )


def _finished(part: Path) -> list[Entry]:
    """The pictures that an interrupted build has already stored whole; the first doubtful line ends the list."""
    entries: list[Entry] = []
    try:
        lines = (part / JOURNAL).read_text().splitlines()
        with (part / PIXELS).open("rb") as pixels:
            for line in lines:
                height, width, crc = json.loads(line)
                data = pixels.read(height * width * 3)
                if len(data) != height * width * 3 or zlib.crc32(data) != crc:
                    break
                entries.append((height, width, crc))
    except (OSError, ValueError, TypeError):
        pass  # nothing there, or a torn last line
    return entries


def _check_room(dataset: Dataset, policy: Policy, part: Path, limit_bytes: int | None) -> int:
    """The size the store will have, if the disk has room for what is missing of it."""
    size, pixels = estimate_bytes(dataset, policy), part / PIXELS
    needed = size - (pixels.stat().st_size if pixels.exists() else 0)
    if limit_bytes is not None and not stays_below(part.parent.parent, limit_bytes, needed):
        warnings.warn(
            f"{dataset.name}: with its pixel store of {size / 1e9:.1f} GB the cache is above cache_limit_gb "
            f"({limit_bytes / 2**30:g} GB). Raise it in bench.toml, or make room with bench cache rm.",
            stacklevel=2,
        )
    free = shutil.disk_usage(part).free
    if needed > free:
        smaller = "" if policy.short_side or policy.square else " " + SMALLER
        raise DataError(
            f"The pixel store of {dataset.name} needs about {needed / 1e9:.1f} GB in {part.parent}, "
            f"{free / 1e9:.1f} GB are free: make room, or choose another cache folder.{smaller}"
        )
    return size


def _decode_rest(
    dataset: Dataset,
    policy: Policy,
    part: Path,
    entries: list[Entry],
    report: Callable[[int], None],
    workers: int,
    claim: Claim,
    contents: Contents,
) -> None:
    """Append the missing pictures; each is journalled after its bytes, so that a kill loses at most those in work."""
    names = dataset.table["image"].tolist()
    end = sum(height * width * 3 for height, width, _ in entries)

    def load(name: str) -> tuple[np.ndarray, int]:
        try:
            pixels = load_plain(dataset.root / name, policy, dataset.name)
            if not dataset.content:
                contents.hash_of(name)  # its bytes have just been read
        except DataError as error:
            whole = dataset.part_of or dataset.name
            raise DataError(f"{error} `bench data check {whole} --deep` names all such files.") from None
        return pixels, zlib.crc32(pixels.reshape(-1).data)

    write_text(part / JOURNAL, "".join(map(_line, entries)))
    with _appending(part / PIXELS, end) as pixels, (part / JOURNAL).open("a") as journal:
        with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
            for picture, crc in ordered(pool, load, names[len(entries) :], ahead=2 * workers):
                if claim.lost.is_set():
                    return
                pixels.write(picture.reshape(-1).data)
                pixels.flush()  # before the journal speaks of it; a full disk is an error here, not at the end
                entries.append((picture.shape[0], picture.shape[1], crc))
                journal.write(_line(entries[-1]))
                journal.flush()
                report(len(entries))
        os.fsync(pixels.fileno())


def ordered(pool: ThreadPoolExecutor, call: Callable[[T], R], items: Iterable[T], ahead: int) -> Iterator[R]:
    """Results in the items' order, at most `ahead` of them in work or waiting; a failure cancels the rest."""
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(call, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _appending(path: Path, end: int) -> BinaryIO:
    path.touch()
    file = path.open("r+b")
    file.truncate(end)
    file.seek(end)
    return file


def _line(entry: Entry) -> str:
    return json.dumps(entry) + "\n"
