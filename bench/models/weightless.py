"""Models without weights or memory: whether a method can be built on a backbone, and how much work it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.core.spec import RunSpec
from bench.data.views.view import View
from bench.models.method import Features, Method
from bench.models.vit import vit_shape
from bench.models.weights.load import WeightlessToolbox, vit_without_weights


def build_weightless(spec: RunSpec) -> tuple[Features, Mapping[str, View]]:
    """(what a run's method builds, the views it takes); a UsageError where it cannot be built on the backbone."""
    method: Method = METHODS.load(spec.method)(variant=spec.method.partition(":")[2], **spec.options)
    views = method.views(spec.recipe)
    with torch.device("meta"):
        alone = method.stands_on != "vit"
        vit = None if alone else vit_without_weights(spec.backbone, spec.recipe.size).eval()
        return method.build(vit, spec.recipe, WeightlessToolbox()).features, views


def refuse_other_backbones(backbone: str, size: int) -> None:
    """Refuse a name that timm does not know, a network that is no plain ViT, and a size that it cannot cut."""
    try:
        vit_without_weights(backbone, size)
    except UsageError as error:
        raise UsageError(f"--backbone {backbone}: {error}") from None


def refuse_unbuildable(spec: RunSpec) -> None:
    """Refuse a run whose method does not take its backbone, sizes or tuner.

    Of a family only its own formula is asked: peft's tuners look at weights while they are put in.
    """
    method: Method = METHODS.load(spec.method)(variant=spec.method.partition(":")[2], **spec.options)
    try:
        if METHODS.card(spec.method).facts.get("family"):
            method.size(vit_shape(spec.backbone))
        else:
            build_weightless(spec)
    except UsageError as error:
        raise UsageError(f"{spec.method}: {error}") from None
    except Exception:  # a module that reads weights while it is built cannot be judged without them
        return


@dataclass(frozen=True)
class PictureWork:
    """Floating-point operations of one picture, two for each multiply-add."""

    training: float
    """Forward and backward of one view, frozen inputs given."""
    scoring: float
    """Forward of one view, frozen inputs given."""
    frozen: float
    """Frozen inputs that are the same in every epoch: computed once for each picture."""
    frozen_each: float
    """Frozen inputs of views that differ: computed for each of them."""
    one_view: bool
    """Whether every view of a test is the same, so that one is looked at."""


def count_picture_work(spec: RunSpec) -> PictureWork:
    """Count the work of a run's features on one picture without pixels; head and loss are next to nothing."""
    features, views = build_weightless(spec)
    size = spec.recipe.size
    pictures = {name: torch.zeros(1, 3, size, size, device="meta") for name in views}
    inputs: dict[str, Tensor] = {name: pictures[name] for name in features.pictures}
    frozen = {True: 0.0, False: 0.0}
    for name, one in features.frozen.items():
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            inputs[name] = one.compute(pictures[one.view])
        frozen[views[one.view].fixed] += counter.get_total_flops()
    inputs |= {name: torch.zeros(1, dtype=torch.int64, device="meta") for name in features.knows}
    with FlopCounterMode(display=False) as counter:
        output = features.train()(inputs)
        scoring = counter.get_total_flops()
        if output.requires_grad:
            output.sum().backward()
        training = counter.get_total_flops()
    one_view = all(view.fixed or view.kind == "resize" for view in views.values())
    return PictureWork(training, scoring, frozen[True], frozen[False], one_view=one_view)
