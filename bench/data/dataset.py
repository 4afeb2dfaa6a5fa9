"""What a dataset is: one table of images with scores, all oriented so that higher is better."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from bench.core.errors import DataError, blamed
from bench.core.progress import Report, silent

if TYPE_CHECKING:
    import pandas as pd

    from bench.data.labels.match import Labels

COLUMNS = ("image", "score", "original", "std", "group", "distortion", "level", "official")
"""image: path below the root, with "/"; score: higher is better, on the set's own scale; original: as printed
in the label file; std: of the opinions, NaN where unknown; group: the reference content, or the image itself;
distortion, level: "" and 0 where unknown; official: the authors' split ("train", "val", "test") or ""."""

PLACE = "place"
"""A further column of most tables: the row's number in the label file, from 0. Other people's splits go by it."""

NO_OFFICIAL = "no official split"
"""How a loader's note begins that says which file with the authors' split is not there."""


@dataclass(frozen=True)
class Dataset:
    """A loaded dataset: where its pictures lie and what is known of each. Rows are sorted by `image`."""

    name: str
    root: Path
    table: pd.DataFrame
    grouped: bool
    notes: tuple[str, ...] = ()
    part_of: str = ""
    """The set that a smoke run's subset was taken from; empty for a whole set."""
    originals: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By content, the undistorted pictures that its pictures were made of, as paths below the root; where known."""
    source: str = ""
    """The registered set that it is read as, whatever bench.toml calls it; empty for a plugin's that does not say."""
    opinions: float = 0.0
    """How many opinions a score is the mean of, on average; 0 where that is not known."""
    content: str = ""
    """A hash of all pictures, where the loader has verified it; else bench.data.pixels.contents makes one."""
    parts: tuple[Dataset, ...] = ()
    """The sets that it consists of, one after the other; empty for an ordinary one."""

    def __len__(self) -> int:
        return len(self.table)

    def paths(self) -> list[Path]:
        """The image files, in the table's order."""
        if self.parts:
            return [path for part in self.parts for path in part.paths()]
        return [self.root / name for name in self.table["image"]]

    @property
    def lacks_official(self) -> str:
        """Why it cannot be split as its authors did, in a sentence; "" where it can."""
        if self.parts:
            return next((why for part in self.parts if (why := part.lacks_official)), "")
        labels = set(self.table["official"])
        if {"train", "test"} <= labels:
            return ""
        why = next((note for note in self.notes if note.startswith(NO_OFFICIAL)), NO_OFFICIAL)
        return f"{self.name} has {why}."

    def of_originals(self) -> Dataset:
        """The undistorted pictures as a set of their own, without scores."""
        import pandas as pd

        originals = sorted((image, group) for group, images in self.originals.items() for image in images)
        table = pd.DataFrame({"image": [image for image, _ in originals], "group": [group for _, group in originals]})
        return Dataset(f"{self.name}-originals", self.root, table, grouped=True)

    def hash(self) -> str:
        """A hash of names, scores and groups: two runs with the same hash had the same labels and contents."""
        return self._hash

    @cached_property
    def _hash(self) -> str:
        digest = hashlib.sha256()
        columns = (self.table[column].tolist() for column in ("image", "score", "group"))
        for name, score, group in zip(*columns, strict=True):
            digest.update(f"{name}\t{float(score)!r}\t{group}\n".encode())
        return digest.hexdigest()[:20]


def joined(name: str, parts: Sequence[Dataset]) -> Dataset:
    """Several sets as one, whose images and contents begin with their set's name. Scores stay on their own scales."""
    import pandas as pd

    tables = []
    for part in parts:
        table = part.table[list(COLUMNS)].copy()
        for column in ("image", "group"):
            table[column] = [f"{part.name}/{value}" for value in table[column]]
        tables.append(table)
    notes = tuple(f"{part.name}: {note}" for part in parts for note in part.notes)
    grouped = any(part.grouped for part in parts)
    return Dataset(name, Path(), pd.concat(tables, ignore_index=True), grouped, notes, parts=tuple(parts))


@dataclass(frozen=True)
class Place:
    """Where to look for a dataset: its folder, the user's options for it, and the cache for generated ones."""

    path: Path | None
    cache: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    partial: bool = False
    progress: Report = silent


class DatasetSource:
    """Base of all datasets: facts as class attributes, and `load`.

    A dataset is found in `bench/data/`, behind an entry point of the group `bench.datasets`, and in a file that
    `--plugin FILE` names. This one, saved as `holiday.py`, is looked into by
    `bench data check holiday --plugin holiday.py` and run on by `bench run -d holiday`; bench.toml says where it lies
    ([data.holiday] path, or [data] root for the folder above):

        from bench.data.labels.match import Labels, Row, assemble, label_file
        from bench.data.dataset import DatasetSource
        from bench.data.labels.columns import read_csv
        from bench.data.labels.tree import find_tree


        class Holiday(DatasetSource):
            "Photographs, and a scores.csv (image,score) beside them."

            title = "Holiday"
            score_range = (0.0, 100.0)
            kind = "authentic"
            folders = ("holiday",)
            obtain = "the author"
            layout = "holiday/scores.csv with the columns image and score, the pictures beside it"

            def load(self):
                return assemble(self, self.labels())

            def labels(self):
                tree = find_tree(self.name, self.place.path, [("scores.csv",)], self.layout, self.obtain)
                sheet = read_csv(self.name, label_file(self, tree, "scores.csv"))
                scores, names = sheet.numbers_of("score", *self.score_range), sheet.names("image")
                rows = [Row(name, scores[i], sheet.where(i), group=name) for i, name in enumerate(names)]
                return Labels(tree, rows, sheet, grouped=False)
    """

    name: str
    """What it goes by: a name of its own here, else its file's; in an instance, the name in `[data.NAME]`."""
    title: ClassVar[str] = ""
    """As the papers' tables spell it."""
    images: ClassVar[int] = 0
    """How many scored images the set is known to have."""
    groups: ClassVar[int] = 0
    """How many reference contents; 0 where every image is its own content."""
    score_range: ClassVar[tuple[float, float]] = (0.0, 0.0)
    """The smallest and the largest score in the label file; twice 0 where it is not known."""
    higher_is_better: ClassVar[bool] = True
    """As the label file has it; a loader turns a scale round where lower is better."""
    opinions: ClassVar[float] = 0.0
    """How many opinions a score is the mean of, on average; 0 where nobody says. With the standard deviations of the
    opinions it says how well a score could be predicted at all."""
    kind: ClassVar[str] = ""
    """"synthetic" or "authentic"."""
    folders: ClassVar[tuple[str, ...]] = ()
    """Usual names of its folder below a common root."""
    obtain: ClassVar[str] = ""
    """From whom to get it, in one line."""
    layout: ClassVar[str] = ""
    """How its folder should look, in one line."""
    tells: ClassVar[tuple[str, ...]] = ()
    """What its labels tell of a picture beside its score: "distortion" (which one, alone, and how strong) and
    "originals" (the undistorted picture it was made of)."""
    settings: ClassVar[Mapping[str, str]] = {}
    """What `[data.NAME]` of bench.toml may say of it besides `path`, `loader` and `download`, and what that means."""

    def __init__(self, name: str, place: Place) -> None:
        self.name, self.place = name, place

    def expected(self) -> str:
        """How its folder should look, as `[data.NAME]` has it."""
        return self.layout

    def lacks_official(self) -> str:
        """Why it cannot be split as its authors did, as its labels here say; "" where it can."""
        return self.loaded().lacks_official

    def labels(self) -> Labels | None:
        """Every row of its label file, before any met its picture: `bench data check` counts them.

        None where there is no such file.
        """
        return None

    def load(self) -> Dataset:
        """Read and check the labels; any doubt is a DataError naming set, file and row."""
        raise TypeError(f"{type(self).__name__} does not load anything")

    def loaded(self) -> Dataset:
        """What `load` gives; a mistake in a plugin's is said of the plugin."""
        with self.blamed("load"):
            dataset = self.load()
            if not isinstance(dataset, Dataset):
                raise TypeError(f"it must return a Dataset, not {dataset!r:.60}")
        return dataset

    def blamed(self, function: str) -> AbstractContextManager[None]:
        """Where a function of a plugin's class is called: its mistake is a DataError that names class and file."""
        cls = type(self)
        ours = cls.__module__.startswith("bench.data.")
        return blamed("" if ours else f"{self.name}: {cls.__name__} of {inspect.getfile(cls)}", function, DataError)
