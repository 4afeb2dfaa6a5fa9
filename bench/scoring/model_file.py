"""Model files: the trained tensors of a run as safetensors, with all that the run says of itself in the header."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from bench.core.errors import BenchError, WeightsError
from bench.core.files import write_named
from bench.scoring.about import About
from bench.training.states import state_hash

KIND = "glia_bench_model"
"""Under which name the header holds the JSON."""


def write_model(path: Path, about: About, tensors: dict[str, Tensor]) -> None:
    """Write one file, whole or not at all."""
    text = json.dumps(about.to_json(), sort_keys=True)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_named(path, save(plain, metadata={KIND: text, "sha256": _seal(text, plain)}))


def read_model(path: Path) -> tuple[About, dict[str, Tensor]]:
    """What a model file holds; one that is none, damaged or changed is a WeightsError that says so."""
    if path.is_dir():
        path = path / "model.safetensors"
    if not path.is_file():
        raise WeightsError(f"There is no model file {path}. `bench export KEY --to {path.name}` writes one.")
    try:
        with safe_open(str(path), "pt") as opened:
            header = dict(opened.metadata() or {})
        tensors = load_file(str(path))
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path} is no whole safetensors file ({error}). Fetch or export it again.") from None
    if KIND not in header:
        raise WeightsError(
            f"{path} holds tensors, but no model of glia-bench: `bench export KEY --to FILE` writes those."
        )
    if header.get("sha256") != _seal(header[KIND], tensors):
        raise WeightsError(f"{path} was changed or damaged after it was written: its hash no longer fits.")
    try:
        return About.from_json(header[KIND]), tensors
    except (BenchError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path} was written by another version of glia-bench ({error}): export it again.") from None


def _seal(text: str, tensors: dict[str, Tensor]) -> str:
    """A hash over the JSON and the tensors: it shows damage and careless changes, and is no signature."""
    return hashlib.sha256(f"{text}\n{state_hash(tensors)}".encode()).hexdigest()
