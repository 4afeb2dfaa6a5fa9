"""Several models of one structure as one: shared frozen tensors, trained ones stacked, one pass over all runs.

The pass is the first model's own forward under `torch.vmap`: what is the same in every run (frozen weights, and
whatever is computed of them and of shared inputs alone) is computed once over the folded batch, what differs becomes
a batched matrix product. The models' trained tensors are views of the stacks, so that each run is scored, optimised,
clipped and kept through its own ordinary model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, vmap
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from bench.data.batches import send
from bench.dice import Cup
from bench.errors import UsageError
from bench.losses import Loss
from bench.method import QualityModel
from bench.step import Autocast


class Stack:
    """The trained tensors of several models in stacks, and their gradients from one pass.

    `states` are the random generators of each run where it begins: dropout draws every run's masks as the run
    alone would.
    """

    def __init__(self, models: Sequence[QualityModel], states: Sequence[list[Tensor]], device: torch.device) -> None:
        refuse_unstackable(models)
        self.models, self.device = list(models), device
        self.dice = Cup(states, device)
        _share_frozen(self.models)
        own = [{n: p for n, p in model.named_parameters() if p.requires_grad} for model in models]
        self._own = own
        self._stacks: dict[str, Tensor] = {}
        for name in own[0]:
            stacked = torch.stack([named[name].detach() for named in own])
            for run, named in enumerate(own):
                named[name].data = stacked[run]
            self._stacks[name] = stacked.requires_grad_()

    def gradients(
        self, runs: Sequence[int], inputs: Mapping[str, Tensor], human: Tensor, loss: Loss, autocast: Autocast
    ) -> Tensor:
        """Backward through one batch of each of these runs; their losses, without waiting for the device.

        `inputs` are [runs, B, ...] each, or [B, ...] where `human` is [B] too: one batch that all of them share.
        """
        stacks = self._chosen(runs)
        inside = None if human.ndim == 1 else 0
        index = torch.arange(len(runs), device=self.device)
        mode = _EachRunItsOwn(self.dice, runs)

        def forward(trained: dict[str, Tensor], seen: Mapping[str, Tensor], run: Tensor) -> Tensor:
            mode.run = run
            return functional_call(self.models[0].features, trained, (seen,), tie_weights=False).float()

        def judge(trained: dict[str, Tensor], features: Tensor, human: Tensor) -> Tensor:
            scores = functional_call(self.models[0].head, trained, (features,), tie_weights=False)
            return loss(scores.squeeze(-1), human)

        with autocast(), mode:
            try:
                features = vmap(forward, in_dims=(0, inside, 0), randomness="error")(
                    _part(stacks, "features."), dict(inputs), index
                )
            except RuntimeError as error:
                raise _explained(error) from error
        model = self.models[0]
        dropped = self.dice.head_dropout(runs, features, model.dropout.p) if model.training else features
        values = vmap(judge, in_dims=(0, 0, inside))(_part(stacks, "head."), dropped, human)
        values.sum().backward()
        self._hand_out(runs, stacks)
        return values.detach()

    def _chosen(self, runs: Sequence[int]) -> dict[str, Tensor]:
        """The stacks of these runs as leaves: all of them as they are, some of them copied."""
        if list(runs) == list(range(len(self.models))):
            for stack in self._stacks.values():
                stack.grad = None
            return self._stacks
        rows = send(np.array(runs), self.device)
        return {name: stack.detach()[rows].requires_grad_() for name, stack in self._stacks.items()}

    def _hand_out(self, runs: Sequence[int], stacks: Mapping[str, Tensor]) -> None:
        for name, stack in stacks.items():
            for place, run in enumerate(runs):
                self._own[run][name].grad = None if stack.grad is None else stack.grad[place]

    def close(self) -> None:
        """No more passes are wanted."""
        self.dice.close()


def _part(stacks: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of a part of the model, as the part names them."""
    return {name.removeprefix(prefix): stack for name, stack in stacks.items() if name.startswith(prefix)}


def _explained(error: RuntimeError) -> Exception:
    """A step that torch cannot make for all runs at once is a reason to make them one by one."""
    if "vmap" not in str(error) and "functorch" not in str(error):
        return error
    said = str(error).split(". ")[0].split("\n")[0]
    return UsageError(f"torch's vmap cannot do one of its steps ({said[:120]})")


def refuse_unstackable(models: Sequence[QualityModel]) -> None:
    """A UsageError where models cannot be trained as one, with the reason."""
    if type(models[0]).forward is not QualityModel.forward:
        raise UsageError("its scores are made in a way of its own")
    if all(p.requires_grad for p in models[0].features.parameters()):
        raise UsageError("it trains the backbone, of which each run would need its own")
    if models[0].features.drifting:
        raise UsageError("its frozen networks keep statistics that drift with each run's batches")
    if len(list(models[0].parameters())) != len(list(models[0].named_parameters(remove_duplicate=False))):
        raise UsageError("it uses one tensor under two names")
    trained = [{n: p.shape for n, p in model.named_parameters() if p.requires_grad} for model in models]
    if any(shapes != trained[0] for shapes in trained):
        raise UsageError("its trained tensors differ in shape from run to run")


def _share_frozen(models: Sequence[QualityModel]) -> None:
    """One memory for the frozen tensors of all; a method that changes them differently in each run is refused."""
    first = dict(_frozen(models[0]))
    for model in models[1:]:
        for name, tensor in _frozen(model):
            same = first[name]
            if tensor.data_ptr() == same.data_ptr():
                continue
            if not torch.equal(tensor, same):
                raise UsageError(f"its frozen tensor {name} differs from run to run")
            tensor.data = same.data


def _frozen(model: QualityModel) -> list[tuple[str, Tensor]]:
    return [(n, p) for n, p in model.named_parameters() if not p.requires_grad] + list(model.named_buffers())


class _EachRunItsOwn(TorchFunctionMode):
    """Inside the pass: dropout by each run's own generators, attention over the folded batch, and autocast's casts.

    vmap would draw dropout from one generator, and knows no rule for the fused attention of CPUs. Under it autocast
    leaves out convolutions, and biases of linear maps.
    """

    def __init__(self, dice: Cup, runs: Sequence[int]) -> None:
        super().__init__()
        self.dice, self.runs = dice, runs
        self.run: Tensor | None = None
        """Which run each lane of vmap is."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.dropout:
            return self._dropout(*args, **(kwargs or {}))
        if func is F.scaled_dot_product_attention:
            return _attention(*args, **(kwargs or {}))
        if func in (F.linear, F.conv2d):
            return func(*map(_autocast, args), **{name: _autocast(given) for name, given in (kwargs or {}).items()})
        if func is F.batch_norm:  # its kernels take half precision beside statistics in fp32, vmap's rule does not
            return func(args[0].float(), *args[1:], **(kwargs or {})).to(args[0].dtype)
        if func is Tensor.contiguous:  # vmap knows the plain layout only; values do not depend on it
            return func(args[0])
        return func(*args, **(kwargs or {}))

    def _dropout(self, values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not (training and p):
            return values
        dropped: Tensor = _Dropout.apply(values, self.run, p, self.runs, self.dice)
        return dropped


class _Dropout(torch.autograd.Function):
    """Dropout whose masks are, run by run, those that the run alone would draw."""

    @staticmethod
    def forward(values: Tensor, run: Tensor, p: float, runs: Sequence[int], dice: Cup) -> Tensor:
        raise UsageError("dropout acts on values that are not of one run")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing to keep: the rule below is made of differentiable steps."""

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[int | None, ...],
        values: Tensor,
        run: Tensor,
        p: float,
        runs: Sequence[int],
        dice: Cup,
    ) -> tuple[Tensor, int]:
        return dice.torch_dropout(runs, _runs_first(values, in_dims[0], info.batch_size), p), 0


def _autocast(given: Any) -> Any:
    """An argument as autocast would hand it to a linear map or a convolution."""
    if isinstance(given, Tensor) and given.dtype == torch.float32 and torch.is_autocast_enabled(given.device.type):
        return given.to(torch.get_autocast_dtype(given.device.type))
    return given


def _runs_first(values: Tensor, dim: int | None, runs: int) -> Tensor:
    return values.expand(runs, *values.shape) if dim is None else values.movedim(dim, 0)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **more: Any,
) -> Tensor:
    if attn_mask is not None or dropout_p or is_causal or more:
        return F.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, **more)
    mixed: Tensor = _Attention.apply(query, key, value)
    return mixed


class _Attention(torch.autograd.Function):
    """Fused attention; runs are folded into the batch."""

    @staticmethod
    def forward(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Of frozen tokens that all runs share."""
        return F.scaled_dot_product_attention(query, key, value)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing to keep: what all runs share has no gradient, and the rule below is a differentiable step."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *tokens: Tensor) -> tuple[Tensor, int]:
        folded = [_runs_first(t, d, info.batch_size).flatten(0, 1) for t, d in zip(tokens, in_dims, strict=True)]
        mixed = F.scaled_dot_product_attention(*folded)
        return mixed.unflatten(0, (info.batch_size, -1)), 0
