"""A KADID-style dataset out of any photographs: pristine crops, distorted copies, human cell means as labels.

The folder that comes out: `images/I01.png` (a pristine crop), `images/I01_04_03.png` (crop 1, kind 4, level 3),
`dmos.csv` in KADID-10k's columns with three more, and `manifest.json` with the recipe and the hashes.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from bench.core.errors import DataError, UsageError
from bench.core.files import sha256_of, writable_name
from bench.core.progress import Report
from bench.data.pixels.decode import decode, size_of
from bench.data.pixels.endings import ENDINGS, counts_of, is_picture
from bench.data.synthesis.distortions import CHROMA_ONLY, DISTORTIONS, LEVELS, distort, from_bytes, to_bytes
from bench.data.synthesis.folders import MANIFEST, ContentHash, made_here, publish
from bench.data.synthesis.human_cells import combined, human_cells

Photo = tuple[str, "np.ndarray | Path"]
"""A name (the content group) and the picture: HxWx3 uint8, or a file."""

COLUMNS = ("dist_img", "ref_img", "dmos", "var", "kind", "level", "photo")
"""KADID-10k's four columns, then the kind(s), level(s) and the photograph. `var` is empty: it would be the
variance between raters, and a cell mean has none of its own."""

_RULES = 1
"""Raised whenever the same recipe would give other pictures, so that old folders are made anew."""

_STAGES = ("blur", "spatial", "brightness", "contrast", "colour", "noise", "sharpness", "quantization", "compression")
"""In which order several distortions befall one picture: optics, scene, sensor, processing, code."""

PHOTOGRAPHS = "photographs"
"""What they are called in messages, where the pictures of a set go by its name."""
SHOWN = 5
"""How many photographs a message names."""

_ALL_KINDS = tuple(entry.kind for entry in DISTORTIONS)


@dataclass(frozen=True)
class Recipe:
    """What is made of each photograph.

    A photograph is scaled down (never up) until the crop covers it, or two thirds of it where several
    crops are wanted; crops are spread evenly from one corner to the opposite one. `per_crop` versions are
    dealt to each crop from a shuffled deck of all cells, so that any run of crops has kinds and levels in
    balance; None gives every crop every cell. A grey photograph gets no kind that acts on colour alone: it
    would come out unchanged and its label would be wrong.

    `per_image="wild"` puts two or three kinds of different families on one picture, mild levels more often
    than strong ones; its label follows the rule of `human_cells.combined`.
    """

    kinds: tuple[int, ...] = _ALL_KINDS
    levels: tuple[int, ...] = LEVELS
    size: tuple[int, int] = (512, 384)
    crops: int = 1
    per_crop: int | None = None
    per_image: Literal["single", "wild"] = "single"
    seed: int = 0
    rules: int = field(default=_RULES, init=False)


class Cells(NamedTuple):
    """What befalls one picture: one (kind, level) or several, in order."""

    cells: tuple[tuple[int, int], ...]

    @property
    def kinds(self) -> str:
        """As in the csv: "4" or "2+10"."""
        return "+".join(str(kind) for kind, _ in self.cells)

    @property
    def levels(self) -> str:
        """As in the csv: "3" or "1+4"."""
        return "+".join(str(level) for _, level in self.cells)


def synthesize(
    photos: Sequence[Photo],
    out: Path,
    recipe: Recipe | None = None,
    *,
    heal: bool = True,
    progress: Report | None = None,
) -> str:
    """Make the dataset in `out`, whole or not at all; returns its content hash.

    One that is there is replaced; if it is not to `heal`, one with changed files is refused.
    """
    recipe = recipe or Recipe()
    _check(photos, recipe)
    _refuse_damaged(photos, progress)
    return publish(out, lambda folder: _build(photos, folder, recipe, progress), asdict(recipe), heal=heal)


def photos_in(folder: Path, tell: Callable[[str], object] | None = None) -> list[Photo]:
    """Every picture file below `folder`, but for hidden ones and sets made here; its path names its content group.

    One line tells what else looks like a picture and is left out.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder of photographs {folder}.")
    photos: list[Photo] = []
    left_out: Counter[str] = Counter()
    sets = {path.parent for path in folder.rglob(MANIFEST) if made_here(path.parent)}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        if any(part.startswith(".") for part in below.parts) or not sets.isdisjoint(path.parents):
            continue
        if path.is_dir():
            left_out["linked folder"] += path.is_symlink()
        elif is_picture(path, left_out):
            photos.append((writable_name(below.as_posix()), path))
    if tell and (counts := counts_of(left_out)):
        tell(f"Left out: {counts}.")
    if not photos:
        raise DataError(f"no photographs ({', '.join(sorted(ENDINGS))}) in {folder}")
    return photos


def _check(photos: Sequence[Photo], recipe: Recipe) -> None:
    if not photos:
        raise DataError("there is no photograph to make a dataset of")
    if len({name for name, _ in photos}) != len(photos):
        raise DataError("two photographs have the same name; their crops would count as one content")
    if not set(recipe.kinds) <= set(_ALL_KINDS) or not set(recipe.levels) <= set(LEVELS):
        raise DataError(f"kinds are 1-25 and levels 1-5, not {recipe.kinds} and {recipe.levels}")
    cells = len(recipe.kinds) * len(recipe.levels)
    if recipe.per_image == "single" and (recipe.per_crop or 0) > cells:
        raise DataError(f"a crop has {cells} different versions at most, not {recipe.per_crop}")
    families = {DISTORTIONS[kind - 1].family for kind in recipe.kinds if kind not in CHROMA_ONLY}
    if recipe.per_image == "wild" and len(families) < 3:
        raise DataError("several distortions per picture need kinds from at least three families besides colour")
    _refuse_copies(photos)
    _refuse_small(photos, recipe)


def _refuse_copies(photos: Sequence[Photo]) -> None:
    """Name all files of equal bytes; those of a size of their own are not read for it."""
    by_size: dict[int, list[tuple[str, Path]]] = {}
    for name, source in photos:
        if isinstance(source, Path):
            by_size.setdefault(source.stat().st_size, []).append((name, source))
    alike: dict[str, list[str]] = {}
    for name, path in (photo for same in by_size.values() if len(same) > 1 for photo in same):
        alike.setdefault(sha256_of(path), []).append(name)
    if copies := [" and ".join(names) for names in alike.values() if len(names) > 1]:
        more = f" ({len(copies) - SHOWN} more such)" if len(copies) > SHOWN else ""
        raise DataError(
            f"{'; '.join(copies[:SHOWN])}{more}: the same picture under several names, which would count as several "
            "contents; leave one of each"
        )


def _refuse_small(photos: Sequence[Photo], recipe: Recipe) -> None:
    """Name all photographs that are smaller than the crops before any is distorted."""
    width, height = recipe.size
    sizes = {}
    for name, source in photos:
        with suppress(DataError):  # damaged ones are named by themselves
            sizes[name] = size_of(source, PHOTOGRAPHS) if isinstance(source, Path) else source.shape[1::-1]
    small = [f"{name} ({w}x{h})" for name, (w, h) in sizes.items() if w < width or h < height]
    if small:
        more = f" and {len(small) - SHOWN} more" if len(small) > SHOWN else ""
        raise DataError(
            f"{', '.join(small[:SHOWN])}{more}: smaller than {width}x{height}; "
            "leave such photographs out or ask for a smaller size"
        )


def _refuse_damaged(photos: Sequence[Photo], progress: Report | None) -> None:
    """Name all files that cannot be decoded before any is distorted."""
    files = [source for _, source in photos if isinstance(source, Path)]
    damaged = []
    for number, file in enumerate(files):
        if progress:
            progress(number, len(files), "reading photographs")
        try:
            decode(file, PHOTOGRAPHS)
        except DataError as error:
            damaged.append(str(error))
    if damaged:
        more = [f"{len(damaged) - SHOWN} more photographs cannot be used."] if len(damaged) > SHOWN else []
        raise DataError("\n".join([*damaged[:SHOWN], *more]))


def _build(photos: Sequence[Photo], folder: Path, recipe: Recipe, progress: Report | None) -> str:
    (folder / "images").mkdir()
    digest = ContentHash()
    rows: list[tuple[str, ...]] = []
    total = len(photos) * recipe.crops
    deck = _deck(recipe)
    for number, (name, crop) in enumerate(_crops(photos, recipe), start=1):
        if progress:
            progress(number - 1, total, "distorting photographs")
        reference = f"I{number:02d}.png"
        _save(crop, folder / "images" / reference, digest)
        for index, cells in enumerate(_deal(crop, number, deck, recipe), start=1):
            file = f"I{number:02d}_{cells.kinds.zfill(2)}_{cells.levels.zfill(2)}.png"
            if recipe.per_image == "wild":
                file = f"I{number:02d}_W{index:03d}.png"
            _save(_apply(crop, cells, _seed(recipe.seed, file)), folder / "images" / file, digest)
            rows.append((file, reference, f"{_label(cells):.4f}", "", cells.kinds, cells.levels, name))
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    (folder / "dmos.csv").write_bytes(text.getvalue().encode())
    digest.text(text.getvalue())
    if progress:
        progress(total, total, "distorting photographs")
    return digest.hex()


def _crops(photos: Sequence[Photo], recipe: Recipe) -> Iterator[tuple[str, np.ndarray]]:
    width, height = recipe.size
    for name, source in photos:
        pixels = decode(source, PHOTOGRAPHS) if isinstance(source, Path) else source
        picture = Image.fromarray(pixels)
        spare = 1.0 if recipe.crops == 1 else 1.5
        cover = max(width / picture.width, height / picture.height)
        scale = min(1.0, cover * spare)
        shape = (max(width, round(picture.width * scale)), max(height, round(picture.height * scale)))
        if shape != picture.size:
            picture = picture.resize(shape, Image.Resampling.LANCZOS)
        for index in range(recipe.crops):
            # one crop sits in the middle, several go corner to corner
            place = (index, recipe.crops - 1) if recipe.crops > 1 else (1, 2)
            left = (picture.width - width) * place[0] // place[1]
            top = (picture.height - height) * place[0] // place[1]
            yield name, np.asarray(picture.crop((left, top, left + width, top + height)))


def _deck(recipe: Recipe) -> list[tuple[int, int]]:
    """All cells, shuffled so that each run of len(kinds) cells has every kind once and levels in balance."""
    rng = np.random.RandomState(_seed(recipe.seed, "deck"))
    shift = rng.permutation(len(recipe.kinds))
    deck = []
    for turn in range(len(recipe.levels)):
        for position in rng.permutation(len(recipe.kinds)):
            level = recipe.levels[(turn + int(shift[position])) % len(recipe.levels)]
            deck.append((recipe.kinds[position], level))
    return deck


def _deal(crop: np.ndarray, number: int, deck: list[tuple[int, int]], recipe: Recipe) -> list[Cells]:
    """The cells of crop `number` (counted from 1)."""
    grey = bool((crop == crop[..., :1]).all())
    count = recipe.per_crop or len(deck)
    if recipe.per_image == "wild":
        rng = np.random.RandomState(_seed(recipe.seed, f"wild {number}"))
        kinds = [kind for kind in recipe.kinds if not (grey and kind in CHROMA_ONLY)]
        return [_wild(rng, kinds, recipe.levels) for _ in range(count)]
    usable = [cell for cell in deck if not (grey and cell[0] in CHROMA_ONLY)]
    start = (number - 1) * count
    dealt = {usable[(start + step) % len(usable)] for step in range(count)}
    return [Cells((cell,)) for cell in sorted(dealt)]


def _wild(rng: np.random.RandomState, kinds: Sequence[int], levels: Sequence[int]) -> Cells:
    """Two or three kinds of different families; of n levels the mildest is n times as likely as the last."""
    weights = np.arange(len(levels), 0, -1, dtype=np.float64)
    number = 2 + rng.randint(2)
    chosen: dict[str, tuple[int, int]] = {}
    while len(chosen) < number:
        kind = kinds[rng.randint(len(kinds))]
        level = levels[rng.choice(len(levels), p=weights / weights.sum())]
        chosen.setdefault(DISTORTIONS[kind - 1].family, (kind, level))
    return Cells(tuple(chosen[family] for family in _STAGES if family in chosen))


def _apply(crop: np.ndarray, cells: Cells, seed: int) -> np.ndarray:
    image = from_bytes(crop)
    for step, (kind, level) in enumerate(cells.cells):
        image = distort(image, kind, level, (seed + step) % 2**32)
    return to_bytes(image)


def _label(cells: Cells) -> float:
    means = human_cells()
    return combined([means[cell] for cell in cells.cells])


def _seed(seed: int, purpose: str) -> int:
    """A seed for one purpose, the same in every process and for every order of work."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:4], "big")


def _save(pixels: np.ndarray, path: Path, digest: ContentHash) -> None:
    Image.fromarray(pixels).save(path, compress_level=1)
    digest.pixels(path.name, pixels)
