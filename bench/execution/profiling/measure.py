"""What one method costs on one machine: its work, its speed in the real trainer, its memory."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.core.machine import describe, forget_peak_memory, numerics, peak_memory
from bench.core.progress import Say
from bench.core.runtime import Runtime
from bench.core.spec import Recipe, RunSpec, Scalar, Target
from bench.data.feed import Batch
from bench.execution.profiling.ceilings import measure_ceilings, wait_for
from bench.execution.profiling.launches import Launches, count_launches
from bench.execution.profiling.phases import TimedFeed, watch
from bench.execution.profiling.pictures import synthetic_set
from bench.execution.profiling.work import Work, count_work
from bench.training.loop import Job, epoch_batches, loss_of, train
from bench.training.scoring import score
from bench.training.session import Session, prepare
from bench.training.shared import Shared
from bench.training.step import gradients

SCHEMA = 1
PICTURES = 128
"""At most so many different pictures, or two batches; longer measurements go through them again."""
FEWEST = 10
"""A set has so many, or it could not be split; what is more than was asked for is not trained on."""


@dataclass(frozen=True)
class Setting:
    """Under which conditions methods are measured; all of them under the same."""

    backbone: str = "vit_base_patch16_224"
    weights: str = "random"
    batch: int = 8
    size: int = 224
    precision: str = "fp32"
    steps: int = 5
    dataset: str = ""

    @property
    def pictures(self) -> int:
        """How many different pictures are trained on."""
        return min(max(PICTURES, 2 * self.batch), self.batch * self.steps)


def profile_method(
    method: str, options: Mapping[str, Scalar], setting: Setting, runtime: Runtime, at: Say = lambda _: None
) -> dict[str, Any]:
    """Everything measured of one method. Peak memory is the process's own: call it in a fresh one.

    `at` is told what is being done.
    """
    at(f"{setting.pictures} pictures and the network")
    spec, runtime = _spec(method, options, setting, runtime)
    shared = Shared()  # what the second start of a process finds there
    first = prepare(spec, runtime, shared=shared).seconds
    forget_peak_memory(runtime.device)  # of the first, which is gone
    session = prepare(spec, runtime, shared=shared)
    sizes = _sizes(session)  # before all is frozen for counting
    job = _job(session, setting.pictures)
    at("frozen inputs")
    inputs = _fill_frozen(job)
    at(f"training, {setting.steps} steps")
    training, step_seconds, phases = _time_training(job)
    launches = _count_launches(job)
    at("scoring")
    scoring, scoring_cached = _time_scoring(session)
    memory = peak_memory(session.device)
    at("its operations, and what the device can do")
    per_step = count_work(lambda: _gradients(job, inputs))
    session.model.requires_grad_(False)  # torch's counter fails where a module is given a trained tensor without grad
    per_score = count_work(lambda: _score_fresh(session, _some_rows(session)))
    ceilings = measure_ceilings(session.device, session.spec.precision)
    work = Work(per_step.flops // spec.recipe.batch, per_step.bytes // spec.recipe.batch)
    return {
        **sizes,
        "gflops_scoring": per_score.flops / len(_some_rows(session)) / 1e9,
        "gflops_training": work.flops / 1e9,
        "gbytes_training": work.bytes / 1e9,
        "training_images_s": training,
        "scoring_images_s": scoring,
        "scoring_cached_images_s": scoring_cached,
        "step_seconds": step_seconds,
        "phases": phases,
        **_dispatched(launches, step_seconds),
        "memory_peak_bytes": memory,
        "startup_first_seconds": first,
        "startup_next_seconds": session.seconds,
        "ceilings": ceilings,
        "utilisation": {
            "matmul": training * work.flops / ceilings["matmul_flops"],
            "copy": training * work.bytes / ceilings["copy_bytes"],
        },
        "machine": describe() | numerics(session.device, session.spec.precision, compiled=job.compiled),
    }


def _sizes(session: Session) -> dict[str, Any]:
    """How many numbers are trained, and how many there are."""
    parameters = list(session.model.parameters())
    return {
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
        "total": sum(p.numel() for p in parameters),
    }


def _dispatched(launches: Launches, step_seconds: float) -> dict[str, Any]:
    """What a step dispatches, and the share of it in which a card has nothing to do."""
    busy = launches.busy_seconds
    return {
        "launches": launches.of_device,
        "operators": launches.operators,
        "copies": launches.copies,
        "idle": None if busy is None else max(0.0, 1 - busy / step_seconds),
    }


def report_of(measured: Mapping[str, Mapping[str, Any]], setting: Setting) -> dict[str, Any]:
    """One JSON for all methods: what is the machine's stands once."""
    machines = [one["machine"] for one in measured.values()]
    methods = {name: {k: v for k, v in one.items() if k != "machine"} for name, one in measured.items()}
    return {"schema": SCHEMA, "setting": asdict(setting), "machine": machines[0], "methods": methods}


def _spec(method: str, options: Mapping[str, Scalar], setting: Setting, runtime: Runtime) -> tuple[RunSpec, Runtime]:
    count = max(FEWEST, setting.pictures)
    epochs = -(-setting.batch * setting.steps // setting.pictures)
    name = setting.dataset
    if not name:
        name, entry = synthetic_set(runtime.cache, count)
        runtime = replace(runtime, data={**runtime.data, name: entry})
    recipe = Recipe(batch=setting.batch, size=setting.size, epochs=epochs)
    spec = RunSpec(
        method=method,
        train=name,
        tests=(Target.of(name),),
        options=options,
        backbone=setting.backbone,
        weights=setting.weights,
        recipe=recipe,
        precision=setting.precision,  # type: ignore[arg-type]
        limit=count if setting.dataset else 0,
    )
    return spec, runtime


def _job(session: Session, pictures: int) -> Job:
    """Pictures of all parts train: nothing is learnt from this, and nothing is kept."""
    feed = session.feed
    timed = TimedFeed(feed.dataset, feed.maker, feed.frozen, feed.pictures, feed.views)
    return Job(
        method=session.method,
        model=session.model,
        feed=timed,
        train=np.arange(min(pictures, len(session.dataset))),
        validation=np.arange(0),
        recipe=session.spec.recipe,
        split=0,
        device=session.device,
        autocast=session.autocast,
        checkpoint=Path("never-written"),
        identity=session.identity(),
        checkpoint_seconds=float("inf"),
        parts=session.runtime.parts,
        compiled=session.runtime.compiled,
    )


def _fill_frozen(job: Job) -> dict[str, Tensor]:
    """Have frozen inputs computed, as they are after the first of many runs; returns the last batch's inputs."""
    inputs: dict[str, Tensor] = {}
    for epoch in range(job.recipe.epochs):
        for batch in epoch_batches(job, epoch):
            inputs = job.feed.inputs(batch, {} if job.feed.frozen.frozen else None)
    return inputs | job.feed.load_pictures(epoch_batches(job, job.recipe.epochs - 1)[-1])


def _time_training(job: Job) -> tuple[float, float, dict[str, float]]:
    """Images a second of the trainer, seconds per step, and the phases' shares of a step."""
    warm = replace(job, train=job.train[: 2 * job.recipe.batch], recipe=replace(job.recipe, epochs=1))
    steps = job.recipe.epochs * len(epoch_batches(job, 0))
    images = job.recipe.epochs * len(job.train)
    if job.device.type == "cpu":
        seconds, phases = watch(job, train, warm)
    else:  # a device works behind the host's back: once at full speed, once waiting at every mark
        train(warm)
        wait_for(job.device)
        begin = time.perf_counter()
        train(job)
        wait_for(job.device)
        seconds = time.perf_counter() - begin
        _, phases = watch(job, train, warm)
    total = sum(phases.values())
    return images / seconds, seconds / steps, {name: value / total for name, value in phases.items()}


def _count_launches(job: Job) -> Launches:
    """What two steps of the trainer ask of the device, its data and its bookkeeping included."""
    two = replace(job, train=job.train[: 2 * job.recipe.batch], recipe=replace(job.recipe, epochs=1))
    return count_launches(lambda: train(two), len(epoch_batches(two, 0)), job.device)


def _time_scoring(session: Session) -> tuple[float, float]:
    """Images a second where every network runs, and where frozen inputs are there already."""
    rows = _some_rows(session)

    def cached() -> None:
        score(
            session.model,
            session.feed,
            rows,
            views=1,
            autocast=session.autocast,
            batch_sizes=session.shared.batch_sizes,
        )

    speeds = []
    for work in (lambda: _score_fresh(session, rows), cached):
        work()
        tries = []
        for _ in range(3):
            wait_for(session.device)
            begin = time.perf_counter()
            work()
            wait_for(session.device)
            tries.append(time.perf_counter() - begin)
        speeds.append(len(rows) / median(tries))
    return speeds[0], speeds[1]


def _some_rows(session: Session) -> np.ndarray:
    return np.arange(min(len(session.dataset), session.spec.recipe.batch))


@torch.inference_mode()
def _score_fresh(session: Session, rows: np.ndarray) -> None:
    """Score pictures never seen before: frozen networks run too."""
    session.model.eval()
    batch = Batch(rows, np.zeros(len(rows), dtype=np.int64), epoch=0, training=False)
    with session.autocast():
        inputs = dict(session.feed.load_pictures(batch))
        for name, frozen in session.model.features.frozen.items():
            pictures = session.feed.maker.pictures(frozen.view, rows, epoch=0, number=batch.numbers, training=False)
            inputs[name] = frozen.compute(pictures)
        session.model(inputs)


def _gradients(job: Job, inputs: Mapping[str, Tensor]) -> None:
    """Forward and backward of one training batch."""
    job.model.train()
    count = len(next(iter(inputs.values())))
    human = torch.linspace(-1, 1, count, device=job.device)
    gradients(job.model, inputs, human, loss_of(job), job.autocast)
