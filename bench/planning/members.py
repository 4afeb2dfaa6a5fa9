"""Which runs a run stands on whose method reads stored predictions: the same experiment by other methods."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields

from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.core.spec import Recipe, RunSpec, Scalar
from bench.planning.presets import preset_named
from bench.planning.protocol import MethodChoice, Request
from bench.planning.unfit import Planned
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


def in_order(options: Mapping[str, Mapping[str, Scalar]]) -> dict[str, dict[str, Scalar]]:
    """The options of methods, with the runs that one stands on named in one way: as by default, else sorted."""
    ordered = {name: dict(own) for name, own in options.items()}
    for name, own in ordered.items():
        if "of" in own and stands_on_runs(name):
            usual = str(METHODS.card(name).defaults()["of"])
            named = sorted(part.strip() for part in str(own["of"]).split(",") if part.strip())
            own["of"] = usual if named == sorted(usual.split(",")) else ",".join(named)
    return ordered


def without_misled(planned: Sequence[Planned], methods: Collection[str]) -> tuple[list[Planned], tuple[str, ...]]:
    """(the runs without those that would stand on others than the runs beside them, what is to be said of these).

    Where the method was typed in `methods`, that is refused instead.
    """
    specs = [spec for _, some in planned for spec in some]
    on_runs = {method for method in {spec.method for spec in specs} if stands_on_runs(method)}
    if not on_runs:
        return list(planned), ()
    beside: dict[tuple[str, str, int], list[RunSpec]] = {}
    for spec in specs:
        beside.setdefault(_place(spec), []).append(spec)
    misled: dict[str, str] = {}
    for spec in {s.beside_split: s for s in reversed(specs) if s.method in on_runs}.values():
        strangers = (_stranger(member, beside.get(_place(member), ())) for member in members_of(spec))
        if why := next(filter(None, strangers), ""):
            misled[spec.beside_split] = f"{spec.method} on {spec.train}: {why}"
            if spec.method in methods:
                raise UsageError(f"{misled[spec.beside_split]}. Leave out {spec.method}, or what makes them differ.")
    kept = [(name, [spec for spec in some if spec.beside_split not in misled]) for name, some in planned]
    return kept, tuple(dict.fromkeys(misled.values()))


def _place(spec: RunSpec) -> tuple[str, str, int]:
    return spec.method, spec.train, spec.split


def _stranger(member: RunSpec, beside: Sequence[RunSpec]) -> str:
    """Why the runs that are planned beside a run are not the one that it stands on; "" where one is, or none is there.

    It would read an older run, or wait for one that the same command never makes.
    """
    if not beside or any(other.training_key == member.training_key for other in beside):
        return ""
    said = f"it stands on the usual run of {member.method}, and the one beside it has"
    return f"{said} {', '.join(f'{name}={value}' for name, value in _unlike(beside[0], member))}"


def _unlike(spec: RunSpec, other: RunSpec) -> Iterator[tuple[str, object]]:
    """What a run has otherwise than another, apart from what both are tested on."""
    parts = [(one.as_dict(), one.options, one.recipe.as_dict()) for one in (spec, other)]
    for own, theirs in zip(*parts, strict=True):
        for name, value in own.items():
            if name not in ("options", "recipe", "tests") and value != theirs.get(name):
                yield name, value
