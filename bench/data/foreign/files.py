"""Split files of other projects: text files of names, .npy of numbers, .json, .pkl, and a plain csv.

Numbers are places in the set's label file, from 0. Nothing in a file is ever run.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.core.errors import DataError
from bench.data.foreign.pickles import read_plain_pickle
from bench.data.foreign.sides import Listed
from bench.data.labels.columns import read_bytes, read_csv

PARTS = ("train", "val", "test")
FORMATS = ".csv (image,split,side), .json, .npy, .pkl, .txt, or a folder of .txt or .npy files"
_SIDES = {"train": "train", "training": "train", "val": "val", "validation": "val", "test": "test"}
_PART_IN_NAME = re.compile(r"(?<![a-z])(train|val|test)(?![a-z])", re.IGNORECASE)


def read_splits(name: str, path: Path) -> list[Listed]:
    """Every split that a file or folder holds, in its order."""
    if path.is_dir():
        return _folder(name, path)
    if not path.is_file():
        raise DataError(f"{name}: there is no split file {path}.")
    suffix = path.suffix.lower()
    if suffix in (".npy", ".txt"):
        return _READERS[suffix](name, _siblings(name, path))
    if suffix not in _ALONE:
        raise DataError(f"{name}: {path} is no split file that is known: {FORMATS}.")
    splits = _ALONE[suffix](name, path)
    if not splits:
        raise DataError(f"{name}: {path} holds no split.")
    return splits


def _folder(name: str, path: Path) -> list[Listed]:
    """A folder with one split's files in it, or with a numbered folder for each split."""
    numbered = sorted((each for each in path.iterdir() if each.is_dir() and each.name.isdecimal()), key=_number)
    if numbered:
        return [listed for each in numbered for listed in _folder(name, each)]
    for suffix, read in _READERS.items():
        parts: dict[str, Path] = {}
        for each in sorted(path.iterdir()):
            part = _part_of(each, suffix)
            if part in parts:
                raise DataError(f"{name}: {parts[part]} and {each.name} are both a {part} part; leave one there.")
            if part:
                parts[part] = each
        if parts:
            return read(name, parts)
    raise DataError(f"{name}: the folder {path} holds no split that is known: {FORMATS}.")


def _number(path: Path) -> int:
    return int(path.name)


def _part_of(path: Path, suffix: str) -> str:
    """Which part of a split a file is by its name; "" where it is none."""
    match = _PART_IN_NAME.search(path.stem.replace("_", " "))
    return match[1].lower() if match and path.suffix.lower() == suffix and path.is_file() else ""


def _siblings(name: str, path: Path) -> dict[str, Path]:
    """The files of all parts, where one of them is given; they differ in the part's name alone, in whatever case."""
    own = _part_of(path, path.suffix.lower())
    if not own:
        raise DataError(f"{name}: {path.name} says in its name neither train nor val nor test; give the folder.")
    at = path.name.lower().rindex(own)
    start, end = re.escape(path.name[:at]), re.escape(path.name[at + len(own) :])
    found = {each: re.fullmatch(f"{start}(?i:(train|val|test)){end}", each.name) for each in path.parent.iterdir()}
    named = {match[1].lower(): each for each, match in sorted(found.items()) if match and each.is_file()} | {own: path}
    files = {part: named[part] for part in PARTS if part in named}
    if "train" not in files or len(files) < 2:
        raise DataError(f"{name}: beside {path.name} there are not both a training and a test part.")
    return files


def _texts(name: str, parts: Mapping[str, Path]) -> list[Listed]:
    """Lines that begin with a picture's name, up to the first tab or comma, as LIQE and UNIQUE have them."""
    listed: dict[str, list[str | int]] = {}
    for part, path in parts.items():
        text = read_bytes(name, path).decode("utf-8", errors="replace")
        lines = (re.split(r"[\t,]", line, maxsplit=1)[0].strip() for line in text.splitlines())
        listed[part] = [line for line in lines if line]
    return [listed]


def _arrays(name: str, parts: Mapping[str, Path]) -> list[Listed]:
    """Numbers of pictures, a row a split; rows of unequal length are filled up with -1, as ARNIQA has them."""
    arrays = {part: np.atleast_2d(_array(name, path)) for part, path in parts.items()}
    counts = {len(array) for array in arrays.values()}
    if len(counts) != 1:
        raise DataError(f"{name}: the parts of {next(iter(parts.values())).parent} have different numbers of splits.")
    return [
        {part: [int(place) for place in array[number] if place != -1] for part, array in arrays.items()}
        for number in range(counts.pop())
    ]


def _array(name: str, path: Path) -> np.ndarray:
    try:
        array = np.load(io.BytesIO(read_bytes(name, path)), allow_pickle=False)
    except (ValueError, EOFError, OSError, SyntaxError) as error:
        raise DataError(f"{name}: {path} is no array of numbers ({str(error)[:80]}).") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu" or array.ndim not in (1, 2):
        raise DataError(f"{name}: {path} is no array of whole numbers, a row a split.")
    return array


_READERS = {".npy": _arrays, ".txt": _texts}


def _json(name: str, path: Path) -> list[Listed]:
    try:
        content = json.loads(read_bytes(name, path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name}: {path} is no JSON ({str(error)[:80]}).") from None
    return _tables(name, path, content)


def _pickle(name: str, path: Path) -> list[Listed]:
    return _tables(name, path, read_plain_pickle(name, path, read_bytes(name, path)))


def _tables(name: str, path: Path, content: Any) -> list[Listed]:
    """One table of parts (DeQA's), or a list or table of such, by number (LoDa's, pyiqa's)."""
    if isinstance(content, Mapping) and not set(PARTS) & set(content):
        keys = list(content)
        if not all(isinstance(key, int) or (isinstance(key, str) and key.isdecimal()) for key in keys):
            raise DataError(f"{name}: {path} is no table of splits: its keys are {', '.join(map(str, keys[:5]))}.")
        content = [content[key] for key in sorted(keys, key=int)]
    tables = content if isinstance(content, list) else [content]
    return [_table(name, path, table) for table in tables]


def _table(name: str, path: Path, table: Any) -> Listed:
    if not isinstance(table, Mapping) or "train" not in table:
        raise DataError(f"{name}: {path} has a split that is no table of train, val and test.")
    parts = {part: table.get(part, []) for part in PARTS}
    for part, items in parts.items():
        plain = isinstance(items, Sequence) and not isinstance(items, str)
        if not plain or not all(isinstance(item, str | int) and not isinstance(item, bool) for item in items):
            raise DataError(f"{name}: {path}: {part} is no list of names or numbers.")
    return parts


def _csv(name: str, path: Path) -> list[Listed]:
    """`image,side` and perhaps `split`, as `bench splits --export` writes it."""
    sheet = read_csv(name, path)
    images, sides = sheet.text("image"), [cell.lower() for cell in sheet.text("side")]
    numbers = sheet.text("split") if sheet.has("split") else ["0"] * len(sheet)
    splits: dict[int, dict[str, list[str | int]]] = {}
    for i, (image, side, number) in enumerate(zip(images, sides, numbers, strict=True)):
        if side not in _SIDES:
            raise sheet.wrong(i, f"side is {side!r}, none of train, val and test")
        if not number.isdecimal():
            raise sheet.wrong(i, f"split is {number!r}, not a number from 0 on")
        splits.setdefault(int(number), {}).setdefault(_SIDES[side], []).append(image)
    return [splits[number] for number in sorted(splits)]


_ALONE = {".json": _json, ".pkl": _pickle, ".pickle": _pickle, ".csv": _csv}
