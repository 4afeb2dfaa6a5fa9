"""Runs trained together end where they end alone: numbers, records, checkpoints and refusals."""

import threading

import numpy as np
import pytest

from bench.errors import Interrupted, RunError, UsageError
from bench.packed import make_pack
from bench.run import make_run
from bench.store import Store
from tests.methods.vits import SMALL_CNN
from tests.world import make_world, tiny_runtime, tiny_spec

TOLERANCE = 2e-4
"""Batched products add in another order; AdamW makes of a rounding in a tiny gradient up to a step's thousandth."""
METHODS = ["linear_probe", "adapter", "lora", "vpt", "ssf", "bitfit", "glia", "loda"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


def spec_of(method, **changes):
    options = {"cnn": SMALL_CNN} if method == "loda" else {}
    return tiny_spec(method, options=options, **changes)


def pack(specs, runtime, report=lambda *_: None, stop=None, lost=None):
    lost = lost or [threading.Event() for _ in specs]
    return dict(make_pack(specs, runtime, report, stop=stop or threading.Event(), lost=lost))


def assert_equal(alone, packed):
    assert packed[0]["loss"] == pytest.approx(alone[0]["loss"], abs=TOLERANCE)
    assert packed[0]["selection"]["epoch"] == alone[0]["selection"]["epoch"]
    assert set(packed[1]) == set(alone[1])
    for name, values in alone[1].items():
        if name.endswith("predicted"):
            assert np.allclose(packed[1][name], values, atol=TOLERANCE), name
        else:
            assert np.array_equal(packed[1][name], values), name


@pytest.mark.parametrize("method", METHODS)
def test_splits_trained_together_end_as_alone(method, tmp_path, data):
    specs = [spec_of(method, split=split, recipe={"clip": 0.5, "batch": 7}) for split in range(3)]
    packed = pack(specs, tiny_runtime(tmp_path / "packed", data))
    for run, spec in enumerate(specs):
        alone = make_run(spec, tiny_runtime(tmp_path / "alone", data))
        assert_equal(alone, packed[run])
        assert packed[run][0]["key"] == spec.key
        assert packed[run][0]["run"]["packed"] == 3
