"""The index of a pixel store: height, width and CRC-32 of every picture, with a checksum of its own."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

PIXELS, INDEX = "pixels.u8", "index.json"
FORMAT = 1


def index_text(names: Sequence[str], entries: Sequence[tuple[int, int, int]]) -> str:
    """The index as text: (height, width, CRC-32) a picture, and a checksum of the index itself."""
    body = json.dumps({"format": FORMAT, "names": list(names), "pictures": [list(entry) for entry in entries]})
    return json.dumps({"crc": zlib.crc32(body.encode()), "body": body})


def read_index(folder: Path) -> np.ndarray | None:
    """The index's (height, width, CRC-32) rows, or None where it is missing or damaged."""
    try:
        outer = json.loads((folder / INDEX).read_text())
        if zlib.crc32(outer["body"].encode()) != outer["crc"]:
            return None
        body = json.loads(outer["body"])
        return np.array(body["pictures"], dtype=np.int64).reshape(-1, 3) if body["format"] == FORMAT else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def offsets_of(entries: np.ndarray) -> np.ndarray:
    """Where each picture starts, and last where all end."""
    ends = np.cumsum(entries[:, 0] * entries[:, 1] * 3, dtype=np.int64)
    return np.concatenate([np.zeros(1, dtype=np.int64), ends])
