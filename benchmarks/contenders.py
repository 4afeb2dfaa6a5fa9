"""Steps to be timed: of a method as the trainer makes them, and of the authors' LoDa from a user's checkout."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.core.machine import autocast
from bench.core.registry import METHODS
from bench.core.spec import Recipe
from bench.models.losses import plcc_squared
from bench.models.weights.load import load_vit, toolbox
from bench.training.faster import CompiledParts, RecordedSteps, as_cuda_graph
from bench.training.step import Inputs, gradients

Step = Callable[[], object]
VIT_B = "vit_base_patch16_224"


def batch_of(count: int, size: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Pictures and scores of noise."""
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randn(count, 3, size, size, generator=generator)
    return pictures.to(device), torch.randn(count, generator=generator).to(device)


def ours(
    method: str,
    precision: str,
    batch: tuple[Tensor, Tensor],
    backbone: str = VIT_B,
    options: Mapping[str, Any] = {},
    *,
    compiled: bool = False,
    graphs: bool = False,
) -> dict[str, Step]:
    """A method of the harness with random weights: the trainer's step and a scoring pass, its frozen inputs there."""
    pictures, human = batch
    device, size = pictures.device, pictures.shape[-1]
    built = METHODS.make(method, options)
    vit, _ = load_vit(backbone, "random", size, files={}, cache=Path())
    model = built.build(vit, Recipe(size=size), toolbox({}, Path(), random=True)).to(device)
    forward = CompiledParts(model) if compiled else model
    optimiser = torch.optim.AdamW(built.parameter_groups(model, 3e-4), lr=3e-4, weight_decay=1e-2, fused=True)
    inputs = dict.fromkeys(model.features.pictures, pictures)
    mixed = partial(autocast, device.type, precision)
    with torch.no_grad(), mixed():
        inputs |= {name: frozen.compute(pictures).float() for name, frozen in model.features.frozen.items()}

    def step(inputs: Inputs, human: Tensor) -> Tensor:
        return gradients(forward, inputs, human, plcc_squared, mixed)

    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    steps = RecordedSteps(step, trained, as_cuda_graph) if graphs else step

    def train() -> None:
        model.train()
        optimiser.zero_grad(set_to_none=True)
        steps(inputs, human)
        optimiser.step()

    def score() -> None:
        model.eval()
        with torch.inference_mode(), mixed():
            model(inputs)

    return {"train": train, "score": score}


def official(checkout: Path, batch: tuple[Tensor, Tensor], precision: str = "fp32") -> dict[str, Step]:
    """The authors' model with its own loss, optimiser and freezing, as their trainer calls them, or under autocast."""
    import yaml

    for name in ("src", "src.model", "src.utils"):  # their packages import loggers that a step does not need
        package = types.ModuleType(name)
        package.__path__ = [str(checkout / name.replace(".", "/"))]
        sys.modules[name] = package
    helpers = types.ModuleType("src.utils.utils")
    helpers.to_2tuple = lambda value: (value, value)  # type: ignore[attr-defined]
    sys.modules["src.utils.utils"] = helpers
    sys.path.insert(0, str(checkout))
    from src.model.loda import LoDa  # type: ignore[import-not-found]
    from src.utils.loss import plcc_loss  # type: ignore[import-not-found]
    from timm.layers import PatchEmbed  # theirs is the same convolution, without arguments that timm now passes

    settings = yaml.safe_load((checkout / "config/model/loda.yaml").read_text())
    settings["learner_param"] |= {"embed_dim": 768, "interaction_block_num": 12}
    settings["feature_model"]["load_timm_model"] = False
    pictures, human = batch
    net = LoDa(cfg=_dotted({"model": settings}), embed_layer=PatchEmbed).to(pictures.device)
    net.freeze()
    mixed = partial(autocast, pictures.device.type, precision)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-4, weight_decay=1e-2)

    def train() -> None:
        net.train()
        optimiser.zero_grad()
        with mixed():
            predicted = net(pictures)
        loss = plcc_loss(predicted.float(), human.unsqueeze(1))
        loss.backward()
        optimiser.step()

    def score() -> None:
        net.eval()
        with torch.no_grad(), mixed():
            net(pictures)

    return {"train": train, "score": score}


class _Dotted(dict[str, Any]):
    """Settings read as attributes, as their code does."""

    __getattr__ = dict.__getitem__


def _dotted(value: Any) -> Any:
    return _Dotted({k: _dotted(v) for k, v in value.items()}) if isinstance(value, dict) else value
