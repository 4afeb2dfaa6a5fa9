"""Which runs a run stands on whose method reads stored predictions: the same experiment by other methods."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.core.spec import Recipe, RunSpec
from bench.planning.presets import preset_named
from bench.planning.protocol import MethodChoice, Request
from bench.planning.usual import OWN, fact_of, usual_backbone, usual_recipe

COMMON = ("weights", "cnn_weights", "precision", "limit", "fraction", "source", "split_rule")
"""What members share with the run that stands on them."""


def stands_on_runs(method: str) -> bool:
    """Whether a method makes its scores of those of other runs."""
    return bool(fact_of(method, "stands_on") == "runs")


def members_of(spec: RunSpec) -> tuple[RunSpec, ...]:
    """The runs that a run reads: of each method that it names, the one that is planned beside it where nobody touches
    that method's options. What the run has changed in the recipe and its backbone holds for all of them.
    """
    preset = preset_named(spec.preset)
    usual = Recipe(**usual_recipe(preset, spec.train, spec.method, own=spec.recipe_from == OWN))  # type: ignore[arg-type]
    changed = spec.recipe.unlike(usual)
    common = {f.name: getattr(spec, f.name) for f in fields(RunSpec) if f.name in COMMON}
    if spec.backbone != usual_backbone(preset, spec.method):
        common["backbone"] = spec.backbone
    request = Request(preset, recipe=changed, common=common, own_recipes=spec.recipe_from == OWN)
    return tuple(request.spec(MethodChoice(name), spec.train, spec.tests, spec.split) for name in member_names(spec))


def member_names(spec: RunSpec) -> list[str]:
    """The methods that a run names in its option `of`; fewer than two, or one of its own kind, are refused."""
    names = [name.strip() for name in str(spec.options["of"]).split(",") if name.strip()]
    for name in names:
        METHODS.target(name)
        if stands_on_runs(name):
            raise UsageError(f"{spec.method}: {name} stands on other runs itself; name methods that look at pictures.")
    if len(set(names)) != len(names) or len(names) < 2:
        raise UsageError(f"{spec.method}: of={spec.options['of']!r} must name at least two methods, each once.")
    return names


def refuse_wrong_members(specs: Iterable[RunSpec]) -> None:
    """Refuse runs that name what they cannot stand on."""
    for spec in {(s.method, *s.options.items()): s for s in specs if stands_on_runs(s.method)}.values():
        member_names(spec)
