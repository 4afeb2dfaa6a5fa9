"""Where a model looked in a picture: attention of its last block, rollout through all of them, and GLIA's fragments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from bench.core.files import write_with
from bench.core.progress import counted
from bench.data.pixels.policy import resized
from bench.data.views.batches import policy_of
from bench.data.views.single import views_of, windows
from bench.data.views.view import View
from bench.models.attention import on_patches, rollout, tapped_attention, vit_in, walked
from bench.scoring.pictures import open_picture

if TYPE_CHECKING:
    from bench.core.progress import Display
    from bench.scoring.scorer import Scorer

SIDE = 360
"""Pixels of the longer side of a panel."""
TITLE = 16
HEAT = 0.65
"""How much a map covers of the picture's grey shadow."""

Window = tuple[int, int, int, int]
"""Top, left, height and width in a picture's own pixels."""


@dataclass(frozen=True)
class Explanation:
    """Where a model looked. The maps add up to what it read of patches, [grid, grid] over the whole picture."""

    picture: Image.Image
    attention: np.ndarray
    """What the last block's CLS (or its mean patch) reads of each patch, mean of heads."""
    rollout: np.ndarray
    """The same followed back through all blocks, residual paths counted as half (Abnar & Zuidema, 2020)."""
    fragments: tuple[Window, ...] = ()
    """The windows that its first test view is put together of; nothing for a method that takes no fragments."""

    def figure(self) -> Image.Image:
        """The picture, both maps over it, and the fragments, side by side."""
        shown = _shrunk(self.picture)
        panels = [("picture", shown)]
        panels += [("attention, last block", _heated(shown, self.attention))]
        panels += [("attention rollout", _heated(shown, self.rollout))]
        if self.fragments:
            panels += [("fragments (first view)", _windowed(shown, self.picture.size, self.fragments))]
        return _side_by_side(panels)


def explain(scorer: Scorer, picture: Image.Image) -> Explanation:
    """Look into the model while it sees the whole picture: a crop becomes the picture squeezed to the crop's size."""
    recipe = scorer.about.spec.recipe
    vit = vit_in(scorer.model, scorer.about.spec.method)
    whole = {name: _whole(view) for name, view in scorer.views.items()}
    cut = {name: views_of(picture, view, recipe, 1) for name, view in whole.items()}
    maps = walked(scorer.model, scorer.seen(cut), scorer.networks.autocast, tapped_attention)
    followed = rollout(maps, scorer.model.features.renewed)
    last, rolled = (on_patches(vit, attention)[0].double().cpu().numpy() for attention in (maps[-1], followed))
    return Explanation(picture, last, rolled, _fragments(scorer, picture))


def write_explanations(scorer: Scorer, paths: Sequence[Path], folder: Path, display: Display) -> None:
    """A figure for each picture in a folder, NAME.explain.png; equal names get a number."""
    taken: set[str] = set()
    for done, path in enumerate(paths):
        display.report(done, len(paths), "explaining pictures")
        stem, number = path.name, 1
        while stem in taken:
            number += 1
            stem = f"{path.name}.{number}"
        taken.add(stem)
        figure = explain(scorer, open_picture(path)).figure()
        write_with(folder / f"{stem}.explain.png", lambda to, figure=figure: figure.save(to, "PNG"))  # type: ignore[misc]
    display.report(len(paths), len(paths), "explaining pictures")
    display.line(f"Written: {counted(len(paths), 'explanation')} by {scorer.about.title} in {folder}")


def _whole(view: View) -> View:
    if view.kind in ("crop", "native"):
        return View("resize", view.size, plain=view.plain)
    return replace(view, flips=False)


def _fragments(scorer: Scorer, picture: Image.Image) -> tuple[Window, ...]:
    """The windows of the main stream's first view in the picture's own pixels."""
    names = [name for name in scorer.views if scorer.views[name].kind == "fragments"]
    if not names:
        return ()
    view, recipe = scorer.views[names[0]], scorer.about.spec.recipe
    stored = resized(picture, policy_of(view, recipe))
    tops, lefts = windows(stored, view, recipe, 1)
    height, width = stored.shape[:2]
    down, across = picture.height / height, picture.width / width
    size = round(view.fragment * down), round(view.fragment * across)
    corners = zip(tops.ravel().tolist(), lefts.ravel().tolist(), strict=True)
    return tuple((round(top * down), round(left * across), *size) for top, left in corners)


def _shrunk(picture: Image.Image) -> Image.Image:
    """A picture brought to a panel's size, small ones too: they would not be seen."""
    scale = SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _heated(shown: Image.Image, values: np.ndarray) -> Image.Image:
    """A map over the grey shadow of a picture, from its least (dark) to its most (bright)."""
    from matplotlib import colormaps

    scaled = (values - values.min()) / max(float(np.ptp(values)), 1e-12)
    spread = Image.fromarray((255 * scaled).astype(np.uint8)).resize(shown.size, Image.Resampling.BILINEAR)
    colours = (255 * colormaps["inferno"](np.asarray(spread))[..., :3]).astype(np.uint8)
    return Image.blend(shown.convert("L").convert("RGB"), Image.fromarray(colours), HEAT)


def _windowed(shown: Image.Image, size: tuple[int, int], fragments: Sequence[Window]) -> Image.Image:
    """The picture in shadow, with what the fragments take of it as it is."""
    grey = shown.convert("L").convert("RGB")
    shadow = Image.blend(grey, Image.new("RGB", shown.size), 0.6)
    across, down = shown.width / size[0], shown.height / size[1]
    for top, left, height, width in fragments:
        box = [round(left * across), round(top * down), round((left + width) * across), round((top + height) * down)]
        box = [box[0], box[1], max(box[2], box[0] + 1), max(box[3], box[1] + 1)]
        shadow.paste(shown.crop(tuple(box)), (box[0], box[1]))  # type: ignore[arg-type]
    return shadow


def _side_by_side(panels: Sequence[tuple[str, Image.Image]]) -> Image.Image:
    width, height = panels[0][1].size
    column = max(width, 130) + 8
    page = Image.new("RGB", (column * len(panels), height + TITLE), "white")
    draw = ImageDraw.Draw(page)
    for place, (title, panel) in enumerate(panels):
        draw.text((place * column + 2, 2), title, fill="black")
        page.paste(panel, (place * column, TITLE))
    return page
