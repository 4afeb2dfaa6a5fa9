"""Pretrained networks, loaded once a process: each run gets a copy of the structure on the same frozen memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from bench.backbone import Vit
from bench.machine import DTYPES
from bench.method import QualityModel
from bench.progress import Report
from bench.runtime import Runtime
from bench.spec import RunSpec
from bench.weights import CNN_FILE, CnnToolbox, LoadedWeights, load_vit, toolbox

Network = TypeVar("Network", bound=nn.Module)


@dataclass
class _Kept:
    key: tuple[object, ...]
    network: nn.Module
    weights: LoadedWeights
    casts: dict[tuple[object, ...], Tensor] = field(default_factory=dict)
    """Its tensors in other precisions, by where they lie."""

    def __post_init__(self) -> None:
        self.places = {_place(parameter) for parameter in self.network.parameters()}


_KEPT: dict[str, _Kept] = {}
"""The ViT and the CNN that were loaded last; plans go through their backbones one after the other."""


def lend_vit(spec: RunSpec, runtime: Runtime, report: Report) -> tuple[Vit, LoadedWeights]:
    """The ViT of a run, its memory shared with other runs of this process."""
    key = (spec.backbone, spec.weights, spec.recipe.size, *_origin(runtime, spec.weights))

    def load() -> tuple[Vit, LoadedWeights]:
        files, cache = runtime.weight_files, runtime.cache
        return load_vit(spec.backbone, spec.weights, spec.recipe.size, files=files, cache=cache, progress=report)

    return _lend("vit", key, load)


class LendingToolbox:
    """The toolbox of a run: as bench.weights gives CNNs, but each loaded once; `loaded` says which were asked for."""

    def __init__(self, spec: RunSpec, runtime: Runtime, report: Report) -> None:
        self._spec, self._runtime = spec, runtime
        self._tools: CnnToolbox = toolbox(
            runtime.weight_files, runtime.cache, random=spec.weights == "random", progress=report
        )
        self.loaded: dict[str, LoadedWeights] = {}

    def __call__(self, name: str) -> nn.Module:
        """A frozen network by timm name, in eval mode."""
        spec = self._spec
        key = (name, spec.cnn_weights, spec.weights == "random", *_origin(self._runtime, CNN_FILE))

        def load() -> tuple[nn.Module, LoadedWeights]:
            with torch.random.fork_rng(devices=[]):  # a run's own draws must not tell whether it was loaded or lent
                return self._tools(name), self._tools.loaded[name]

        network, self.loaded[name] = _lend("cnn", key, load)
        return network


def own_what_is_trained(model: nn.Module) -> None:
    """Give the trained tensors memory of their own, so that training never writes on lent memory."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.clone()


def cast_frozen_weights_once(model: QualityModel, precision: str) -> None:
    """Hold the frozen weights of linear maps and convolutions in the precision that autocast reads them in.

    autocast keeps the casts of trained weights only, within one pass, and would cast frozen ones anew in each. The
    numbers are the same to the bit. Norms and embeddings are computed in fp32 and stay so. Runs of a process share
    the casts as they share what they were cast from.
    """
    if precision == "fp32" or model.features.reads_weights:
        return
    for module in model.features.modules():
        if type(module) in (nn.Linear, nn.Conv2d):
            for parameter in module.parameters(recurse=False):
                if not parameter.requires_grad:
                    parameter.data = _cast(parameter.data, DTYPES[precision])


def _lend(
    kind: str, key: tuple[object, ...], load: Callable[[], tuple[Network, LoadedWeights]]
) -> tuple[Network, LoadedWeights]:
    if kind not in _KEPT or _KEPT[kind].key != key:
        _KEPT.pop(kind, None)  # before the next is loaded, or both would be in memory
        _KEPT[kind] = _Kept(key, *load())
    kept = _KEPT[kind]
    return _copy(kept.network), kept.weights


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor in another precision; of lent memory the one cast that all runs share."""
    place = _place(tensor)
    for kept in _KEPT.values():
        if place in kept.places:
            key = (*place, dtype)
            if key not in kept.casts:
                kept.casts[key] = tensor.to(dtype)
            return kept.casts[key]
    return tensor.to(dtype)


def _place(tensor: Tensor) -> tuple[object, ...]:
    """Where a tensor lies and how it is read: a transposed one shares the memory, not the cast."""
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def _copy(network: Any) -> Any:
    """The same network as new modules and new parameters that share their memory; buffers are copied."""
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in network.parameters()}
    return copy.deepcopy(network, memo)


def _origin(runtime: Runtime, token: str) -> tuple[object, ...]:
    """What tells two files apart that a spec calls by the same name."""
    path: Path | None = runtime.weight_files.get(token)
    return (str(runtime.cache), str(path), path.stat().st_mtime_ns if path is not None and path.exists() else 0)
