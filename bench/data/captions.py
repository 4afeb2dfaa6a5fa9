"""Captions: a file with a text about each picture, a line {"image": ..., "text": ...} for one."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from bench.core.errors import DataError, PlanError
from bench.core.progress import counted


def texts_of(pictures: Sequence[tuple[str, str]], path: Path) -> list[str]:
    """The text about each of these pictures, given by set and name.

    In the file a name may begin with its set's, "koniq10k/1.jpg", and must where the pictures are of several sets. A
    picture without a text is an error: what is learned of the others would be another method.
    """
    known, several = read_captions(path), len({dataset for dataset, _ in pictures}) > 1
    images = [_as_compared(image) for _, image in pictures]
    names = [f"{dataset}/{image}" for (dataset, _), image in zip(pictures, images, strict=True)]
    if not several:
        names = [name if name in known else image for name, image in zip(names, images, strict=True)]
    lacking = [name for name in names if name not in known]
    if lacking:
        raise DataError(
            f"{path.name} has no text for {counted(len(lacking), 'picture')} of {len(names)} that are trained on, "
            f'such as {lacking[0]}: add a line {{"image": "{lacking[0]}", "text": "..."}} for each.'
        )
    return [known[name] for name in names]


def read_captions(path: Path) -> dict[str, str]:
    """The text about each picture by its name; what is no such file is an error that names the line."""
    texts: dict[str, str] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")  # a text may hold what else ends a line
    except (OSError, UnicodeDecodeError) as error:
        raise PlanError(f"{path} cannot be read as a text file of captions: {error}.") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        image, text = _of_line(line)
        image = _as_compared(image)
        if not image or not text.strip():
            raise PlanError(f'{path}, line {number}: not of the form {{"image": "name.jpg", "text": "..."}}.')
        if texts.setdefault(image, text) != text:
            raise PlanError(f"{path}, line {number}: another text for {image}. Each picture has one.")
    return texts


def _as_compared(image: str) -> str:
    """A picture's name in the one of the two ways in which Unicode spells "é" that names are compared in."""
    return unicodedata.normalize("NFC", image)


def _of_line(line: str) -> tuple[str, str]:
    """(image, text) of a line; empty where it says neither."""
    try:
        said = json.loads(line)
        image, text = said["image"], said["text"]
    except (ValueError, TypeError, KeyError):
        return "", ""
    return (image, text) if isinstance(image, str) and isinstance(text, str) else ("", "")
