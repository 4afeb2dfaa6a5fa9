"""Archives unpacked safely: no path leaves the folder, no links, no devices, no bombs. Refused whole or not at all."""

from __future__ import annotations

import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.core.errors import BenchError, DataError
from bench.core.files import explain
from bench.core.progress import Report, silent

MAX_FILES = 500_000
MAX_BYTES = 400 << 30
"""SPAQ, the largest of the eight sets, unpacks to about 35 GB."""
MAX_RATIO = 100
SMALL = 256 << 20
"""Pictures hardly shrink in an archive: one that unpacks to more than 100 times its size, and to more than this
many bytes, is a bomb."""
_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    handle: zipfile.ZipInfo | tarfile.TarInfo


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a tar (plain or compressed); a workbook is a zip, yet no archive to unpack."""
    if path.suffix.lower() == ".xlsx":
        return False
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def unpack(archive: Path, folder: Path, progress: Report = silent) -> list[str]:
    """Unpack an archive into a folder and return the files' names; a file appears there whole or not at all.

    Everything is unpacked beside its place first and moved when the whole archive turned out sound.
    """
    scratch: Path | None = None
    try:
        with _members(archive) as (members, opened):
            _refuse_full_disk(archive, members, folder)
            folder.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder))
            for done, member in enumerate(members):
                _write(archive, member, opened, scratch / member.name)
                if done % 64 == 0:
                    progress(done, len(members), f"unpacking {archive.name}")
        for member in members:
            target = folder / member.name
            _refuse_link_on_the_way(archive, target, folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            (scratch / member.name).replace(target)
        progress(len(members), len(members), f"unpacking {archive.name}")
        return [member.name for member in members]
    except BenchError:
        raise
    except OSError as error:
        if isinstance(error, tarfile.TarError | zipfile.BadZipFile) or error.errno is None:
            raise _refused(archive, f"it is damaged ({error})") from None
        raise explain(error, folder) from error
    except Exception as error:  # damaged compressed data may fail in any way
        raise _refused(archive, f"it is damaged ({error or type(error).__name__})") from None
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _members(archive: Path) -> Iterator[tuple[list[_Member], zipfile.ZipFile | tarfile.TarFile]]:
    """All files of an archive, each with a checked name; anything else than files and folders is refused."""
    members: list[_Member] = []
    budget = _Budget(archive)
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                mode = info.external_attr >> 16
                if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise _refused(archive, f"{info.filename!r} is a link or a device")
                if info.flag_bits & 1:
                    raise _refused(archive, f"{info.filename!r} is encrypted")
                if not info.is_dir():
                    members.append(_Member(_checked(archive, info.filename), info.file_size, info))
                budget.take(info.file_size)
            _refuse_twins(archive, members)
            yield members, opened
    else:
        with tarfile.open(archive) as tar:
            for entry in tar:
                if entry.isdir():
                    continue
                if not entry.isreg() or entry.issparse():
                    raise _refused(archive, f"{entry.name!r} is a link or a device")
                members.append(_Member(_checked(archive, entry.name), entry.size, entry))
                budget.take(entry.size)  # before the next header is looked for behind this file's bytes
            _refuse_twins(archive, members)
            _read_to_the_end(archive, tar)
            yield members, tar


def _read_to_the_end(archive: Path, tar: tarfile.TarFile) -> None:
    """Let the compression's checksum, which stands behind the last byte, be compared; `tarfile` stops before it."""
    rest = 0
    while tar.fileobj is not None and (chunk := tar.fileobj.read(_CHUNK)):
        rest += len(chunk)
        if rest > SMALL:
            raise _refused(archive, "there is more behind its end")


def _checked(archive: Path, name: str) -> str:
    """A member's name below the folder, or an error: absolute, upward, with a drive or control characters."""
    plain = name.replace("\\", "/")
    while plain.startswith("./"):
        plain = plain[2:]
    parts = plain.split("/")
    odd = any(ord(letter) < 32 or letter == ":" for letter in plain)
    if not plain or odd or any(part in ("", ".", "..") for part in parts):
        raise _refused(archive, f"the name {name!r} leads out of the folder or is no file's name")
    return plain


class _Budget:
    """Counts what an archive claims to unpack to, and refuses it as soon as that is a bomb's."""

    def __init__(self, archive: Path) -> None:
        self.archive, self.packed = archive, archive.stat().st_size
        self.files = self.total = 0

    def take(self, size: int) -> None:
        """One more file of this size."""
        self.files, self.total = self.files + 1, self.total + size
        if self.files > MAX_FILES:
            raise _refused(self.archive, f"it holds more than {MAX_FILES:,} files")
        if self.total > MAX_BYTES or (self.total > SMALL and self.total > MAX_RATIO * self.packed):
            raise _refused(self.archive, f"its {self.packed:,} bytes claim to unpack to {self.total:,}")


def _refuse_twins(archive: Path, members: list[_Member]) -> None:
    """The same name twice would let one file overwrite another."""
    seen: set[str] = set()
    for member in members:
        if member.name in seen:
            raise _refused(archive, f"{member.name!r} is in it twice")
        seen.add(member.name)


def _refuse_full_disk(archive: Path, members: list[_Member], folder: Path) -> None:
    near = folder
    while not near.exists():
        near = near.parent
    total, free = sum(member.size for member in members), shutil.disk_usage(near).free
    if total > free:
        raise DataError(f"{archive.name} unpacks to {total / 1e9:.1f} GB, and {near} has {free / 1e9:.1f} GB free.")


def _refuse_link_on_the_way(archive: Path, target: Path, folder: Path) -> None:
    """A link that lies in the folder already must not carry a file outside."""
    if not target.parent.resolve().is_relative_to(folder.resolve()):
        raise _refused(archive, f"{target.parent} is a link that leads out of {folder}")


def _write(archive: Path, member: _Member, opened: zipfile.ZipFile | tarfile.TarFile, target: Path) -> None:
    """Copy one member's bytes; more or fewer than it claimed are an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source: IO[bytes] | None
    if isinstance(opened, zipfile.ZipFile):
        assert isinstance(member.handle, zipfile.ZipInfo)
        source = opened.open(member.handle)
    else:
        assert isinstance(member.handle, tarfile.TarInfo)
        source = opened.extractfile(member.handle)
    if source is None:
        raise _refused(archive, f"{member.name!r} cannot be read")
    written = 0
    with source, target.open("xb") as out:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > member.size:
                break
            out.write(chunk)
    if written != member.size:
        raise _refused(archive, f"{member.name!r} claims {member.size:,} bytes and has another number")


def _refused(archive: Path, reason: str) -> DataError:
    return DataError(f"The archive {archive.name} was not unpacked: {reason}.")
