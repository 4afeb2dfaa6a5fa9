"""AdamW of one run, at the rates that its recipe gives it."""

from __future__ import annotations

import torch

from bench.core.spec import Recipe
from bench.models.method import Method, QualityModel
from bench.training.step import learning_rate


class Optimiser:
    """One run's AdamW and the rates that its recipe gives it."""

    def __init__(self, method: Method, model: QualityModel, recipe: Recipe, device: torch.device, steps: int) -> None:
        self.recipe, self.steps = recipe, steps
        self.trained = [p for p in model.parameters() if p.requires_grad]
        groups = method.parameter_groups(model, recipe.lr)
        for group in groups:
            group["base"] = group["lr"]
        fused = device.type in ("cuda", "cpu")  # one pass over each tensor: on a CPU a fifth of the loop's time
        self.adamw = torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay, fused=fused)

    def make_ready(self, step: int) -> None:
        """The rate of a step, and gradients clipped where the recipe says so."""
        recipe = self.recipe
        rate = learning_rate(step, self.steps, schedule=recipe.schedule, warmup=recipe.warmup)
        for group in self.adamw.param_groups:
            group["lr"] = group["base"] * rate
        if recipe.clip:
            torch.nn.utils.clip_grad_norm_(self.trained, recipe.clip)
