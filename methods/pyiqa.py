"""A no-reference metric of pyiqa's by name, `pyiqa:niqe`, `pyiqa:musiq` …, where the user has installed pyiqa.

pyiqa's licence is non-commercial, so it is never a dependency and nothing of it is here: it is imported when one of its
metrics is asked for. Nothing is trained; what a metric learned from, its authors know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module, metadata
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.core.errors import RunError, UsageError, suggest
from bench.data.views.view import Frozen, View
from bench.models.method import Features, Method, Toolbox
from bench.models.vit import VitShape

COUNTED_ON = 384
"""Pixels a side of the picture that GFLOPs are counted on."""


class Pyiqa(Method):
    """A metric that was made elsewhere, on whole pictures at their own size, and pointed so that higher is better."""

    title: ClassVar[str] = "pyiqa"
    origin: ClassVar[str] = "the pyiqa toolbox, any of its no-reference metrics, as its authors trained it"
    stands_on: ClassVar[Literal["own"]] = "own"
    learns: ClassVar[Literal["nothing"]] = "nothing"
    family: ClassVar[bool] = True

    def views(self, recipe: object) -> dict[str, View]:
        """The whole picture as its file has it."""
        return {"picture": View("whole", COUNTED_ON, original=True, plain=True)}

    def assemble_alone(self, recipe: object, toolbox: Toolbox) -> Features:
        """The metric, frozen."""
        return _Score(self.variant, load_metric(self.variant))

    def size(self, shape: VitShape) -> int:
        """Nothing is trained; a metric that there is not is refused here, before anything is run."""
        toolbox_with(self.variant)
        return 0

    def head(self, recipe: object, width: int) -> nn.Module | None:
        """None: the metric gives the score."""
        return None


def toolbox_with(name: str) -> Any:
    """The installed pyiqa; without it, or where it has no no-reference metric of this name, a sentence."""
    try:
        pyiqa: Any = import_module("pyiqa")
    except ImportError as error:
        raise UsageError(
            f"The metric {name} needs pyiqa, which cannot be imported here ({error}). Install it into this environment "
            "if its licence (PolyForm Noncommercial) suits you."
        ) from None
    known: Sequence[str] = pyiqa.list_models(metric_mode="NR")
    if name not in known:
        raise UsageError(f"pyiqa has no no-reference metric {name!r}. {suggest(name, known)}")
    return pyiqa


def load_metric(name: str) -> nn.Module:
    """A metric by pyiqa's name, frozen."""
    pyiqa = toolbox_with(name)
    try:
        made: nn.Module = pyiqa.create_metric(name, device="cpu")
    except Exception as error:  # it loads weights and may fail in any way
        raise RunError(f"pyiqa cannot make {name}: {type(error).__name__}: {error}") from error
    return made.requires_grad_(False)


def version() -> str:
    """Which pyiqa is installed."""
    try:
        return metadata.version("pyiqa")
    except metadata.PackageNotFoundError:
        return "unknown"


class _Score(Features):
    """Its score is an input that a frozen network makes: once per picture, for all splits."""

    def __init__(self, name: str, metric: nn.Module) -> None:
        super().__init__()
        self.metric, self.sign = metric, -1.0 if getattr(metric, "lower_better", False) else 1.0
        self.frozen = {"score": Frozen("picture", f"pyiqa {version()} {name}", self.scored, exact=True)}

    def scored(self, pictures: Tensor) -> Tensor:
        """[B, 1], higher is better, of pictures with pixels from 0 to 255."""
        with torch.autocast(pictures.device.type, enabled=False):
            scores: Tensor = self.metric(pictures.float() / 255)
        return self.sign * scores.reshape(len(pictures), 1).float()

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The score of the frozen metric."""
        return inputs["score"][:, 0]
