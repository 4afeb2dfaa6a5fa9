"""Each loader reads its set's original layout to the last row, turned so that higher is better."""

import math

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from bench.core.errors import DataError, UsageError
from bench.core.registry import DATASETS
from bench.data.dataset import COLUMNS, PLACE, Dataset
from bench.data.labels.columns import Sheet
from bench.data.pixels.decode import decode
from bench.data.sets import koniq10k
from bench.data.splits import make_split
from tests.data.trees import load
from tests.fixtures_data import BUILDERS, build, overwrite, real_rows

GROUPED = ("live", "csiq", "tid2013", "kadid10k", "agiqa3k", "pipal", "aigciqa2023")


def row_of(dataset, image):
    return dataset.table.set_index("image").loc[image]


@pytest.mark.parametrize("name", BUILDERS)
def test_every_set_is_one_table_sorted_by_image(name, trees, monkeypatch):
    dataset = load(name, trees.fresh(name, monkeypatch))
    assert list(dataset.table.columns) == [*COLUMNS, PLACE]
    assert dataset.table["image"].is_monotonic_increasing
    assert dataset.table["image"].is_unique
    assert len(dataset) == DATASETS.load(name).images
    assert all(path.is_file() for path in dataset.paths())
    assert dataset.grouped == (name in GROUPED)
    assert dataset.table["group"].nunique() == (DATASETS.load(name).groups or len(dataset))


@pytest.mark.parametrize("name", BUILDERS)
def test_higher_is_better_and_the_original_score_is_kept(name, trees, monkeypatch):
    source = DATASETS.load(name)
    table = load(name, trees.fresh(name, monkeypatch)).table
    sign = 1 if source.higher_is_better else -1
    assert np.corrcoef(table["score"], table["original"])[0, 1] == pytest.approx(sign)
    low, high = source.score_range
    assert table["score"].between(low - 0.01, high + 0.01).all()
    if name != "koniq10k":  # the list has KonIQ's other scale
        assert sorted(table["original"]) == pytest.approx(
            sorted(score for _, score, _ in real_rows(name)[: len(table)])
        )


@pytest.mark.parametrize(
    ("name", "image", "original", "score", "group", "distortion", "level"),
    [
        ("live", "jp2k/img2.bmp", 15.512954, 93.622046, "studentsculpture.bmp", "jp2k", 0),
        ("csiq", "dst_imgs/awgn/1600.AWGN.1.png", 0.061989, 0.938011, "1600", "awgn", 1),
        ("csiq", "dst_imgs/contrast/woman.contrast.4.png", 0.46856, 0.53144, "woman", "contrast", 4),
        ("tid2013", "distorted_images/I01_01_1.bmp", 5.5143, 5.5143, "i01", "additive_noise", 1),
        ("kadid10k", "images/I01_01_02.png", 4.33, 4.33, "I01", "gaussian_blur", 2),
        ("livec", "Images/101.bmp", 66.3595, 66.3595, "101.bmp", "", 0),
        ("spaq", "TestImage/00002.jpg", 62.5, 62.5, "00002.jpg", "", 0),
        ("flive", "database/blur_dataset/motion0044.jpg", 75.443724, 75.443724, "blur_dataset/motion0044.jpg", "", 0),
        ("pipal", "Distortion_1/A0001_00_00.bmp", 1520.0648, 1520.0648, "A0001", "type_00", 0),
        ("uhdiqa", "training/1.jpg", 0.76, 0.76, "1.jpg", "", 0),
    ],
)
def test_a_known_picture_has_its_known_row(name, image, original, score, group, distortion, level, trees, monkeypatch):
    row = row_of(load(name, trees.fresh(name, monkeypatch)), image)
    assert row["original"] == pytest.approx(original)
    assert row["score"] == pytest.approx(score, abs=1e-5)
    assert (row["group"], row["distortion"], row["level"]) == (group, distortion, level)


@pytest.mark.parametrize("name", ["live", "csiq", "tid2013", "kadid10k", "livec"])
def test_standard_deviations_are_read_where_there_are_some(name, trees, monkeypatch):
    assert load(name, trees.fresh(name, monkeypatch)).table["std"].between(0.05, 12).all()


def test_names_are_found_whatever_their_case_and_below_the_archives_top_folder(trees, monkeypatch):
    top = trees.fresh("koniq10k", monkeypatch)
    plain = load("koniq10k", top).table
    (top / "koniq10k_distributions_sets.csv").rename(top / "KonIQ10k_Distributions_Sets.CSV")
    for picture in (top / "1024x768").iterdir():
        picture.rename(picture.with_suffix(".JPG"))
    (top / "1024x768").rename(top / "1024X768")
    shouted = load("koniq10k", top.parent).table
    assert shouted["group"].tolist() == plain["group"].tolist()
    assert shouted["image"].str.startswith("1024X768/").all()


def test_live_says_what_to_fetch_when_only_the_old_scores_are_there(trees, monkeypatch):
    top = trees.fresh("live", monkeypatch, realigned=False)
    with pytest.raises(DataError, match=r"Only the old dmos.mat is here.*Get the realigned"):
        load("live", top)
    dataset = load("live", top, scores="old")
    assert len(dataset) == 779
    assert "not the realigned" in dataset.notes[0]


def test_live_finds_the_realigned_scores_beside_the_archives_folder(trees, monkeypatch):
    top = trees.fresh("live", monkeypatch)
    (top / "dmos_realigned.mat").rename(top.parent / "dmos_realigned.mat")
    assert len(load("live", top.parent)) == 779


def test_live_tells_pristine_copies_by_orgs_and_never_by_a_score_of_zero(trees, monkeypatch):
    from scipy.io import loadmat, savemat

    top = trees.fresh("live", monkeypatch)
    mat = {key: value for key, value in loadmat(top / "dmos_realigned.mat").items() if not key.startswith("_")}
    rated = np.flatnonzero(mat["orgs"][0] == 0)[0]
    mat["dmos_new"][0, rated] = 0.0
    (top / "dmos_realigned.mat").unlink()
    savemat(top / "dmos_realigned.mat", mat)
    dataset = load("live", top)
    assert len(dataset) == 779
    assert (dataset.table["original"] == 0).sum() == 1


def test_livec_drops_the_practice_images_wherever_they_lie(trees, monkeypatch):
    top = trees.fresh("livec", monkeypatch)
    for picture in (top / "Images" / "trainingImages").iterdir():
        picture.rename(top / "Images" / picture.name)
    dataset = load("livec", top)
    assert not dataset.table["image"].str.contains("/t").any()
    assert dataset.notes == ("7 practice images dropped",)


def test_both_koniq_csvs_give_the_same_scores_and_splits(trees, monkeypatch):
    sets = load("koniq10k", trees.fresh("koniq10k", monkeypatch, csvs=("sets",)))
    scores = load("koniq10k", trees.fresh("koniq10k", monkeypatch, csvs=("scores",)))
    assert np.allclose(sets.table["score"], scores.table["score"], atol=1e-3)
    assert np.array_equal(make_split(sets, 3).test, make_split(scores, 3).test)
    assert set(sets.table["official"]) == {"train"}  # the first sixty are all of the training part
    assert "no official split" in scores.notes[1]


def test_without_the_file_of_the_official_split_the_error_names_that_file(trees, monkeypatch):
    koniq = load("koniq10k", trees.fresh("koniq10k", monkeypatch, csvs=("scores",)))
    with pytest.raises(
        DataError, match=r"koniq10k has no official split: koniq10k_distributions_sets\.csv is not there"
    ):
        make_split(koniq, 0, split_rule="official")
    flive = load("flive", trees.fresh("flive", monkeypatch))
    with pytest.raises(DataError, match=r"flive has no official split: labels640\.csv is not there"):
        make_split(flive, 0, split_rule="official")


def test_koniqs_larger_pictures_are_taken_unless_the_smaller_are_asked_for(trees, monkeypatch):
    top = trees.fresh("koniq10k", monkeypatch, sizes=("1024x768", "512x384"))
    large, small = load("koniq10k", top), load("koniq10k", top, size="512x384")
    assert large.table["image"].str.startswith("1024x768/").all()
    assert small.table["image"].str.startswith("512x384/").all()
    assert np.array_equal(make_split(large, 0).train, make_split(small, 0).train)
    with pytest.raises(UsageError, match="size"):
        load("koniq10k", top, size="640x480")


def test_a_koniq_csv_of_the_other_scale_is_refused(trees, monkeypatch):
    top = trees.fresh("koniq10k", monkeypatch, csvs=("sets",))
    lines = (top / "koniq10k_distributions_sets.csv").read_text().splitlines()
    cells = [line.split(",") for line in lines[1:]]
    small = [",".join([*row[:7], f"{1 + float(row[7]) / 25:.3f}", *row[8:]]) for row in cells]
    overwrite(top / "koniq10k_distributions_sets.csv", "\n".join([lines[0], *small]))
    with pytest.raises(DataError, match="1-to-5 scale of the other csv"):
        load("koniq10k", top)


def test_spaq_photographs_are_turned_upright(trees, monkeypatch):
    top = trees.fresh("spaq", monkeypatch)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = top / "TestImage" / "00001.jpg"
    picture.unlink()
    Image.new("RGB", (40, 20)).save(picture, exif=exif)
    path = load("spaq", top).paths()[0]
    assert path == picture
    assert decode(path, "spaq").shape == (40, 20, 3)


def test_flive_marks_its_official_test_set_where_the_file_is_there(tmp_path):
    build("flive", tmp_path, 2000, official=True)
    dataset = load("flive", tmp_path, partial=True)
    assert (dataset.table["official"] == "test").sum() == 1827
    split = make_split(dataset, 0, split_rule="official")
    assert (len(split.train), len(split.test)) == (173, 1827)
    assert any("the authors' validation part is trained on" in note for note in dataset.notes)


@pytest.mark.parametrize("file", ["labels=640_padded.csv", "database/labels<=640_padded.csv"])
def test_what_flives_authors_validate_on_is_not_trained_on_where_their_list_is_there(tmp_path, file):
    build("flive", tmp_path, 2000, official=True)
    names = load("flive", tmp_path, partial=True).table["image"].str.removeprefix("database/")
    lines = [f"{name},{i % 5 == 0}" for i, name in enumerate(names)]
    top = tmp_path / "FLIVE" if (tmp_path / "FLIVE").is_dir() else tmp_path
    (top / file).write_text("\n".join(["name_image,is_valid", *lines]) + "\n")
    dataset = load("flive", tmp_path, partial=True)
    parts = dataset.table["official"].value_counts().to_dict()
    assert parts["test"] == 1827
    assert parts["val"] == sum(
        names[i] not in set(names[dataset.table["official"] == "test"]) for i in range(0, 2000, 5)
    )
    split = make_split(dataset, 0, split_rule="official")
    assert len(split.train) == parts["train"]
    assert not [note for note in dataset.notes if "trained on" in note]


def test_csiq_takes_the_label_file_of_research_code_where_the_workbook_is_missing(trees, monkeypatch):
    top = trees.fresh("csiq", monkeypatch)
    table = load("csiq", top).table
    (top / "csiq.DMOS.xlsx").unlink()
    (top / "dst_imgs_all").mkdir()
    for image in table["image"]:
        (top / image).rename(top / "dst_imgs_all" / image.rsplit("/", 1)[1])
    lines = [
        f"{image.rsplit('/', 1)[1]} {value}" for image, value in zip(table["image"], table["original"], strict=True)
    ]
    (top / "csiq_label.txt").write_text("\n".join(lines))
    again = load("csiq", top)
    assert sorted(again.table["score"]) == pytest.approx(sorted(table["score"]))
    assert set(again.table["group"]) == set(table["group"])
    assert "csiq_label.txt" in again.notes[0]


def test_kadids_var_is_a_standard_deviation_and_no_root_is_taken(trees, monkeypatch):
    top = trees.fresh("kadid10k", monkeypatch)
    written = pd.read_csv(top / "dmos.csv").set_index("dist_img").loc["I01_01_01.png", "var"]
    assert row_of(load("kadid10k", top), "images/I01_01_01.png")["std"] == written


SPLITS = {
    "live": (23, 620, 159, "4f3576fa42ad7c5d1ba2"),
    "csiq": (24, 693, 173, "0b342a72fcbaff9eaf32"),
    "tid2013": (20, 2400, 600, "c0592f485798714b922a"),
    "kadid10k": (65, 8125, 2000, "54d56cff1e4f9f4cca0d"),
    "livec": (930, 930, 232, "fc9d3d4cde2fff67a41b"),
    "koniq10k": (8058, 8058, 2015, "6e8c300189e304bdf20c"),
    "spaq": (8900, 8900, 2225, "4dec66cec3794970e386"),
    "flive": (31848, 31848, 7962, "618298222846b42b78b9"),
    "agiqa3k": (240, 2389, 593, "2e803192c6a7a6cc9d18"),
    "pipal": (160, 18560, 4640, "502d831460e53b5f1f82"),
    "bid": (469, 469, 117, "71bef04e2bf371d44fed"),
    "uhdiqa": (4858, 4858, 1215, "e857fb02ec8818af5c40"),
    "aigciqa2023": (80, 1920, 480, "4ca8746d1d0fb338992f"),
}
"""Of split 0: contents and images trained on, images tested on, and the hash of which image is where."""

PLACED = {
    "live": "{path}",
    "kadid10k": "{path}",
    "livec": "{path}",
    "koniq10k": "{path}",
    "spaq": "TestImage/{file}",
    "flive": "{path}",
    **dict.fromkeys(("agiqa3k", "pipal", "bid", "uhdiqa", "aigciqa2023"), "{path}"),
}


def listed(name):
    """A set's names and contents from the published list alone, as the loader gives them."""
    rows = real_rows(name)
    images = [PLACED[name].format(path=path, file=path.rsplit("/", 1)[-1]) for path, _, _ in rows]
    content = {"live": "{ref}.bmp", "flive": "{below}"}.get(name, "{ref}" if name in GROUPED else "{file}")
    groups = [
        content.format(ref=ref, below=path.removeprefix("database/"), file=path.rsplit("/", 1)[-1])
        for path, _, ref in rows
    ]
    table = pd.DataFrame({"image": images, "group": groups}).sort_values("image", ignore_index=True)
    return Dataset(name, None, table, grouped=name in GROUPED)


def pinned(dataset):
    split = make_split(dataset, 0)
    assert not set(split.train) & set(split.test)
    groups = dataset.table["group"]
    assert not set(groups.iloc[split.train]) & set(groups.iloc[split.test])
    names = dataset.table["image"].tolist()
    return (groups.iloc[split.train].nunique(), len(split.train), len(split.test), split.hash(names))


@pytest.mark.parametrize("name", PLACED)
def test_the_split_of_every_set_is_pinned(name):
    assert pinned(listed(name)) == SPLITS[name]


@pytest.mark.parametrize("name", ["live", "csiq", "tid2013", "livec", "agiqa3k", "bid", "aigciqa2023"])
def test_the_whole_tree_of_a_small_set_gives_the_pinned_split(name, tmp_path):
    assert pinned(load(name, build(name, tmp_path))) == SPLITS[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kadid10k", "koniq10k", "spaq", "flive", "pipal", "uhdiqa"])
def test_the_whole_tree_of_a_large_set_gives_the_pinned_split(name, tmp_path):
    dataset = load(name, build(name, tmp_path))
    assert pinned(dataset) == SPLITS[name]
    assert math.isfinite(dataset.table["score"].sum())


def test_the_ten_splits_differ(trees, monkeypatch):
    dataset = load("csiq", trees.fresh("csiq", monkeypatch))
    names = dataset.table["image"].tolist()
    assert len({make_split(dataset, number).hash(names) for number in range(10)}) == 10


@pytest.mark.parametrize("name", ["live", "csiq", "tid2013", "kadid10k", "pipal"])
def test_a_set_of_distorted_pictures_knows_the_undistorted_ones_that_are_there(name, trees, monkeypatch):
    dataset = load(name, trees.fresh(name, monkeypatch))
    assert "originals" in DATASETS.load(name).tells
    known = {group: images for group, images in dataset.originals.items() if images}
    assert set(known) <= set(dataset.table["group"])
    originals = dataset.of_originals()
    assert all(path.is_file() for path in originals.paths())
    assert not set(originals.table["image"]) & set(dataset.table["image"])
    if name in ("kadid10k", "tid2013", "csiq", "live"):
        assert known


def test_koniqs_deviations_are_brought_from_1_to_5_to_the_scores_scale(tmp_path):
    counts = {"c1": ["0", "0"], "c2": ["10", "0"], "c3": ["0", "0"], "c4": ["0", "10"], "c5": ["0", "0"]}
    sheet = Sheet("koniq10k", tmp_path / "a.csv", {**counts, "SD": ["1.0", "0.5"]}, [2, 3])
    assert koniq10k._stds_on_0_to_100(sheet, [30.0, 80.0]) == pytest.approx([25.0, 12.5])
    without = Sheet("koniq10k", tmp_path / "a.csv", {"SD": ["1.0", "0.5"]}, [2, 3])
    assert all(math.isnan(value) for value in koniq10k._stds_on_0_to_100(without, [30.0, 80.0]))
