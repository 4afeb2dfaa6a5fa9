"""The embedded study: every photograph that comes inside the dependencies is one content with a hundred versions.

Fourteen photographs make `study`; three others, `study_tune`, are kept for choosing settings and never tested on.
Five and one of them are grey and get no distortion that acts on colour alone. Each photograph has 100 cells of
KADID-10k's 125, dealt so that kinds and levels are in balance. `study_metric` shows the pictures of `study` under
labels that depend on what a picture shows (`bench.data.synthesis.full_reference`).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from bench.data.dataset import Dataset
from bench.data.sets._made import MadeSet
from bench.data.sets.demo import ensure_made, load_made
from bench.data.synthesis.folders import publish, verified
from bench.data.synthesis.synthesize import Recipe

LABELS = "labels.json"

PHOTOS = {
    "study": (
        "astronaut",
        "coffee",
        "flower",
        "motorcycle",
        "rocket",
        "ihc",
        "grace_hopper",
        "retina",
        "hubble",
        "camera",
        "brick",
        "grass",
        "moon",
        "gravel",
    ),
    "study_tune": ("chelsea", "china", "coins"),
}
RECIPES = {
    "study": Recipe(size=(384, 288), per_crop=100, seed=4),
    "study_tune": Recipe(size=(384, 288), per_crop=100, seed=5),
}
EXPECTED = {
    "study": "098a0a31be19e5bc5c1ce0d8f2f4a27204327d084fc6e00c3aee2a7223b8448e",
    "study_tune": "f1315e7e7b95a640bf65022fb673aad48c86e64b86d13171f4f140f3752c4ea4",
}
"""sha256 of pixels and labels, as bench.data.sets.demo has them of the demo sets."""


class _Study(MadeSet):
    """What the study's sets share."""

    def load(self) -> Dataset:
        """Make the set where it is not there yet, and read it."""
        return self.made(self.name)

    def made(self, name: str) -> Dataset:
        """One of the two sets of pictures under their cell labels."""
        recipe, expected = RECIPES[name], EXPECTED[name]
        folder = ensure_made(name, PHOTOS[name], recipe, expected, self.place.cache, self.place.progress)
        return load_made(name, folder, recipe, expected)


class Study(_Study):
    """Fourteen photographs, each distortion alone: 1400 pictures."""

    name = "study"
    title: ClassVar[str] = "Study"
    images: ClassVar[int] = 1400
    groups: ClassVar[int] = 14


class StudyTune(_Study):
    """Three further photographs, on which nothing but settings is chosen: 300 pictures."""

    name = "study_tune"
    title: ClassVar[str] = "Study, kept for tuning"
    images: ClassVar[int] = 300
    groups: ClassVar[int] = 3


class StudyMetric(_Study):
    """The pictures of the study, each labelled by how two full-reference metrics rank it: no opinions."""

    name = "study_metric"
    title: ClassVar[str] = "Study metric"
    images: ClassVar[int] = 1400
    groups: ClassVar[int] = 14

    def load(self) -> Dataset:
        """The study's pictures; their labels are computed once and kept beside the set."""

        study = self.made("study")
        scores = self._labels(study)
        notes = ("labels: mean of the ranks by MS-SSIM and GMSD against the reference; no opinions",)
        return replace(study, name=self.name, table=study.table.assign(score=scores, original=scores), notes=notes)

    def _labels(self, study: Dataset) -> list[float]:
        """The labels in the table's order: from the cache where they were computed of these very pictures."""
        recipe = {"labels": "MS-SSIM and GMSD", "rules": 1, "pictures": study.content}
        folder = self.place.cache / "demo" / self.name
        if verified(folder, recipe) is None:
            publish(folder, lambda place: self._compute(study, place), recipe)
        labels: list[float] = json.loads((folder / LABELS).read_text(encoding="utf-8"))
        return labels

    def _compute(self, study: Dataset, folder: Path) -> str:
        from bench.data.synthesis.full_reference import ranked_quality

        scores = ranked_quality(study.root, study.table["image"].tolist(), self.place.progress)
        text = json.dumps(scores)
        (folder / LABELS).write_text(text, encoding="utf-8")
        return hashlib.sha256(text.encode()).hexdigest()
