"""The twin of `strategies` in a fair fight: every strategy sized to the same number of trainable parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from bench.core.cards import Bound
from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.core.spec import RunSpec, Scalar, Target
from bench.planning.protocol import MethodChoice, Protocol, Request
from bench.planning.unusual import turned
from bench.records.results import Results
from bench.report.table import Table
from bench.report.tables.fill import Layout, Line, PresetResults, by_preset, fill, own_columns
from protocols.variants import base_of

BUDGETS = {"paper": 8_000_000, "demo": 2_000_000, "study": 2_000_000}
"""GLIA's own size on the papers' ViT-B, and about LoDa's smallest on the demo's ViT-S. `--budget N` for others."""

KNOBS = {
    "adapter": "bottleneck",
    "lora": "rank",
    "vpt": "prompts",
    "loda": "latent",
    "glia": "rank",
    "linear_probe": None,
    "full_finetune": None,
    "bitfit": None,
    "ssf": None,
}
SOLVED: Mapping[str, Mapping[str, int]] = {
    "paper": {"adapter": 216, "lora": 217, "vpt": 784, "loda": 32, "glia": 60},
    "demo": {"adapter": 107, "lora": 108, "vpt": 434, "loda": 16, "glia": 28},
    "study": {"adapter": 107, "lora": 108, "vpt": 434, "loda": 16, "glia": 28},
}
"""What `bench.models.budget` finds for methods with their default options at the presets' budgets and backbones.

It has to load torch to find them; a plan should not. A test compares the two.
"""


class StrategiesMatched(Protocol):
    """The strategies at one parameter budget, so that a table tells the idea from its size (in none of the papers)."""

    title: ClassVar[str] = "Fine-tuning strategies at one budget"
    bounds: ClassVar[Mapping[str, Bound]] = {"budget": {"least": 0}}

    budget: int = 0
    """Trainable parameters of every strategy; 0: what --budget says, or the preset's, 8,000,000 (paper) or 2,000,000
    (demo and study)."""

    def plan(self, request: Request) -> list[RunSpec]:
        """Every strategy that can be sized; those that cannot (a linear probe) are left out."""
        budget = self.budget or request.common.get("budget") or BUDGETS[request.preset.name]
        sized = [
            MethodChoice(method.name, options)
            for method in request.chosen("adapter", "lora", "vpt", "loda", "glia")
            if (options := _sized(request, method, budget)) is not None
        ]
        return [
            request.spec(method, dataset, [Target.of(dataset)], split, budget=budget)
            for split in range(request.splits)
            for dataset in request.wanted(request.preset.strategies)
            for method in sized
        ]

    def tables(self, results: Results) -> list[Table]:
        """One table a preset and budget."""
        return [
            _table(part, budget)
            for part in by_preset(results)
            for budget in sorted({arm.budget for arm in part.arms if arm.budget})
            if any(
                arm.budget == budget and base_of(arm) == arm for arm in part.arms_in(own_columns(part.own_test_sets()))
            )
        ]


def _sized(request: Request, method: MethodChoice, budget: int) -> Mapping[str, Scalar] | None:
    """The method's options at the budget, or None where it has no size to choose."""
    preset = request.preset
    backbone = str(request.common.get("backbone", preset.backbone))
    usual = not method.options and backbone == preset.backbone and budget == BUDGETS[preset.name]
    if usual and method.name in KNOBS:
        knob = KNOBS[method.name]
        return {knob: SOLVED[preset.name][method.name]} if knob else None
    card = METHODS.card(method.name)
    if not card.facts["sized_by"] and "budget_choices" not in card.methods:  # the sizer would say so, but loads torch
        return None
    return solve(request, method, backbone, budget)


def solve(request: Request, method: MethodChoice, backbone: str, budget: int) -> Mapping[str, Scalar] | None:
    """The options that the request's sizer finds, or None where it refuses."""
    if request.sizer is None:
        raise UsageError(f"Nothing here can size methods to {budget:,} parameters on {backbone}.")
    known = request.method_options(method)
    try:
        sized = request.sizer(method.name, known, backbone, budget)
    except UsageError:
        return None
    return {**method.options, **turned(method.name, known, sized)}


def _table(part: PresetResults, budget: int) -> Table:
    columns = own_columns(part.own_test_sets(part.preset.strategies))
    arms = [arm for arm in part.arms_in(columns) if arm.budget == budget and base_of(arm) == arm]
    columns = [column for column in columns if any(part.runs(arm, column.experiment) for arm in arms)]
    layout = Layout(
        name=f"strategies_matched_{budget}",
        title=f"Comparison of fine-tuning methods, each sized to {budget:,} trainable parameters.",
        leads=("Method",),
        columns=tuple(columns),
        lines=tuple(Line((arm.title,), arm, arm) for arm in arms),
        notes=("Linear probing and full fine-tuning have no size to choose and are not in this table.",),
    )
    return fill(part, layout)
