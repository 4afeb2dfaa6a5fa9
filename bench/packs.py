"""Which runs of a plan may be trained together, and how many (bench/packed.py does it). No torch."""

from __future__ import annotations

from collections.abc import Sequence

from bench.registry import METHODS
from bench.spec import RunSpec, canonical_json

OWN = ("split", "tests", "recipe_from")
OWN_RECIPE = ("seed", "lr", "weight_decay", "schedule", "warmup", "clip", "selection", "test_views")
"""What may differ between runs of a pack: what a run draws, how its optimiser steps, and how it is tested."""


def groups(specs: Sequence[RunSpec], pack: int = 0) -> list[list[RunSpec]]:
    """The runs in packs of at most `pack` (0: as many as the method says), in the order of their first members."""
    found: list[list[RunSpec]] = []
    open_groups: dict[str, list[RunSpec]] = {}
    for spec in specs:
        limit = pack or METHODS.card(spec.method).facts.get("packs", 1)
        kind = _kind(spec) if limit > 1 else spec.key
        if kind not in open_groups:
            open_groups[kind] = []
            found.append(open_groups[kind])
        open_groups[kind].append(spec)
        if len(open_groups[kind]) >= limit:
            del open_groups[kind]
    return found


def _kind(spec: RunSpec) -> str:
    plain = {name: value for name, value in spec.as_dict().items() if name not in OWN}
    plain["recipe"] = {name: value for name, value in plain["recipe"].items() if name not in OWN_RECIPE}
    return canonical_json(plain)
