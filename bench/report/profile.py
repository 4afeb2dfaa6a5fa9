"""The profile as a picture: where a training step's time goes, and how near each method comes to the device."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.report.figures.style import COLOURS, GREY, HATCHES, Legend, finish, house_style, panels, save

PHASES = ("data", "forward", "backward", "optimiser", "overhead")


def draw_profile(report: Mapping[str, Any], path: Path) -> list[Path]:
    """Write PATH.png and PATH.svg."""
    with house_style():
        methods = report["methods"]
        figure, axes = panels(2, columns=2, size=(4.4, 0.8 + 0.32 * len(methods)))
        legend = _step(axes[0], methods)
        _utilisation(axes[1], methods)
        axes[1].tick_params(labelleft=False)
        setting, machine = report["setting"], report["machine"]
        below = [
            f"{setting['backbone']}, {setting['weights']} weights, batches of {setting['batch']} at {setting['size']} "
            f"pixels, {setting['steps']} steps, on {machine['device']} ({machine['precision']}, "
            f"{machine['threads']} threads), torch {machine['versions']['torch']}.",
            "Frozen inputs are computed before. data: waiting for pictures and frozen inputs; backward: loss included; "
            "overhead: the rest of the trainer. Shares are of the highest rate of multiply-adds and of copying that "
            "was measured on the device in the same process.",
        ]
        finish(figure, "What a training step costs", below, legend)
        written = [path.with_name(f"{path.name}.{kind}") for kind in ("png", "svg")]
        for one in written:
            save(figure, one)
    return written


def _step(axes: Any, methods: Mapping[str, Any]) -> Legend:
    left = [0.0] * len(methods)
    places = range(len(methods))
    handles = []
    phases = list(next(iter(methods.values()))["phases"])
    for i, phase in enumerate(phases):
        widths = [1000 * one["step_seconds"] * one["phases"][phase] for one in methods.values()]
        hatch = HATCHES[i % len(HATCHES)]
        colour = GREY if phase == "overhead" else COLOURS[i]
        bars = axes.barh(places, widths, left=left, color=colour, hatch=hatch, edgecolor="white", linewidth=0.4)
        handles.append(bars)
        left = [a + b for a, b in zip(left, widths, strict=True)]
    axes.set_yticks(places, list(methods))
    axes.invert_yaxis()
    axes.set_xlabel("a training step, ms")
    axes.grid(False, axis="y")
    return Legend(handles, phases)


def _utilisation(axes: Any, methods: Mapping[str, Any]) -> None:
    for shift, (name, colour, marker) in enumerate((("matmul", COLOURS[0], "o"), ("copy", COLOURS[1], "s"))):
        values = [100 * one["utilisation"][name] for one in methods.values()]
        places = [i + 0.16 * (2 * shift - 1) for i in range(len(values))]
        axes.plot(values, places, marker, clip_on=False, color=colour, label=f"of the {name} ceiling")
        for value, place in zip(values, places, strict=True):
            axes.annotate(
                f"{value:.2g}" if value < 10 else f"{value:.0f}",
                (value, place),
                (5, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
            )
    axes.set_yticks(range(len(methods)))
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.margins(x=0.15)
    axes.set_xlabel("of what the device can do, %")
    axes.grid(False, axis="y")
    axes.legend(loc="best", frameon=True, framealpha=0.9)
