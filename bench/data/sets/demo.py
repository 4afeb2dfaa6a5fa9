"""The embedded default: three small datasets made from photographs that come inside the dependencies.

Every photograph belongs to one set only, so no content is seen twice across sets. Six photographs are grey
(camera, brick, coins, grass, moon, gravel); they get no distortion that acts on colour alone. The labels are
human means of KADID-10k's cells (`human_cells`), in `demo_wild` combined by a rule: demo labels, not opinions
about these very pictures. Pictures and groups: 300 and 6 in `demo_a` and `demo_b`, 200 and 5 in `demo_wild`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from bench.core.errors import DataError
from bench.core.progress import Report
from bench.data.dataset import COLUMNS, Dataset
from bench.data.sets._made import MadeSet
from bench.data.synthesis.distortions import DISTORTIONS
from bench.data.synthesis.folders import verified
from bench.data.synthesis.synthesize import Photo, Recipe, synthesize

if TYPE_CHECKING:
    import pandas as pd

PHOTOS = {
    "demo_a": ("astronaut", "coffee", "flower", "motorcycle", "camera", "brick"),
    "demo_b": ("chelsea", "china", "rocket", "ihc", "coins", "grass"),
    "demo_wild": ("grace_hopper", "retina", "hubble", "moon", "gravel"),
}

RECIPES = {
    "demo_a": Recipe(size=(256, 224), crops=2, per_crop=25, seed=1),
    "demo_b": Recipe(size=(256, 224), crops=2, per_crop=25, seed=2),
    "demo_wild": Recipe(size=(256, 224), crops=2, per_crop=20, per_image="wild", seed=3),
}

EXPECTED = {
    "demo_a": "d7b3874e8dea7df772ae83efb45dfcbfda1bd8a3e5f4b3485c4bf41dfbf0a463",
    "demo_b": "cfe00ded68cdb79e5695cd08ecb5dad366712b5acee54651c73353e94a3d64f9",
    "demo_wild": "3932b8f6ab4408730d1091548a774cd0bbb47ec6128181a6a6ce006d093b5ef3",
}
"""sha256 of pixels and labels with the versions in constraints.txt. Another JPEG decoder or another version of
a library may round a pixel differently; the set is then used all the same, under its own hash and a warning."""

_SHIPPED = {
    "astronaut": ("skimage", "data/astronaut.png"),
    "brick": ("skimage", "data/brick.png"),
    "camera": ("skimage", "data/camera.png"),
    "chelsea": ("skimage", "data/chelsea.png"),
    "china": ("sklearn", "datasets/images/china.jpg"),
    "coffee": ("skimage", "data/coffee.png"),
    "coins": ("skimage", "data/coins.png"),
    "flower": ("sklearn", "datasets/images/flower.jpg"),
    "grace_hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    "grass": ("skimage", "data/grass.png"),
    "gravel": ("skimage", "data/gravel.png"),
    "hubble": ("skimage", "data/hubble_deep_field.jpg"),
    "ihc": ("skimage", "data/ihc.png"),
    "moon": ("skimage", "data/moon.png"),
    "motorcycle": ("skimage", "data/motorcycle_left.png"),
    "retina": ("skimage", "data/retina.jpg"),
    "rocket": ("skimage", "data/rocket.jpg"),
}
"""Where each photograph lies inside an installed package."""


class _Demo(MadeSet):
    """What the three sets share."""

    def load(self) -> Dataset:
        """Make the set where it is not there yet, and read it."""
        return load_demo(self.name, self.place.cache, self.place.progress)


class DemoA(_Demo):
    """Six photographs, each distortion alone: 300 pictures."""

    name = "demo_a"
    title: ClassVar[str] = "Demo A"
    images: ClassVar[int] = 300
    groups: ClassVar[int] = 6


class DemoB(_Demo):
    """Six other photographs, each distortion alone: 300 pictures."""

    name = "demo_b"
    title: ClassVar[str] = "Demo B"
    images: ClassVar[int] = 300
    groups: ClassVar[int] = 6


class DemoWild(_Demo):
    """Five further photographs, two or three distortions at once: 200 pictures; labels follow a rule."""

    tells: ClassVar[tuple[str, ...]] = ("originals",)
    name = "demo_wild"
    title: ClassVar[str] = "Demo wild"
    images: ClassVar[int] = 200
    groups: ClassVar[int] = 5


def ensure_made(
    name: str, photos: Sequence[str], recipe: Recipe, expected: str, cache: Path, progress: Report | None = None
) -> Path:
    """The folder of a made set below `cache`: made on the first call, verified by hash on every one."""
    folder = Path(cache) / "demo" / name
    if verified(folder, asdict(recipe)) is None:
        content = synthesize([shipped_photo(photo) for photo in photos], folder, recipe, progress=progress)
        if content != expected:
            warnings.warn(_other_bytes(name, content, expected), stacklevel=2)
    return folder


def load_made(name: str, folder: Path, recipe: Recipe, expected: str) -> Dataset:
    """A made set as a dataset; its notes say what the labels are and the hash of pixels and labels."""
    content = verified(folder, asdict(recipe))
    if content is None:
        raise DataError(f"{folder} was changed while it was read; run the same command again")
    notes = [f"pixels and labels sha256 {content}", "labels: mean human DMOS of KADID-10k's cells, content aside"]
    if recipe.per_image == "wild":
        notes.append("several distortions per picture: labels combined by a rule, not by people")
    if content != expected:
        notes.append(_other_bytes(name, content, expected))
    table, originals = read_labels(folder), read_originals(folder)
    return Dataset(name, folder, table, grouped=True, notes=tuple(notes), originals=originals, content=content)


def read_originals(folder: Path) -> dict[str, tuple[str, ...]]:
    """By photograph, the crops that a synthesized folder was made of."""
    import pandas as pd

    labels = pd.read_csv(folder / "dmos.csv", dtype="str")
    originals: dict[str, set[str]] = {}
    for photo, reference in zip(labels["photo"], labels["ref_img"], strict=True):
        originals.setdefault(photo, set()).add(f"images/{reference}")
    return {photo: tuple(sorted(images)) for photo, images in originals.items()}


def ensure_demo(name: str, cache: Path, progress: Report | None = None) -> Path:
    """The folder of a demo set below `cache`: made on the first call, verified by hash on every one."""
    if name not in RECIPES:
        raise DataError(f"there is no demo set {name!r}; there are {', '.join(RECIPES)}")
    return ensure_made(name, PHOTOS[name], RECIPES[name], EXPECTED[name], cache, progress)


def load_demo(name: str, cache: Path, progress: Report | None = None) -> Dataset:
    """A demo set as a dataset."""
    folder = ensure_demo(name, cache, progress)
    return load_made(name, folder, RECIPES[name], EXPECTED[name])


def read_labels(folder: Path) -> pd.DataFrame:
    """The table of a synthesized folder, in the columns of every dataset."""
    import pandas as pd

    labels = pd.read_csv(folder / "dmos.csv", dtype={"var": "float64", "kind": "str", "level": "str", "photo": "str"})
    keys = {str(entry.kind): entry.key for entry in DISTORTIONS}
    table = pd.DataFrame(
        {
            "image": "images/" + labels["dist_img"],
            "score": labels["dmos"].astype("float64"),
            "original": labels["dmos"].astype("float64"),
            "std": labels["var"] ** 0.5,
            "group": labels["photo"],
            "distortion": ["+".join(keys[kind] for kind in kinds.split("+")) for kinds in labels["kind"]],
            "level": [int(level) if level.isdecimal() else 0 for level in labels["level"]],
            "official": "",
        },
        columns=list(COLUMNS),
    )
    return table.sort_values("image", ignore_index=True)


def shipped_photo(name: str) -> Photo:
    """A photograph out of an installed package, without importing the package."""
    package, inner = _SHIPPED[name]
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        if (Path(place) / inner).is_file():
            return name, Path(place) / inner
    raise DataError(f"the photograph {inner} is missing from the package {package}; install {package} again")


def _other_bytes(name: str, content: str, expected: str) -> str:
    return f"{name} has the hash {content[:12]}, not the pinned {expected[:12]}: another library version"
