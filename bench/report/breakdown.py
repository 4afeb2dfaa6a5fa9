"""Agreement within each distortion and family, from one run's stored predictions (LoDa Fig. 4): no new training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from bench.core.errors import RunError

if TYPE_CHECKING:
    from bench.data.synthesis.distortions import Distortion
    from bench.records.results import Predictions

FEWEST = 5
"""Images of a group below which a correlation among them says nothing."""


@dataclass(frozen=True)
class Agreement:
    """How well predictions and people agree within one group of images."""

    n: int
    srcc: float
    plcc: float
    plcc_raw: float


def srcc_by_group(predictions: Predictions, *, families: bool) -> dict[str, tuple[int, float]]:
    """How many images each family (or distortion) has, and SRCC among them: without the fit that PLCC takes."""
    import numpy as np

    from bench.metrics.agreement import srcc

    names = _names(predictions)
    groups = [family_of(name) for name in names] if families else [name if "+" not in name else "" for name in names]
    labels, values = np.array(groups), {}
    for group in sorted({name for name in groups if name}, key=_place_of_family if families else place_of):
        chosen = labels == group
        predicted, human = predictions.predicted[chosen], predictions.human[chosen]
        if len(human) >= FEWEST and min(np.ptp(predicted), np.ptp(human)) > 0:
            values[group] = len(human), srcc(predicted, human)
    return values


def by_distortion(predictions: Predictions) -> dict[str, Agreement]:
    """Agreement within each distortion, KADID-10k's first; pictures with several distortions ("a+b") are left out."""
    names = _names(predictions)
    kinds = {name for name in names if name and "+" not in name}
    return _by_group(predictions, names, sorted(kinds, key=place_of))


def by_family(predictions: Predictions) -> dict[str, Agreement]:
    """Agreement within each of the nine families of KADID-10k's distortions."""
    from bench.data.synthesis.distortions import FAMILIES

    return _by_group(predictions, [family_of(name) for name in _names(predictions)], FAMILIES)


def metrics_by_group(predictions: Predictions) -> dict[str, float]:
    """Agreement within each distortion and family as metrics of a run: "srcc/family/blur"."""
    levels = {"distortion": by_distortion(predictions), "family": by_family(predictions)}
    return {
        f"{metric}/{level}/{group}": getattr(agreement, metric)
        for level, groups in levels.items()
        for group, agreement in groups.items()
        for metric in ("srcc", "plcc", "plcc_raw")
    }


def family_of(kind: str) -> str:
    """One of KADID-10k's families in LoDa's nine groups; "" for a distortion that KADID-10k does not have."""
    return _catalogue()[kind].family if kind in _catalogue() else ""


def place_of(kind: str) -> tuple[int, str]:
    """Where a distortion stands: in KADID-10k's order, others after it by name."""
    return (_catalogue()[kind].kind if kind in _catalogue() else 99), kind


def _place_of_family(name: str) -> int:
    from bench.data.synthesis.distortions import FAMILIES

    return list(FAMILIES).index(name)


@cache
def _catalogue() -> dict[str, Distortion]:
    from bench.data.synthesis.distortions import DISTORTIONS

    return {distortion.key: distortion for distortion in DISTORTIONS}


def _names(predictions: Predictions) -> list[str]:
    return [] if predictions.distortion is None else [str(name) for name in predictions.distortion.tolist()]


def _by_group(predictions: Predictions, names: Sequence[str], order: Sequence[str]) -> dict[str, Agreement]:
    """PLCC is of the scores mapped by the whole test part's logistic: a fit to each small group would flatter it."""
    import numpy as np

    from bench.metrics.agreement import fit_logistic, plcc, srcc

    try:
        mapping = fit_logistic(predictions.predicted, predictions.human)
    except RunError:
        return {}
    mapped = mapping(predictions.predicted) if mapping.rising else predictions.predicted
    labels = np.array(names)
    agreements = {}
    for group in order:
        chosen = labels == group
        if not chosen.any():
            continue
        predicted, after, human = predictions.predicted[chosen], mapped[chosen], predictions.human[chosen]
        if len(human) >= FEWEST and min(np.ptp(predicted), np.ptp(after), np.ptp(human)) > 0:
            each = (srcc(predicted, human), plcc(after, human), plcc(predicted, human))
            agreements[group] = Agreement(len(human), *each)
    return agreements
