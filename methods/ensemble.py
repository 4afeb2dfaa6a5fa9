"""Ensemble: the mean of other runs' standardised predictions, read from what they stored."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
from torch import nn

from bench.data.views.view import View
from bench.models.method import Features, Method, Toolbox
from bench.models.vit import VitShape


class Ensemble(Method):
    """What several methods say together; it costs what they cost together."""

    title: ClassVar[str] = "Ensemble"
    origin: ClassVar[str] = "the runs beside it"
    stands_on: ClassVar[Literal["runs"]] = "runs"
    learns: ClassVar[Literal["nothing"]] = "nothing"
    vit_b: ClassVar[int] = 0

    of: str = "linear_probe,lora,glia"
    """The methods, separated by commas, whose runs under the same settings it takes the mean of."""

    def views(self, recipe: object) -> dict[str, View]:
        """None."""
        return {}

    def assemble_alone(self, recipe: object, toolbox: Toolbox) -> Features:
        """Nothing of its own."""
        return Features()

    def size(self, shape: VitShape) -> int:
        """Nothing beside its members' parameters, which its records add up."""
        return 0

    def head(self, recipe: object, width: int) -> nn.Module | None:
        """None."""
        return None

    def combine(self, stored: np.ndarray) -> np.ndarray:
        """Each member's predictions on a target with mean 0 and deviation 1, then their mean; no label is looked at."""
        centred, spread = stored - stored.mean(axis=1, keepdims=True), stored.std(axis=1, keepdims=True)
        mean: np.ndarray = (centred / np.where(spread > 0, spread, 1)).mean(axis=0)
        return mean
