"""KADID-style folders out of photographs: whole or absent, balanced, the same twice, damage noticed."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.core.errors import DataError
from bench.data.synthesis import folders
from bench.data.synthesis.distortions import DISTORTIONS, to_bytes
from bench.data.synthesis.folders import publish, verified
from bench.data.synthesis.human_cells import combined, human_cells
from bench.data.synthesis.synthesize import Photo, Recipe, photos_in, synthesize

SMALL = Recipe(kinds=(7, 10, 18), levels=(1, 5), size=(40, 32))
BALANCED = Recipe(kinds=(1, 10, 11, 17, 18, 25), size=(40, 32), crops=2, per_crop=6, seed=4)


def photo(seed: int, height: int = 60, width: int = 90, grey: bool = False) -> np.ndarray:
    coarse = np.random.RandomState(seed).randint(0, 255, (6, 9, 3), dtype=np.uint8)
    if grey:
        coarse = np.repeat(coarse[..., :1], 3, axis=2)
    return np.asarray(Image.fromarray(coarse).resize((width, height)))


@pytest.fixture
def photos() -> list[Photo]:
    return [(f"p{number}", photo(number)) for number in range(3)]


def labels(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "dmos.csv", dtype={"kind": str, "level": str})


def test_the_folder_reads_like_kadid(photos: list[Photo], tmp_path: Path) -> None:
    synthesize(photos, tmp_path / "set", SMALL)
    table = labels(tmp_path / "set")
    assert list(table.columns[:4]) == ["dist_img", "ref_img", "dmos", "var"]
    assert len(table) == 3 * 3 * 2
    assert table["dist_img"][0] == "I01_07_01.png"
    for name in [*table["dist_img"], *table["ref_img"]]:
        with Image.open(tmp_path / "set" / "images" / name) as picture:
            assert (picture.size, picture.mode) == ((40, 32), "RGB")
    means = human_cells()
    for row in table.itertuples():
        assert row.dmos == pytest.approx(means[int(str(row.kind)), int(str(row.level))], abs=1e-4)


def test_the_same_recipe_gives_the_same_hash_and_another_seed_another(photos: list[Photo], tmp_path: Path) -> None:
    first = synthesize(photos, tmp_path / "a", BALANCED)
    assert synthesize(photos, tmp_path / "b", BALANCED) == first
    other = Recipe(**{**{k: v for k, v in asdict(BALANCED).items() if k != "rules"}, "seed": 5})
    assert synthesize(photos, tmp_path / "c", other) != first


def test_dealing_keeps_kinds_and_levels_in_balance(photos: list[Photo], tmp_path: Path) -> None:
    synthesize(photos, tmp_path / "set", BALANCED)
    table = labels(tmp_path / "set")
    assert len(table) == 36
    assert set(table.groupby("ref_img")["kind"].nunique()) == {6}
    assert table["kind"].value_counts().nunique() == 1
    assert table["level"].value_counts().min() >= 6


def test_crops_of_one_photograph_are_one_content(photos: list[Photo], tmp_path: Path) -> None:
    synthesize(photos, tmp_path / "set", BALANCED)
    table = labels(tmp_path / "set")
    assert table["ref_img"].nunique() == 6
    assert table["photo"].nunique() == 3


def test_a_grey_photograph_gets_no_kind_that_acts_on_colour_alone(tmp_path: Path) -> None:
    synthesize([("grey", photo(1, grey=True))], tmp_path / "set", SMALL)
    assert set(labels(tmp_path / "set")["kind"]) == {"10", "18"}


def test_wild_pictures_carry_two_or_three_families_and_follow_the_rule(photos: list[Photo], tmp_path: Path) -> None:
    synthesize(photos, tmp_path / "set", Recipe(size=(40, 32), per_crop=8, per_image="wild", seed=2))
    table = labels(tmp_path / "set")
    means = human_cells()
    families = {entry.kind: entry.family for entry in DISTORTIONS}
    assert len(table) == 24
    assert set(table["kind"].str.count(r"\+") + 1) == {2, 3}
    for row in table.itertuples():
        cells = [(int(k), int(v)) for k, v in zip(str(row.kind).split("+"), str(row.level).split("+"), strict=True)]
        assert len({families[kind] for kind, _ in cells}) == len(cells)
        assert row.dmos == pytest.approx(combined([means[cell] for cell in cells]), abs=1e-4)


def test_files_and_arrays_give_the_same_set(photos: list[Photo], tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name, pixels in photos:
        Image.fromarray(np.asarray(pixels)).save(tmp_path / "photos" / f"{name}.png")
    found = photos_in(tmp_path / "photos")
    assert [name for name, _ in found] == ["p0.png", "p1.png", "p2.png"]
    synthesize(found, tmp_path / "a", SMALL)
    synthesize(photos, tmp_path / "b", SMALL)
    for name in ("I01.png", "I03_10_05.png"):
        first, second = ((tmp_path / side / "images" / name).read_bytes() for side in "ab")
        assert first == second


def test_large_photographs_are_scaled_down_and_small_ones_refused(tmp_path: Path) -> None:
    synthesize([("large", photo(1, 300, 500))], tmp_path / "set", SMALL)
    with Image.open(tmp_path / "set" / "images" / "I01.png") as picture:
        assert picture.size == (40, 32)
    with pytest.raises(DataError, match=r"little.*smaller than 40x32"):
        synthesize([("little", photo(1, 20, 30))], tmp_path / "other", SMALL)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("bad", ["dmos.csv", "images/I02_10_05.png", "images/I01.png", "manifest.json"])
def test_damage_is_noticed_and_mended(photos: list[Photo], tmp_path: Path, bad: str) -> None:
    target = tmp_path / "set"
    content = synthesize(photos, target, SMALL)
    assert verified(target, asdict(SMALL)) == content
    (target / bad).write_bytes((target / bad).read_bytes()[:-9])
    assert verified(target, asdict(SMALL)) is None
    assert synthesize(photos, target, SMALL) == content
    assert verified(target, asdict(SMALL)) == content
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_missing_file_is_damage_and_another_recipe_is_not_ours(photos: list[Photo], tmp_path: Path) -> None:
    synthesize(photos, tmp_path / "set", SMALL)
    assert verified(tmp_path / "set", asdict(BALANCED)) is None
    (tmp_path / "set" / "images" / "I01.png").unlink()
    assert verified(tmp_path / "set", asdict(SMALL)) is None


def test_a_build_that_dies_leaves_nothing(tmp_path: Path) -> None:
    def build(folder: Path) -> str:
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(tmp_path / "set", build, {})
    assert list(tmp_path.iterdir()) == []


def test_a_foreign_folder_is_never_replaced(photos: list[Photo], tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="not a dataset made here"):
        synthesize(photos, tmp_path / "mine", SMALL)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_two_builders_at_once_leave_one_whole_folder(tmp_path: Path) -> None:
    both = threading.Barrier(2)
    results: list[str] = []

    def build(folder: Path) -> str:
        (folder / "dmos.csv").write_text("the same")
        both.wait(timeout=10)
        return "content"

    workers = [threading.Thread(target=lambda: results.append(publish(tmp_path / "set", build, {}))) for _ in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == ["content", "content"]
    assert verified(tmp_path / "set", {}) == "content"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_leftovers_of_killed_builds_are_swept(
    photos: list[Photo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".set.abc.building").mkdir()
    monkeypatch.setattr(folders, "_ABANDONED", -1.0)
    synthesize(photos, tmp_path / "set", SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_progress_counts_up_to_the_end(photos: list[Photo], tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    synthesize(photos, tmp_path / "set", SMALL, progress=lambda done, total, what: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("photos", "recipe", "word"),
    [
        ([], SMALL, "no photograph"),
        ([("a", photo(1)), ("a", photo(2))], SMALL, "same name"),
        ([("a", photo(1))], Recipe(kinds=(0,)), "1-25"),
        ([("a", photo(1))], Recipe(kinds=(1, 2, 4), per_image="wild"), "three families"),
    ],
)
def test_what_cannot_be_made_is_said(photos: list[Photo], recipe: Recipe, word: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=word):
        synthesize(photos, tmp_path / "set", recipe)


def test_hidden_files_and_folders_are_no_photographs(tmp_path: Path) -> None:
    (tmp_path / ".thumbs").mkdir()
    (tmp_path / "trip").mkdir()
    for name in ("._a.png", ".thumbs/a.png", "a.png", "trip/b.png"):
        Image.fromarray(photo(1)).save(tmp_path / name)
    assert [name for name, _ in photos_in(tmp_path)] == ["a.png", "trip/b.png"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no names but Unicode ones")
def test_a_photograph_whose_name_is_no_utf_8_is_taken_and_named_by_its_bytes(tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")
    with open(odd, "wb") as file:  # noqa: PTH123 (as any program would write it)
        Image.fromarray(photo(1)).save(file, "png")
    synthesize(photos_in(tmp_path), tmp_path / "set", SMALL)
    assert set(labels(tmp_path / "set")["photo"]) == {r"caf\xe9.png"}


def test_rounding_to_bytes_sends_halves_up() -> None:
    assert to_bytes(np.array([0.5 / 255, 1.5 / 255, -1.0, 2.0])).tolist() == [1, 2, 0, 255]


def test_other_photographs_under_the_same_recipe_make_the_set_anew(photos: list[Photo], tmp_path: Path) -> None:
    before = synthesize(photos, tmp_path / "set", SMALL)
    after = synthesize([*photos, ("p3", photo(3))], tmp_path / "set", SMALL)
    assert after != before
    assert set(labels(tmp_path / "set")["photo"]) == {"p0", "p1", "p2", "p3"}
    assert verified(tmp_path / "set", asdict(SMALL)) == after


@pytest.mark.parametrize("manifest", [None, '{"name": "my extension"}', "{}"])
def test_a_folder_with_what_we_did_not_make_is_never_replaced(
    photos: list[Photo], tmp_path: Path, manifest: str | None
) -> None:
    """KADID-10k as its authors pack it has a dmos.csv too; other people's projects have a manifest.json."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "dmos.csv").write_text("dist_img,ref_img,dmos,var")
    (tmp_path / "theirs" / "kadid10k.zip").write_text("years of work")
    if manifest:
        (tmp_path / "theirs" / "manifest.json").write_text(manifest)
    with pytest.raises(DataError, match=r"not a dataset made here|kadid10k\.zip in it was not made here"):
        synthesize(photos, tmp_path / "theirs", SMALL)
    assert (tmp_path / "theirs" / "kadid10k.zip").read_text() == "years of work"


def test_a_file_that_somebody_put_into_a_set_is_not_deleted_with_it(photos: list[Photo], tmp_path: Path) -> None:
    synthesize(photos, tmp_path / "set", SMALL)
    (tmp_path / "set" / "opinions.csv").write_text("mine")
    with pytest.raises(DataError, match=r"would be replaced, but opinions\.csv in it was not made here"):
        synthesize(photos, tmp_path / "set", BALANCED)
    assert (tmp_path / "set" / "opinions.csv").read_text() == "mine"


@pytest.mark.parametrize("recipe", [SMALL, BALANCED])
def test_labels_that_somebody_wrote_into_a_set_of_theirs_are_not_replaced(
    photos: list[Photo], tmp_path: Path, recipe: Recipe
) -> None:
    synthesize(photos, tmp_path / "set", SMALL, heal=False)
    synthesize(photos, tmp_path / "set", SMALL, heal=False)
    (tmp_path / "set" / "dmos.csv").write_text("rated for hours")
    with pytest.raises(DataError, match=r"would be replaced, but dmos\.csv in it was changed since it was made; move"):
        synthesize(photos, tmp_path / "set", recipe, heal=False)
    assert (tmp_path / "set" / "dmos.csv").read_text() == "rated for hours"
    (tmp_path / "set" / "dmos.csv").rename(tmp_path / "mine.csv")
    synthesize(photos, tmp_path / "set", recipe, heal=False)
    assert verified(tmp_path / "set", asdict(recipe))


def test_a_set_made_below_the_photographs_is_no_photograph(photos: list[Photo], tmp_path: Path) -> None:
    for name, pixels in photos:
        Image.fromarray(np.asarray(pixels)).save(tmp_path / f"{name}.png")
    synthesize(photos_in(tmp_path), tmp_path / "deep" / "set", SMALL)
    assert [name for name, _ in photos_in(tmp_path)] == ["p0.png", "p1.png", "p2.png"]


def test_all_photographs_that_are_too_small_are_named_before_any_is_distorted(tmp_path: Path) -> None:
    seen: list[str] = []
    Image.fromarray(photo(2, 40, 32)).save(tmp_path / "turned.jpg", exif=_turned())
    found = [*photos_in(tmp_path), ("large", photo(1)), ("tiny", photo(2, 20, 30)), ("thin", photo(3, 500, 20))]
    with pytest.raises(DataError, match=r"^tiny \(30x20\), thin \(20x500\): smaller than 40x32; leave"):
        synthesize(found, tmp_path / "set", SMALL, progress=lambda done, total, what: seen.append(what))
    assert not seen


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def test_pictures_that_are_left_out_are_counted_by_kind_and_whatever_is_read_elsewhere_is_taken(tmp_path: Path) -> None:
    for number, name in enumerate(("a.png", "b.gif", "c.jfif")):
        Image.fromarray(photo(number)).save(tmp_path / name, "JPEG" if name == "c.jfif" else None)
    for name in ("x.heic", "y.HEIC", ".hidden.heic", "notes.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    told: list[str] = []
    assert [name for name, _ in photos_in(tmp_path, told.append)] == ["a.png", "b.gif", "c.jfif"]
    assert told == ["Left out: 2 .heic, 1 broken link, 1 linked folder."]


def test_all_damaged_photographs_are_named_before_any_is_distorted(photos: list[Photo], tmp_path: Path) -> None:
    for name, pixels in photos:
        Image.fromarray(np.asarray(pixels)).save(tmp_path / f"{name}.jpg")
    for name in ("p0.jpg", "p2.jpg"):
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:-200])
    (tmp_path / "words.jpg").write_text("words")
    seen: list[str] = []
    with pytest.raises(DataError, match=r"(?s)p0\.jpg.*\n.*p2\.jpg.*\n.*words\.jpg"):
        synthesize(photos_in(tmp_path), tmp_path / "set", SMALL, progress=lambda done, total, what: seen.append(what))
    assert "distorting photographs" not in seen


def test_one_photograph_under_two_names_is_no_two_contents(photos: list[Photo], tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    for name, pixels in photos:
        Image.fromarray(np.asarray(pixels)).save(tmp_path / f"{name}.png")
    for copy, name in (("album/p0.png", "p0.png"), ("p1 (1).png", "p1.png")):
        (tmp_path / copy).write_bytes((tmp_path / name).read_bytes())
    why = r"^album/p0\.png and p0\.png; p1 \(1\)\.png and p1\.png: the same picture under several names, which would"
    with pytest.raises(DataError, match=why):
        synthesize(photos_in(tmp_path), tmp_path / "set", SMALL)
    assert not (tmp_path / "set").exists()


def test_more_versions_than_there_are_cells_are_refused(photos: list[Photo], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a crop has 6 different versions at most, not 7"):
        synthesize(photos, tmp_path / "set", Recipe(kinds=(7, 10, 18), levels=(1, 5), size=(40, 32), per_crop=7))
