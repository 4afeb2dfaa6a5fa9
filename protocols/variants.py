"""The settings that the papers' ablations compare, shared by the protocols that plan and show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.arms import Arm
from bench.layout import PresetResults
from bench.spec import Scalar


@dataclass(frozen=True)
class Variant:
    """One row of an ablation: what it changes, how its leading cells read, and the papers' words for it."""

    options: Mapping[str, Scalar]
    lead: tuple[str, ...]
    printed: str
    method: str = "glia"


YES, NO = "✓", "✗"

COMPONENTS = (
    Variant({"lgf": False, "glr": True}, (YES, NO), "GLR=yes;LGF=no"),
    Variant({"lgf": True, "glr": False}, (NO, YES), "GLR=no;LGF=yes"),
    Variant({"lgf": True, "glr": True}, (YES, YES), "GLR=yes;LGF=yes"),
)
"""GLIA's Table 4."""

GUIDANCE = (
    Variant({"guidance": "semantic", "main": "semantic"}, ("x_s", "x_s"), "guidance=xs;main=xs"),
    Variant({"guidance": "detail", "main": "detail"}, ("x_d", "x_d"), "guidance=xd;main=xd"),
    Variant({"guidance": "semantic", "main": "detail"}, ("x_s", "x_d"), "guidance=xs;main=xd"),
    Variant({"guidance": "detail", "main": "semantic"}, ("x_d", "x_s"), "guidance=xd;main=xs"),
)
"""GLIA's Table 5."""

SWITCHES = {"glia": ("lgf", "glr", "guidance", "main"), "loda": ("injector",)}
"""The options that ablations turn: arms that differ in them have tables of their own."""


def matches(arm: Arm, variant: Variant, defaults: Mapping[str, Scalar]) -> bool:
    """Whether an arm is this variant, whatever else is set on it."""
    if arm.method != variant.method:
        return False
    every = set(variant.options) | (set(SWITCHES[variant.method]) & set(defaults))
    return all(arm.option(name, defaults[name]) == variant.options.get(name, defaults[name]) for name in every)


def base_of(arm: Arm) -> Arm:
    """The arm as if no ablation had touched it."""
    return arm.without_options(*SWITCHES.get(arm.method, ()))


def belongs_to_an_ablation(arm: Arm, results: PresetResults) -> bool:
    """Whether an arm was made for an ablation, and so would only clutter a comparison of methods.

    Switched-off parts always are. Another backbone or a parameter budget is where the plain method was run too, and
    the arm went no further than the datasets of the protocols that vary these.
    """
    if base_of(arm) != arm:
        return True
    preset = results.preset
    plain = replace(arm, backbone=preset.backbone, budget=0, options=() if arm.budget else arm.options)
    if plain == arm or plain not in results.arms:
        return False
    usual = set(preset.pretraining) | set(preset.scale) | set(preset.strategies)
    known = set(preset.backbones) | set(preset.scales) | {preset.backbone}
    return arm.backbone in known and results.trained_on(arm) <= usual
