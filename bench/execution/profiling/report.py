"""Profiles as files, as a table, and one against another."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.core.errors import UsageError
from bench.core.files import write_text

WORK_HEADER = ("method", "trainable", "total", "GFLOPs score", "GFLOPs train", "peak GB", "start-up s", "next s")
SPEED_HEADER = (
    "method",
    "train img/s",
    "score",
    "cached",
    "data",
    "forward",
    "backward",
    "optimiser",
    "overhead",
    "of matmul",
    "of copy",
    "launches",
    "idle",
)
LEGEND = (
    "trainable, total: parameters, with the head. GFLOPs score, train: of one picture, the latter forward and backward "
    "with frozen inputs read. peak GB: most memory of the process or card. start-up s: making the first run ready; "
    "next s: the next one in the same process.",
    "train img/s: pictures a second in training. score, cached: in scoring, with frozen inputs computed or read. data "
    "to overhead: where a training step's time goes. of matmul, of copy: training's work a second as a share of what "
    "this machine was measured to do in matrix products, and in copying memory. launches: what a training step "
    "gives the device to do: kernels and copies on a card, operators on a CPU. idle: the share of a step in which a "
    "card has nothing to do.",
)
"""What the headings of both tables mean."""
WAITING = 0.25
"""Where more of a step than this is spent waiting, what is waited for is the limit."""
COMPARED = {
    "training_images_s": True,
    "scoring_images_s": True,
    "scoring_cached_images_s": True,
    "memory_peak_bytes": False,
    "gflops_training": False,
    "gflops_scoring": False,
    "startup_next_seconds": False,
    "launches": False,
}
"""What `--against` looks at, and whether more of it is better."""


@dataclass(frozen=True)
class Change:
    """One number now and before: `ratio` is now / before, `worse` says by more than what is tolerated."""

    method: str
    what: str
    before: float
    now: float
    ratio: float
    worse: bool


def work_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What each method is: a row under `WORK_HEADER`."""
    return [
        (
            name,
            f"{one['trainable']:,}",
            f"{one['total']:,}",
            f"{one['gflops_scoring']:.3g}",
            f"{one['gflops_training']:.3g}",
            f"{one['memory_peak_bytes'] / 1e9:.2f}",
            f"{one['startup_first_seconds']:.2f}",
            f"{one['startup_next_seconds']:.2f}",
        )
        for name, one in report["methods"].items()
    ]


def speed_rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """How fast each is, where its step's time goes, and its share of the device: a row under `SPEED_HEADER`."""
    return [
        (
            name,
            f"{one['training_images_s']:.3g}",
            f"{one['scoring_images_s']:.3g}",
            f"{one['scoring_cached_images_s']:.3g}",
            *(f"{share:.1%}" for share in one["phases"].values()),
            f"{one['utilisation']['matmul']:.1%}",
            f"{one['utilisation']['copy']:.1%}",
            f"{one['launches']:,.0f}",
            "–" if one["idle"] is None else f"{one['idle']:.0%}",
        )
        for name, one in report["methods"].items()
    ]


def limit_line(report: Mapping[str, Any]) -> str:
    """What keeps each method from being faster, in one line: the device, the host that feeds it, or the data."""
    limits: dict[str, list[str]] = {}
    for name, one in report["methods"].items():
        limits.setdefault(_limit_of(one), []).append(name)
    return "The limit: " + "; ".join(f"{limit} ({', '.join(names)})" for limit, names in limits.items()) + "."


def _limit_of(one: Mapping[str, Any]) -> str:
    """Whose fault it is that a step takes so long."""
    phases = one["phases"]
    if phases["data"] > WAITING:
        return "the data, which steps wait for"
    if one["idle"] is None:
        return "the host's own overhead" if phases["overhead"] > WAITING else "the device"
    return "the host, which launches too slowly" if one["idle"] > WAITING else "the device"


def write_report(report: Mapping[str, Any], path: Path) -> None:
    """The profile as JSON."""
    write_text(path, json.dumps(report, indent=1) + "\n")


def read_report(path: Path) -> dict[str, Any]:
    """A profile written before; anything else is an error."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as a profile: {error}") from None
    if not isinstance(report, dict) or not {"methods", "setting", "machine"} <= set(report):
        raise UsageError(f"{path} is no profile: `bench profile` writes one to results/profiles/.")
    return report


def compare_reports(now: Mapping[str, Any], before: Mapping[str, Any], tolerance: float) -> list[Change]:
    """Every number both have; another setting, device, precision or thread count, or compiled steps, are refused."""
    for part, keys in (("setting", now["setting"]), ("machine", ("device", "precision", "threads", "compiled"))):
        for key in keys:
            if (now[part].get(key) or None) != (before[part].get(key) or None):  # plain steps were not noted once
                raise UsageError(
                    f"The two profiles are not comparable: {key} was {before[part].get(key)!r} and is now "
                    f"{now[part].get(key)!r}."
                )
    changes = []
    for name in (name for name in now["methods"] if name in before["methods"]):
        for what, more_is_better in COMPARED.items():
            if what not in before["methods"][name]:  # an earlier profile
                continue
            old, new = before["methods"][name][what], now["methods"][name][what]
            ratio = new / old if old else (1.0 if new == old else float("inf"))
            worse = ratio < 1 - tolerance if more_is_better else ratio > 1 + tolerance
            changes.append(Change(name, what, old, new, ratio, worse))
    if not changes:
        raise UsageError(f"No method stands in both profiles: before {', '.join(before['methods'])}.")
    return changes
