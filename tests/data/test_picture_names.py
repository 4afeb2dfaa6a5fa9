"""Pictures are found by the names that label files give them, however these are written."""

from unicodedata import normalize

import pytest

from bench.core.errors import DataError
from tests.data.own_folders import load, mine, own_folder
from tests.fixtures_data import picture


def whole_paths(path, start):
    rows = [f"{start}/{name},{score}" for score, name in enumerate(("a.png", "sub/b.png", "c.png"))]
    (path / "labels.csv").write_text("\n".join(["image,score", *rows]) + "\n")


def test_whole_paths_of_pictures_in_the_sets_folder_are_names_below_it(tmp_path):
    path = own_folder(tmp_path / "home")
    names = load(mine(path)).table
    whole_paths(path, path)
    whole = load(mine(path)).table
    assert whole["image"].tolist() == names["image"].tolist()
    assert whole["group"].tolist() == names["group"].tolist()  # and so the same splits
    (tmp_path / "link").symlink_to(path)
    assert load(mine(tmp_path / "link")).table["image"].tolist() == names["image"].tolist()


def test_whole_paths_of_pictures_elsewhere_are_names_below_images(tmp_path):
    path = own_folder(tmp_path / "home")
    whole_paths(path, path)
    (tmp_path / "labels").mkdir()
    (path / "labels.csv").rename(tmp_path / "labels" / "labels.csv")
    with pytest.raises(DataError, match=f'set images = "{path}"'):
        load(mine(tmp_path / "labels"))
    assert len(load(mine(tmp_path / "labels", images=str(path)))) == 3


def test_a_whole_path_never_leads_out_of_the_folder(tmp_path):
    path = own_folder(tmp_path / "home")
    (tmp_path / "secret.png").write_bytes(picture(1, ".png"))
    whole_paths(path, f"{path}/../../secret.png#")
    with pytest.raises(DataError, match="is not a picture's name below the set's folder"):
        load(mine(path))


@pytest.mark.parametrize("folder", ["", "10:15/"])
def test_a_colon_in_a_name_is_no_drive(tmp_path, folder):
    name = f"{folder}2024-01-05 at 10:15:32.png"
    path = own_folder(tmp_path, rows=f"image,score\na.png,1\n{name},2\nc.png,3\n")
    (path / name).parent.mkdir(exist_ok=True)
    (path / name).write_bytes(picture(4, ".png"))
    assert name in load(mine(path)).table["image"].tolist()


@pytest.mark.parametrize(("written", "on_disk"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_names_are_found_in_either_spelling_of_unicode(tmp_path, written, on_disk):
    path = own_folder(tmp_path)
    name, folder, scene, column = "Caf\u00e9.png", "\u00dcbung", "\u00e9t\u00e9", "B\u00fchne"
    (path / normalize(on_disk, folder)).mkdir()
    (path / normalize(on_disk, folder) / normalize(on_disk, name)).write_bytes(picture(3, ".png"))
    rows = [f"image,score,{column}", f"{folder}/{name},1,{scene}", "c.png,3,x"]
    text = normalize(written, "\n".join(rows)) + f"\na.png,2,{normalize(on_disk, scene)}\n"
    (path / "labels.csv").write_text(text, encoding="utf-8")
    dataset = load(mine(path, group=normalize(on_disk, column)))
    assert all(file.is_file() for file in dataset.paths())
    assert dataset.table["group"].nunique() == 2  # one scene, spelled in both ways, stays on one side of a split


@pytest.mark.parametrize(("written", "there"), [("a", "a.png"), ("a.jpg", "a.png"), ("sub/b", "b.png")])
def test_a_name_without_its_ending_is_told_what_is_there(tmp_path, written, there):
    path = own_folder(tmp_path, rows=f"image,score\n{written},1\nc.png,2\n")
    with pytest.raises(DataError, match=f"there is no picture .*{there} is there: write names with their endings"):
        load(mine(path))


def test_partial_is_no_advice_where_not_one_picture_is_found(tmp_path):
    path = own_folder(tmp_path, rows="image,score\na,1\nc,2\nsub/b,3\n")
    with pytest.raises(DataError, match="nor any of the 2 others") as caught:
        load(mine(path))
    assert "--partial" not in str(caught.value)
    (path / "labels.csv").write_text("image,score\na.png,1\nc,2\nsub/b,3\n")
    with pytest.raises(DataError, match="Use --partial"):
        load(mine(path))
