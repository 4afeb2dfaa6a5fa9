"""Which runs of a plan are trained together, and how many (bench/training/packs/loop.py does it). No torch."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.errors import UsageError
from bench.core.mixes import is_mix
from bench.core.registry import METHODS
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec, canonical_json

OWN = ("split", "tests", "recipe_from")
OWN_RECIPE = ("lr", "weight_decay", "schedule", "warmup", "clip", "selection", "test_views")
"""What may differ between runs of a pack: their rows, how their optimiser steps, and how they are tested."""


def groups(specs: Sequence[RunSpec], pack: int = 0) -> list[list[RunSpec]]:
    """The runs in packs of at most `pack` (0: as many as the method says), in the order of their first members."""
    packs: list[list[RunSpec]] = []
    open_groups: dict[str, list[RunSpec]] = {}
    for spec in specs:
        usual = 1 if is_mix(spec.train) else _usual(spec)
        limit = pack or usual if usual > 1 else 1
        kind = _kind(spec) if limit > 1 else spec.key
        if kind not in open_groups:
            open_groups[kind] = []
            packs.append(open_groups[kind])
        open_groups[kind].append(spec)
        if len(open_groups[kind]) >= limit:
            del open_groups[kind]
    return packs


def can_pack(runtime: Runtime) -> bool:
    """Whether runs can be trained together here: packs are for plain steps on a CPU."""
    if runtime.compiled:
        return False
    if runtime.device == "cpu":
        return True
    from bench.core.machine import pick_device

    return pick_device(runtime.device).type == "cpu"


def refuse_packs(specs: Sequence[RunSpec]) -> None:
    """Refuse to be asked for packs of runs that learn more than a head: one of them fills the cores by itself."""
    if mixed := sorted({spec.train for spec in specs if is_mix(spec.train)}):
        raise UsageError(f"--pack (or pack in bench.toml): runs on {mixed[0]} are made one by one. Leave it out.")
    others = sorted({spec.method for spec in specs if _usual(spec) == 1})
    if others:
        raise UsageError(
            f"--pack (or pack in bench.toml) trains heads on stored features together, and {', '.join(others)} learns "
            "more than a head. Leave it out: what gains by it is packed unasked."
        )


def _usual(spec: RunSpec) -> int:
    usual: int = METHODS.card(spec.method).facts["packs"]
    return usual


def _kind(spec: RunSpec) -> str:
    plain = {name: value for name, value in spec.as_dict().items() if name not in OWN}
    plain["recipe"] = {name: value for name, value in plain["recipe"].items() if name not in OWN_RECIPE}
    return canonical_json(plain)
