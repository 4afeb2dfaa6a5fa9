"""The kernels of an older CPU on any CPU, and what tiny runs end in with them."""

import json
import os
import subprocess
import sys
from pathlib import Path

OLDER_CPU = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # convolutions, GELU, bf16
    "ATEN_CPU_CAPABILITY": "avx2",  # softmax, attention
    "MKL_CBWR": "COMPATIBLE",  # products in fp32
    "OPENBLAS_CORETYPE": "Haswell",  # NumPy
}
"""Four libraries choose kernels by the CPU they meet; each has a variable of its own that forbids the newer ones."""

HOME = Path(__file__).parent.parent.parent


def python(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter on this checkout; a process that has loaded the libraries cannot change their kernels."""
    inherited = {name: value for name, value in os.environ.items() if name not in OLDER_CPU}
    path = os.pathsep.join([str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *words],
        cwd=HOME,
        env={**inherited, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
    )


def numbers_of_tiny_runs(methods: list[str], home: Path) -> dict[str, dict[str, list[float]]]:
    """What each method's tiny run ends in: losses and predictions."""
    from bench.training.run import make_run
    from tests.methods.vits import SMALL_CNN
    from tests.world import make_world, tiny_runtime, tiny_spec

    data = make_world(home / "sets")
    numbers = {}
    for method in methods:
        options = {"cnn": SMALL_CNN} if method == "loda" else {}
        record, arrays = make_run(tiny_spec(method, options=options), tiny_runtime(home, data))
        numbers[method] = {"loss": record["loss"], "predicted": arrays["near:test/predicted"].tolist()}
    return numbers


if __name__ == "__main__":
    print(json.dumps(numbers_of_tiny_runs(sys.argv[2:], Path(sys.argv[1]))))
