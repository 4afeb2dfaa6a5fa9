"""Trained models for the figures that walk through them: opened from kept weights, fed, and tapped by hooks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import UsageError
from bench.core.mixes import flags_of
from bench.core.progress import Report, silent
from bench.data.dataset import Dataset
from bench.data.views.batches import ViewMaker
from bench.data.views.view import View
from bench.models.attention import Tap, walked
from bench.records.results import Experiment, Record
from bench.records.store import Store
from bench.report.figures.pictures import needing_pictures
from bench.report.figures.scene import Scene, Subject, stands_on_vit
from bench.training.session import Session, prepare
from bench.training.shared import Shared
from bench.training.states import restore_trained

if TYPE_CHECKING:
    from bench.core.runtime import Runtime

Kept = dict[Subject, Record]


def kept_tests(scene: Scene) -> list[Experiment]:
    """The datasets with kept weights of a ViT.

    The first such dataset only, unless the user named some: a walk through every model takes its time.
    """
    experiments = [experiment for experiment in scene.own_tests() if kept_runs(scene, experiment)[0]]
    if not experiments and scene.wish.methods and not any(map(stands_on_vit, scene.wish.methods)):
        raise UsageError(f"there is no ViT to look into in {', '.join(scene.wish.methods)}.")
    return experiments if scene.wish.datasets else experiments[:1]


def kept_runs(scene: Scene, experiment: Experiment) -> tuple[Kept, list[Subject]]:
    """Of the split with the most kept weights, each ViT's run; and the methods that are not shown."""
    store = Store(scene.wish.machine().results)
    subjects = scene.subjects([experiment])
    by_split: dict[int, Kept] = {}
    for subject in (subject for subject in subjects if subject.on_vit):
        for split, record in scene.done(subject.arm, experiment).items():
            if store.state_path(record.spec).exists():
                by_split.setdefault(split, {})[subject] = record
    runs = by_split[min(by_split, key=lambda split: (-len(by_split[split]), split))] if by_split else {}
    return runs, [subject for subject in subjects if subject not in runs]


def opened(runs: Kept, scene: Scene, what: str) -> Iterator[tuple[Subject, Record, Session]]:
    """The trained models of a figure one after another: one is in memory at a time."""
    shared, report = Shared(), scene.wish.report
    for number, (subject, record) in enumerate(runs.items()):
        report(number, len(runs), what)
        yield subject, record, open_trained(record, scene.wish.machine(), shared, report)
    report(len(runs), len(runs), what)


def open_trained(record: Record, runtime: Runtime, shared: Shared | None = None, report: Report = silent) -> Session:
    """The session of a run with its trained weights in place, in eval mode; `shared` by several of a figure."""
    with needing_pictures(record.spec.train, runtime):
        session = prepare(record.spec, runtime, report, shared)
    if restore_trained(session, Store(runtime.results)) is None:
        raise UsageError(
            f"The kept weights of {record.spec.method} (run {record.key}) are damaged, or of other data or code. "
            f"This command repeats them: bench run -m {record.spec.method} {flags_of(record.spec.train)} "
            "--overwrite always"
        )
    session.model.eval()
    return session


def lacking(subjects: Sequence[Subject]) -> str:
    """What a figure says of methods that have no ViT, or whose weights were not kept."""
    blind = ", ".join(subject.label for subject in subjects if not subject.on_vit)
    lost = ", ".join(subject.label for subject in subjects if subject.on_vit)
    said = [f"Without a ViT, and so not shown: {blind}."] if blind else []
    if lost:
        keep = 'keep_weights = "always" in bench.toml keeps large ones'
        said.append(f"Without kept weights, and so not shown: {lost} ({keep}).")
    return " ".join(said)


@contextmanager
def whole_pictures(session: Session, pictures: Dataset) -> Iterator[ViewMaker]:
    """Views in which a model sees whole pictures: a crop becomes the picture squeezed to the crop's size.

    So every patch of every method lies at the same place of the picture; a fragment lies in its own cell of it.
    """
    feed = session.feed_of(session.spec.train)
    own = feed.maker.views
    views = {n: View("resize", v.size) if v.kind == "crop" else replace(v, flips=False) for n, v in own.items()}
    with tempfile.TemporaryDirectory() as scratch:
        recipe, at = session.spec.recipe, session.device
        yield ViewMaker(pictures, views, recipe, Path(scratch), at, feed.maker.mean, feed.maker.std)


def contiguous(session: Session) -> ViewMaker:
    """Views without seams: where a model takes fragments put together, a crop, the same as every other model's.

    A mosaic has an edge at every fragment's border, at a period of few patches, which is no work of the model.
    """
    feed = session.feed_of(session.spec.train)
    views = {n: View("crop", v.size) if v.kind == "fragments" else v for n, v in feed.maker.views.items()}
    if views == feed.views:
        return feed.maker
    runtime, maker = session.runtime, feed.maker
    limit = runtime.cache_limit_bytes
    return ViewMaker(
        feed.dataset,
        views,
        maker.recipe,
        runtime.cache,
        session.device,
        maker.mean,
        maker.std,
        limit_bytes=limit,
        placed=session.shared.stores,
    )


def last_walk(session: Session, maker: ViewMaker, rows: np.ndarray, tap: Tap) -> list[Tensor]:
    """What a tap finds in every block on the last walk through the ViT while pictures are scored."""
    features = session.model.features
    views = {*features.pictures, *(frozen.view for frozen in features.frozen.values())}
    with torch.inference_mode():
        seen = {n: maker.pictures(n, rows, epoch=0, number=0, training=False).clone() for n in sorted(views)}
    return walked(session.model, seen, session.autocast, tap)
