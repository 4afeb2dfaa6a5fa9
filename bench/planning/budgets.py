"""Methods sized to a budget of trainable parameters."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.planning.presets import Preset
from bench.planning.protocol import MethodChoice, Sizer
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
        known = METHODS.card(choice.name).defaults() | dict(preset_options(preset, choice.name))
        try:
            found = size(
                choice.name, {**known, **choice.options}, backbone or usual_backbone(preset, choice.name), budget
            )
        except UsageError as error:
            said.append(str(error))
            if choice.name in typed:
                raise
            continue
        changed = {name: value for name, value in found.items() if value != known.get(name)}
        fitting.append(MethodChoice(choice.name, {**choice.options, **changed}))
    if said and not fitting:
        raise UsageError(said[0])
    return fitting, [line.removesuffix(".") for line in said]
