"""How fast everything is on a card: two tables in under six minutes, on a machine with torch and no network.

    python -m benchmarks.card [--out card.md] [--official CHECKOUT] [--only methods,small,probes,crops,jobs,faster]

Weights are random and pictures are made. Each line is written to the file as soon as it is measured, so that whoever
is interrupted keeps what there is. `methods`: each method's step at ViT-B/16, 224 pixels, batches of 128, bf16, its
frozen inputs there; with `--official` the authors' LoDa from a checkout of NeosXu/LoDa, too. The others are the goals:
`small` ViT-S in batches of 32 through the trainer; `probes` ten linear probes on stored vectors; `crops` from the store
to the card; `jobs` small runs by --jobs auto beside one after another, and the way to the first step. `faster`, which
must be named, adds to `methods` the steps of a few with compiled blocks, recorded as CUDA graphs, and both.

`--device cpu --tiny` goes the same way in seconds, to see that it goes: its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # torch's profiler would write among our lines

import numpy as np
import torch

from bench.core.machine import set_up
from bench.core.runtime import Runtime
from bench.core.spec import Recipe
from bench.data.locate import load_dataset
from bench.data.views.batches import ViewMaker
from bench.data.views.view import View
from bench.execution.orders import ExecutionOptions
from bench.execution.profiling.ceilings import matmul_rate, wait_for
from bench.execution.profiling.launches import count_launches
from bench.execution.profiling.measure import Setting, _fill_frozen, _job, _spec
from bench.execution.profiling.pictures import synthetic_set
from bench.execution.profiling.work import count_work
from bench.execution.serial import execute_serial
from bench.records.store import Store
from bench.training.loop import Job, train
from bench.training.session import prepare
from benchmarks.card_page import Page
from benchmarks.commands import bench_run, first_step
from benchmarks.contenders import Step, batch_of, official, ours
from benchmarks.linear_probe import fill_features, make_images, make_specs
from benchmarks.pixels import crop_rates, make_pictures

METHODS = ("linear_probe", "full_finetune", "adapter", "lora", "vpt", "glia", "loda")
SHARE, LARGER = 0.45, ("full_finetune", "adapter", "lora", "vpt")
USUAL = ("methods", "small", "probes", "crops", "jobs")
PARTS = (*USUAL, "faster")
VARIANTS = {
    "compiled": {"compiled": True},
    "recorded": {"graphs": True},
    "compiled and recorded": {"compiled": True, "graphs": True},
}
"""How a step is made faster, as `bench run --compile` and `--graphs` do."""


@dataclass(frozen=True)
class Scale:
    """How large everything is."""

    backbone: str = "vit_base_patch16_224"
    small: str = "vit_small_patch16_224"
    precision: str = "bf16"
    size: int = 224
    batch: int = 128
    small_batch: int = 32
    tries: int = 5
    seconds: float = 2.0
    """How long each step is repeated, in so many tries."""
    steps: int = 40
    """Of the trainer, in `small`."""
    probes: int = 10
    probed: int = 10_000
    pictures: int = 2_000
    methods: tuple[str, ...] = METHODS
    faster: tuple[str, ...] = ("adapter", "glia", "loda", "full_finetune")
    splits: int = 5
    run_pictures: int = 160
    epochs: int = 2
    patience: float = 90.0
    """So many seconds of runs one after another are enough: what they make in that time is their rate."""
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


TINY = Scale(
    backbone="test_vit.r160_in1k",
    small="test_vit.r160_in1k",
    precision="fp32",  # most CPUs only emulate the other
    size=32,
    batch=4,
    small_batch=4,
    tries=1,
    seconds=0.05,
    steps=2,
    probes=2,
    probed=20,
    pictures=8,
    methods=("linear_probe", "glia", "loda"),
    faster=(),  # a CPU compiles for minutes and records nothing
    splits=1,
    run_pictures=16,
    epochs=1,
    options={"glia": {"grid": 2, "fragment": 16, "rank": 8, "heads": 2}, "loda": {"cnn": "test_efficientnet"}},
)


@dataclass(frozen=True)
class Found:
    """What was measured of one method."""

    training: float
    scoring: float
    share: float
    flops: float


def per_second(step: Step, scale: Scale, device: torch.device) -> float:
    """Images a second: the median of tries, each of as many steps as its part of the time takes."""
    for _ in range(min(3, scale.tries)):
        step()
    wait_for(device)
    begin = time.perf_counter()
    step()
    wait_for(device)
    count = max(1, int(scale.seconds / scale.tries / (time.perf_counter() - begin)))
    tries = []
    for _ in range(scale.tries):
        begin = time.perf_counter()
        for _ in range(count):
            step()
        wait_for(device)
        tries.append((time.perf_counter() - begin) / count)
    return scale.batch / median(tries)


def measure(
    name: str,
    steps: Callable[[], Mapping[str, Step]],
    scale: Scale,
    precision: str,
    page: Page,
    plain: Found | None = None,
) -> Found:
    """One row of the first table; `plain`: the same step as it is without being made faster, whose work it has."""
    device = torch.device(DEVICE["type"])
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    made = steps()
    training = per_second(made["train"], scale, device)
    peak = f"{torch.cuda.max_memory_allocated() / 2**30:.1f}" if device.type == "cuda" else "–"
    scoring = per_second(made["score"], scale, device) if plain is None else plain.scoring
    launches = count_launches(made["train"], 1, device)
    flops = count_work(made["train"]).flops if plain is None else plain.flops
    share = training / scale.batch * flops / matmul_rate(device, precision)
    step_seconds = scale.batch / training
    idle = "–" if launches.busy_seconds is None else f"{max(0.0, 1 - launches.busy_seconds / step_seconds):.0%}"
    of_rate = f"{share:.1%}" if precision == scale.precision else "–"
    scored = f"{scoring:,.0f}" if plain is None else "as above"
    page.add(name, f"{training:,.0f}", of_rate, scored, peak, f"{launches.of_device:,.0f}", idle)
    return Found(training, scoring, share, flops)


def all_methods(scale: Scale, page: Page, checkout: Path | None, parts: Sequence[str]) -> None:
    """The first table, and the goals that its numbers answer."""
    batch = batch_of(scale.batch, scale.size, DEVICE["type"])
    found: dict[str, Found] = {}

    def row(name: str, precision: str, steps: Callable[[], Mapping[str, Step]], plain: Found | None = None) -> None:
        try:
            found[name] = measure(name, steps, scale, precision, page, plain)
        except Exception as error:  # one that fails takes no other's numbers with it
            page.add(name, f"failed: {type(error).__name__}: {str(error).splitlines()[0][:80]}", *[""] * 5)

    def of_method(method: str) -> Callable[..., Mapping[str, Step]]:
        return partial(ours, method, scale.precision, batch, scale.backbone, scale.options.get(method, {}))

    for method in scale.methods if "methods" in parts else scale.faster:
        row(method, scale.precision, of_method(method))
    if checkout is not None:
        row("the authors' LoDa, bf16 autocast", "bf16", lambda: official(checkout, batch, "bf16"))
        row("the authors' LoDa, fp32 as it is", "fp32", lambda: official(checkout, batch))
        row("our LoDa, fp32", "fp32", lambda: ours("loda", "fp32", batch))
    for method in scale.faster if "faster" in parts else ():
        for variant, how in VARIANTS.items():
            if method in found:
                row(f"{method}, {variant}", scale.precision, partial(of_method(method), **how), found[method])
    answer_goals(found, page)


def answer_goals(found: Mapping[str, Found], page: Page) -> None:
    """The goals that rows of the first table answer, each by the plain step and by the fastest there is."""

    def fastest(method: str) -> Found:
        own = [row for name, row in found.items() if name.partition(", ")[0] == method]
        return max(own, key=lambda row: row.training)

    for method in (name for name in LARGER if name in found):
        reached = f"{found[method].share:.0%} plain, {fastest(method).share:.0%} at best"
        page.goal(f"{method} training, of the matrix rate", reached, f"≥ {SHARE:.0%}")
    if {"glia", "adapter"} <= found.keys():
        plain = found["adapter"].training / found["glia"].training
        best = fastest("adapter").training / fastest("glia").training
        goal = "GLIA's training step against the adapter's, in time"
        page.goal(goal, f"{plain:.2f} plain, {best:.2f} at best", "≤ 1.25")
    if {"loda", "the authors' LoDa, bf16 autocast"} <= found.keys():
        theirs = found["the authors' LoDa, bf16 autocast"]
        plain, best = (row.training / theirs.training for row in (found["loda"], fastest("loda")))
        goal = "LoDa against the authors' under autocast, training"
        page.goal(goal, f"{plain:.2f} × plain, {best:.2f} × at best", "≥ 1.5 ×")
        page.goal("the same, scoring", f"{found['loda'].scoring / theirs.scoring:.2f} ×", "≥ 1.6 ×")


def small_runs(scale: Scale, page: Page, home: Path) -> None:
    """ViT-S in small batches, one process, through the real trainer from the store on; on a card recorded, too."""
    for method in scale.methods:
        setting = Setting(scale.small, "random", scale.small_batch, scale.size, scale.precision, scale.steps)
        spec, runtime = _spec(method, scale.options.get(method, {}), setting, runtime_in(home))
        session = prepare(spec, runtime)
        job = _job(session, setting.pictures)
        _fill_frozen(replace(job, recipe=replace(job.recipe, epochs=2)))
        rates = {"plain": steady_rate(job)}
        if session.device.type == "cuda":
            rates["recorded"] = steady_rate(replace(job, graphs=True))
        reached = ", ".join(f"{rate:,.0f} {how}" for how, rate in rates.items())
        page.goal(f"ViT-S, batch {scale.small_batch}, one process: {method}", f"{reached} images/s", "≥ 3,000")


def steady_rate(job: Job) -> float:
    """Images a second of one more epoch: what a training takes at its beginning is not in."""
    seconds = []
    for epochs in (1, 1, 2):  # the first warms
        begin = time.perf_counter()
        trained = train(replace(job, recipe=replace(job.recipe, epochs=epochs)))
        wait_for(job.device)
        seconds.append(time.perf_counter() - begin)
    return trained.images / 2 / max(seconds[2] - seconds[1], 1e-9)


def ten_probes(scale: Scale, page: Page, home: Path) -> None:
    """Linear probes on vectors that are stored already."""
    make_images(home / "many", scale.probed)
    data = {"many": {"loader": "folder", "path": str(home / "many"), "csv": "labels.csv"}}
    runtime = replace(runtime_in(home), data=data, results=home / "probes")
    specs = make_specs(scale.probes)
    page.say(f"{scale.probed} vectors of every view")
    fill_features(specs[0], runtime)
    begin = time.perf_counter()
    summary = execute_serial(specs, runtime, ExecutionOptions())
    seconds = time.perf_counter() - begin
    if summary.failed:
        raise RuntimeError(next(iter(summary.failed.values())))
    records = list(Store(runtime.results).records())
    spent = sum(record["seconds"]["train"] for record in records)
    images = sum(record["data"]["train"]["n_train"] * record["spec"]["recipe"]["epochs"] for record in records)
    page.goal("linear probe on stored vectors, training", f"{images / spent:,.0f} images/s", "≥ 300,000")
    page.goal(
        f"{scale.probes} splits of {scale.probed:,} images, from the data to the records", f"{seconds:.1f} s", "< 10 s"
    )


def crops(scale: Scale, page: Page, home: Path) -> None:
    """Normalised random crops of stored pictures, on the device."""
    make_pictures(home / "jpegs", scale.pictures)
    data = {"jpegs": {"loader": "folder", "path": str(home / "jpegs"), "csv": "labels.csv"}}
    dataset = load_dataset("jpegs", data, home / "cache")
    recipe = Recipe(short_side=384, size=224)
    views = {"crop": View("crop", 224, flips=True)}
    maker = ViewMaker(dataset, views, recipe, home / "cache", DEVICE["type"], (0.5,) * 3, (0.5,) * 3)
    crop_rates(maker, 1)  # checks every picture once, puts the store on the card, and warms
    rate = median(crop_rates(maker, 3)["float32"])
    page.goal("from the store to normalised crops on the device", f"{rate:,.0f} a second", "≥ 20,000")
    for name, *cells in page.rows:
        if name == "full_finetune" and cells[1]:
            trained = float(cells[0].replace(",", ""))
            page.goal("the same, of a ViT-B step (full fine-tune)", f"{trained / rate:.1%}", "< 5%")


def side_by_side_runs(scale: Scale, page: Page, home: Path) -> None:
    """A plan of small runs by `bench run`: one after another, and by --jobs auto; and the way to the first step."""
    name, entry = synthetic_set(home / "cache", scale.run_pictures)
    lines = [f"[data.{name}]", *(f'{key} = "{value}"' for key, value in entry.items())]
    (home / "bench.toml").write_text("\n".join([*lines, 'csv = "labels.csv"']) + "\n")
    wanted = len(scale.methods) * scale.splits
    plan = ["-m", ",".join(scale.methods), "-p", "main", "-d", name, "--splits", str(scale.splits), "--preset", "demo"]
    plan += ["--backbone", scale.small, "--weights", "random", "--device", DEVICE["type"]]
    plan += ["--precision", scale.precision]
    settings = {"epochs": scale.epochs, "batch": scale.small_batch, "size": scale.size, "test_views": 2}
    settings |= {
        f"{method}.{key}": value for method, options in scale.options.items() for key, value in options.items()
    }
    plan += [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    page.say("the plan once by --jobs auto, for warm caches")
    bench_run(home, [*plan, "--results", "cold", "--jobs", "auto"], 4 * scale.patience)
    rates = {}
    for jobs, folder in (("auto", "jobs"), ("1", "serial")):
        made, seconds = bench_run(home, [*plan, "--results", folder, "--jobs", jobs], scale.patience)
        page.say(f"--jobs {jobs}: {made} runs of {wanted} in {seconds:.1f} s")
        rates[jobs] = made / seconds
    ratio = f"{rates['auto'] / rates['1']:.1f} ×" if rates["1"] else "no run was made"
    page.goal(f"a plan of {wanted} small runs, --jobs auto against one after another", ratio, "≥ 5 ×")
    seconds = first_step(home, [*plan, "--results", "first"])
    page.goal("`bench run` to the first step, warm caches", f"{seconds:.1f} s", "≤ 5 s")


DEVICE = {"type": "cuda"}


def runtime_in(home: Path) -> Runtime:
    """The machine's side of runs in this process."""
    return Runtime(home / "results", home / "cache", {}, DEVICE["type"], checkpoint_seconds=1e9)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("card.md"))
    parser.add_argument("--official", type=Path, help="A checkout of github.com/NeosXu/LoDa.")
    parser.add_argument("--only", default=",".join(USUAL), help="Which parts, separated by commas.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="Everything small, to see that it goes.")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.only.split(",")) - set(PARTS):
        parser.error(f"--only knows {', '.join(PARTS)}, not {', '.join(sorted(unknown))}")
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no card here: --device cpu --tiny shows that everything goes")
    DEVICE["type"] = asked.device
    scale, home = TINY if asked.tiny else Scale(), Path(tempfile.mkdtemp())
    set_up(0)
    torch.manual_seed(0)
    np.random.seed(0)
    page = Page(asked.out.resolve(), torch.device(asked.device))
    chosen = asked.only.split(",")
    if "faster" in chosen and "methods" not in chosen:
        chosen = ["methods", *chosen]
    parts: dict[str, Callable[[], None]] = {
        "methods": lambda: all_methods(scale, page, asked.official, asked.only.split(",")),
        "jobs": lambda: side_by_side_runs(scale, page, home),
        "small": lambda: small_runs(scale, page, home),
        "crops": lambda: crops(scale, page, home),
        "probes": lambda: ten_probes(scale, page, home),
    }
    for name, part in parts.items():
        if name in chosen:
            page.say(name)
            try:
                part()
            except Exception as error:  # the other parts are worth having
                page.goal(name, f"failed: {type(error).__name__}: {error}", "")
    page.say(f"written: {page.path}")
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
