"""Small pictures of what runs erred on, put into the page where the user asks for them, and only so many."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.core.errors import BenchError
from bench.core.progress import counted
from bench.records.results import Record
from bench.report.page.competition import Duel

if TYPE_CHECKING:
    from bench.core.runtime import Runtime

SIDE = 112
"""Pixels of the longer side."""
MOST_BYTES = 4 * 2**20
"""All pictures of a page together, as they stand in it."""
RIGHTS = (
    "The pictures belong to the authors of their sets, whose licences say who may pass them on: look there before you "
    "send or publish this page."
)
SHEETS = ("attention_*.png", "gmad_*.png")


@dataclass
class Pictures:
    """The small pictures of a page by "set/name", gathered until there is no more room; none without a `runtime`."""

    runtime: Runtime | None = None
    thumbs: dict[str, str] = field(default_factory=dict)
    sheets: dict[str, str] = field(default_factory=dict)
    """Sheets that `bench figure attention` and `bench figure gmad` have drawn, by their files' names."""
    missing: dict[str, str] = field(default_factory=dict)
    """Sets whose pictures are not here, and why."""
    left_out: int = 0
    _roots: dict[str, Path | str] = field(default_factory=dict)
    _made: dict[str, str] = field(default_factory=dict)

    def again(self) -> Pictures:
        """An empty gathering for another page, which makes no picture a second time."""
        return Pictures(self.runtime, sheets=dict(self.sheets), _roots=self._roots, _made=self._made)

    @property
    def note(self) -> str:
        """What must be known of the pictures: whose they are, which are missing, how many had no room."""
        if self.runtime is None:
            return ""
        said = [RIGHTS] if self.thumbs or self.sheets else []
        said += [f"No pictures of {name}: {why}" for name, why in sorted(self.missing.items())]
        said += [f"{counted(self.left_out, 'further picture')} had no room."] if self.left_out else []
        return " ".join(said)

    @property
    def size(self) -> int:
        """How much of the page they take."""
        return sum(map(len, self.thumbs.values())) + sum(map(len, self.sheets.values()))

    def want_pairs(self, duels: Iterable[Duel]) -> None:
        """Gather the pictures of some competitions."""
        for duel in duels:
            self._want(duel.dataset, [name for pair in duel.pairs for name in (pair.best, pair.worst)])

    def want_runs(self, records: Sequence[Record], details: Mapping[str, Any]) -> None:
        """Gather the pictures that some runs err most on."""
        texts = details["texts"]
        for record, run in zip(records, details["runs"], strict=True):
            for target, test in zip(sorted(record.spec.tests), run["tests"], strict=True):
                self._want(target.dataset, [texts[number] for number in test["names"]])

    def want_sheets(self, folder: Path) -> None:
        """Gather the sheets of pictures that figures have drawn into a folder."""
        for pattern in SHEETS if self.runtime is not None else ():
            for path in sorted(folder.glob(pattern)):
                data = _as_address(path.read_bytes(), "png")
                if self.size + len(data) > MOST_BYTES:
                    self.left_out += 1
                else:
                    self.sheets[path.stem] = data

    def of(self, dataset: str, name: str) -> str:
        """The picture as an address that holds it; "" where there is none."""
        return self.thumbs.get(f"{dataset}/{name}", "")

    def _want(self, dataset: str, names: Sequence[str]) -> None:
        root = self._root(dataset)
        for name in names if root is not None else ():
            key = f"{dataset}/{name}"
            if key in self.thumbs:
                continue
            assert root is not None
            data = self._made[key] = self._made.get(key) or _small(root / name, dataset)
            if not data:
                self.missing.setdefault(dataset, "some of their files cannot be read.")
            elif self.size + len(data) > MOST_BYTES:
                self.left_out += 1
            else:
                self.thumbs[key] = data

    def _root(self, dataset: str) -> Path | None:
        """Where a set's pictures lie; None, and a note, where they are not here."""
        if self.runtime is None:
            return None
        if dataset not in self._roots:
            from bench.data.locate import load_dataset

            try:
                self._roots[dataset] = load_dataset(dataset, self.runtime.data, self.runtime.cache, partial=True).root
            except (BenchError, OSError) as error:
                self._roots[dataset] = " ".join(str(error).split())
        root = self._roots[dataset]
        if isinstance(root, str):
            self.missing[dataset] = root
            return None
        return root


def _small(path: Path, dataset: str) -> str:
    """A picture brought down to a thumbnail; "" where it cannot be read."""
    from PIL import Image

    from bench.report.figures.pictures import shrunk

    try:
        picture = Image.fromarray(shrunk(path, dataset))
    except (BenchError, OSError):
        return ""
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=72)
    return _as_address(buffer.getvalue(), "jpeg")


def _as_address(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
