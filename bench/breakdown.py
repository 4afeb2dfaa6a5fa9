"""Agreement within each distortion and family, from one run's stored predictions (LoDa Fig. 4): no new training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.data.distortions import DISTORTIONS, FAMILIES
from bench.errors import RunError
from bench.metrics import fit_logistic, plcc, srcc
from bench.results import Predictions

FEWEST = 5
"""Images of a group below which a correlation among them says nothing."""

_FAMILY_OF = {entry.key: entry.family for entry in DISTORTIONS}
_PLACES = {entry.key: entry.kind for entry in DISTORTIONS}


@dataclass(frozen=True)
class Agreement:
    """How well predictions and people agree within one group of images."""

    n: int
    srcc: float
    plcc: float


def by_distortion(found: Predictions) -> dict[str, Agreement]:
    """Agreement within each distortion: KADID-10k's in its order, others by name; never several at once."""
    names = _names(found)
    kinds = {name for name in names if name and "+" not in name}
    return _by_group(found, names, sorted(kinds, key=lambda kind: (_PLACES.get(kind, 99), kind)))


def by_family(found: Predictions) -> dict[str, Agreement]:
    """Agreement within each of the nine families of KADID-10k's distortions."""
    return _by_group(found, [_FAMILY_OF.get(name, "") for name in _names(found)], FAMILIES)


def _names(found: Predictions) -> list[str]:
    return [] if found.distortion is None else [str(name) for name in found.distortion.tolist()]


def _by_group(found: Predictions, names: Sequence[str], order: Sequence[str]) -> dict[str, Agreement]:
    """PLCC is of the scores mapped by the whole test part's logistic: a fit to each small group would flatter it."""
    try:
        mapping = fit_logistic(found.predicted, found.human)
    except RunError:
        return {}
    mapped = mapping(found.predicted) if mapping.ok and not mapping.decreasing else found.predicted
    labels = np.array(names)
    made = {}
    for group in order:
        chosen = labels == group
        scores = found.predicted[chosen], mapped[chosen], found.human[chosen]
        if len(scores[0]) >= FEWEST and min(map(np.ptp, scores)) > 0:
            made[group] = Agreement(len(scores[0]), srcc(scores[0], scores[2]), plcc(scores[1], scores[2]))
    return made
