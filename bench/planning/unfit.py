"""Runs that cannot be: a method needs what a set does not tell of its pictures.

`--method all` leaves such runs out, as do a protocol's own sets; a method and a set that were both typed are refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.core.errors import UsageError
from bench.core.registry import DATASETS
from bench.core.spec import RunSpec
from bench.data.locate import loader_name
from bench.planning.usual import fact_of

Planned = tuple[str, list[RunSpec]]
"""A protocol's name and its runs."""

WHAT = {
    "distortion": "the distortion and level of each picture",
    "originals": "the undistorted pictures",
}
"""What a set may tell, in words."""


def without_unfit(
    planned: Sequence[Planned], methods: Sequence[str], sets: Sequence[str], data: Mapping[str, Any]
) -> tuple[list[Planned], tuple[str, ...]]:
    """(the runs that can be, what is to be said of the others). `methods` and `sets` were typed."""
    runs: list[Planned] = []
    out: dict[tuple[str, str, str], None] = {}
    for protocol, specs in planned:
        fitting: list[RunSpec] = []
        for spec in specs:
            lacking = lacks(spec, data)
            out |= {(spec.method, *one): None for one in lacking}
            fitting += _without(spec, {name for name, _ in lacking})
        runs.append((protocol, fitting))
    there = {spec.method for _, specs in runs for spec in specs}
    refused = [one for one in out if one[0] in methods and (one[1] in sets or one[0] not in there)]
    if refused:
        raise UsageError(f"{_said(*refused[0])}. Leave one of them out, as `all` does.")
    return runs, tuple(_said(*one) for one in out)


def lacks(spec: RunSpec, data: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(set, what it does not tell) of a run, that its method needs."""
    gaps = []
    for need in fact_of(spec.method, "needs"):
        names = spec.trained_on if need == "originals" else sorted(spec.datasets)
        gaps += [(name, need) for name in names if need not in _tells(name, data)]
    return gaps


def _without(spec: RunSpec, names: set[str]) -> list[RunSpec]:
    """The run without tests on these sets; none where it is trained on one, or nothing is left to test."""
    if not names:
        return [spec]
    tests = tuple(target for target in spec.tests if target.dataset not in names)
    return [spec.with_tests(tests)] if tests and names.isdisjoint(spec.trained_on) else []


def _tells(name: str, data: Mapping[str, Any]) -> tuple[str, ...]:
    tells: tuple[str, ...] = DATASETS.card(loader_name(name, data)).facts["tells"]
    return tells


def _said(method: str, name: str, need: str) -> str:
    return f"{method} on {name}: it needs {WHAT[need]}, which {name} does not tell"
