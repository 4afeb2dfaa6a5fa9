"""Whole pictures at their own aspect in a test (`views=native`): what is looked at then, and which methods cannot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.core.spec import Recipe, RunSpec
from bench.data.views.view import View
from bench.models.method import Features, Method
from bench.models.vit import vit_shape
from bench.models.weights.load import WeightlessToolbox, vit_without_weights

SHAPES = ((2, 3), (4, 1))
"""Patches down and across of the pictures that a method is tried on."""
UNTOUCHED = ("runs", "nothing")
"""What a method stands on that takes no crops: whatever is said of views is nothing to it."""


def views_in_test(method: Method, recipe: Recipe, backbone: str) -> dict[str, View]:
    """What a test looks at: the method's own views, or in the place of its crops the whole picture."""
    views = method.views(recipe)
    as_they_are = method.stands_on in UNTOUCHED or all(view.kind == "whole" for view in views.values())
    if as_they_are or not recipe.whole_pictures:
        return views
    if method.stands_on != "vit":
        raise UsageError("views=native is for methods on a ViT, whose positions can be interpolated; it has none.")
    patch = vit_shape(backbone).patch
    return {name: _whole(view, patch, recipe.tokens) for name, view in views.items()}


def _whole(view: View, patch: int, tokens: int) -> View:
    """The whole picture, cut from what the crop is cut from."""
    if view.kind != "crop" or any(view.squeezed):
        what = "crops of squeezed pictures" if view.kind == "crop" else LOOKS[view.kind]
        raise UsageError(f"views=native puts the whole picture in the place of crops, and it looks at {what}.")
    return View("native", view.size, original=view.original, plain=view.plain, patch=patch, tokens=tokens)


LOOKS: Mapping[str, str] = {
    "resize": "the picture squeezed to a square",
    "fragments": "a square of fragments",
    "whole": "whole pictures already",
}
"""Views that are no crops, in words."""


def refuse_squares(spec: RunSpec) -> None:
    """Refuse a run that would test on whole pictures by a method that cannot look at another shape than a square.

    Tried without weights. Of a family only the views are asked: peft's tuners look at weights while they are put in.
    """
    if not spec.recipe.whole_pictures:
        return
    method: Method = METHODS.load(spec.method)(variant=spec.method.partition(":")[2], **spec.options)
    try:
        views = views_in_test(method, spec.recipe, spec.backbone)
    except UsageError as error:
        raise UsageError(f"{spec.method}: {error}") from None
    if method.stands_on != "vit" or METHODS.card(spec.method).facts["family"]:
        return
    with torch.device("meta"), torch.no_grad():
        vit = vit_without_weights(spec.backbone, spec.recipe.size, any_shape=True).eval()
        features = method.build(vit, spec.recipe, WeightlessToolbox()).features.eval()
        if not _takes(features, views, vit.shape.patch):
            raise UsageError(f"{spec.method}: it looks at squares only, so views=native is not for it.")


def _takes(features: Features, views: Mapping[str, View], patch: int) -> bool:
    """Whether features are as wide for pictures of any shape, and what is frozen of them as well."""
    try:
        widths = [_shapes(features, views, (down * patch, across * patch)) for down, across in SHAPES]
    except NotImplementedError:  # something that cannot be computed without values: the run will show it
        return True
    except (RuntimeError, AssertionError, ValueError, IndexError):
        return False
    return all(shapes == widths[0] for shapes in widths)


def _shapes(features: Features, views: Mapping[str, View], sides: tuple[int, int]) -> list[Any]:
    pictures = {name: torch.zeros(1, 3, *sides) for name in views}
    inputs: dict[str, Tensor] = {name: pictures[name] for name in features.pictures}
    inputs |= {name: frozen.compute(pictures[frozen.view]) for name, frozen in features.frozen.items()}
    frozen = [inputs[name].shape for name, one in features.frozen.items() if one.keep]
    inputs |= {name: torch.zeros(1, dtype=torch.int64) for name in features.knows}
    return frozen if features.fitted else [features(inputs).shape, *frozen]  # what is fitted is empty yet
