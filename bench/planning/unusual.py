"""What a run has otherwise than its preset gives where nobody asks, and what follows from a setting of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache

from bench.core.cards import Card
from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.core.spec import Recipe, RunSpec, Scalar
from bench.planning.fitting import NATIVE, fitted, with_native_size
from bench.planning.presets import preset_named
from bench.planning.usual import OWN, preset_options, usual_recipe


def recipe_nobody_touched(spec: RunSpec) -> Recipe:
    """The recipe of a run where nobody changes anything."""
    return _recipe(spec.preset, spec.train, spec.method, spec.recipe_from == OWN)


@cache
def _recipe(preset: str, train: str, method: str, own: bool) -> Recipe:
    return Recipe(**usual_recipe(preset_named(preset), train, method, own=own))  # type: ignore[arg-type]


def options_nobody_touched(spec: RunSpec) -> Mapping[str, Scalar] | None:
    """The options of a run's method where nobody changes any; None for a method that is not registered here."""
    card = _card(spec.method)
    if card is None:
        return None
    plain = {**card.defaults(), **preset_options(preset_named(spec.preset), spec.method)}
    try:
        return fitted(card, plain, (), spec.backbone, spec.recipe.size)
    except UsageError:  # nothing fits this backbone unless it is asked for
        return plain


def _card(method: str) -> Card | None:
    if method not in METHODS:
        return None
    try:
        return METHODS.card(method)
    except UsageError:  # a plugin that can no longer be read: its records still tell what they were
        return None


def changed_options(options: Mapping[str, Scalar], untouched: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The options that are not as they would be today."""
    return {name: value for name, value in options.items() if name not in untouched or untouched[name] != value}


def turned(method: str, known: Mapping[str, Scalar], found: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """What a sizer changed of a method's options, and the option that it turns although it came out as it was.

    Nothing that was tuned takes the place of these.
    """
    knob = METHODS.card(method).facts["sized_by"]
    return changed_options(found, known) | {name: found[name] for name in (knob,) if name in found}


def with_what_follows(spec: RunSpec, names: Collection[str]) -> frozenset[str]:
    """Settings of a run, and those that follow from them: pieces from their count, the short side from size=native."""
    card = _card(spec.method) if names else None
    tiling = [(name, option.tiles) for name, option in card.options.items() if option.tiles] if card else []
    follow = {other for pair in tiling for one, other in (pair, pair[::-1]) if one in names}
    if "size" in names:
        usual = usual_recipe(preset_named(spec.preset), spec.train, spec.method, own=spec.recipe_from == OWN)
        native = with_native_size({**usual, "size": NATIVE}, usual, (), spec.backbone, lambda _: spec.recipe.size)
        follow |= {"short_side"} if spec.recipe.short_side == native["short_side"] else set()
    return frozenset({*names, *follow})
