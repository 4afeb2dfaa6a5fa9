"""The name of a user's file, such as one of weights: a hash of its bytes, made without torch."""

from __future__ import annotations

from collections.abc import Mapping
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
        raise WeightsError(f"The file {path} cannot be read: {error.strerror or error}.") from None


def file_behind(token: str, files: Mapping[str, Path], flag: str) -> Path:
    """The file that a token stands for, as it was when the plan was made; `flag` is how a user gives it."""
    path = files.get(token)
    if path is None:
        raise WeightsError(f"This run wants the file with {token}: give it with {flag}.")
    if file_token(path) != token:
        raise WeightsError(f"{path} is not the file with {token}: it has changed since the plan was made.")
    return path


@lru_cache(maxsize=64)
def _token(path: Path, _size: int, _changed: int, _inode: int) -> str:
    return TOKEN + sha256_of(path)[:16]
