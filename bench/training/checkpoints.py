"""An unfinished run on disk, so that a killed one resumes to the bit: tensors as safetensors, the rest as its JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bench.core.code import same_code
from bench.core.files import write_bytes
from bench.models.method import QualityModel
from bench.training.step import random_states, restore_random_states


@dataclass(frozen=True)
class Identity:
    """What a training's tensors come from. They are taken up again by a training of the same and by no other."""

    method: str
    training: str
    data: str
    weights: str
    code: str
    numerics: str

    def facts(self) -> dict[str, str]:
        """As it stands beside the tensors."""
        return {name: value for name, value in vars(self).items() if name != "method"}

    def fits(self, about: Mapping[str, str]) -> bool:
        """Whether what stands beside some tensors says the same; code may have been refactored."""
        facts = self.facts()
        code = facts.pop("code")
        same = all(about.get(name) == value for name, value in facts.items())
        return same and same_code(self.method, about.get("code", ""), code)


@dataclass
class Position:
    """Where training stands: the next step to make, and what has been seen on the way."""

    epoch: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    curve: list[float] = field(default_factory=list)
    best_epoch: int = -1
    seconds: float = 0.0
    places: list[dict[str, Any]] = field(default_factory=list)
    """On what its steps were made so far (bench.core.machine.numerics), one entry for each change."""


def save_checkpoint(
    path: Path,
    model: QualityModel,
    optimiser: torch.optim.Optimizer,
    position: Position,
    running: Tensor,
    best: dict[str, Tensor],
    device: torch.device,
    identity: Identity,
) -> None:
    """Write everything the next step depends on."""
    tensors = {f"model/{name}": value for name, value in model.trainable_state().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    tensors |= {f"random/{i}": state for i, state in enumerate(random_states(device))}
    tensors["running"] = running
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    facts = identity.facts() | {"position": json.dumps(vars(position)), "sha256": _digest(tensors)}
    write_bytes(path, save(tensors, metadata=facts))


def load_checkpoint(
    path: Path, model: QualityModel, optimiser: torch.optim.Optimizer, device: torch.device, identity: Identity
) -> tuple[Position, Tensor, dict[str, Tensor]] | None:
    """Put a run back where it was; None where there is no sound checkpoint of this very training."""
    found = _restore_model(path, model, identity)
    if found is None:
        return None
    facts, tensors = found
    _restore_optimiser(optimiser, tensors, device)
    restore_random_states([tensors[f"random/{i}"] for i in range(2) if f"random/{i}" in tensors], device)
    return Position(**json.loads(facts["position"])), tensors["running"].to(device), _below(tensors, "best/")


def was_fitted(path: Path, model: QualityModel, identity: Identity) -> bool:
    """Whether descent was stopped behind a fit: what that found is then put into the model, and need not be found
    again."""
    return _restore_model(path, model, identity) is not None


def _restore_model(
    path: Path, model: QualityModel, identity: Identity
) -> tuple[dict[str, str], dict[str, Tensor]] | None:
    """The trained tensors into the model; what stands beside them, and all tensors of the checkpoint."""
    try:
        with safe_open(str(path), "pt") as opened:
            facts: dict[str, str] = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    if not identity.fits(facts) or facts.get("sha256") != _digest(tensors):
        return None
    try:
        model.load_trainable_state(_below(tensors, "model/"))
    except KeyError:
        return None
    return facts, tensors


def _restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor], device: torch.device) -> None:
    saved = optimiser.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _below(tensors, "optimiser/").items():
        index, _, key = name.partition("/")
        state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": saved["param_groups"]})


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
