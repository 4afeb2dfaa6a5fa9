"""One optimisation step, whole or in parts, with the gradient of the whole batch either way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from bench.models.losses import Loss

Inputs = Mapping[str, Tensor]
Forward = Callable[[Inputs], Tensor]
Autocast = Callable[[], AbstractContextManager[object]]


def gradients(model: Forward, inputs: Inputs, human: Tensor, loss: Loss, autocast: Autocast) -> Tensor:
    """Backward through one batch at once; returns the loss, without waiting for the device."""
    with autocast():
        predicted = model(inputs)
    value = loss(predicted.float(), human)
    value.backward()
    return value.detach()


def gradients_in_parts(
    model: Forward, inputs: Inputs, human: Tensor, loss: Loss, autocast: Autocast, parts: int
) -> Tensor:
    """The same gradient with the memory of one part.

    The PLCC loss couples all images of a batch, so parts cannot simply be summed. First every part is scored
    without a graph; the loss then gives dL/dŷ for the whole batch; each part is scored again, under the same
    dropout masks, and its share of dL/dŷ is sent back (gradient caching).
    """
    chunks = [c for c in torch.arange(len(human), device=human.device).chunk(parts) if len(c)]
    states: list[list[Tensor]] = []
    scores: list[Tensor] = []
    with torch.no_grad():
        for chunk in chunks:
            states.append(random_states(human.device))
            with autocast():
                scores.append(model(_take(inputs, chunk)).float())
    predicted = torch.cat(scores).requires_grad_()
    value = loss(predicted, human)
    (upstream,) = torch.autograd.grad(value, predicted)
    after = random_states(human.device)
    for chunk, state in zip(chunks, states, strict=True):
        restore_random_states(state, human.device)
        with autocast():
            again = model(_take(inputs, chunk)).float()
        again.backward(upstream[chunk])
    restore_random_states(after, human.device)
    return value.detach()


def _take(inputs: Inputs, rows: Tensor) -> dict[str, Tensor]:
    return {name: value[rows.to(value.device)] for name, value in inputs.items()}


def random_states(device: torch.device) -> list[Tensor]:
    """The states of the generators that dropout draws from."""
    states = [torch.get_rng_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return states


def restore_random_states(states: Sequence[Tensor], device: torch.device) -> None:
    """Put the generators back."""
    torch.set_rng_state(states[0])
    if device.type == "cuda" and len(states) > 1:
        torch.cuda.set_rng_state(states[1], device)


def learning_rate(step: int, total: int, *, schedule: str, warmup: int) -> float:
    """The factor on the rate at a step: linear warm-up, then cosine to zero over the rest (LoDa: per step)."""
    import math

    if step < warmup:
        return (step + 1) / warmup
    if schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
