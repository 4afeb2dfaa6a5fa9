"""A trained scorer as a metric of pyiqa's, where the user has installed that toolbox.

pyiqa's licence is non-commercial, so it is never a dependency and nothing of it is here. It finds `register` by the
entry point `pyiqa.archs`; we import it only when somebody asks.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Union

import torch
from torch import Tensor, nn

from bench.api.models import load
from bench.core.errors import UsageError


class GliaBenchScorer(nn.Module):
    """What pyiqa builds by this name: pictures from 0 to 1 [B, 3 or 1, H, W] in, scores [B, 1] out.

    Its options are those of `bench.load`: `source` is a model file, or a run's key with `folder`.
    """

    def __init__(self, source: str, **options: Any) -> None:
        super().__init__()
        self.scorer = load(source, **options)

    def forward(self, pictures: Tensor) -> Tensor:
        """The scores that `bench.load(source)` gives; pictures are rounded to 8 bits, so a score has no gradient."""
        if pictures.requires_grad:
            raise UsageError(
                "This metric is no loss: a picture's views are cut from its 8-bit pixels, which knows no gradient."
            )
        return torch.from_numpy(self.scorer(list(pictures))).to(pictures.device)[:, None]


def register() -> None:
    """Tell pyiqa's registry of `GliaBenchScorer`; called by pyiqa itself where glia-bench is installed."""
    registry: Any = import_module("pyiqa.utils.registry").ARCH_REGISTRY
    if GliaBenchScorer.__name__ not in registry:
        registry.register(GliaBenchScorer)


def pyiqa_metric(source: Union[str, Path], name: str, **options: Any) -> Any:
    """A trained scorer as pyiqa's metric: what `pyiqa.create_metric(name)` gives from then on, in this process.

    `source` and `options` are those of `bench.load`. `metric(tensor)` gives the numbers of `bench.load(source)`, and
    `metric.lower_better` their direction. pyiqa has to be installed.
    """
    try:
        pyiqa: Any = import_module("pyiqa")
        metrics: Any = import_module("pyiqa.default_model_configs").DEFAULT_CONFIGS
    except ImportError as error:
        raise UsageError(f"pyiqa cannot be imported here: {error}.") from None
    register()
    opts = {"type": GliaBenchScorer.__name__, "source": str(source), **options}
    if metrics.get(name, {"metric_opts": opts})["metric_opts"]["type"] != opts["type"]:
        raise UsageError(f"pyiqa has a metric {name!r} of its own: choose another name.")
    known = metrics.get(name)
    metrics[name] = {"metric_opts": opts, "metric_mode": "NR"}
    try:
        metric = pyiqa.create_metric(name)
    except BaseException:
        metrics.pop(name) if known is None else metrics.update({name: known})
        raise
    metric.lower_better = metrics[name]["lower_better"] = not metric.net.scorer.higher_is_better
    return metric
