"""Sizing a method to a budget of trainable parameters, so that a table can part the idea from its size."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from bench.core.code import method_of
from bench.core.errors import UsageError
from bench.core.spec import Scalar
from bench.models.method import Method
from bench.models.vit import VitShape, vit_shape

CLOSE_ENOUGH = 0.9
"""A method that cannot come this near to the budget would be compared at another size than the rest."""


def size_to_budget(
    name: str, options: Mapping[str, Scalar], backbone: str | VitShape, budget: int
) -> dict[str, Scalar]:
    """The options with the method's knob turned so that its documented size is as large as the budget allows.

    The head is not counted. A method without a knob, or one that cannot come near the budget, is refused.
    """
    shape = vit_shape(backbone) if isinstance(backbone, str) else backbone
    method: Method = method_of(name, options)
    choices = method.budget_choices(shape)
    if not choices:
        raise UsageError(f"{name} has no option that changes its size, so it cannot be fitted to a budget.")
    # sizes grow with the knob, so the last choice within the budget is found by halving
    place = bisect_right(choices, budget, key=lambda n: _size(name, options, method, n, shape))
    if place == 0:
        least = _size(name, options, method, choices[0], shape)
        raise UsageError(f"{name} cannot be fitted to {budget:,} parameters: at its smallest it trains {least:,}.")
    reached = _size(name, options, method, choices[place - 1], shape)
    if reached < CLOSE_ENOUGH * budget:
        raise UsageError(f"{name} cannot be fitted to {budget:,} parameters: the nearest below is {reached:,}.")
    return {**options, **method.resized(choices[place - 1])}


def _size(name: str, options: Mapping[str, Scalar], method: Method, choice: int, shape: VitShape) -> int:
    resized: Method = method_of(name, {**options, **method.resized(choice)})
    return resized.size(shape)
