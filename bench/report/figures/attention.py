"""Attention maps of several trained methods beside the picture (GLIA Fig. 3, LoDa Fig. 7).

Two kinds: the last block's attention from CLS to the patches, and attention rollout (Abnar & Zuidema, 2020), which
follows it back through all blocks. A ViT without CLS is read by the mean over its patches' queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bench.core.errors import UsageError
from bench.data.dataset import COLUMNS, Dataset
from bench.models.attention import on_patches, rollout, tapped_attention, vit_in
from bench.records.results import Experiment, Record
from bench.report.figures.figure import Figure
from bench.report.figures.models import (
    Kept,
    kept_runs,
    kept_tests,
    lacking,
    last_walk,
    opened,
    whole_pictures,
)
from bench.report.figures.pictures import show_picture, shrunk
from bench.report.figures.scene import Drawing, Scene, Subject, title_of
from bench.report.figures.style import panels, wrapped
from bench.training.session import Session

ACROSS = 6
"""Methods beside a picture before a further row of them begins."""
LONG_SIDE, SHORTEST, WORDS = 1.5, 0.9, 0.25
"""Inches of a picture's longer side, of a panel's narrower one, and for the words at a panel."""

KINDS = {
    "attention_rollout": (
        "Attention rollout",
        "Attention rollout through all blocks, residual paths counted as half; prompts that are new before each block "
        "lead back to no patch.",
    ),
    "attention_cls": ("Attention of the last block", "What CLS reads of the patches in the last block, mean of heads."),
}
HOW = "Each map has its own scale, from its least (dark) to its most (bright). Every method sees the whole picture."

Maps = dict[str, list[np.ndarray]]
"""Of each kind, a map a picture."""


class Attention(Figure):
    """Attention maps beside the image (GLIA Fig. 3, LoDa Fig. 7)."""

    takes_image: ClassVar[bool] = True
    needs_pictures: ClassVar[bool] = True
    needs_weights: ClassVar[bool] = True

    def topics(self, scene: Scene) -> list[Experiment]:
        """The datasets with kept weights."""
        return kept_tests(scene)

    def draw(self, scene: Scene, experiment: Experiment) -> Iterator[Drawing]:
        """Two figures: attention rollout, and the last block's attention."""
        runs, without = kept_runs(scene, experiment)
        shown, all_maps = _maps_of_all(runs, experiment, scene)
        for kind, (name, meaning) in KINDS.items():
            figure = _figure(shown, {subject: maps[kind] for subject, maps in all_maps.items()}, scene.score_name)
            parts, title = (kind, experiment.train), f"{name}, trained on {title_of(experiment)}"
            how, more = f"{meaning} {HOW}", [lacking(without)]
            yield scene.drawing(parts, figure, title, list(all_maps), [experiment], how=how, medians=False, more=more)


def attention_maps(session: Session, pictures: Dataset) -> Maps:
    """The maps of both kinds of one trained model on some pictures."""
    vit = vit_in(session.model, session.spec.method)
    with whole_pictures(session, pictures) as maker:
        maps = last_walk(session, maker, np.arange(len(pictures)), tapped_attention)
    read = {"attention_rollout": rollout(maps, session.model.features.renewed), "attention_cls": maps[-1]}
    return {kind: list(on_patches(vit, weights).double().cpu().numpy().round(6)) for kind, weights in read.items()}


def _maps_of_all(runs: Kept, experiment: Experiment, scene: Scene) -> tuple[Dataset, dict[Subject, Maps]]:
    """The pictures, chosen once, and every method's maps of them."""
    shown: Dataset | None = None
    maps: dict[Subject, Maps] = {}
    for subject, record, session in opened(runs, scene, "attention maps"):
        if shown is None:
            shown = _chosen(session, record, experiment, scene.wish.image)
        maps[subject] = attention_maps(session, shown)
    assert shown is not None
    return shown, maps


def _chosen(session: Session, record: Record, experiment: Experiment, image: str) -> Dataset:
    """The picture the user named, or three test images: of the lowest, the middle and the highest human score."""
    if image and Path(image).is_file():
        path = Path(image).resolve()
        row = dict.fromkeys(COLUMNS, "") | {"image": path.name, "score": np.nan, "group": path.name, "level": 0}
        return Dataset(path.stem, path.parent, pd.DataFrame([row]), grouped=False)
    dataset = session.dataset
    if image:
        rows = [i for i, name in enumerate(dataset.table["image"]) if name == image or Path(name).name == image]
        if not rows:
            raise UsageError(f"--image {image!r} is neither a file nor a picture of {dataset.name}.")
        rows = rows[:1]
    else:
        test = session.split.test
        order = test[np.argsort(dataset.table["score"].to_numpy()[test], kind="stable")]
        rows = [int(order[place]) for place in (0, len(order) // 2, -1)]
    return Dataset(dataset.name, dataset.root, dataset.table.iloc[rows].reset_index(drop=True), dataset.grouped)


def _figure(shown: Dataset, maps: dict[Subject, list[np.ndarray]], score_name: str) -> Any:
    subjects = list(maps)
    blocks = [subjects[i : i + ACROSS] for i in range(0, len(subjects), ACROSS)]
    across = 1 + max(map(len, blocks))
    pictures = [shrunk(path, shown.name) for path in shown.paths()]
    size = _panel_size(pictures)
    figure, every = panels(across * len(shown) * len(blocks), columns=across, size=size, stretch=False)
    scores = shown.table["score"].tolist()
    for b, block in enumerate(blocks):
        for i, picture in enumerate(pictures):
            row = every[(b * len(pictures) + i) * across :][:across]
            _show(row[0], picture)
            row[0].set_xlabel("" if scores[i] != scores[i] else f"{score_name} {scores[i]:.3g}", fontsize=7)
            for axes, subject in zip(row[1:], block, strict=False):
                _show(axes, picture, maps[subject][i])
            for unused in row[1 + len(block) :]:
                unused.set_visible(False)
        top = every[b * len(pictures) * across :][:across]
        for axes, text in zip(top, ["picture", *(s.label for s in block)], strict=False):
            axes.set_title(wrapped(text, int(20 * size[0] / LONG_SIDE)), fontsize=7.5)
    return figure


def _panel_size(pictures: Sequence[np.ndarray]) -> tuple[float, float]:
    """Inches of a panel that the pictures fill: a tall or a wide one leaves no hole between itself and its maps."""
    shares = [np.array(picture.shape[1::-1]) / max(picture.shape[:2]) for picture in pictures]
    width, height = LONG_SIDE * np.max(shares, axis=0)
    return max(SHORTEST, float(width)), float(height) + WORDS


def _show(axes: Any, picture: np.ndarray, weights: np.ndarray | None = None) -> None:
    """A picture, or its grey shadow under a map."""
    if weights is None:
        show_picture(axes, picture)
        return
    height, width = picture.shape[:2]
    show_picture(axes, picture.mean(2), cmap="gray", vmin=0, vmax=255)
    scaled = (weights - weights.min()) / max(float(np.ptp(weights)), 1e-12)
    axes.imshow(
        scaled, cmap="inferno", alpha=0.65, extent=(-0.5, width - 0.5, height - 0.5, -0.5), interpolation="bilinear"
    )
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
