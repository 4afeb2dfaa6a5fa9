"""Trained models in Python: `load` gives a scorer, which scores pictures however they come."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

from bench.api.settings import File, settings_for, with_sets

if TYPE_CHECKING:
    from bench.scoring.scorer import Scorer


def load(
    source: Union[str, Path],
    *,
    folder: File = None,
    data: Mapping[str, Any] | None = None,
    device: str | None = None,
    weights: File = None,
    cnn_weights: File = None,
    config: File = None,
    plugins: Sequence[Union[str, Path]] = (),
    scale: str = "",
) -> Scorer:
    """The scorer of a run, by its key or the key's beginning, or of a model file that `bench export` wrote.

    `scorer(images)` gives a numpy array of scores on the training set's scale, `scorer.raw(images)` the network's own
    numbers, `scorer.explain(image)` where it looked. Images are paths, PIL images, numpy arrays, torch tensors, or
    lists and batches of these (docs/predict.md).

    `folder` is the results folder; `data` names further sets as in `bench.run`, for only a run whose scale was never
    fitted needs its training set, without which scores are raw and a warning says so; `weights` and `cnn_weights` are
    files that the run was made with. `scale` names the set of a mix on whose scale the scores of a model of several
    sets are; without it they are raw.
    """
    from bench.cli.invocation import runtime_of
    from bench.core.mixes import is_mix
    from bench.planning.files import weight_files
    from bench.scoring.load import load_scorer

    settings = settings_for(config, plugins, device=device, results=None if folder is None else str(folder))
    if data:
        settings = with_sets(settings, data)
    files = weight_files(weights, cnn_weights)
    runtime = runtime_of(settings, [Path(path) for path in plugins], weight_files=files)
    scorer = load_scorer(source, runtime, scale=scale)
    if scorer.scale is None and not is_mix(scorer.about.spec.train):
        warnings.warn(f"Scores are raw numbers, higher is better: {scorer.about.why_raw}.", stacklevel=2)
    return scorer
