"""A csv of somebody else's scores, matched to a set's pictures: what fits, and what is named and refused."""

import numpy as np
import pandas as pd
import pytest

from bench.core.errors import DataError
from bench.data.dataset import Dataset
from bench.data.foreign.files import read_splits
from bench.data.labels.scores import read_scores

IMAGES = ["a/1.png", "a/2.png", "b/1.png", "b/3.png"]


@pytest.fixture
def dataset(tmp_path):
    table = pd.DataFrame({"image": IMAGES, "score": [1.0, 2, 3, 4], "group": IMAGES})
    return Dataset("holiday", tmp_path, table, grouped=False)


def read(dataset, tmp_path, *rows, header="image,score", **columns):
    path = tmp_path / "theirs.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return read_scores(dataset, path, **columns)


def test_scores_come_in_the_order_of_the_set_whatever_the_order_of_the_csv(dataset, tmp_path):
    found = read(dataset, tmp_path, "b/3.png,4", "a/1.png,1", "b/1.png,3", "a/2.png,2")
    assert found.values.tolist() == [1, 2, 3, 4]
    assert found.unknown == ()


@pytest.mark.parametrize("name", ["a/2.png", "2.png", "/home/me/holiday/a/2.png", "A\\2.PNG", "./a/2.png"])
def test_a_picture_may_be_named_by_the_end_of_its_path_or_by_a_longer_one(dataset, tmp_path, name):
    assert read(dataset, tmp_path, f"{name},7", "b/3.png,1").values[1] == 7


def test_a_picture_without_a_score_is_missing_and_a_name_of_no_picture_is_unknown(dataset, tmp_path):
    found = read(dataset, tmp_path, "a/1.png,1", "b/1.png,3", "reference.png,5")
    assert found.unknown == ("reference.png",)
    assert found.missing(np.arange(4)).tolist() == [1, 3]


def test_a_picture_of_another_folder_is_unknown_though_its_file_is_called_the_same(dataset, tmp_path):
    found = read(dataset, tmp_path, "a/2.png,2", "c/2.png,7", "b/3.png,1", "other/a/3.png,8")
    assert found.values[[1, 3]].tolist() == [2, 1]
    assert found.unknown == ("c/2.png", "other/a/3.png")


def test_scores_of_another_sets_pictures_are_no_scores_of_this_one(dataset, tmp_path):
    with pytest.raises(DataError, match=r"none of its 2 names \(c/2.png, c/3.png\) is a picture of holiday"):
        read(dataset, tmp_path, "c/2.png,1", "c/3.png,2")


def test_where_one_path_is_the_end_of_another_each_name_means_the_picture_it_agrees_with_furthest(tmp_path):
    table = pd.DataFrame({"image": ["1.png", "a/1.png", "b/a/1.png"], "score": [1.0, 2, 3]})
    dataset = Dataset("nested", tmp_path, table, grouped=False)
    assert read(dataset, tmp_path, "1.png,1", "a/1.png,2", "b/a/1.png,3").values.tolist() == [1, 2, 3]
    assert read(dataset, tmp_path, "x/1.png,1", "x/a/1.png,2", "x/b/a/1.png,3").values.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["a/1.png,1", "a/2.png,2", "a/1.png,3"], r"1 picture scored twice: a/1.png \(rows 2 and 4\)"),
        (["1.png,1", "a/2.png,2"], r"row 2: '1.png' fits 2 pictures \(a/1.png, b/1.png\)"),
        (["x.png,1", "y.png,2"], r"none of its 2 names \(x.png, y.png\) is a picture of holiday"),
        (["a/1.png,2", "a/2.png,2"], "all 2 scores are 2: a constant ranks nothing"),
        (["a/1.png,nan", "a/2.png,2"], "row 2: score is 'nan', not a finite number"),
        (["a/1.png,1", "a/2.png,inf"], "row 3: score is 'inf', not a finite number"),
        (["a/1.png,1", "a/2.png,good"], "row 3: score is 'good', not a number"),
        (["a/1.png,1", "a/2.png,"], "row 3: score is '', not a number"),
    ],
)
def test_what_is_doubled_ambiguous_foreign_constant_or_no_number_is_named(dataset, tmp_path, rows, said):
    with pytest.raises(DataError, match=said):
        read(dataset, tmp_path, *rows)


def test_a_column_that_is_not_there_is_named_with_those_that_are_and_others_can_be_given(dataset, tmp_path):
    header, rows = "file,quality", ["a/1.png,1", "a/2.png,2"]
    with pytest.raises(DataError, match="no column 'image'; it has file, quality. --image-column names one"):
        read(dataset, tmp_path, *rows, header=header)
    assert read(dataset, tmp_path, *rows, header=header, image="file", score="quality").values[0] == 1


def test_pictures_whose_names_differ_in_case_alone_are_told_apart_by_their_spelling(tmp_path):
    images = ["IMG_1.JPG", "IMG_1.jpg", "sub/B.png", "sub/b.png"]
    table = pd.DataFrame({"image": images, "score": [1.0, 2, 3, 4], "group": images})
    twins = Dataset("holiday", tmp_path, table, grouped=False)
    found = read(twins, tmp_path, "IMG_1.jpg,2", "x/IMG_1.JPG,1", "B.png,3", "sub/b.png,4")
    assert found.values.tolist() == [1, 2, 3, 4]
    with pytest.raises(DataError, match="fits 2 pictures"):
        read(twins, tmp_path, "img_1.Jpg,2")


def test_two_files_for_one_part_of_a_split_are_refused_and_named(tmp_path):
    for name in ("mine_train.txt", "mine_train_old.txt", "mine_test.txt"):
        (tmp_path / name).write_text("a/1.png\n")
    with pytest.raises(DataError, match=r"mine_train\.txt and mine_train_old\.txt are both a train part; leave one"):
        read_splits("holiday", tmp_path)
