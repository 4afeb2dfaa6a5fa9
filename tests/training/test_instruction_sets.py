"""The same command gives the same numbers on CPUs of other kinds."""

import json

import numpy as np
import pytest

from bench.core.machine import cpu_computes_in_bf16
from bench.training.run import make_run
from tests.training.instruction_sets import OLDER_CPU, python
from tests.world import make_world, tiny_runtime, tiny_spec

METHODS = ["linear_probe", "full_finetune", "adapter", "lora", "vpt", "glia", "loda"]
TOLERANCE = 2e-4
"""Other kernels add in other orders; AdamW makes of a rounding in a tiny gradient up to a step's thousandth."""
NUMBERS = [
    "tests/report/tables/test_golden.py",
    "tests/report/tables/test_statistics.py",
    "tests/report/test_compare.py",
    "tests/metrics/test_metrics.py",
    "tests/training/test_packed.py",
    "tests/training/test_run.py",
    "tests/methods/test_savings.py",
]
"""The tests whose expectations are numbers."""


@pytest.mark.slow
def test_tiny_runs_of_every_strategy_end_alike_with_the_kernels_of_an_older_cpu(tmp_path):
    ends = []
    for name, environment in (("this", {}), ("older", OLDER_CPU)):
        environment = environment | {"GLIA_BENCH_CACHE": str(tmp_path / f"cache_{name}")}
        process = python(
            "-m", "tests.training.instruction_sets", str(tmp_path / name), *METHODS, environment=environment
        )
        assert process.returncode == 0, process.stderr
        ends.append(json.loads(process.stdout.splitlines()[-1]))
    for method in METHODS:
        for what in ("loss", "predicted"):
            here, there = (np.array(end[method][what]) for end in ends)
            assert np.allclose(here, there, atol=TOLERANCE), (method, what, np.abs(here - there).max())


@pytest.mark.slow
def test_the_tests_of_numbers_pass_with_the_kernels_of_an_older_cpu():
    process = python("-m", "pytest", "-q", "-m", "not slow", *NUMBERS, environment=OLDER_CPU)
    assert process.returncode == 0, process.stdout[-3000:]


@pytest.mark.skipif(not cpu_computes_in_bf16(), reason="this CPU has no bf16 instructions")
def test_a_run_in_native_bf16_ends_near_the_one_in_fp32(tmp_path):
    data = make_world(tmp_path / "sets")
    runs = [make_run(tiny_spec("adapter", precision=p), tiny_runtime(tmp_path / p, data)) for p in ("fp32", "bf16")]
    full, half = (predictions["near:test/predicted"] for _, predictions in runs)
    assert not np.array_equal(full, half)
    assert np.allclose(full, half, atol=0.05)
