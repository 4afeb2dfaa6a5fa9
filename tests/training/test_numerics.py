"""NUMERICS is raised when a number moves: golden numbers show whether one did, hashes remind whoever forgets.

UPDATE_GOLDEN=1 writes the files anew; then read the diff.
"""

import hashlib
import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest

from bench.core.code import NUMERICS
from bench.core.source import Source
from bench.training.run import make_run
from tests.methods.vits import SMALL_CNN
from tests.world import make_world, tiny_runtime, tiny_spec

GOLDEN = Path(__file__).parent.parent / "golden"
NUMBERS, HASHES = GOLDEN / "numbers.json", GOLDEN / "numerics.json"
REFRESH = "UPDATE_GOLDEN=1 python -m pytest tests/training/test_numerics.py -k reminder"
TOLERANCE = 1e-3
"""Between CPUs of unlike instruction sets these numbers were seen to differ by 2e-6; an order of scores that is nearly
a tie would jump, so the runs below have none."""

MODULES = {
    "training": "training.run training.session training.loop training.joint training.orders training.step "
    "training.optimiser models.dropout "
    "training.scoring data.feed data.joint training.packs.loop training.packs.stack core.machine",
    "networks": "models.method models.head models.losses models.vit models.layers models.tuners models.sharing "
    "models.weights.load models.weights.formats",
    "metrics": "metrics.agreement metrics.kendall",
    "data": "data.splits data.views.view data.views.batches data.views.randomness data.frozen.inputs "
    "data.frozen.sheets data.pixels.decode data.pixels.policy data.pixels.store data.dataset",
}
"""The harness's modules that touch numbers."""

RUNS = {
    "glia": {},
    "adapter": {},
    "linear_probe": {},
    "loda": {"options": {"cnn": SMALL_CNN, "latent": 8, "heads": 2, "pool": 2}, "recipe": {"lr": 3e-3, "epochs": 3}},
}
SPLIT = 2
"""One in which no two predictions lie so close together that another CPU might exchange them."""


def source_of(module: str) -> Source:
    return Source.of(Path(importlib.util.find_spec(f"bench.{module}").origin).read_bytes())


def hashes() -> dict[str, str]:
    """What every module does, by name."""
    names = [name for group in MODULES.values() for name in group.split()]
    texts = {name: source_of(name).text(lambda found: found.module.startswith("bench")) for name in names}
    return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in sorted(texts.items())}


def golden(path: Path, now: object) -> dict:
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    return json.loads(path.read_text())


def test_reminder_that_harness_code_which_touches_numbers_has_changed():
    now = {"numerics": NUMERICS, "modules": hashes()}
    known = golden(HASHES, now)
    if known["numerics"] != NUMERICS:
        pytest.fail(f"NUMERICS is {NUMERICS} now, so note what it stands for: {REFRESH}")
    changed = sorted(n for n in now["modules"] | known["modules"] if now["modules"].get(n) != known["modules"].get(n))
    if changed:
        pytest.fail(
            f"{', '.join(changed)} changed since NUMERICS was set to {NUMERICS}. Did a number move? Then raise it in "
            "bench/core/code.py, so that every earlier run is repeated. If none did (this file's golden numbers "
            f"show it), note that: {REFRESH}"
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    home = tmp_path_factory.mktemp("world")
    return home, make_world(home)


@pytest.mark.parametrize("method", RUNS)
def test_the_numbers_of_a_tiny_run_are_the_golden_ones_on_any_machine(method, world):
    home, data = world
    wanted = {"recipe": {"epochs": 3}, **RUNS[method]}
    spec = tiny_spec(method, SPLIT, tests=("near:test", "far:all"), **wanted)
    record, arrays = make_run(spec, tiny_runtime(home / method, data))
    metrics = {"near:test srcc": record["metrics"]["near:test"]["srcc"]}
    metrics |= {f"far:all {name}": round(record["metrics"]["far:all"][name], 8) for name in ("srcc", "krcc", "plcc")}
    now = {"loss": record["loss"], "metrics": metrics}
    predicted = np.sort(arrays["far:all/predicted"])
    assert np.diff(predicted).min() > 1e-3 * predicted.std()
    known = golden(NUMBERS, (json.loads(NUMBERS.read_text()) if NUMBERS.exists() else {}) | {method: now})[method]
    moved = "A number moved: raise NUMERICS in bench/core/code.py, and write this file's golden numbers anew"
    assert now["loss"] == pytest.approx(known["loss"], abs=TOLERANCE), moved
    assert now["metrics"] == pytest.approx(known["metrics"], abs=TOLERANCE), moved
