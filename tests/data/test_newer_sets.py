"""AGIQA-3K, PIPAL, BID, UHD-IQA and AIGCIQA2023: each way they are unpacked, and each way they can be wrong."""

import os
import re
import shutil

import numpy as np
import pytest

from bench.core.errors import DataError
from bench.core.registry import DATASETS
from bench.data.locate import load_dataset
from bench.data.obtain.check import check
from bench.data.splits import make_split
from bench.planning.presets import made_sets
from tests.data.trees import load
from tests.fixtures_data import BUILDERS, overwrite

NEWER = ("agiqa3k", "pipal", "bid", "uhdiqa", "aigciqa2023")


def edit(path, change):
    lines = path.read_text().splitlines()
    overwrite(path, "\n".join(change(lines)) + "\n")


def changed(row, old, new):
    """A change of one line of a text file."""
    return lambda lines: [*lines[:row], lines[row].replace(old, new), *lines[row + 1 :]]


@pytest.mark.parametrize("name", NEWER)
def test_check_counts_a_sound_tree_to_the_row(name, trees, monkeypatch):
    top = trees.fresh(name, monkeypatch)
    report = check(name, {name: {"path": str(top)}}, top / "cache", deep=True)
    source = DATASETS.load(name)
    assert report.verdict == "sound"
    assert (report.label_rows, report.images_found, report.decoded) == (source.images,) * 3
    assert report.groups_found == source.groups


WRONG_TEXTS = [
    ("agiqa3k", "data.csv", changed(0, "mos_quality", "mos"), "data.csv has no column 'mos_quality'"),
    ("agiqa3k", "data.csv", changed(4, "_000.jpg", ".jpg"), "data.csv, row 5: 'midjourney_lowstep.jpg' is not of"),
    ("agiqa3k", "data.csv", changed(4, "prompt 000", "prompt 7"), "data.csv, row 5: prompt 000 is 'prompt 7, made up'"),
    ("agiqa3k", "data.csv", lambda lines: [re.sub("prompt 001", "prompt 000", line) for line in lines],
     "row 12: the prompt 'prompt 000, made up' has the numbers 000 and 001"),
    ("agiqa3k", "data.csv", lambda lines: [*lines, lines[1]], "two labels: data.csv, row 2 and data.csv, row 92"),
    ("agiqa3k", "data.csv", lambda lines: lines[:-1], "has 89 labels; the set is known to have 90"),
    ("pipal", "Train_Label/A0001.txt", changed(1, ".bmp,", ".bmp "), "A0001.txt, row 2: 1 cell where 2 are expected"),
    ("pipal", "Train_Label/A0001.txt", changed(1, ",1", ",9"), "A0001.txt, row 2: elo is 9437.08, outside the known"),
    ("pipal", "Train_Label/A0001.txt", changed(1, "A0001_00_01", "A0001_xx_01"), "A0001.txt, row 2: 'A0001_xx_01.bmp'"),
    ("pipal", "Train_Label/A0001.txt", lambda lines: lines[:-1], "has 463 labels; the set is known to have 464"),
    ("uhdiqa", "uhd-iqa-metadata.csv", changed(2, "training", "train"), "row 3: set is 'train', none of training"),
    ("uhdiqa", "uhd-iqa-metadata.csv", changed(2, "0.7585", "75.85"), "row 3: quality_mos is 75.85, outside"),
    ("uhdiqa", "uhd-iqa-metadata.csv", lambda lines: lines[:-1], "has 59 labels; the set is known to have 60"),
    ("aigciqa2023", "moz1.txt", lambda lines: lines[:-1], "moz1.txt has 59 scores, not 60"),
    ("aigciqa2023", "moz1.txt", lambda lines: ["nan", *lines[1:]], "row 1: mos is 'nan', not a finite number"),
    ("aigciqa2023", "moz1.txt", lambda lines: ["101.9", *lines[1:]], "row 1: mos is 101.9, outside the known range"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "change", "said"), WRONG_TEXTS)
def test_a_wrong_label_file_is_an_error_naming_set_file_and_row(name, file, change, said, trees, monkeypatch):
    top = trees.fresh(name, monkeypatch)
    edit(top / file, change)
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        load(name, top)
    assert str(caught.value).startswith(f"{name}: ")
    assert not check(name, {name: {"path": str(top)}}, top / "cache").ok


@pytest.mark.parametrize(
    ("row", "cells", "said"),
    [
        (3, (4, "good"), "row 3: mos is 'good', not a number"),
        (3, (4, 6.2), "row 3: mos is 6.2, outside the known range 0 to 5"),
        (3, (4.5, 2), "row 3: 4.5 is no photograph's number"),
        (3, (1, 2), "two labels: DatabaseGrades.xlsx, row 2 and DatabaseGrades.xlsx, row 3"),
    ],
)
def test_a_wrong_workbook_of_bid_is_an_error_naming_the_row(row, cells, said, trees, monkeypatch):
    import openpyxl

    top = trees.fresh("bid", monkeypatch)
    book = openpyxl.load_workbook(top / "DatabaseGrades.xlsx")
    for column, value in enumerate(cells, start=1):
        book.active.cell(row, column, value)
    (top / "DatabaseGrades.xlsx").unlink()
    book.save(top / "DatabaseGrades.xlsx")
    with pytest.raises(DataError, match=re.escape(said)):
        load("bid", top)


def test_bids_workbook_of_the_old_format_is_asked_for_in_the_new_one(trees, monkeypatch):
    top = trees.fresh("bid", monkeypatch)
    (top / "DatabaseGrades.xlsx").rename(top / "DatabaseGrades.xls")
    with pytest.raises(DataError, match=r"old format: save it as DatabaseGrades\.xlsx"):
        load("bid", top)


@pytest.mark.parametrize("name", NEWER)
def test_a_label_without_a_picture_and_a_picture_without_a_label_are_named(name, trees, monkeypatch):
    top = trees.fresh(name, monkeypatch)
    victim = load(name, top).paths()[0]
    victim.rename(victim.with_name(f"stray{victim.suffix}"))
    with pytest.raises(DataError, match=rf"^{name}: .*there is no picture .*{re.escape(victim.name)}"):
        load(name, top)
    shutil.copy(victim.with_name(f"stray{victim.suffix}"), victim)
    with pytest.raises(DataError, match=rf"stray{re.escape(victim.suffix)} has no label"):
        load(name, top)


def gather(top, folder):
    """Move every rated picture into one folder of the tree, as another release has it."""
    (top / folder).mkdir(exist_ok=True, parents=True)
    moved = 0
    for picture in sorted(top.rglob("*.*")):
        rated = picture.suffix.lower() in (".jpg", ".png", ".bmp") and "Train_Ref" not in picture.parts
        if rated and picture.parent != top / folder:
            picture.rename(top / folder / picture.name)
            moved += 1
    return moved


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("agiqa3k", "images"),
        ("pipal", "Dist_Imgs"),
        ("bid", "."),
        ("uhdiqa", "images"),
        ("aigciqa2023", "Image/allimg"),
    ],
)
def test_either_layout_gives_the_same_scores_and_splits_and_says_which_it_met(name, folder, trees, monkeypatch):
    top = trees.fresh(name, monkeypatch)
    first = load(name, top)
    assert gather(top, folder)
    second = load(name, top)
    place = "the folder itself" if folder == "." else folder
    assert f"pictures of {place}" in second.notes
    assert first.notes != second.notes

    def sides(dataset):
        split = make_split(dataset, 1)
        return {name.rpartition("/")[2] for name in dataset.table["image"].iloc[split.test]}

    assert sides(first) == sides(second)
    assert sorted(first.table["score"]) == sorted(second.table["score"])


def test_a_picture_that_lies_in_two_folders_is_named(trees, monkeypatch):
    top = trees.fresh("pipal", monkeypatch)
    (top / "Dist_Imgs").mkdir()
    os.link(top / "Distortion_1/A0001_00_00.bmp", top / "Dist_Imgs/A0001_00_00.bmp")
    with pytest.raises(DataError, match="A0001_00_00.bmp lies in .* twice: Dist_Imgs/A0001_00_00.bmp and Distortion_1"):
        load("pipal", top)


def test_aigciqas_scores_are_read_from_matlabs_file_too(trees, monkeypatch):
    from scipy.io import savemat

    top = trees.fresh("aigciqa2023", monkeypatch)
    plain = load("aigciqa2023", top)
    values = np.loadtxt(top / "moz1.txt")
    (top / "DATA" / "MOS").mkdir(parents=True)
    savemat(top / "DATA" / "MOS" / "mosz1.mat", {"MOSz": values[:, None]})
    (top / "moz1.txt").unlink()
    again = load("aigciqa2023", top)
    assert np.array_equal(plain.table["score"], again.table["score"])
    assert (plain.notes[0], again.notes[0]) == ("scores of moz1.txt", "scores of mosz1.mat")


def test_one_prompts_pictures_stay_on_one_side():
    """The four takes of a prompt, and those of the other five models, are one content."""
    from tests.data.test_loaders import listed

    dataset = listed("aigciqa2023")
    groups = dataset.table.set_index("image")["group"]
    assert groups["allimg/0.png"] == groups["allimg/3.png"] == groups["allimg/2003.png"] == "000"
    assert groups["allimg/4.png"] == "001"
    assert set(groups.groupby(groups).size()) == {24}


def test_uhd_iqas_official_parts_are_its_authors():
    from tests.fixtures_data import real_rows

    parts = [path.split("/")[0] for path, _, _ in real_rows("uhdiqa")]
    assert [parts.count(part) for part in ("training", "validation", "test")] == [4269, 904, 900]


def test_uhd_iqas_official_split_is_its_own(trees, monkeypatch):
    dataset = load("uhdiqa", trees.fresh("uhdiqa", monkeypatch))
    split = make_split(dataset, 0, split_rule="official")
    for rows, folder in ((split.train, "training"), (split.validation, "validation"), (split.test, "test")):
        assert len(rows)
        assert dataset.table["image"].iloc[rows].str.startswith(f"{folder}/").all()


FOLDERS_OF_THE_MIRROR = {
    "live": "LIVEIQA_release2",
    "csiq": "CSIQ",
    "tid2013": "tid2013",
    "kadid10k": "kadid10k",
    "livec": "LIVEC",
    "koniq10k": "koniq10k",
    "spaq": "SPAQ",
    "flive": "FLIVE_Database",
    "agiqa3k": "AGIQA-3K",
    "pipal": "PIPAL",
    "bid": "BID",
}


@pytest.mark.parametrize(("name", "folder"), FOLDERS_OF_THE_MIRROR.items())
def test_the_mirrors_folder_names_are_found_below_the_root(name, folder, trees, monkeypatch):
    top = trees.fresh(name, monkeypatch)
    if top.name != folder:
        top.rename(top.parent / folder)
    assert len(load_dataset(name, {"root": str(top.parent)}, top.parent / "cache")) == DATASETS.load(name).images


def test_flives_labels_may_lie_among_its_pictures_as_in_the_mirror(trees, monkeypatch):
    top = trees.fresh("flive", monkeypatch, official=True)
    for name in ("labels_image.csv", "labels640.csv"):
        (top / name).rename(top / "database" / name)
    assert (load("flive", top).table["official"] == "test").all()


def test_csiqs_pictures_may_lie_in_one_folder_as_in_the_mirror(trees, monkeypatch):
    top = trees.fresh("csiq", monkeypatch)
    for picture in sorted((top / "dst_imgs").rglob("*.png")):
        picture.rename(top / "dst_imgs" / picture.name)
    assert load("csiq", top).table["image"].str.count("/").eq(1).all()


def test_every_registered_set_has_a_tree():
    assert set(DATASETS.names()) - made_sets() - {"folder"} == set(BUILDERS)
