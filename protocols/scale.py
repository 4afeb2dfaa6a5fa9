"""How large the backbone is: LoDa's Table 4."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from bench.core.spec import RunSpec, Target
from bench.planning.protocol import Protocol, Request
from bench.records.results import Results
from bench.report.arms import Arm
from bench.report.table import Table
from bench.report.tables.fill import Layout, Line, PresetResults, by_preset, fill, own_columns
from protocols.variants import base_of

SIZES = {"vit_tiny": "ViT-T", "vit_small": "ViT-S", "vit_base": "ViT-B", "vit_large": "ViT-L"}


class Scale(Protocol):
    """One method on ViT-T, -S, -B and -L (LoDa Table 4, which ends at ViT-B)."""

    title: ClassVar[str] = "Size of the backbone"
    refuses: ClassVar[tuple[str, ...]] = ("backbone", "weights", "budget")

    def plan(self, request: Request) -> list[RunSpec]:
        """Every size on the sets of Table 4."""
        return [
            request.spec(method, dataset, [Target.of(dataset)], split, backbone=backbone)
            for split in range(request.splits)
            for dataset in request.wanted(request.preset.scale)
            for backbone in request.preset.scales
            for method in request.chosen("loda")
        ]

    def tables(self, results: Results) -> list[Table]:
        """One table a preset, of the methods that were run on all that the preset has of at least two sizes."""
        return [table for part in by_preset(results) if (table := _table(part)) is not None]


def _table(part: PresetResults) -> Table | None:
    columns = own_columns(name for name in part.preset.scale if name in part.own_test_sets())
    known = part.preset.scales
    sizes: dict[Arm, list[Arm]] = {}
    for arm in part.arms_in(columns):
        if arm.backbone in known and base_of(arm) == arm and not arm.budget and arm.weights == "pretrained":
            sizes.setdefault(replace(arm, backbone=part.preset.backbone), []).append(arm)
    lines = [
        Line((base.title, _size(arm.backbone)), arm, base, variant=f"backbone={_size(arm.backbone)}")
        for base, arms in sorted(sizes.items(), key=lambda item: item[0].order())
        if len(arms) >= min(2, len(known))
        for arm in sorted(arms, key=lambda arm: known.index(arm.backbone))
    ]
    if not lines:
        return None
    layout = Layout(
        name="scale",
        title="Impact of large-scale pretrained model sizes.",
        leads=("Method", "Backbone"),
        columns=tuple(columns),
        lines=tuple(lines),
        ranked_within=0,
        published=(("LoDa", "4"),),
        published_lead=lambda row: (row.label, row.variant.partition("=")[2]),
        notes=("The demo's weights come in one size only, so there is nothing to compare it with.",)
        if len(known) == 1
        else (),
    )
    return fill(part, layout)


def _size(backbone: str) -> str:
    return next((size for stem, size in SIZES.items() if backbone.startswith(stem)), backbone)
