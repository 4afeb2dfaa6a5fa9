"""What methods that train a CNN whole share: how many parameters it has."""

from __future__ import annotations

from functools import cache

from bench.models.weights.load import cnn_without_weights


@cache
def cnn_size(name: str) -> int:
    """Parameters of a timm CNN up to its last feature stage, without weights or memory."""
    return sum(p.numel() for p in cnn_without_weights(name).parameters())
