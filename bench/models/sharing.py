"""Pretrained networks, loaded once: each run gets a copy of the structure on the same frozen memory."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from bench.core.progress import Report
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec
from bench.models.method import Method
from bench.models.texts import ClipTexts, Encode, random_texts
from bench.models.vit import Vit
from bench.models.weights.load import (
    CNN_FILE,
    CnnToolbox,
    LoadedWeights,
    load_vit,
    no_weights,
    tensors_hash,
    toolbox,
)

Network = TypeVar("Network", bound=nn.Module)
Load = Callable[[], tuple[Network, LoadedWeights]]


@dataclass
class _Loaded:
    key: tuple[object, ...]
    network: nn.Module
    weights: LoadedWeights
    sums: tuple[int, ...]
    """What its parameters summed up to when it was loaded."""


class SharedNetworks:
    """The networks that were loaded last, one of a kind; plans go through their backbones one after the other."""

    def __init__(self) -> None:
        self._loaded: dict[str, _Loaded] = {}

    def shared_vit(self, spec: RunSpec, runtime: Runtime, report: Report) -> tuple[Vit, LoadedWeights]:
        """The ViT of a run, its memory shared with other runs."""
        any_shape = spec.recipe.whole_pictures
        key = (spec.backbone, spec.weights, spec.recipe.size, any_shape, *_origin(runtime, spec.weights))

        def load() -> tuple[Vit, LoadedWeights]:
            files, cache = runtime.weight_files, runtime.cache
            return load_vit(
                spec.backbone,
                spec.weights,
                spec.recipe.size,
                files=files,
                cache=cache,
                progress=report,
                any_shape=any_shape,
            )

        return self.shared("vit", key, load)

    def shared(self, kind: str, key: tuple[object, ...], load: Load[Network]) -> tuple[Network, LoadedWeights]:
        """A copy of the network of a kind, which is loaded where the last one was another."""
        if kind not in self._loaded or self._loaded[kind].key != key:
            self._loaded.pop(kind, None)  # before the next is loaded, or both would be in memory
            network, weights = load()
            self._loaded[kind] = _Loaded(key, network, weights, _sums(network))
        loaded = self._loaded[kind]
        return _copy(loaded.network), loaded.weights

    def written_on(self) -> str:
        """Give up the networks that a method has written on while it built its model; a hash of them, "" of none.

        The method may do so (some ways to start an adapter subtract it from the frozen weights). No other run may see
        it, and what the method's frozen part computes is no longer that of the weights as they were loaded.
        """
        changed = {kind: loaded for kind, loaded in self._loaded.items() if _sums(loaded.network) != loaded.sums}
        for kind in changed:
            del self._loaded[kind]
        return "+".join(tensors_hash(loaded.network.state_dict()) for _, loaded in sorted(changed.items()))


class SharedToolbox:
    """The toolbox of a run: networks as bench.models.weights gives them, loaded once; `loaded` are those asked for."""

    def __init__(self, networks: SharedNetworks, spec: RunSpec, runtime: Runtime, report: Report) -> None:
        self._networks, self._spec, self._runtime, self._report = networks, spec, runtime, report
        self._tools: CnnToolbox = toolbox(
            runtime.weight_files, runtime.cache, random=spec.weights == "random", progress=report
        )
        self.loaded: dict[str, LoadedWeights] = {}

    def __call__(self, name: str) -> nn.Module:
        """A frozen network by timm name, in eval mode."""
        spec = self._spec
        # one CNN stays loaded for the next run; a run's second one has a place of its own
        kind = "cnn" if not self.loaded.keys() - {name} else f"cnn {name}"
        key = (name, spec.cnn_weights, spec.weights == "random", *_origin(self._runtime, CNN_FILE))

        def load() -> tuple[nn.Module, LoadedWeights]:
            with torch.random.fork_rng(devices=[]):  # a run's own draws must not tell whether it was loaded or shared
                return self._tools(name), self._tools.loaded[name]

        network, self.loaded[name] = self._networks.shared(kind, key, load)
        return network

    def vit(self, name: str, size: int) -> Vit:
        """A further frozen ViT by timm name."""
        spec, runtime = self._spec, self._runtime
        weights = "random" if spec.weights == "random" else "pretrained"

        def load() -> tuple[Vit, LoadedWeights]:
            with torch.random.fork_rng(devices=[]):
                return load_vit(name, weights, size, files={}, cache=runtime.cache, progress=self._report)

        key = (name, weights, size, str(runtime.cache))
        vit, self.loaded[name] = self._networks.shared(f"vit {name}", key, load)
        return vit

    def texts(self, name: str, token: str = "") -> Encode:
        """A text encoder: random where the run's networks are, so that no table takes it for a trained one."""
        return random_texts if self._spec.weights == "random" else ClipTexts(name, token, self._runtime.weight_files)


def backbone_of(
    method: Method, networks: SharedNetworks, spec: RunSpec, runtime: Runtime, report: Report
) -> tuple[Vit | None, LoadedWeights]:
    """The ViT that a run's method stands on; none, and nothing is loaded, where it reads none."""
    if method.stands_on != "vit":
        return None, no_weights()
    return networks.shared_vit(spec, runtime, report)


def own_what_is_trained(model: nn.Module) -> None:
    """Give the trained tensors memory of their own, so that training never writes on shared memory."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.clone()


def _copy(network: Any) -> Any:
    """The same network as new modules and new parameters that share their memory; buffers are copied."""
    memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in network.parameters()}
    return copy.deepcopy(network, memo)


def _sums(network: nn.Module) -> tuple[int, ...]:
    """For each parameter the sum of the bits of its numbers: quick to make, and another where it was written on."""
    whole = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}
    bits = (p.detach().view(whole[p.element_size()]) for p in network.parameters())
    return tuple(int(numbers.sum(dtype=torch.int64)) for numbers in bits)


def _origin(runtime: Runtime, token: str) -> tuple[object, ...]:
    """What tells two files apart that a spec calls by the same name."""
    path: Path | None = runtime.weight_files.get(token)
    return (str(runtime.cache), str(path), path.stat().st_mtime_ns if path is not None and path.exists() else 0)
