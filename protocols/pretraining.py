"""What the backbone was pretrained on: LoDa's Table 3."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from bench.core.spec import Recipe, RunSpec, Target
from bench.planning.protocol import Protocol, Request
from bench.records.results import Results
from bench.report.arms import Arm
from bench.report.table import Table
from bench.report.tables.fill import Layout, Line, PresetResults, by_preset, fill, own_columns
from protocols.variants import base_of

LABELS = {
    "vit_base_patch16_224.mae": "MAE",
    "vit_base_patch16_clip_224.openai": "Multi-Modal (CLIP)",
    "vit_base_patch16_224.augreg_in1k": "ImageNet-1K",
    "vit_base_patch16_224.augreg2_in21k_ft_in1k": "ImageNet-21K",
    "vit_base_patch14_dinov2.lvd142m": "DINOv2",
    "vit_base_patch16_siglip_224.webli": "SigLIP",
    "vit_base_patch16_siglip_224.v2_webli": "SigLIP 2",
    "vit_base_patch16_dinov3.lvd1689m": "DINOv3",
    "vit_pe_core_base_patch16_224.fb": "Perception Encoder",
    "eva02_base_patch14_224.mim_in22k": "EVA-02",
    "vit_large_patch14_clip_336.openai": "Multi-Modal (CLIP), ViT-L",
    "vit_small_patch14_dinov2": "DINOv2",
}
PRINTED = {
    "MAE": "pretrain=MAE",
    "ImageNet-1K": "pretrain=ImageNet-1K",
    "ImageNet-21K": "pretrain=ImageNet-21K",
}
"""LoDa's words for three of its kinds of pretraining; the fourth has no counterpart, for it cites OpenCLIP's models and
does not say which of them it used."""
MULTI_MODAL = (
    "LoDa cites OpenCLIP's models (Cherti et al.) for its multi-modal weights, and does not say which; the row here is "
    "OpenAI's CLIP."
)


OF_SIZE = ("size", "short_side")
"""What `size=native` makes another number on each backbone: they stand in one group all the same, and say theirs."""


class Pretraining(Protocol):
    """One method on ViTs with different pretraining (LoDa Table 3, and newer ones; one of them is larger)."""

    title: ClassVar[str] = "Pretraining"
    refuses: ClassVar[tuple[str, ...]] = ("backbone", "weights", "budget")

    def plan(self, request: Request) -> list[RunSpec]:
        """Every kind of pretraining; a preset with one kind only (the demo) is compared with random weights."""
        kinds = [{"backbone": backbone} for backbone in request.preset.backbones]
        if len(kinds) == 1:
            kinds.append({**kinds[0], "weights": "random"})
        return [
            request.spec(method, dataset, [Target.of(dataset)], split, **kind)
            for split in range(request.splits)
            for dataset in request.wanted(request.preset.pretraining)
            for kind in kinds
            for method in request.chosen("loda")
        ]

    def tables(self, results: Results) -> list[Table]:
        """One table a preset, of the methods that were run with at least two kinds of pretraining."""
        return [table for part in by_preset(results) if (table := _table(part)) is not None]


def _table(part: PresetResults) -> Table | None:
    columns = own_columns(name for name in part.preset.pretraining if name in part.own_test_sets())
    known = set(part.preset.backbones)
    kinds: dict[Arm, list[Arm]] = {}
    for arm in part.arms_in(columns):
        if arm.backbone in known and base_of(arm) == arm and not arm.budget:
            alike = tuple((name, value) for name, value in arm.recipe if name not in OF_SIZE)
            base = replace(arm, backbone=part.preset.backbone, weights="pretrained", recipe=alike)
            kinds.setdefault(base, []).append(arm)
    lines = [
        Line((base.title, _label(arm) + _size(arm)), arm, base, variant=_printed(arm))
        for base, arms in sorted(kinds.items(), key=lambda item: item[0].order())
        if len(arms) > 1
        for arm in sorted(
            arms, key=lambda arm: (arm.weights != "pretrained", part.preset.backbones.index(arm.backbone))
        )
    ]
    if not lines:
        return None
    layout = Layout(
        name="pretraining",
        title="Impact of large-scale pretrained models, using different methods and datasets of pretraining.",
        leads=("Method", "Pre-train"),
        columns=tuple(columns),
        lines=tuple(lines),
        ranked_within=0,
        published=(("LoDa", "3"),),
        published_lead=lambda row: (row.label, row.variant.partition("=")[2]),
        notes=(MULTI_MODAL,) if part.preset.name == "paper" else (),
    )
    return fill(part, layout)


def _size(arm: Arm) -> str:
    """The side of what it sees, where that was changed, and the short side that does not follow from it."""
    changed = dict(arm.recipe)
    usual: dict[str, Any] = {name: getattr(Recipe, name) for name in OF_SIZE} | dict(arm.plain.recipe)
    size, side = (changed.get(name, usual[name]) for name in OF_SIZE)
    said = f", {size} px" if "size" in changed else ""
    due = round(usual["short_side"] * size / usual["size"])
    return said if side == due else f"{said}, short_side={side}"


def _label(arm: Arm) -> str:
    if arm.weights == "pretrained":
        return LABELS.get(arm.backbone, arm.backbone)
    origin = "none (random weights)" if arm.weights == "random" else f"a file ({arm.weights})"
    return origin if arm.backbone == arm.plain.backbone else f"{origin}, {arm.backbone}"


def _printed(arm: Arm) -> str:
    """LoDa's words for what it is, where it sees pictures of LoDa's size; nothing else is held against its numbers."""
    return "" if _size(arm) else PRINTED.get(_label(arm), "")
