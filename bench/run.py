"""One run, from spec to record: train or take up trained tensors, test once, measure, and say where it was made."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.code import code_files, code_of
from bench.data.dataset import Dataset
from bench.errors import RunError
from bench.evaluate import score
from bench.machine import describe, forget_peak_memory, numerics, peak_memory
from bench.metrics import score_metrics
from bench.progress import Report, silent
from bench.runtime import Runtime
from bench.session import Session, prepare
from bench.spec import SCHEMA, RunSpec, canonical_json
from bench.states import keep_state, take_up_state
from bench.store import Store
from bench.train import Job, Trained, train

_gflops: dict[str, float] = {}
Outcome = tuple[dict[str, Any], dict[str, np.ndarray]]


def make_run(spec: RunSpec, runtime: Runtime, report: Report = silent, **events: Any) -> Outcome:
    """Make one run and return its record and predictions. `events`: the `stop` and `lost` of bench.train.Job."""
    started = now()
    forget_peak_memory(runtime.device)
    session = prepare(spec, runtime, report)
    store = Store(runtime.results)
    trained = take_up_state(session, store)
    if trained is None:
        job = job_of(session, store, **events)
        trained = training_facts(session, train(job, report))
        keep_state(session, store, trained)
    return tested_run(session, trained, started, report)


def tested_run(session: Session, trained: Mapping[str, Any], started: str, report: Report) -> Outcome:
    """Test a trained model once: its record and predictions."""
    metrics, predictions, tested = _test(session, report)
    record = _record(session, trained, metrics, tested) | {"status": "done", "error": None}
    record["run"] |= {"started": started, "finished": now()}
    return record, predictions


def job_of(session: Session, store: Store, **events: Any) -> Job:
    """What a session's spec asks to train."""
    spec = session.spec
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
        checkpoint_seconds=session.runtime.checkpoint_seconds,
        parts=session.runtime.parts,
        compiled=session.runtime.compiled,
        numerics=numerics(
            session.device, spec.precision, compiled=session.runtime.compiled, parts=session.runtime.parts
        ),
        **events,
    )


def training_facts(session: Session, trained: Trained) -> dict[str, Any]:
    """What a record says of a training, and a kept state of its own; `places`: on what it was made."""
    return {
        "loss": [round(value, 8) for value in trained.losses],
        "selection_epoch": trained.best_epoch,
        "selection_curve": [round(value, 8) for value in trained.curve],
        "seconds": trained.seconds,
        "images": trained.images,
        "places": list(trained.places),
        "memory_peak_bytes": peak_memory(session.device),
    }


def _test(session: Session, report: Report) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, float]]:
    """Score every target once."""
    metrics: dict[str, Any] = {}
    arrays: dict[str, np.ndarray] = {}
    images, begin = 0, time.perf_counter()
    for target in session.spec.tests:
        feed, rows = session.target(target)
        predicted = score(
            session.model,
            feed,
            rows,
            views=session.spec.recipe.test_views,
            autocast=session.autocast,
            report=report,
            what=f"testing on {target}",
        )
        human = feed.scores()[rows]
        try:
            metrics[target] = score_metrics(predicted, human)
        except RunError as error:
            raise RunError(f"{target}: {error}") from error
        table = feed.dataset.table.iloc[rows]
        arrays[f"{target}/names"] = table["image"].to_numpy(dtype=str)
        arrays[f"{target}/human"] = human
        arrays[f"{target}/predicted"] = predicted
        for column in ("group", "distortion"):
            arrays[f"{target}/{column}"] = table[column].to_numpy(dtype=str)
        arrays[f"{target}/level"] = table["level"].to_numpy(dtype=np.int64)
        images += len(rows) * feed.test_views(session.spec.recipe.test_views)
    return metrics, arrays, {"seconds": time.perf_counter() - begin, "images": images}


def _record(
    session: Session, trained: Mapping[str, Any], metrics: Mapping[str, Any], tested: Mapping[str, float]
) -> dict[str, Any]:
    spec, split, table = session.spec, session.split, session.dataset.table
    parameters = list(session.model.parameters())
    targets = {}
    for target in spec.tests:
        feed, rows = session.target(target)
        about = {"hash": feed.dataset.hash(), "pixels": feed.pixels, "n": len(rows)}
        targets[target] = about | {"contents": contents_of(feed.dataset, rows)}
    return {
        "schema": SCHEMA,
        "key": spec.key,
        "spec": spec.as_dict(),
        "data": {
            "train": {
                "name": spec.train,
                "hash": session.dataset.hash(),
                "pixels": session.feed.pixels,
                "n": len(session.dataset),
                "split_hash": split.hash(table["image"].tolist()),
                "split_rule": split.rule,
                "n_train": len(split.train),
                "n_test": len(split.test),
                "n_validation": len(split.validation),
                **{name: contents_of(session.dataset, rows) for name, rows in _parts(session).items()},
                "notes": list(session.dataset.notes),
            },
            "tests": targets,
        },
        "weights": {
            "backbone": spec.backbone,
            "hash": session.weights.hash,
            "source": session.weights.source,
            "further": {name: {"hash": w.hash, "source": w.source} for name, w in session.further.items()},
        },
        "parameters": {
            "trainable": sum(p.numel() for p in parameters if p.requires_grad),
            "total": sum(p.numel() for p in parameters),
            "head": sum(p.numel() for p in session.model.head.parameters()),
        },
        "seconds": {
            "setup": round(session.seconds, 3),
            "train": round(trained["seconds"], 3),
            "test": round(tested["seconds"], 3),
        },
        "speed": {
            "train_images_s": round(trained["images"] / max(trained["seconds"], 1e-9), 3),
            "test_images_s": round(tested["images"] / max(tested["seconds"], 1e-9), 3),
        },
        "memory_peak_bytes": _peak(session, trained),
        "gflops": scoring_gflops(session),
        "loss": trained["loss"],
        "selection": {
            "rule": spec.recipe.selection,
            "epoch": trained["selection_epoch"],
            "curve": trained["selection_curve"],
        },
        "metrics": dict(metrics),
        "numerics": _numerics(session, trained["places"]),
        "run": describe(code_files(spec.method)),
        "code": code_of(spec.method),
    }


def _numerics(session: Session, places: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """On what a run was trained: at the end and, where that differs, before; and where that differs, tested."""
    *begun, trained = places
    tested = numerics(session.device, session.spec.precision)
    about = {"trained": trained} | ({"begun": begun} if begun else {})
    own_to_steps = ("compiled", "packed", "parts")
    differs = any(trained.get(name) != value for name, value in tested.items() if name not in own_to_steps)
    return about | ({"tested": tested} if differs else {})


def _peak(session: Session, trained: Mapping[str, Any]) -> int:
    """The most memory that training and test used; of the training alone where the test was on another device."""
    peak = int(trained["memory_peak_bytes"])
    same = trained["places"][-1]["device"] == numerics(session.device, session.spec.precision)["device"]
    return max(peak, peak_memory(session.device)) if same else peak


def contents_of(dataset: Dataset, rows: np.ndarray) -> int:
    """How many contents some rows of a dataset show; where there are none every image is its own."""
    return int(dataset.table["group"].iloc[rows].nunique())


def _parts(session: Session) -> dict[str, np.ndarray]:
    """The rows of the whole set and of each part of its split, under the names that their contents have in a record."""
    parts = {f"contents_{part}": getattr(session.split, part) for part in ("train", "test", "validation")}
    return {"contents": np.arange(len(session.dataset)), **parts}


def scoring_gflops(session: Session) -> float:
    """GFLOPs of scoring one view of one image, frozen networks included (two per multiply-add); counted once a kind."""
    spec = session.spec
    kind = canonical_json([spec.method, dict(spec.options), spec.backbone, spec.recipe.size, spec.recipe.head])
    if kind not in _gflops:
        _gflops[kind] = _counted_gflops(session)
    return _gflops[kind]


def _counted_gflops(session: Session) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    feed = session.feed
    sizes = {name: view.size for name, view in feed.views.items()}  # any picture costs the same: no store is opened
    pictures = {name: torch.zeros(1, 3, size, size, device=session.device) for name, size in sizes.items()}
    session.model.eval()
    with _frozen(session.model), session.autocast(), FlopCounterMode(display=False) as counter:
        inputs = {name: pictures[name] for name in feed.pictures}
        for name, frozen in session.model.features.frozen.items():
            inputs[name] = frozen.compute(pictures[frozen.view]).float()
        session.model(inputs)
    return round(counter.get_total_flops() / 1e9, 4)


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


def now() -> str:
    """The time as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
