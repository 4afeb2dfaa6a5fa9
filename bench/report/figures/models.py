"""Trained models for the figures that walk through them: opened from kept weights, fed, and tapped by hooks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.core.errors import UsageError
from bench.data.dataset import Dataset
from bench.data.views.batches import ViewMaker
from bench.data.views.view import View
from bench.models.vit import Vit
from bench.records.results import Experiment, Record
from bench.records.store import Store
from bench.report.figures.pictures import needing_pictures
from bench.report.figures.scene import Scene, Subject
from bench.training.session import Session, prepare
from bench.training.shared import Shared
from bench.training.states import restore_trained

if TYPE_CHECKING:
    from bench.core.runtime import Runtime

Kept = dict[Subject, Record]
Tap = Callable[[Vit], AbstractContextManager[list[Tensor]]]


def kept_tests(scene: Scene) -> list[Experiment]:
    """The datasets with kept weights.

    The first such dataset only, unless the user named some: a walk through every model takes its time.
    """
    found = [experiment for experiment in scene.own_tests() if kept_runs(scene, experiment)[0]]
    return found if scene.wish.datasets else found[:1]


def kept_runs(scene: Scene, experiment: Experiment) -> tuple[Kept, list[Subject]]:
    """Of the split with the most kept weights, each method's run; and the methods without."""
    store = Store(scene.wish.machine().results)
    subjects = scene.subjects([experiment])
    by_split: dict[int, Kept] = {}
    for subject in subjects:
        for split, record in scene.done(subject.arm, experiment).items():
            if store.state_path(record.spec).exists():
                by_split.setdefault(split, {})[subject] = record
    kept = by_split[min(by_split, key=lambda split: (-len(by_split[split]), split))] if by_split else {}
    return kept, [subject for subject in subjects if subject not in kept]


def open_trained(record: Record, runtime: Runtime, shared: Shared | None = None) -> Session:
    """The session of a run with its trained weights in place, in eval mode; `shared` by several of a figure."""
    with needing_pictures(record.spec.train, runtime):
        session = prepare(record.spec, runtime, shared=shared)
    if restore_trained(session, Store(runtime.results)) is None:
        raise UsageError(
            f"The kept weights of {record.spec.method} (run {record.key}) are damaged, or of other data or code. This "
            f"command makes them again: bench run -m {record.spec.method} -d {record.spec.train} --overwrite always"
        )
    session.model.eval()
    return session


def vit_of(session: Session) -> Vit:
    """The Vit that a model walks."""
    for module in session.model.modules():
        if isinstance(module, Vit):
            return module
    raise UsageError(f"{session.spec.method} has no ViT to look into.")


def lacking(subjects: Sequence[Subject]) -> str:
    """What a figure says of methods whose weights were not kept."""
    if not subjects:
        return ""
    names = ", ".join(subject.label for subject in subjects)
    return f'Without kept weights, and so not shown: {names} (keep_weights = "always" in bench.toml keeps large ones).'


@contextmanager
def whole_pictures(session: Session, pictures: Dataset) -> Iterator[ViewMaker]:
    """Views in which a model sees whole pictures: a crop becomes the picture squeezed to the crop's size.

    So every patch of every method lies at the same place of the picture; a fragment lies in its own cell of it.
    """
    made = session.feed_of(session.spec.train)
    views = {n: View("resize", v.size) if v.kind == "crop" else replace(v, flips=False) for n, v in made.views.items()}
    with tempfile.TemporaryDirectory() as scratch:
        recipe, at = session.spec.recipe, session.device
        yield ViewMaker(pictures, views, recipe, Path(scratch), at, made.maker.mean, made.maker.std)


def contiguous(session: Session) -> ViewMaker:
    """Views without seams: where a model takes fragments put together, a crop, the same as every other model's.

    A mosaic has an edge at every fragment's border, at a period of few patches, which is no work of the model.
    """
    made = session.feed_of(session.spec.train)
    views = {n: View("crop", v.size) if v.kind == "fragments" else v for n, v in made.views.items()}
    if views == made.views:
        return made.maker
    runtime, maker = session.runtime, made.maker
    limit = runtime.cache_limit_bytes
    return ViewMaker(
        made.dataset,
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
    """What a tap finds in every block on the last walk through the ViT while pictures are scored.

    Frozen inputs are computed afresh, not read from a cache: a linear probe's only walk is among them.
    """
    vit, features = vit_of(session), session.model.features
    views = {*features.pictures, *(frozen.view for frozen in features.frozen.values())}
    with torch.inference_mode(), session.autocast(), tap(vit) as found:
        seen = {n: maker.pictures(n, rows, epoch=0, number=0, training=False).clone() for n in sorted(views)}
        computed = {name: frozen.compute(seen[frozen.view]).float() for name, frozen in features.frozen.items()}
        session.model({name: seen[name] for name in features.pictures} | computed)
    return found[-len(vit.blocks) :]


@contextmanager
def tapped_blocks(vit: Vit) -> Iterator[list[Tensor]]:
    """While open, every forward appends what each block gives, in order: [B, N, width]."""
    outputs: list[Tensor] = []
    handles = [block.register_forward_hook(lambda _, __, given: outputs.append(given)) for block in vit.blocks]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def tapped_attention(vit: Vit) -> Iterator[list[Tensor]]:
    """While open, every forward appends each block's attention, averaged over heads: [B, N, N].

    The attention itself may be fused and never form this matrix, so it is computed here from its own q and k.
    """
    maps: list[Tensor] = []

    def record(attention: Any, given: tuple[Any, ...]) -> None:
        maps.append(attention_weights(attention, given[0]).mean(1))

    handles = [_attention_of(block).register_forward_pre_hook(record) for block in vit.blocks]
    try:
        yield maps
    finally:
        for handle in handles:
            handle.remove()


def attention_weights(attention: Any, tokens: Tensor) -> Tensor:
    """softmax(q kᵀ / √d) of a timm attention on its input, in fp32: [B, heads, N, N]."""
    batch, count, _ = tokens.shape
    qkv = attention.qkv(tokens).reshape(batch, count, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4)
    q, k = attention.q_norm(qkv[0]), attention.k_norm(qkv[1])
    with torch.autocast(tokens.device.type, enabled=False):
        return (q.float() * attention.scale @ k.float().transpose(-2, -1)).softmax(-1)


def _attention_of(block: nn.Module) -> nn.Module:
    for module in block.modules():
        if all(hasattr(module, part) for part in ("qkv", "q_norm", "k_norm", "num_heads", "scale")):
            return module
    raise UsageError(f"{type(block).__name__} blocks have no attention of the usual build to look into.")
