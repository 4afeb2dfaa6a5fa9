"""Sizes that must fit a backbone's patches: checked at planning, and derived where nobody chose, by its name alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import Any

from bench.core.cards import Card, Option
from bench.core.errors import UsageError
from bench.core.spec import Recipe, Scalar

NATIVE = "native"
"""As `size`: what the run's backbone was pretrained at. A run's recipe holds the number."""


@cache
def patch_of(backbone: str) -> int:
    """The side of a backbone's patches as timm's name gives it ("vit_base_patch16_224"); 0 where it does not."""
    match = re.search(r"_patch(\d+)(?![^_.])", backbone)
    return int(match[1]) if match else 0


def recipe_value(option: Option, text: str) -> Scalar:
    """A field of the recipe as somebody wrote it: a value, or a word that the plan puts a number in the place of."""
    if option.name == "size" and text.strip() == NATIVE:
        return NATIVE
    try:
        value: Scalar = option.parse(text)
    except UsageError as error:
        more = f" {NATIVE} is what the backbone was pretrained at." if option.name == "size" else ""
        raise UsageError(f"{error}{more}") from None
    return value


def with_native_size(
    recipe: Mapping[str, Any],
    usual: Mapping[str, Any],
    asked: Collection[str],
    backbone: str,
    find: Callable[[str], int],
) -> dict[str, Any]:
    """A recipe with its backbone's own size in the place of `native`; where no ViT is read, with the usual size.

    The short side goes with it unless somebody asked for one, so that a view stays as large a share of a picture.
    """
    if recipe.get("size") != NATIVE:
        return dict(recipe)
    plain = {name: usual.get(name, getattr(Recipe, name)) for name in ("size", "short_side")}
    size = find(backbone) if backbone else plain["size"]
    short_side = recipe.get("short_side", plain["short_side"])
    if "short_side" not in asked:
        short_side = round(short_side * size / plain["size"])
    return {**recipe, "size": size, "short_side": short_side}


def check_size(backbone: str, size: int) -> None:
    """Pictures that cannot be cut into the backbone's patches are refused with the nearest sizes that can."""
    patch = patch_of(backbone)
    if patch and size % patch:
        near = [n for n in (size // patch * patch, (size // patch + 1) * patch) if n]
        raise UsageError(
            f"size={size}: pictures of {size} pixels cannot be cut into the {patch}-pixel patches of {backbone}. "
            f"Choose size={' or '.join(map(str, near))}."
        )


def fitted(card: Card, options: Mapping[str, Any], asked: Collection[str], backbone: str, size: int) -> dict[str, Any]:
    """A method's options with those that tile its picture made to fit; what was asked for is kept or refused.

    A method says in its bounds that `grid` tiles `fragment`: so many pieces of so many pixels make the picture's side,
    and each lies on whole patches. Where nobody chose, the defaults hold if they fit; else a piece is two patches
    wide, as 32 pixels are on ViT-B/16, or one where two do not divide the side.
    """
    fitting = dict(options)
    for count, piece in ((name, option.tiles) for name, option in card.options.items() if option.tiles):
        n, f = _tiling(options[count], options[piece], (count in asked, piece in asked), patch_of(backbone), size)
        if n * f != size or f % (patch_of(backbone) or 1):
            raise UsageError(_misfit(count, piece, (n, f), backbone, size))
        fitting |= {count: n, piece: f}
    return fitting


def _tiling(n: int, f: int, asked: tuple[bool, bool], patch: int, size: int) -> tuple[int, int]:
    """How many pieces of how many pixels: the one that was not asked for follows from the other."""
    if asked == (True, False) and size % n == 0:
        return n, size // n
    if asked == (False, True) and size % f == 0:
        return size // f, f
    if asked == (False, False) and patch and (n * f != size or f % patch):
        f = 2 * patch if size % (2 * patch) == 0 else patch
        return size // f, f
    return n, f


def _misfit(count: str, piece: str, wrong: tuple[int, int], backbone: str, size: int) -> str:
    """What does not fit, and what would."""
    patch, (n, f) = patch_of(backbone), wrong
    pieces = [p for p in range(patch or 1, size + 1, patch or 1) if size % p == 0 and (patch or p > 1)]
    known = ", ".join(f"{count}={size // p} {piece}={p}" for p in pieces) or "none"
    on_patches = f" on whole {patch}-pixel patches of {backbone}" if patch else ""
    return f"{count}={n} and {piece}={f} do not make a side of {size}{on_patches}. These do: {known}."
