"""Pretrained networks, loaded once a process: each run gets a copy of the structure on the same frozen memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from bench.backbone import Vit
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


def _lend(
    kind: str, key: tuple[object, ...], load: Callable[[], tuple[Network, LoadedWeights]]
) -> tuple[Network, LoadedWeights]:
    if kind not in _KEPT or _KEPT[kind].key != key:
        _KEPT.pop(kind, None)  # before the next is loaded, or both would be in memory
        _KEPT[kind] = _Kept(key, *load())
    kept = _KEPT[kind]
    return _copy(kept.network), kept.weights


def _copy(network: Any) -> Any:
    """The same network as new modules and new parameters that share their memory; buffers are copied."""
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in network.parameters()}
    return copy.deepcopy(network, memo)


def _origin(runtime: Runtime, token: str) -> tuple[object, ...]:
    """What tells two files apart that a spec calls by the same name."""
    path: Path | None = runtime.weight_files.get(token)
    return (str(runtime.cache), str(path), path.stat().st_mtime_ns if path is not None and path.exists() else 0)
