"""`bench.load`: a trained model as a function of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.settings import File, settings_for

if TYPE_CHECKING:
    from bench.scoring.scorer import Scorer


def load(
    source: str | Path,
    folder: File = None,
    *,
    device: str | None = None,
    weights: File = None,
    config: File = None,
    plugins: Sequence[str | Path] = (),
) -> Scorer:
    """The scorer of a run (its key, or the key's beginning, in the results `folder`) or of a model file.

    `scorer(pictures)` takes paths, PIL pictures, arrays, tensors, or a list of them, and gives their scores. `weights`
    is the backbone's file where the run was made with one. A run needs kept weights; a bad source says what to do.
    """
    from bench.cli.invocation import runtime_of
    from bench.core.hashes import file_token
    from bench.scoring.load import load_scorer

    settings = settings_for(config, plugins, device=device, results=folder)
    files = {} if weights is None else {file_token(Path(weights)): Path(weights)}
    return load_scorer(source, runtime_of(settings, [Path(plugin) for plugin in plugins], weight_files=files))
