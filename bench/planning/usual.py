"""What a method gets where nobody chose: the preset's, and what the method itself says of presets. No torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bench.core.registry import METHODS, stem_of
from bench.core.spec import Recipe, RunSpec, Scalar
from bench.planning.fitting import with_native_size
from bench.planning.presets import Preset

OWN = "own"
"""The recipe of a method's own paper, as `--recipe` and specs call it."""


def fact_of(method: str, name: str) -> Any:
    """What a method says of itself; what the base class says of one that is not registered here."""
    if method in METHODS:
        return METHODS.card(method).facts[name]
    return METHODS.base_facts[name]


def usual_backbone(preset: Preset, method: str) -> str:
    """The ViT that a method stands on in a preset, or the runs that it stands on; none where it stands on no ViT."""
    if fact_of(method, "stands_on") not in ("vit", "runs"):
        return ""
    return str(fact_of(method, "backbones").get(preset.name, preset.backbone))


def what_is_read(method: str, networks: Mapping[str, Any]) -> dict[str, Any]:
    """Backbone and weights of a run without those that its method does not read: they would be idle words in its name.

    The file given as `--weights` is of the run's ViT; that it is random holds for every network of a run.
    """
    stands_on, read = fact_of(method, "stands_on"), dict(networks)
    if not reads_cnn(method):
        read["cnn_weights"] = "pretrained"
    if stands_on in ("vit", "runs"):
        return read
    read["backbone"] = ""
    if stands_on == "nothing" or read.get("weights") != "random":
        read["weights"] = "pretrained"
    return read


def reads_cnn(method: str) -> bool:
    """Whether a method has a CNN, or stands on runs that may: it is named by one of its `networks`, or by `cnn`."""
    if method not in METHODS:
        return True
    card = METHODS.card(method)
    return "cnn" in card.options or bool(card.facts["networks"]) or bool(card.facts["stands_on"] == "runs")


def preset_options(preset: Preset, method: str) -> Mapping[str, Scalar]:
    """What a preset changes in a method's options."""
    own = fact_of(method, "preset_options")
    said = own.get(preset.name, own.get("demo", {}) if preset.made else {})
    return {**said, **preset.method_options.get(stem_of(method), {})}


def preset_recipe(preset: Preset, method: str) -> Mapping[str, Scalar]:
    """What a preset changes in the recipe for one method alone, because it would not train otherwise."""
    return {**fact_of(method, "preset_recipe").get(preset.name, {}), **preset.method_recipe.get(stem_of(method), {})}


def own_recipe(method: str) -> Mapping[str, Scalar]:
    """What a method's own paper changes in the common recipe."""
    recipe: Mapping[str, Scalar] = fact_of(method, "recipe")
    return recipe


def usual_recipe(preset: Preset, train: str, method: str, *, own: bool = False) -> dict[str, Scalar]:
    """The recipe nobody touched: the preset's, the dataset's, and what the preset or its paper changes for the method.

    The demo gives some methods a short recipe of their own: a paper's epochs and rates are made for real datasets.
    """
    changes = own_recipe(method) if own else preset_recipe(preset, method)
    return {**preset.recipe, **preset.dataset_recipe(train), **changes}


def recipe_on(
    preset: Preset, train: str, asked: Mapping[str, Scalar], backbone: str, native: Callable[[str], int]
) -> Recipe:
    """The recipe of the runs on a set, before what is changed for one method alone."""
    usual: dict[str, Any] = {**preset.recipe, **preset.dataset_recipe(train)}
    return Recipe(**with_native_size({**usual, **asked}, usual, asked, backbone, native))


def refuse_foreign_recipe(method: str, recipe: Recipe) -> str:
    """Why a recipe cannot be a method's: it asks for something of the method's own that there is none of; else ""."""
    hook_of = {"schedule": "rates", "loss": "loss"}
    if method not in METHODS:
        return ""
    hooks = METHODS.card(method).methods
    lacking = [name for name, hook in hook_of.items() if getattr(recipe, name) == OWN and hook not in hooks]
    return f"{method} has no {' and no '.join(lacking)} of its own." if lacking else ""


def idle_warmup(
    specs: Iterable[RunSpec], asked: Mapping[str, Scalar], of_one: Mapping[str, Mapping[str, Scalar]]
) -> list[str]:
    """What is said of a warmup that somebody asked for and that the methods' own schedules do not read."""
    own = dict.fromkeys(spec.method for spec in specs if spec.recipe.schedule == OWN)
    idle = [name for name in own if {**asked, **of_one.get(name, {})}.get("warmup")]
    return [f"warmup does nothing to {', '.join(idle)}: under schedule=own a method has its own start."] if idle else []
