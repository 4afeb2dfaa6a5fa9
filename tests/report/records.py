"""Synthetic records of any plan: what a store would hold had the runs been made, without making them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from bench.core.code import code_of
from bench.core.registry import DATASETS
from bench.core.spec import SCHEMA, Recipe, RunSpec
from bench.core.split_rules import over_images
from bench.planning.presets import preset_named
from bench.planning.usual import usual_recipe
from bench.records.results import Record

TRAINABLE = {"linear_probe": 768, "full_finetune": 85_799_424, "lora": 295_680, "loda": 8_927_488, "glia": 8_045_000}
KINDS = ("gaussian_blur", "jpeg", "rgb_noise", "darken", "contrast")
MADE_ON = {
    "device_type": "cpu",
    "device": "a CPU",
    "instructions": "x86_64 AVX2",
    "tf32": False,
    "compiled": False,
    "packed": 1,
    "parts": 1,
    "threads": 2,
    "torch": "2.11.0",
    "timm": "1.0.20",
    "numpy": "2.3.0",
    "pillow": "12.0.0",
}
"""What a made-up run was made on."""
CONTENTS, VERSIONS = 12, len(KINDS)
RANDOM = "random 80%/20% of reference contents"


def rule_of(spec: RunSpec) -> str:
    """What a record says of how its set was split."""
    if spec.split_rule == "official":
        return "official split"
    return f"{spec.folds}-fold over reference contents" if spec.folds else RANDOM


def seed_of(*parts: object) -> int:
    """A seed that depends on nothing but its parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")


def identity(spec: RunSpec) -> tuple[object, ...]:
    """What makes a made-up run: only what tests turn, so that a method's new option changes no golden file."""
    switches = [(name, spec.options.get(name)) for name in ("lgf", "glr", "guidance", "main", "injector")]
    about = (spec.method, spec.backbone, switches, spec.train, spec.split, spec.fraction, spec.source, spec.recipe.seed)
    return about + turned(spec)


def turned(spec: RunSpec) -> tuple[object, ...]:
    """What `sensitivity` turns, as far as it is not as usual."""
    preset = preset_named(spec.preset)
    usual = usual_recipe(preset, spec.train, spec.method)
    names = ("lr", "test_views", "head", "loss", "short_side")
    found = [value for name in names if (value := getattr(spec.recipe, name)) != usual.get(name, getattr(Recipe, name))]
    found += [spec.precision] * (spec.precision != "fp32") + [spec.split_rule] * over_images(spec.split_rule)
    return (tuple(found),) if found else ()


def skill_of(spec: RunSpec) -> float:
    """How well a made-up run predicts: by method, a little by its options."""
    return 0.5 + (seed_of(spec.method) % 40) / 100 - 0.01 * (seed_of(*identity(spec)[1:3]) % 5)


def predictions(spec: RunSpec) -> dict[str, np.ndarray]:
    """Predictions of a made-up run on its targets: human scores with noise, five versions of twelve contents."""
    arrays: dict[str, np.ndarray] = {}
    for target in spec.tests:
        labels = np.random.default_rng(seed_of("labels", target, spec.split if target.endswith(":test") else 0))
        human = labels.uniform(1, 5, CONTENTS * VERSIONS)
        noise = np.random.default_rng(seed_of("noise", *identity(spec), target)).normal(size=human.size)
        skill = skill_of(spec)
        arrays[f"{target}/human"] = human
        arrays[f"{target}/predicted"] = skill * (human - 3) + (1 - skill) * 2 * noise
        arrays[f"{target}/names"] = np.array([f"{i // VERSIONS:02}_{i % VERSIONS}.png" for i in range(human.size)])
        arrays[f"{target}/group"] = np.array([f"{i // VERSIONS:02}" for i in range(human.size)])
        arrays[f"{target}/distortion"] = np.array([KINDS[i % VERSIONS] for i in range(human.size)])
        arrays[f"{target}/level"] = np.arange(human.size) // VERSIONS % 5 + 1
    return arrays


def images_of(dataset: str) -> int:
    """As many images as the set has, or a few hundred where it is unknown."""
    return int(DATASETS.card(dataset).facts["images"]) if dataset in DATASETS else 300


def tested_on(target: str) -> int:
    """How many images a made-up run says it was tested on."""
    dataset, _, part = target.partition(":")
    return images_of(dataset) if part == "all" else 60


def body_of(spec: RunSpec, *, error: tuple[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    """A record's JSON, metrics computed from the made-up predictions by the project's own metrics."""
    from bench.metrics.agreement import score_metrics

    arrays = {} if error else predictions(spec)
    metrics = {t: score_metrics(arrays[f"{t}/predicted"], arrays[f"{t}/human"]) for t in spec.tests if not error}
    stem = spec.method.partition(":")[0]
    body = {
        "schema": SCHEMA,
        "key": spec.key,
        "status": "failed" if error else "done",
        "error": {"kind": error[0], "message": error[1]} if error else None,
        "spec": spec.as_dict(),
        "data": {
            "train": {
                "name": spec.train,
                "hash": f"data-{spec.train}",
                "n": images_of(spec.train),
                "split_hash": f"split-{spec.train}-{spec.split}",
                "split_rule": rule_of(spec),
                "n_train": 240,
                "n_test": 60,
                "n_validation": 0,
                "contents": 60,
                "contents_train": 48,
                "contents_test": CONTENTS,
                "contents_validation": 0,
            },
            "tests": {
                target: {"hash": f"data-{target.partition(':')[0]}", "n": tested_on(target), "contents": CONTENTS}
                for target in spec.tests
            },
        },
        "weights": {"backbone": spec.backbone, "hash": "0123456789abcdef", "source": "made up"},
        "parameters": {"trainable": TRAINABLE.get(stem, 102_912), "total": 86_000_000, "head": 768},
        "seconds": {"setup": 1.0, "train": 12.5 + seed_of(spec.method) % 100, "test": 3.0},
        "speed": {"train_images_s": 40.0, "test_images_s": 120.0},
        "memory_peak_bytes": 2**30,
        "gflops": 17.5,
        "loss": [0.5, 0.3],
        "selection": {"rule": spec.recipe.selection, "epoch": spec.recipe.epochs, "curve": []},
        "metrics": metrics,
        "numerics": {"trained": {**MADE_ON, "precision": spec.precision}},
        "code": code_of(spec.method),
        "run": {"git_commit": "c0ffee" * 6, "git_dirty": False, "started": "2025-01-01T00:00:00"},
    }
    return body | changes


def record_of(spec: RunSpec, **changes: Any) -> Record:
    """A made-up record whose predictions can be read."""
    return Record.from_dict(body_of(spec, **changes), lambda: predictions(spec))


def records_of(specs: Iterable[RunSpec]) -> list[Record]:
    """A record of every run of a plan."""
    return [record_of(spec) for spec in specs]
