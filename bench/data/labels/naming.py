"""Which picture of a set a name means that somebody else wrote: a path in the set, the end of one, or a longer one."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from bench.data.labels.columns import alike


class Naming:
    """The pictures of a set by their paths. A name means a picture where one of the two is an end of the other.

    "b.png" and "x/a/b.png" mean "a/b.png"; "c/b.png" does not, for it is a picture of another folder.
    """

    def __init__(self, images: Sequence[str]) -> None:
        self._images = [_spelt(image) for image in images]
        self._whole: dict[str, list[int]] = {}
        self._by_end: dict[str, list[int]] = {}
        for row, image in enumerate(images):
            ends = _ends(image)
            self._whole.setdefault(ends[0], []).append(row)
            for end in ends:
                self._by_end.setdefault(end, []).append(row)

    def rows(self, name: str) -> list[int]:
        """The rows that a name may mean: those of its very path, else of paths that end in it, else of its longest end.

        None for no picture of the set, and several where the name says too little. Of pictures whose names differ in
        upper and lower case alone it means the one that is spelt alike.
        """
        ends = _ends(name)
        if not ends:
            return []
        found = (self._whole.get(ends[0]), self._by_end.get(ends[0]), *(self._whole.get(end) for end in ends[1:]))
        rows = next(filter(None, found), [])
        if len(rows) < 2:
            return rows
        spelt = _spelt(name)
        return (
            [row for row in rows if f"/{self._images[row]}".endswith(f"/{spelt}")]
            or [row for row in rows if f"/{spelt}".endswith(f"/{self._images[row]}")]
            or rows
        )

    def rows_of_last(self, name: str) -> list[int]:
        """The rows of all pictures whose files are called so, whatever their folders."""
        return [row for end in _ends(name)[-1:] for row in self._by_end.get(end, [])]


def _spelt(name: str) -> str:
    """A path as it is spelt, with one way to write folders and accents."""
    written = unicodedata.normalize("NFC", name).replace("\\", "/")
    return "/".join(part for part in written.split("/") if part not in ("", "."))


def _ends(name: str) -> list[str]:
    """A path and every end of it, the longest first, in one spelling."""
    parts = _spelt(alike(name)).split("/") if name else []
    return ["/".join(parts[at:]) for at in range(len(parts))]
