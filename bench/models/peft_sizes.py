"""What peft's tuners train on a ViT, from their papers' formulas rather than by counting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from bench.core.errors import UsageError
from bench.models.tuners import count_on_stand_in
from bench.models.vit import VitShape


def documented_size(config: Any, shape: VitShape) -> int:
    """Trainable parameters of a tuner on every block's qkv map (LN-tuning and IA3: where they act)."""
    if config.peft_type == "LN_TUNING":
        return (2 * shape.depth + 1) * 2 * shape.width
    _refuse_other_maps(config, shape)
    if getattr(config, "rank_pattern", None):
        return count_on_stand_in(config, shape)
    return shape.depth * _A_BLOCK[str(config.peft_type.value)](config, shape)


def _refuse_other_maps(config: Any, shape: VitShape) -> None:
    """Refuse blocks without the maps that a tuner is known to adapt."""
    kind = config.peft_type.value
    if not shape.qkv:
        raise UsageError(
            f"peft's {kind} goes into one map for queries, keys and values, and this backbone's blocks have three: "
            "name another target with peft:NAME, or choose another backbone."
        )
    if kind == "IA3" and not shape.mlp:
        raise UsageError(f"peft's {kind} goes into plain MLPs, and this backbone's are gated: choose another backbone.")


def _lora(c: Any, s: VitShape) -> int:
    magnitudes, biases = s.qkv if c.use_dora else 0, s.qkv if c.bias == "lora_only" else 0
    return c.r * (s.width + s.qkv) + magnitudes + biases


def _oft(c: Any, s: VitShape) -> int:
    size = _block(c.oft_block_size or s.width // c.r, s)
    blocks = 1 if c.block_share else s.width // size
    return blocks * size * (size - 1) // 2


def _boft(c: Any, s: VitShape) -> int:
    size = _block(c.boft_block_size or s.width // c.boft_block_num, s)
    return c.boft_n_butterfly_factor * s.width * size + s.qkv


def _block(size: int, s: VitShape) -> int:
    """peft quietly takes another size where this one does not divide the width; we do not."""
    if s.width % size:
        raise UsageError(f"A block size of {size} does not divide this ViT's width of {s.width}: choose one that does.")
    return size


def _lokr(c: Any, s: VitShape) -> int:
    (out_small, out_large), (in_small, in_large) = (_two_factors(n, c.decompose_factor) for n in (s.qkv, s.width))
    small, large = out_small * in_small, out_large * in_large
    if c.decompose_both and c.r < max(out_small, in_small) / 2:
        small = c.r * (out_small + in_small)
    if c.r < max(out_large, in_large) / 2:
        large = c.r * (out_large + in_large)
    return small + large


def _randlora(c: Any, s: VitShape) -> int:
    narrow = min(s.width, s.qkv)
    bases = math.ceil(narrow / c.r)
    return bases * (c.r + narrow)


_A_BLOCK: dict[str, Callable[[Any, VitShape], int]] = {
    "LORA": _lora,
    "VERA": lambda c, s: c.r + s.qkv,
    "BOFT": _boft,
    "OFT": _oft,
    "IA3": lambda c, s: s.qkv + s.mlp,
    "LOHA": lambda c, s: 2 * c.r * (s.width + s.qkv),
    "LOKR": _lokr,
    "FOURIERFT": lambda c, s: c.n_frequency,
    "HRA": lambda c, s: c.r * s.width,
    "RANDLORA": _randlora,
}


def _two_factors(number: int, first: int) -> tuple[int, int]:
    """`number` as a product, smaller factor first: with the wanted factor where it divides, else most square."""
    if first > 0 and number % first == 0:
        return first, number // first
    small = max(m for m in range(1, math.isqrt(number) + 1) if number % m == 0 and (first < 0 or m <= first))
    return small, number // small
