"""Methods sized to a budget of trainable parameters."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.core.spec import Scalar
from bench.planning.presets import Preset
from bench.planning.protocol import MethodChoice, Sizer
from bench.planning.unusual import turned
from bench.planning.usual import preset_options, usual_backbone


def sized_to(
    budget: int, choices: Sequence[MethodChoice], typed: Collection[str], preset: Preset, backbone: str, size: Sizer
) -> tuple[list[MethodChoice], list[str]]:
    """(the methods with options of that size, what is said of those that cannot be sized to it).

    One that was typed is refused; those that came by "all" are left out.
    """
    fitting: list[MethodChoice] = []
    said: list[str] = []
    for choice in choices:
        known = {**METHODS.card(choice.name).defaults(), **preset_options(preset, choice.name), **choice.options}
        try:
            found = size(choice.name, known, backbone or usual_backbone(preset, choice.name), budget)
        except UsageError as error:
            said.append(str(error))
            if choice.name in typed:
                raise
            continue
        fitting.append(MethodChoice(choice.name, {**choice.options, **turned(choice.name, known, found)}))
    if said and not fitting:
        raise UsageError(said[0])
    return fitting, [line.removesuffix(".") for line in said]


def parse_count(text: str) -> int:
    """A number of parameters as people write it: 8M, 300k, 2379264."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKmMgG]?)", text.strip())
    if match is None or not 0 < float(match[1]) < 1e15:
        raise UsageError(f"--budget {text!r} is not a number of parameters such as 8M or 300k.")
    return int(Decimal(match[1]) * {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}[match[2].lower()])


def size_to_budget(method: str, options: Mapping[str, Scalar], backbone: str, budget: int) -> Mapping[str, Scalar]:
    """`bench.models.budget`, which loads torch, only when a plan really has to solve for a size."""
    from bench.models import budget as solver

    return solver.size_to_budget(method, options, backbone, budget)
