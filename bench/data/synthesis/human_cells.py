"""The human anchor of synthesized labels: mean DMOS over KADID-10k's 81 references for each kind and level.

`kadid_cells.csv` holds the 125 means computed from the scores published with KADID-10k (Lin, Hosu and Saupe,
QoMEX 2019); 1 is worst, 5 best. A cell mean says what people thought of this distortion at this level over
81 pictures; it knows nothing of the picture at hand.
"""

from __future__ import annotations

import csv
from functools import cache
from importlib import resources

WORST, BEST = 1.0, 5.0
"""KADID-10k's scale."""


def human_cells() -> dict[tuple[int, int], float]:
    """Mean human DMOS by (kind, level)."""
    return dict(_cells())


NO_OPINIONS = "labels: mean human scores of KADID-10k's distortions, no opinions on these pictures"
"""What is noted of sets with such labels, and known by it in a record."""


@cache
def _cells() -> dict[tuple[int, int], float]:
    text = (resources.files("bench.data.synthesis") / "kadid_cells.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {(int(row["type"]), int(row["level"])): float(row["dmos_mean"]) for row in rows}


def combined(scores: list[float]) -> float:
    """The label of several distortions at once: a rule, not an opinion; nobody was asked.

    With quality q = (DMOS - 1) / 4 in [0,1], the worst distortion counts in full and each other one takes
    away half of the share that it would take alone: q = q_worst · Π (1 + q_other) / 2, back on DMOS's scale.
    So a second distortion always costs something, a mild one little, and the label never leaves 1..5.
    """
    qualities = sorted((score - WORST) / (BEST - WORST) for score in scores)
    quality = qualities[0]
    for other in qualities[1:]:
        quality *= (1 + other) / 2
    return WORST + (BEST - WORST) * quality
