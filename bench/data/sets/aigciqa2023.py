"""AIGCIQA2023: 2,400 generated pictures, 6 models × 100 prompts × 4, labelled by their place in a list."""

from __future__ import annotations

from typing import ClassVar

from bench.core.errors import DataError
from bench.data.dataset import Dataset, DatasetSource
from bench.data.labels.columns import Sheet, read_words
from bench.data.labels.match import Labels, Row, assemble, label_file, pictures_by_name
from bench.data.labels.tree import Tree, find_tree
from bench.data.labels.workbooks import read_mat

MODELS = ("controlnet", "dalle", "glide", "lafite", "stable_diffusion", "unidiffuser")
PROMPTS, TAKES = 100, 4
SCORES = ("DATA/MOS/mosz1.mat", "mosz1.mat", "moz1.txt", "DATA/MOS/moz1.txt")
"""The same list of quality scores, as MATLAB wrote it and as text; 2 and 3 in its name are other questions."""


class Aigciqa2023(DatasetSource):
    """AIGCIQA2023: pictures generated from prompts; mean opinions of their quality on 0 to 100, higher is better."""

    name = "aigciqa2023"
    title: ClassVar[str] = "AIGCIQA2023"
    images: ClassVar[int] = 2400
    groups: ClassVar[int] = 100
    score_range: ClassVar[tuple[float, float]] = (0.0, 100.0)
    kind: ClassVar[str] = "generated"
    folders: ClassVar[tuple[str, ...]] = ("AIGCIQA2023", "aigciqa2023")
    obtain: ClassVar[str] = "the links on the GitHub page of AIGCIQA2023's authors (Wang, Duan and others)"
    layout: ClassVar[str] = (
        "AIGCIQA2023/allimg/0.png … 2399.png (or Image/allimg/) and AIGCIQA2023/moz1.txt (or DATA/MOS/mosz1.mat)"
    )

    def load(self) -> Dataset:
        """All pictures, with their scores of quality; authenticity and correspondence are not read."""
        return assemble(self, self.labels())

    def labels(self) -> Labels:
        """Score k is of picture k.png: by model, then by prompt, then its four takes."""
        tree = find_tree(self.name, self.place.path, [SCORES], self.layout, self.obtain)
        sheet = self._scores(tree)
        if len(sheet) != self.images:  # also of a part of the pictures: scores go by their place
            raise DataError(f"{self.name}: {sheet.path} has {len(sheet)} scores, not {self.images}.")
        scores = sheet.numbers_of("mos", *self.score_range)
        names = [f"{k}.png" for k in range(len(scores))]
        pictures = pictures_by_name(self, tree, names)
        rows = []
        for k, score in enumerate(scores):
            prompt, model = f"{k // TAKES % PROMPTS:03}", MODELS[k // (TAKES * PROMPTS) % len(MODELS)]
            rows.append(Row(pictures.paths[k], score, sheet.where(k), prompt, distortion=model))
        notes = (f"scores of {sheet.path.name}", *pictures.notes)
        return Labels(tree, rows, sheet, grouped=True, complete=pictures.folders, notes=notes)

    def _scores(self, tree: Tree) -> Sheet:
        path = label_file(self, tree, *SCORES)
        if path.suffix.lower() == ".txt":
            return read_words(self.name, path, ("mos",))
        cells = [repr(float(value)) for value in read_mat(self.name, path, "MOSz")]
        return Sheet(self.name, path, {"mos": cells}, list(range(1, len(cells) + 1)), unit="entry")
