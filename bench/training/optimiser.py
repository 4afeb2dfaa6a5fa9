"""The optimiser of one run, at the rates that its recipe gives it: AdamW, unless the method brings another."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bench.core.spec import Recipe
from bench.models.method import Method, QualityModel
from bench.training.step import learning_rate


class Optimiser:
    """One run's AdamW, or the method's own in its place, and the rates that its recipe gives it."""

    def __init__(self, method: Method, model: QualityModel, recipe: Recipe, device: torch.device, steps: int) -> None:
        self.method, self.recipe, self.steps = method, recipe, steps
        self.trained = [p for p in model.parameters() if p.requires_grad]
        groups = method.parameter_groups(model, recipe.lr)
        for group in groups:
            group["base"] = group["lr"]
        fused = device.type in ("cuda", "cpu")  # one pass over each tensor: on a CPU a fifth of the loop's time
        own = method.optimiser(groups, recipe)
        self.adamw = own or torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=fused)

    def make_ready(self, step: int) -> None:
        """The rate of a step, and gradients clipped where the recipe says so."""
        recipe = self.recipe
        for group, rate in zip(self.adamw.param_groups, self._rates(step), strict=True):
            group["lr"] = group["base"] * rate
        if recipe.clip:
            torch.nn.utils.clip_grad_norm_(self.trained, recipe.clip)

    def _rates(self, step: int) -> Sequence[float]:
        """The factor on the rate of each parameter group."""
        recipe = self.recipe
        if recipe.schedule == "own":
            return self.method.rates(step, self.steps // recipe.epochs, recipe)
        rate = learning_rate(step, self.steps, schedule=recipe.schedule, warmup=recipe.warmup)
        return [rate] * len(self.adamw.param_groups)
