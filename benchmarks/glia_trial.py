"""GLIA's trial: what its paper leaves open and no option of `glia` turns. A plugin; docs/study.md has the commands.

    bench run --preset study -p strategies -m glia_trial --seeds 1 --set lr=0.001 --set glia_trial.seen=crop \\
        --plugin benchmarks/glia_trial.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import nn
from torch.nn import functional as F

from bench.core.cards import Bound
from bench.core.spec import Recipe
from bench.data.views.view import View
from bench.models.method import Features, Toolbox
from bench.models.vit import Vit
from methods.adapter import Adapter
from methods.glia import Glia


class GliaTrial(Glia):
    """GLIA with one part changed at a time; as it comes it is `glia`."""

    name = "glia_trial"
    title: ClassVar[str] = "GLIA (trial)"
    vit_b: ClassVar[int | None] = None

    grid: int = 4
    """Fragments a side: the study's, whose pictures have 112 pixels."""
    fragment: int = 28
    """Pixels a side of a fragment."""
    seen: Literal["fragments", "crop"] = "fragments"
    """What the main stream sees: fragments, or the random crop that all other strategies see."""
    kept: Literal["half", "full"] = "half"
    """The precision in which F_s is stored."""
    scale_start: Literal["small", "one"] = "small"
    """Where the factors s on the GLIA blocks start: drawn near zero, or at 1."""
    head_start: Literal["unit", "short"] = "unit"
    """The length of the head's direction at its start: 1, or 0.1, which a step turns ten times as far."""

    def views(self, recipe: Recipe) -> dict[str, View]:
        """GLIA's, perhaps with a crop in the place of the fragments."""
        views = super().views(recipe)
        if self.seen == "crop":
            views[self.main] = View("crop", recipe.size, flips=recipe.flips)
        return views

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """GLIA's, perhaps with F_s in full precision and s at 1."""
        features = super().assemble(vit, toolbox)
        if self.kept == "full":
            features.frozen = {name: replace(frozen, exact=True) for name, frozen in features.frozen.items()}
        if self.scale_start == "one":
            for name, parameter in features.named_parameters():
                if name.endswith(".scale"):
                    nn.init.ones_(parameter)
        return features

    def head(self, recipe: Recipe, width: int) -> nn.Module | None:
        """The recipe's head, perhaps with a short direction."""
        head = super().head(recipe, width)
        if self.head_start == "short" and head is not None:
            with torch.no_grad():
                head.weight.copy_(0.1 * F.normalize(head.weight, dim=-1))
        return head


class AdapterOnFragments(Adapter):
    """The adapter on GLIA's fragments instead of crops: what they are worth without any guidance."""

    name = "adapter_on_fragments"
    title: ClassVar[str] = "Adapter on fragments"
    vit_b: ClassVar[int | None] = None
    bounds: ClassVar[Mapping[str, Bound]] = {
        "grid": {"least": 1, "tiles": "fragment"},
        "fragment": {"least": 1},
    }

    grid: int = 4
    """Fragments a side."""
    fragment: int = 28
    """Pixels a side of a fragment."""

    def views(self, recipe: Recipe) -> dict[str, View]:
        """Fragments of the picture in its own resolution, under the name that the ViT's walk reads."""
        view = View("fragments", recipe.size, self.grid, self.fragment, "random", recipe.flips, original=True)
        return {"crop": view}
