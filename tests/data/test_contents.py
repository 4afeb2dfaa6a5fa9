"""The contents of a set's pictures: the same wherever and whenever the files were written, read once, never guessed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.core.errors import DataError
from bench.data.dataset import Dataset
from bench.data.locate import subset
from bench.data.pixels import contents
from bench.data.pixels.contents import Contents, pixels_hash
from bench.data.pixels.policy import Policy
from bench.data.pixels.store import open_store
from tests.data.test_batches import make_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "pictures")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read for their contents from now on."""
    names: list[str] = []
    whole = Contents.hash_of

    def noting(self: Contents, name: str) -> str:
        names.extend([name] if self.find(name) is None else [])
        return whole(self, name)

    monkeypatch.setattr(Contents, "hash_of", noting)
    return names


def repaint(path: Path) -> None:
    pixels = np.array(Image.open(path))
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)


def test_one_changed_value_of_one_pixel_is_another_set_of_pictures(dataset: Dataset, cache: Path) -> None:
    before = pixels_hash(dataset, cache)
    repaint(dataset.paths()[3])
    assert pixels_hash(dataset, cache) != before


def test_exchanged_pictures_are_another_set_of_pictures(dataset: Dataset, cache: Path) -> None:
    before = pixels_hash(dataset, cache)
    first, second = dataset.paths()[:2]
    third = first.with_name("aside")
    for source, target in ((first, third), (second, first), (third, second)):
        source.rename(target)
    assert pixels_hash(dataset, cache) != before


def test_the_same_bytes_at_another_time_and_place_are_the_same_pictures(dataset: Dataset, cache: Path) -> None:
    before = pixels_hash(dataset, cache)
    for path in dataset.paths():
        os.utime(path, (1, 1))
    assert pixels_hash(dataset, cache) == before
    elsewhere = shutil.copytree(dataset.root, dataset.root.parent / "copy")
    assert pixels_hash(replace(dataset, root=elsewhere), cache) == before
    assert pixels_hash(dataset, cache / "of another machine") == before


def test_building_the_store_leaves_nothing_to_read(dataset: Dataset, cache: Path, read: list[str]) -> None:
    open_store(dataset, Policy(short_side=24), cache)
    assert sorted(read) == dataset.table["image"].tolist()
    read.clear()
    found = pixels_hash(dataset, cache)
    open_store(dataset, Policy(square=24), cache)
    assert read == []
    assert found == pixels_hash(dataset, cache / "anew")


def test_a_file_is_read_again_only_where_its_size_or_time_has_changed(
    dataset: Dataset, cache: Path, read: list[str]
) -> None:
    pixels_hash(dataset, cache)
    read.clear()
    os.utime(dataset.paths()[2], (1, 1))
    pixels_hash(dataset, cache)
    assert read == ["002.png"]
    assert pixels_hash(subset(dataset, 3), cache) != pixels_hash(dataset, cache)
    assert read == ["002.png"], "a part of a set knows what is known of the whole"


def test_what_two_processes_learn_of_one_folder_is_kept_of_both(dataset: Dataset, cache: Path, read: list[str]) -> None:
    with Contents(dataset.root, cache) as one, Contents(dataset.root, cache) as other:
        one.hash_of("000.png")
        other.hash_of("001.png")
    read.clear()
    pixels_hash(dataset, cache)
    assert sorted(read) == dataset.table["image"].tolist()[2:]


def test_a_build_that_fails_keeps_what_it_has_read(dataset: Dataset, cache: Path, read: list[str]) -> None:
    dataset.paths()[5].write_bytes(b"no picture")
    with pytest.raises(DataError):
        open_store(dataset, Policy(short_side=24), cache, workers=1)
    assert len(read) >= 5
    assert Contents(dataset.root, cache).find("000.png")


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:40]),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text('{"000.png": [1]}'),
        lambda path: path.unlink(),
    ],
)
def test_a_damaged_or_missing_note_costs_time_only(
    dataset: Dataset, cache: Path, damage: Callable[[Path], object]
) -> None:
    before = pixels_hash(dataset, cache)
    (path,) = (cache / "contents").iterdir()
    damage(path)
    assert pixels_hash(dataset, cache) == before


def test_a_cache_that_takes_nothing_costs_time_only(dataset: Dataset, cache: Path) -> None:
    cache.mkdir()
    (cache / "contents").write_text("a file stands where the folder should be")
    assert pixels_hash(dataset, cache) == pixels_hash(dataset, cache / "other")


def test_a_picture_that_cannot_be_read_is_named(dataset: Dataset, cache: Path) -> None:
    dataset.paths()[1].unlink()
    with pytest.raises(DataError, match=r"001\.png cannot be read"):
        pixels_hash(dataset, cache)


def test_a_set_that_its_loader_has_verified_is_not_read(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "Contents", lambda *_: pytest.fail("looked at the files"))
    assert pixels_hash(replace(dataset, content="made here"), Path("nowhere")) == "made here"


def stored(dataset: Dataset, cache: Path) -> list[int]:
    """The first value of each picture in the store."""
    store = open_store(dataset, Policy(square=8), cache)
    store.verify(np.arange(len(store)))
    return [int(store.image(row)[0, 0, 0]) for row in range(len(store))]


def grey_pictures(root: Path, *greys: int) -> Dataset:
    """Pictures of one size and one time of writing, each of one grey."""
    dataset = make_dataset(root, ((8, 8),) * len(greys))
    for path, grey in zip(dataset.paths(), greys, strict=True):
        Image.fromarray(np.full((8, 8, 3), grey, np.uint8)).save(path, format="BMP")
        os.utime(path, ns=(1, 1))
    return dataset


def test_two_pictures_that_change_names_are_noticed_though_sizes_and_times_of_writing_are_equal(
    tmp_path: Path, cache: Path
) -> None:
    dataset = grey_pictures(tmp_path / "set", 50, 200)
    before = pixels_hash(dataset, cache)
    assert stored(dataset, cache) == [50, 200]
    first, second = dataset.paths()
    first.rename(tmp_path / "aside")
    second.rename(first)
    (tmp_path / "aside").rename(second)
    assert pixels_hash(dataset, cache) != before
    assert stored(dataset, cache) == [200, 50]


def test_the_same_names_sizes_and_times_in_another_folder_are_other_pictures(tmp_path: Path, cache: Path) -> None:
    assert stored(grey_pictures(tmp_path / "one", 10, 20), cache) == [10, 20]
    assert stored(grey_pictures(tmp_path / "two", 30, 40), cache) == [30, 40]
