"""What a record says of the sets it is about: hashes, and the sizes of a split's parts in pictures and contents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from bench.data.dataset import Dataset
    from bench.data.splits import Split


def split_facts(dataset: Dataset, split: Split) -> dict[str, Any]:
    """A set that is split: its hash and size, the split's hash and rule, and how large each part is."""
    parts = {"train": split.train, "test": split.test, "validation": split.validation}
    return {
        "hash": dataset.hash(),
        "n": len(dataset),
        "split_hash": split.hash(dataset.table["image"].tolist()),
        "split_rule": split.rule,
        **{f"n_{name}": len(rows) for name, rows in parts.items()},
        "contents": contents_of(dataset, slice(None)),
        **{f"contents_{name}": contents_of(dataset, rows) for name, rows in parts.items()},
        "notes": list(dataset.notes),
    }


def contents_of(dataset: Dataset, rows: np.ndarray | slice) -> int:
    """How many contents some rows of a dataset show; where there are none every image is its own."""
    return int(dataset.table["group"].iloc[rows].nunique())
