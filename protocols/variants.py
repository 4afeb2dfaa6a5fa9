"""The settings that the papers' ablations compare, shared by the protocols that plan and show them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from bench.core.spec import RunSpec, Scalar, Target
from bench.planning.presets import Preset
from bench.planning.protocol import MethodChoice, Request
from bench.records.results import Experiment, Results
from bench.report.arms import Arm
from bench.report.published import PublishedRow
from bench.report.table import Table
from bench.report.tables.fill import Column, Layout, Line, PresetResults, by_preset, fill, own_columns
from protocols.switches import setting_of, switches_at


@dataclass(frozen=True)
class Variant:
    """One row of an ablation: what it sets, how its leading cells read, and the papers' words for it."""

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

MODULES = (
    Variant({}, ("ViT",), "module=ViT", "full_finetune"),
    Variant({"injector": False}, ("ViT + Extractor",), "module=ViT + Extractor", "loda"),
    Variant({"injector": True}, ("LoDa",), "module=LoDa", "loda"),
)
"""LoDa's Table 7."""

PARTS: Mapping[str, Sequence[Variant]] = {"components": COMPONENTS, "guidance": GUIDANCE, "modules": MODULES}
"""The tables of parts that are switched off or exchanged."""

SWITCHES: Mapping[str, Mapping[str, Scalar]] = {
    "glia": {"lgf": True, "glr": True, "guidance": "semantic", "main": "detail"},
    "loda": {"injector": True},
}
"""The options that ablations turn, as they stand in the whole method: other values have tables of their own."""


def plan_variants(request: Request, variants: Sequence[Variant], datasets: Sequence[str]) -> list[RunSpec]:
    """The runs of an ablation, for the variants whose method was asked for."""
    chosen = {method: request.about(method) for method in {variant.method for variant in variants}}
    return [
        request.spec(
            MethodChoice(choice.name, {**choice.options, **variant.options}), dataset, [Target.of(dataset)], split
        )
        for split in range(request.splits)
        for dataset in request.wanted(datasets)
        for variant in variants
        for choice in chosen[variant.method]
    ]


def variant_tables(
    results: Results, variants: Sequence[Variant], layout: Layout, datasets: Callable[[Preset], Sequence[str]]
) -> list[Table]:
    """The tables of an ablation: a row a variant, on the sets that something was switched off on.

    `datasets` are the ablation's own sets in a preset, whose columns come first and in the paper's order.
    """
    result = []
    for part in by_preset(results):
        lines = _lines(part, variants)
        switched = [line.arm for line in lines if line.arm != line.base]
        shown = [
            name
            for name in part.own_test_sets(list(dict.fromkeys((*datasets(part.preset), *part.preset.main))))
            if any(part.runs(arm, Experiment(name, Target.of(name))) for arm in switched)
        ]
        columns = tuple(own_columns(shown))
        arms = set(part.arms_in(columns))
        lines = [line for line in lines if line.arm in arms]
        if len({line.lead for line in lines}) > 1:
            result.append(fill(part, replace(layout, columns=columns, lines=tuple(lines))))
    return result


def leads_of(variants: Sequence[Variant]) -> Callable[[PublishedRow], tuple[str, ...]]:
    """How a published row of these variants is led."""
    leads = {variant.printed: variant.lead for variant in variants}
    return lambda row: leads[row.variant]


def base_of(arm: Arm) -> Arm:
    """The arm as if no ablation had touched it."""
    return arm.without_options(*SWITCHES.get(arm.method, ()))


def belongs_to_an_ablation(arm: Arm, results: PresetResults) -> bool:
    """Whether an arm was made for an ablation, and so would only clutter a comparison of methods.

    Switched-off parts always are, and so is what was turned for `sensitivity`. Another backbone or a parameter budget
    is where the plain method was run too, and the arm went no further than the datasets of the protocols that vary
    these.
    """
    if base_of(arm) != arm or arm in _turned_in(results):
        return True
    preset = results.preset
    plain = replace(arm, backbone=preset.backbone, weights="pretrained", budget=0)
    plain = replace(plain, options=()) if arm.budget else plain
    if plain == arm or plain not in results.arms:
        return False
    usual = set(preset.pretraining) | set(preset.scale) | set(preset.strategies)
    known = set(preset.backbones) | set(preset.scales) | {preset.backbone}
    return arm.backbone in known and results.trained_on(arm) <= usual


NAMED = 3
"""So many of the arms that another table shows are named below a comparison; of more it is said how many."""


def compared(part: PresetResults, columns: Sequence[Column]) -> tuple[list[Arm], tuple[str, ...]]:
    """The arms of a comparison of methods, and what is to be said of those that ablations show in its place.

    An arm whose results in these columns no ablation shows is in the comparison, whatever it was made for.
    """
    kept: list[Arm] = []
    elsewhere: dict[str, list[str]] = {}
    for arm in part.arms_in(columns):
        tables = _tables_with(arm, part, columns) if belongs_to_an_ablation(arm, part) else []
        if not tables:
            kept.append(arm)
        for name in tables:
            elsewhere.setdefault(name, []).append(arm.label())
    return kept, tuple(_left_out(name, labels) for name, labels in elsewhere.items())


def _left_out(table: str, labels: Sequence[str]) -> str:
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return f"Not here but in the table {table}: {'; '.join(labels[:NAMED])}{more}."


def _tables_with(arm: Arm, part: PresetResults, columns: Sequence[Column]) -> list[str]:
    """The tables of ablations that show all that an arm has in these columns: they know tests on own sets alone."""
    experiments = {column.experiment for column in columns if part.runs(arm, column.experiment)}
    if not all(experiment.is_own_test for experiment in experiments):
        return []
    if base_of(arm) != arm:
        return [
            name for name, variants in PARTS.items() if _stands_among(arm, _lines(part, variants), part, experiments)
        ]
    if arm in _turned_in(part):
        return ["sensitivity"]
    if arm.budget:
        return ["strategies_matched"]
    preset, sets = part.preset, {experiment.train for experiment in experiments}
    usual = replace(arm, backbone=preset.backbone, weights="pretrained")
    beside = {name for name in part.trained_on(usual) if part.runs(usual, Experiment(name, Target.of(name)))}
    shown = {
        "pretraining": (preset.backbones, preset.pretraining),
        "scale": (preset.scales if arm.weights == "pretrained" else (), preset.scale),
    }
    return [
        name
        for name, (backbones, of) in shown.items()
        if arm.backbone in backbones and sets <= set(of) and beside & set(of)
    ]


def _stands_among(arm: Arm, lines: Sequence[Line], part: PresetResults, experiments: Collection[Experiment]) -> bool:
    """Whether an arm is one of an ablation's lines and has another beside it."""
    there = [line for line in lines if any(part.runs(line.arm, experiment) for experiment in experiments)]
    return arm in {line.arm for line in there} and len({line.lead for line in there}) > 1


MANY_SWITCHES = 3
"""So many things turned one by one about a method are a study of its sensitivity; fewer are somebody's own rows."""


def settings_of(part: PresetResults) -> dict[str, dict[RunSpec, Arm]]:
    """By set, what the runs of each arm that were tested on their own set have in common; plain arms first."""
    found: dict[str, dict[RunSpec, Arm]] = {}
    for arm in part.arms:
        for name in () if arm.external else sorted(part.trained_on(arm)):
            if runs := part.runs(arm, Experiment(name, Target.of(name))):
                found.setdefault(name, {})[setting_of(runs[0].spec)] = arm
    return found


@lru_cache(maxsize=8)
def _turned_in(results: PresetResults) -> frozenset[Arm]:
    """The arms that differ from another in one switch, where many were turned."""
    turned = [
        arms[setting]
        for arms in settings_of(results).values()
        for others in switches_at(arms).values()
        if len({switch.name for switch, _ in others}) >= MANY_SWITCHES
        for setting in others.values()
    ]
    return frozenset(turned)


def _lines(part: PresetResults, variants: Sequence[Variant]) -> list[Line]:
    """A line for every arm that is one of the variants and has a counterpart with a part switched off."""
    candidates = [
        (place, Line(variant.lead, arm, base_of(arm), variant=variant.printed))
        for arm in part.arms
        for place, variant in enumerate(variants)
        if _is(arm, variant)
    ]
    bases = {line.base for _, line in candidates if line.arm != line.base}
    settings = {base.run_changes() for base in bases}
    lines = [
        (place, line)
        for place, line in candidates
        if line.base in bases or (line.arm.method not in SWITCHES and line.base.run_changes() in settings)
    ]
    several = len({line.arm.method for _, line in lines}) > 1  # then the variants' own order comes first
    lines.sort(key=lambda item: (item[0] if several else 0, item[1].base.order(), item[0]))
    return [line for _, line in lines]


def _is(arm: Arm, variant: Variant) -> bool:
    if arm.method != variant.method or arm.budget:
        return False
    whole = SWITCHES.get(arm.method, {})
    return all(arm.option(name, whole[name]) == variant.options.get(name, whole[name]) for name in whole)
