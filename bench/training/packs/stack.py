"""The heads of several runs as one: their trained tensors in stacks, and one pass over all runs' feature vectors.

The models' trained tensors are views of the stacks, so that each run is scored, optimised, clipped and kept through
its own ordinary model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from bench.core.errors import UsageError
from bench.models.losses import Loss
from bench.models.method import QualityModel


class HeadStack:
    """Heads on features that train nothing, and their gradients from one pass."""

    def __init__(self, models: Sequence[QualityModel]) -> None:
        refuse_unstackable(models)
        self._head = models[0].head
        self._own = [dict(model.head.named_parameters()) for model in models]
        self._stacks: dict[str, Tensor] = {}
        for name in self._own[0]:
            stack = torch.stack([own[name].detach() for own in self._own])
            for run, own in enumerate(self._own):
                own[name].data = stack[run]
            self._stacks[name] = stack.requires_grad_()

    def gradients(self, runs: Sequence[int], features: Tensor, human: Tensor, loss: Loss) -> Tensor:
        """Backward through one batch of each of these runs, [runs, B, width] and [runs, B]; their losses."""
        stacks = self._chosen(runs)

        def judged(head: dict[str, Tensor], features: Tensor, human: Tensor) -> Tensor:
            return loss(functional_call(self._head, head, (features,)).squeeze(-1), human)

        values = vmap(judged)(stacks, features, human)
        values.sum().backward()
        for name, stack in stacks.items():
            for run, gradient in zip(runs, stack.grad if stack.grad is not None else (), strict=True):
                self._own[run][name].grad = gradient
        return values.detach()

    def _chosen(self, runs: Sequence[int]) -> Mapping[str, Tensor]:
        """The stacks of these runs as leaves: all of them as they are, some of them copied."""
        if list(runs) != list(range(len(self._own))):
            return {name: stack.detach()[list(runs)].requires_grad_() for name, stack in self._stacks.items()}
        for stack in self._stacks.values():
            stack.grad = None
        return self._stacks


def refuse_unstackable(models: Sequence[QualityModel]) -> None:
    """A UsageError where the features are not the same for all runs: then no head alone is what differs."""
    first, *others = [model.features for model in models]
    if type(models[0]).forward is not QualityModel.forward:
        raise UsageError("its scores are made in a way of its own")
    if first.drifting or any(p.requires_grad for p in first.parameters()):
        raise UsageError("its features learn")
    frozen = first.state_dict()
    for features in others:
        for name, tensor in features.state_dict().items():
            if tensor.data_ptr() != frozen[name].data_ptr() and not torch.equal(tensor, frozen[name]):
                raise UsageError(f"its frozen tensor {name} differs from run to run")
