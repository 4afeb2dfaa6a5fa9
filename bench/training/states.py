"""Trained tensors kept beside a run's record, and restored for further tests and for figures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from bench.core.files import write_bytes
from bench.training.record import TrainingFacts

if TYPE_CHECKING:
    from bench.core.spec import RunSpec
    from bench.records.store import Store
    from bench.training.session import Session

KEPT_BYTES = 64 << 20
"""Trained tensors up to this size are kept for later tests and figures, unless asked otherwise."""
MOST_VIEWS = 50
"""The most test views that anybody has published numbers of."""


def keep_trained(session: Session, store: Store, facts: TrainingFacts) -> None:
    """Keep the trained tensors with what training left behind, so that later questions need no training."""
    state = {name: value.cpu().contiguous() for name, value in session.model.trainable_state().items()}
    size = sum(value.numel() * value.element_size() for value in state.values())
    wish = session.runtime.keep_weights
    if wish == "never" or (wish == "auto" and size > KEPT_BYTES):
        return
    about = {
        "facts": facts.to_json(),
        "sha256": state_hash(state),
    }
    write_bytes(store.state_path(session.spec), save(state, metadata=session.identity().facts() | about))


def restore_trained(session: Session, store: Store) -> TrainingFacts | None:
    """Put kept tensors of the same training into the session's model and give its facts.

    None, and an untouched model, where none are kept, or not whole, or of other data, another split, other weights or
    other code; where all is trained anew, those of other test views that are older than the plan count for nothing.
    """
    same = next(_kept(session.spec, store, session.runtime.anew_since), session.spec)
    trained = read_trained(store.state_path(same))
    if trained is None or not replace(session.identity(), training=same.training_key).fits(trained.about):
        return None
    try:
        facts = TrainingFacts.from_json(trained.about["facts"])
        session.model.load_trainable_state(trained.tensors)
    except (KeyError, TypeError, ValueError):
        return None
    return facts


def _kept(spec: RunSpec, store: Store, since: float) -> Iterator[RunSpec]:
    """The run or others of its training of which tensors are kept; of others, those kept `since` then."""
    for same in same_trainings(spec):
        path = store.state_path(same)
        if path.exists() and (same == spec or path.stat().st_mtime >= since):
            yield same


def same_trainings(spec: RunSpec) -> Iterator[RunSpec]:
    """The run, and those that learn the very same and are tested on more views or fewer, or on whole pictures.

    That holds where the last epoch is taken: another one is chosen by the views that it is looked at with.
    """
    yield spec
    if spec.recipe.selection == "last":
        crops = replace(spec.recipe, views="crops", tokens=type(spec.recipe).tokens)
        looks = [replace(crops, test_views=count) for count in range(1, MOST_VIEWS + 1)]
        looks += [replace(crops, views="native")]
        yield from (replace(spec, recipe=look) for look in looks if look != spec.recipe)


@dataclass(frozen=True)
class KeptState:
    """Trained tensors as they were written, and what stands beside them."""

    tensors: dict[str, Tensor]
    about: dict[str, str]


def read_trained(path: Path) -> KeptState | None:
    """A file of trained tensors; None where there is none, or it is not as it was written."""
    try:
        with safe_open(str(path), "pt") as opened:
            about = dict(opened.metadata() or {})
        state = load_file(str(path))
    except (OSError, SafetensorError):
        return None
    return KeptState(state, about) if about.get("sha256") == state_hash(state) else None


def keep_beside(path: Path, **texts: str) -> None:
    """Write further texts beside kept tensors; what was found out of them later, such as their scale."""
    trained = read_trained(path)
    if trained is not None:
        write_bytes(path, save(trained.tensors, metadata=trained.about | texts))


def state_hash(state: Mapping[str, Tensor]) -> str:
    """A hash of tensors and their names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def is_whole(path: Path) -> bool:
    """Whether a file of trained tensors is as it was written."""
    return read_trained(path) is not None
