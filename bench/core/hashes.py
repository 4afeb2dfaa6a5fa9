"""The name of a user's weights file: a hash of its bytes, made without torch."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from bench.core.errors import WeightsError
from bench.core.files import sha256_of

TOKEN = "sha256:"
"""How a token begins, so that it is neither "pretrained" nor "random"."""


def file_token(path: Path) -> str:
    """ "sha256:" and the first 16 hex digits; a file that has not changed is read once per process."""
    try:
        facts = path.stat()
        return _token(path.resolve(), facts.st_size, facts.st_mtime_ns, facts.st_ino)
    except OSError as error:
        raise WeightsError(f"The weights file {path} cannot be read: {error.strerror or error}.") from None


@lru_cache(maxsize=64)
def _token(path: Path, _size: int, _changed: int, _inode: int) -> str:
    return TOKEN + sha256_of(path)[:16]
