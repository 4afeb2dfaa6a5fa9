"""AdamW of one run, and of several runs of a pack in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from bench.method import Method, QualityModel
from bench.spec import Recipe
from bench.step import learning_rate


class Optimiser:
    """One run's AdamW and the rates that its recipe gives it."""

    def __init__(self, method: Method, model: QualityModel, recipe: Recipe, device: torch.device, steps: int) -> None:
        self.recipe, self.steps = recipe, steps
        self.trained = [p for p in model.parameters() if p.requires_grad]
        groups = method.parameter_groups(model, recipe.lr)
        for group in groups:
            group["base"] = group["lr"]
        self.adamw = _adamw(groups, recipe, device)

    def make_ready(self, step: int) -> None:
        """The rate of a step, and gradients clipped where the recipe says so."""
        recipe = self.recipe
        rate = learning_rate(step, self.steps, schedule=recipe.schedule, warmup=recipe.warmup)
        for group in self.adamw.param_groups:
            group["lr"] = group["base"] * rate
        if recipe.clip:
            torch.nn.utils.clip_grad_norm_(self.trained, recipe.clip)


class Joint:
    """The optimisers of several runs, made ready for the same step, stepped in one call.

    A call costs Python as much as ten small tensors cost the CPU. Each tensor changes as its own run's optimiser would
    change it, to the bit, and what AdamW keeps of it stays that optimiser's own.
    """

    def __init__(self, members: Sequence[Optimiser], device: torch.device) -> None:
        self._members = list(members)
        alike: dict[str, list[dict[str, Any]]] = {}
        for member in members:
            for group in member.adamw.param_groups:
                alike.setdefault(_kind(member.recipe, group), []).append(group)
        self._rates = [groups[0] for groups in alike.values()]
        merged = [{**groups[0], "params": [p for g in groups for p in g["params"]]} for groups in alike.values()]
        self._adamw = _adamw(merged, members[0].recipe, device)
        for member in members:
            self._adamw.state.update(member.adamw.state)

    def step(self) -> None:
        """All runs' step from the gradients that stand."""
        for group, own in zip(self._adamw.param_groups, self._rates, strict=True):
            group["lr"] = own["lr"]
        self._adamw.step()
        for member in self._members:
            if not member.adamw.state:  # its first step
                member.adamw.state.update({p: self._adamw.state[p] for p in member.trained if p in self._adamw.state})


def _adamw(groups: list[dict[str, Any]], recipe: Recipe, device: torch.device) -> torch.optim.Optimizer:
    fused = device.type in ("cuda", "cpu")  # one pass over each tensor: on a CPU a fifth of the loop's time
    return torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=fused)


def _kind(recipe: Recipe, group: dict[str, Any]) -> str:
    """What decides how a group's tensors change, besides their gradients."""
    numbers = {name: value for name, value in group.items() if name not in ("params", "lr")}
    return repr((recipe.schedule, recipe.warmup, sorted(numbers.items())))
