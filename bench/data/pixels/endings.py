"""Which files of a folder are taken for pictures, by their endings, and what is said of those that are left out."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from bench.core.progress import counted

ENDINGS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".webp"}
    | {".ppm", ".pgm", ".pbm", ".jp2", ".j2k"}
)
"""What a file of a folder must end with to be taken for a picture; a file named by itself may end as it likes."""
OTHERS = frozenset(
    {".avif", ".heic", ".heif", ".hif", ".jxl", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".raf", ".rw2"}
)
"""Endings of pictures that are not looked for, because not every Pillow reads them, or none does."""


def is_picture(path: Path, left_out: Counter[str]) -> bool:
    """Whether a file of a folder is taken; one that looks like a picture and is not taken is counted by its kind."""
    ending = path.suffix.lower()
    taken = ending in ENDINGS
    if taken and os.path.isfile(path):  # noqa: PTH113 (False where the folder may not be entered)
        return True
    if taken or ending in OTHERS:
        broken = "broken link" if path.is_symlink() else "unreadable file"
        left_out[broken if taken else ending] += 1
    return False


def counts_of(left_out: Counter[str]) -> str:
    """How much of each kind was left out; empty where nothing was."""
    kinds = sorted((+left_out).items())
    return ", ".join(f"{count} {kind}" if kind.startswith(".") else counted(count, kind) for kind, count in kinds)
