"""The embedded default: what it promises of pictures, contents, labels and bytes."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.core.errors import DataError
from bench.core.registry import DATASETS
from bench.data.dataset import COLUMNS, Place
from bench.data.pixels.decode import decode
from bench.data.sets import demo
from bench.data.sets.demo import (
    EXPECTED,
    PHOTOS,
    RECIPES,
    DemoA,
    DemoB,
    DemoWild,
    ensure_demo,
    load_demo,
    shipped_photo,
)
from bench.data.synthesis.distortions import DISTORTIONS

SOURCES = {"demo_a": DemoA, "demo_b": DemoB, "demo_wild": DemoWild}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All three sets, made once with the real recipe."""
    place = tmp_path_factory.mktemp("cache")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in RECIPES:
            ensure_demo(name, place)
    return place


def test_no_photograph_is_in_two_sets() -> None:
    every = [photo for photos in PHOTOS.values() for photo in photos]
    assert len(every) == len(set(every))


def test_every_photograph_is_inside_an_installed_package() -> None:
    for photos in PHOTOS.values():
        for name in photos:
            path = shipped_photo(name)[1]
            assert isinstance(path, Path)
            height, width, _ = decode(path, "photographs").shape
            assert min(height, width) >= 224


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RECIPES))
def test_each_set_has_the_images_and_groups_it_names(cache: Path, name: str) -> None:
    dataset = SOURCES[name](name, Place(None, cache)).load()
    assert tuple(dataset.table.columns) == COLUMNS
    assert len(dataset) == SOURCES[name].images
    assert dataset.table["group"].nunique() == SOURCES[name].groups
    assert dataset.table["image"].is_monotonic_increasing
    assert all(path.is_file() for path in dataset.paths())
    assert dataset.table["score"].between(1, 5).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["demo_a", "demo_b"])
def test_single_sets_show_every_distortion_at_every_level(cache: Path, name: str) -> None:
    table = load_demo(name, cache).table
    assert set(table["distortion"]) == {entry.key for entry in DISTORTIONS}
    assert set(table["level"]) == {1, 2, 3, 4, 5}
    assert len(table.groupby(["distortion", "level"])) == 125


@pytest.mark.slow
def test_the_wild_set_names_its_distortions_and_says_that_labels_follow_a_rule(cache: Path) -> None:
    dataset = load_demo("demo_wild", cache)
    assert set(dataset.table["level"]) == {0}
    assert dataset.table["distortion"].str.contains("+", regex=False).all()
    assert any("rule" in note for note in dataset.notes)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RECIPES))
def test_the_bytes_are_the_pinned_ones_or_the_notes_say_so(cache: Path, name: str) -> None:
    notes = load_demo(name, cache).notes
    content = notes[0].rpartition(" ")[2]
    assert len(EXPECTED[name]) == 64
    assert (content == EXPECTED[name]) != any("another library version" in note for note in notes)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo set of one photograph and two pictures."""
    recipe = replace_recipe(size=(32, 32), crops=1, per_crop=2, kinds=(1, 18))
    monkeypatch.setitem(demo.RECIPES, "demo_a", recipe)
    monkeypatch.setitem(demo.PHOTOS, "demo_a", ("coins",))


def replace_recipe(**changes: object) -> demo.Recipe:
    return replace(RECIPES["demo_a"], **changes)  # type: ignore[arg-type]


@pytest.mark.usefixtures("tiny")
def test_other_bytes_are_a_warning_and_a_note_not_an_error(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="demo_a has the hash"):
        dataset = load_demo("demo_a", tmp_path)
    assert len(dataset) == 2
    assert any("not the pinned" in note for note in dataset.notes)


@pytest.mark.usefixtures("tiny")
@pytest.mark.filterwarnings("ignore:demo_a has the hash")
def test_a_set_is_made_once_and_made_anew_when_damaged(tmp_path: Path) -> None:
    made: list[str] = []
    folder = ensure_demo("demo_a", tmp_path, lambda done, total, what: made.append(what))
    assert made
    made.clear()
    ensure_demo("demo_a", tmp_path, lambda done, total, what: made.append(what))
    assert not made
    picture = next((folder / "images").glob("I01_*.png"))
    good = picture.read_bytes()
    picture.write_bytes(good[: len(good) // 2])
    ensure_demo("demo_a", tmp_path)
    assert picture.read_bytes() == good


@pytest.mark.usefixtures("tiny")
@pytest.mark.filterwarnings("ignore:demo_a has the hash")
def test_columns_are_those_of_every_dataset(tmp_path: Path) -> None:
    table = load_demo("demo_a", tmp_path).table
    assert tuple(table.columns) == COLUMNS
    assert table["std"].isna().all()
    assert table["score"].dtype == np.float64
    assert table["image"][0].startswith("images/")


def test_an_unknown_set_is_named_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="demo_wild"):
        ensure_demo("demo_c", tmp_path)


def test_the_registry_finds_the_three_sets() -> None:
    assert {"demo_a", "demo_b", "demo_wild"} <= set(DATASETS)
