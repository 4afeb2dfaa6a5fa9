"""One run, from spec to record: learn or restore what was learned, test once, measure."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from bench.core.code import code_files
from bench.core.errors import RunError
from bench.core.machine import describe, forget_peak_memory, numerics, peak_memory
from bench.core.progress import Report, silent
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec, Target, canonical_json
from bench.data.feed import Feed
from bench.metrics.agreement import metrics_of
from bench.records.store import Store
from bench.training.fitting import learn
from bench.training.loop import Job, Trained, can_be_recorded
from bench.training.record import Outcome, Predictions, ScoringFacts, TrainingFacts, done_record, now
from bench.training.scoring import score
from bench.training.session import Session, prepare
from bench.training.shared import Shared
from bench.training.signals import Signals
from bench.training.states import keep_trained, restore_trained
from bench.training.tracking import tell_afterwards, tracked

if TYPE_CHECKING:
    import pandas as pd


def make_run(
    spec: RunSpec,
    runtime: Runtime,
    report: Report = silent,
    signals: Signals | None = None,
    shared: Shared | None = None,
) -> Outcome:
    """Run a spec to its end: its record and predictions. `shared`: what earlier runs of this process left."""
    started = now()
    forget_peak_memory(runtime.device)
    session = prepare(spec, runtime, report, shared)
    store = Store(runtime.results)
    facts = restore_trained(session, store)
    if facts is not None:
        outcome = tested_run(session, facts, started, report)
        tell_afterwards(spec, runtime, outcome[0])
        return outcome
    with tracked(spec, runtime) as told:
        job = job_of(session, store, signals)
        job = job if told is None else replace(job, tell=told.steps)
        facts = training_facts(session, learn(job, report))
        keep_trained(session, store, facts)
        outcome = tested_run(session, facts, started, report)
        if told is not None:
            told.result(outcome[0])
        return outcome


def tested_run(session: Session, training: TrainingFacts, started: str, report: Report) -> Outcome:
    """Test a trained model once: its record and predictions."""
    test, predictions = _test(session, report)
    about_run = describe(code_files(session.spec.method)) | {"started": started, "finished": now()}
    return done_record(session, training, test, about_run), predictions


def job_of(session: Session, store: Store, signals: Signals | None = None) -> Job:
    """What a session's spec asks to train."""
    spec, runtime = session.spec, session.runtime
    graphs = runtime.graphs and can_be_recorded(session.feed, runtime.parts)
    validation = session.split.validation
    if spec.recipe.selection == "oracle":  # looks at the test part; every table marks it
        validation = session.split.test
    return Job(
        method=session.method,
        model=session.model,
        feed=session.feed,
        train=session.split.train,
        validation=validation,
        recipe=spec.recipe,
        split=spec.split,
        device=session.device,
        autocast=session.autocast,
        checkpoint=store.checkpoint_path(spec),
        identity=session.identity(),
        checkpoint_seconds=runtime.checkpoint_seconds,
        parts=runtime.parts,
        compiled=runtime.compiled,
        graphs=graphs,
        numerics=numerics(
            session.device, spec.precision, compiled=runtime.compiled, graphs=graphs, parts=runtime.parts
        ),
        signals=signals or Signals(),
        batch_sizes=session.shared.batch_sizes,
        originals=session.originals,
        files=runtime.weight_files,
        log=store.training_log(spec),
    )


def training_facts(session: Session, trained: Trained) -> TrainingFacts:
    """What a record says of a training, rounded as records have it."""
    return TrainingFacts(
        loss=tuple(round(value, 8) for value in trained.losses),
        selection_epoch=trained.best_epoch,
        selection_curve=tuple(round(value, 8) for value in trained.curve),
        seconds=trained.seconds,
        images=trained.images,
        memory_peak_bytes=peak_memory(session.device),
        places=tuple(dict(place) for place in trained.places),
    )


def _test(session: Session, report: Report) -> tuple[ScoringFacts, Predictions]:
    """Score every target once."""
    metrics: dict[str, dict[str, Any]] = {}
    arrays: dict[str, np.ndarray] = {}
    images, begin = 0, time.perf_counter()
    for target in session.spec.tests:
        predicted = _score(session, target, report)
        feed, rows = session.target(target)
        human = feed.scores()[rows]
        try:
            metrics[str(target)] = dict(metrics_of(predicted, human, constant=session.method.constant))
        except RunError as error:
            raise RunError(f"{target}: {error}") from error
        arrays |= _predictions(target, feed.dataset.table.iloc[rows], human, predicted)
        images += len(rows) * feed.test_views(session.spec.recipe.test_views)
    seconds = time.perf_counter() - begin
    peak = peak_memory(session.device)
    place = numerics(session.device, session.spec.precision)
    return ScoringFacts(metrics, seconds, images, peak, scoring_gflops(session), place), arrays


def _score(session: Session, target: Target, report: Report) -> np.ndarray:
    feed, rows = session.target(target)
    if session.members:
        names = feed.dataset.table["image"].iloc[rows].tolist()
        return session.method.combine(np.stack([member.on(target, names) for member in session.members]))
    return score(
        session.model,
        feed,
        rows,
        views=session.spec.recipe.test_views,
        autocast=session.autocast,
        batch_sizes=session.shared.batch_sizes,
        report=report,
        what=f"testing on {target}",
    )


def _predictions(
    target: Target, table: pd.DataFrame, human: np.ndarray, predicted: np.ndarray
) -> dict[str, np.ndarray]:
    """A target's arrays as the npz has them."""
    texts = {"names": "image", "group": "group", "distortion": "distortion"}
    arrays = {name: table[column].to_numpy(dtype=str) for name, column in texts.items()}
    arrays |= {"human": human, "predicted": predicted, "level": table["level"].to_numpy(dtype=np.int64)}
    return {f"{target}/{name}": values for name, values in arrays.items()}


def scoring_gflops(session: Session) -> float:
    """GFLOPs of scoring one view, frozen networks included (two per multiply-add); counted once per kind of run.

    Of whole pictures, those of the middle one of the training set.
    """
    spec, known = session.spec, session.shared.gflops
    if session.members:
        return round(sum(float(member.record["gflops"]) for member in session.members), 4)
    kind = canonical_json([spec.method, dict(spec.options), spec.backbone, spec.recipe.size, spec.recipe.head])
    if spec.recipe.whole_pictures:
        kind += f" whole {spec.train} {spec.recipe.short_side} {spec.recipe.tokens}"
    if kind not in known:
        known[kind] = _counted_gflops(session)
    return known[kind]


def _counted_gflops(session: Session) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    feed = session.feed
    pictures = {name: torch.zeros(1, 3, *_sides(feed, name), device=session.device) for name in feed.views}
    session.model.eval()
    with _frozen(session.model), session.autocast(), FlopCounterMode(display=False) as counter:
        inputs = {name: pictures[name] for name in feed.pictures}
        for name, frozen in session.model.features.frozen.items():
            inputs[name] = frozen.compute(pictures[frozen.view]).float()
        inputs |= {name: torch.zeros(1, dtype=torch.int64, device=session.device) for name in feed.knows}
        session.model(inputs)
    return round(counter.get_total_flops() / 1e9, 4)


def _sides(feed: Feed, name: str) -> tuple[int, int]:
    """Height and width of a view that costs what a picture's does: of whole pictures, those of the middle one."""
    view = feed.views[name]
    if view.kind != "native":
        return view.size, view.size  # any picture costs the same: no store is opened
    store = feed.maker.store(name, training=False)
    middle = int(np.argsort(store.heights * store.widths, kind="stable")[len(store.heights) // 2])
    return int(store.heights[middle]), int(store.widths[middle])


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """No tensor asks for a gradient: the counter hooks whatever does, and fails on it without a graph."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        with torch.no_grad():
            yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
