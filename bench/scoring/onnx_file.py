"""A model as ONNX: from the bytes of a picture's views to its raw number and its score, without torch.

What comes before stays the reader's work: the views are drawn by the picture's pixels and cut from an antialiased
Pillow resize, which ONNX has no equal of (docs/predict.md).
"""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.core.errors import UsageError
from bench.core.files import write_named
from bench.scoring.model_file import KIND
from bench.scoring.scale import levelled
from bench.scoring.scorer import Scorer

EXTRA = "ONNX needs further packages: pip install 'glia-bench[export]'."
OPSET = 18


class FromViews(nn.Module):
    """The whole way from bytes: normalisation, frozen inputs, the model, the mean over views, the scale."""

    mapping: Tensor
    ends: Tensor

    def __init__(self, scorer: Scorer) -> None:
        super().__init__()
        self.scorer, self.model = scorer, scorer.model
        self.names = sorted(scorer.views)
        scale = scorer.scale
        numbers = () if scale is None else scale.mapping.curve or scale.mapping.line
        ends = (scale.low, scale.high, scale.margin) if scale is not None and scale.margin else ()
        self.register_buffer("mapping", torch.tensor(numbers, dtype=torch.float64))  # a plain number would lose digits
        self.register_buffer("ends", torch.tensor(ends, dtype=torch.float64))

    def forward(self, *views: Tensor) -> tuple[Tensor, Tensor]:
        """Views in the order of their names, uint8 [count, size, size, 3] → (raw, score)."""
        cut = dict(zip(self.names, views, strict=True))
        seen = {name: self.scorer.pictures(name, view) for name, view in cut.items()}
        raw = self.model(self.scorer.inputs(seen)).mean()
        return raw, self.on_scale(raw.double()).float()

    def on_scale(self, raw: Tensor) -> Tensor:
        """The scale in tensors."""
        score = self._mapped(raw)
        if not len(self.ends):
            return score
        low, high, margin = self.ends.unbind()
        levels: Tensor = levelled(score, torch.minimum(torch.maximum(score, low), high), margin)
        return levels

    def _mapped(self, raw: Tensor) -> Tensor:
        """The scale's mapping: a logistic of four numbers, a line of three, or none."""
        if len(self.mapping) == 4:
            high, low, middle, width = self.mapping.unbind()
            return low + (high - low) * torch.sigmoid((raw - middle) / width.abs())
        if len(self.mapping) == 3:
            mean_x, mean_y, slope = self.mapping.unbind()
            return mean_y + slope * (raw - mean_x)
        return raw

    def examples(self) -> tuple[Tensor, ...]:
        """Views of a grey picture, of the shapes that a picture's views have."""
        shapes = self.scorer.shapes()
        return tuple(torch.full(shapes[name], 127, dtype=torch.uint8) for name in self.names)


def write_onnx(scorer: Scorer, path: Path) -> None:
    """Write the model with its weights in one file; its JSON stands in the metadata."""
    try:
        import onnx
        import onnxscript  # noqa: F401 (torch's exporter wants it)
    except ImportError:
        raise UsageError(EXTRA) from None
    if scorer.about.spec.precision != "fp32":
        raise UsageError("ONNX is written of runs in fp32; this one computes in bf16.")
    if any(view.alone for view in scorer.views.values()):
        raise UsageError(f"{scorer.about.spec.method} reads whole pictures of any size: there is no ONNX of it.")
    module = FromViews(scorer)
    try:
        model = _exported(module)
        entry = model.metadata_props.add()
        entry.key, entry.value = KIND, json.dumps(scorer.about.to_json(), sort_keys=True)
        onnx.checker.check_model(model)
        written = model.SerializeToString()
    except Exception as error:  # the exporter fails in many ways on what it does not know
        reason = (str(error) or type(error).__name__).strip().split("\n")[0][:200]
        raise UsageError(f"torch cannot write {scorer.about.spec.method} as ONNX: {reason}") from error
    write_named(path, written)


def _exported(module: FromViews) -> Any:
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module.eval(),
                module.examples(),
                dynamo=True,
                opset_version=OPSET,
                input_names=module.names,
                output_names=["raw", "score"],
                verbose=False,
            )
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    assert program is not None
    return program.model_proto
