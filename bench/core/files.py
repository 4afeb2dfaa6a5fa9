"""Files that are whole or absent: temporary file, fsync, rename; hashes of what they hold; and paths as typed."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bench.core.errors import StoreError
from bench.core.processes import is_dead, mark


def expanded(path: str | Path) -> Path:
    """A path with `~` and `~user` as a shell reads them: as it is where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def writable_name(name: str) -> str:
    """A file's name as text that any file can hold: bytes that are no UTF-8 as Python shows them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears whole under its name or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{path.name}.{mark()}."
        handle = tempfile.NamedTemporaryFile(dir=path.parent, prefix=prefix, suffix=".tmp", delete=False)  # noqa: SIM115
    except OSError as error:
        raise explain(error, path) from error
    temporary = Path(handle.name)
    try:
        with handle:
            yield handle
            write_out(handle)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise explain(error, path) from error
        raise


def write_out(handle: IO[bytes]) -> None:
    """Have what was written so far on the disk, or the error that says why it is not."""
    handle.flush()
    os.fsync(handle.fileno())


def sweep(folder: Path) -> None:
    """Take away the temporary files of processes of this machine that died while they wrote into the folder."""
    for path in folder.glob(".*.tmp"):
        if is_dead(path.name.removesuffix(".tmp").rpartition(".")[0].rpartition(".")[2]):
            path.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a whole file at once, atomically."""
    with atomic(path) as handle:
        handle.write(data)


def write_text(path: Path, text: str) -> None:
    """Write a whole text file at once, atomically."""
    write_bytes(path, text.encode())


def is_stream(path: Path) -> bool:
    """Whether a path leads to a pipe or a device, which takes what is written and is no file to be replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


def write_named(path: Path, data: bytes) -> None:
    """Write what a user named: the file that a link leads to, whole and at once; a pipe or a device as it is."""
    if not is_stream(path):
        return write_bytes(Path(os.path.realpath(path)), data)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise explain(error, path) from error


def link_or_copy(path: Path, target: Path) -> None:
    """Give a file a second name, in place of whatever has it; a copy where the file system has no links."""
    beside = target.with_name(f".{target.name}.{mark()}.tmp")
    beside.unlink(missing_ok=True)
    try:
        os.link(path, beside)
    except OSError:
        shutil.copyfile(path, beside)
    beside.replace(target)
    beside.unlink(missing_ok=True)  # of two names of one file, neither of which `replace` takes away


def write_with(path: Path, writer: Callable[[Path], None]) -> None:
    """Let a library write to a temporary path, then put the file in its place."""
    with atomic(path) as handle:
        writer(Path(handle.name))


def explain(error: OSError, path: Path) -> StoreError:
    """What a failed write means for the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = "the disk is full; free some space and run the same command again, what is finished is kept"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = "there is no permission to write there; choose another place or mend its permissions"
    elif error.errno in (errno.ENOTDIR, errno.EEXIST):
        reason = "a file stands where a folder is needed"
    else:
        reason = error.strerror or str(error)
    return StoreError(f"Cannot write {path}: {reason}.")


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where the file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
