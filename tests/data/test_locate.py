"""Sets are found from bench.toml, people's own folders too, and subsets keep the splits of the whole."""

import re

import numpy as np
import pandas as pd
import pytest

from bench.core.errors import DataError, UsageError
from bench.data.dataset import Dataset
from bench.data.locate import (
    dataset_names,
    place_of,
    refuse_unknown_settings,
    section_for,
    subset,
    take_titles,
)
from bench.data.splits import make_split
from tests.data.own_folders import load, mine, own_folder
from tests.fixtures_data import BUILDERS, picture


def test_all_eight_sets_are_known_by_name():
    assert set(BUILDERS) <= set(dataset_names({}))
    assert "folder" not in dataset_names({})


@pytest.mark.parametrize(("typed", "meant"), [("koniq", "koniq10k"), ("tid2031", "tid2013"), ("kadid", "kadid10k")])
def test_a_misspelt_set_gets_a_suggestion(typed, meant):
    with pytest.raises(UsageError, match=f"Did you mean.*{meant}"):
        load({}, typed)


def test_a_misspelt_own_set_gets_a_suggestion(tmp_path):
    with pytest.raises(UsageError, match="Did you mean mine"):
        load(mine(tmp_path), "mini")


def test_usual_folder_names_are_found_below_the_root_whatever_their_case(tmp_path):
    for folder in ("KONIQ-10K", "databaserelease2", "Spaq"):
        (tmp_path / folder).mkdir()
    config = {"root": str(tmp_path)}
    assert place_of("koniq10k", config, tmp_path).path == tmp_path / "KONIQ-10K"
    assert place_of("live", config, tmp_path).path == tmp_path / "databaserelease2"
    assert place_of("spaq", config, tmp_path).path == tmp_path / "Spaq"
    own = {**config, "spaq": {"path": "/elsewhere"}}
    assert str(place_of("spaq", own, tmp_path).path) == "/elsewhere"


def test_a_set_that_is_configured_nowhere_says_what_to_write():
    with pytest.raises(DataError, match=r"\[data\] root or \[data.csiq\] path"):
        load({}, "csiq")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"root": 5}, "root must be a folder's path"),
        ({"root": "/no/such/root"}, "cannot be read"),
        ({"live": "/data/live"}, r"written \[data.live\]"),
        ({"live": {"pth": "/data"}}, "Did you mean path"),
        ({"live": {"scores": "new", "path": "."}}, '"realigned" or "old"'),
        ({"live": {"loader": "foldr"}}, r"\[data.live\] loader: Unknown dataset 'foldr'. Did you mean folder"),
        ({"live": {"title": "Mine"}}, "no setting 'title'"),
        ({"live": {"loader": 3}}, "loader must be a name"),
    ],
)
def test_a_wrong_configuration_is_an_error_in_its_own_words(config, said, tmp_path):
    for folder in ("jp2k", "jpeg", "wn", "gblur", "fastfading"):
        (tmp_path / folder).mkdir()
    if isinstance(config.get("live"), dict) and config["live"].get("path") == ".":
        config["live"]["path"] = str(tmp_path)
    with pytest.raises(UsageError, match=said):
        load(config, "live")


@pytest.mark.parametrize("name", ["../x", "a/b", "a b", "1st", ""])
def test_a_name_that_cannot_be_part_of_a_file_name_is_refused(name, tmp_path):
    config = {name: {"loader": "folder", "path": str(tmp_path)}}
    with pytest.raises(UsageError, match="name is made of letters"):
        load(config, name)


def test_an_own_set_without_a_loader_is_told_of_folder(tmp_path):
    with pytest.raises(UsageError, match='loader = "folder"'):
        load({"mine": {"path": str(tmp_path)}})


def test_an_own_folder_is_a_set(tmp_path):
    dataset = load(mine(own_folder(tmp_path)))
    assert dataset.name == "mine"
    assert dataset.table["image"].tolist() == ["a.png", "c.png", "sub/b.png"]
    assert dataset.table["score"].tolist() == [1, 3, 2]
    assert not dataset.grouped


def test_own_columns_contents_and_direction_are_respected(tmp_path):
    rows = "Datei;Note;Motiv;sd\na.png;1;x;.1\nsub/b.png;2,\nc.png;3;y;.3\n".replace("2,", "2;x;.2")
    path = own_folder(tmp_path, "noten.csv", rows)
    settings = {"csv": "noten.csv", "image": "datei", "score": "Note", "group": "Motiv", "std": "sd"}
    dataset = load(mine(path, higher_is_better=False, **settings))
    assert dataset.grouped
    assert dataset.table["group"].tolist() == ["x", "y", "x"]
    assert dataset.table["score"].tolist() == [3, 1, 2]
    assert dataset.table["original"].tolist() == [1, 3, 2]
    assert dataset.table["std"].tolist() == [0.1, 0.3, 0.2]


def test_pictures_of_an_own_set_may_lie_in_a_folder_of_their_own(tmp_path):
    path = own_folder(tmp_path, rows="image,score\nb.png,2\n")
    assert load(mine(path, images="sub/")).table["image"].tolist() == ["sub/b.png"]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("image,score\na.png,1\na.png,2\n", "a.png has two labels: labels.csv, row 2 and labels.csv, row 3"),
        ("image,score\na.png,1\nA.PNG,2\n", "two labels"),
        ("image,score\nz.png,1\n", "row 2: there is no picture"),
        ("image,score\n../labels.csv,1\n", "row 2: '../labels.csv' is not a picture's name"),
        ("image,score\n/etc/passwd,1\n", "row 2: '/etc/passwd' is not a picture's name"),
        ("image,score\nC:/a.png,1\n", "row 2: 'C:/a.png' is not a picture's name"),
        ("image,score\nc:a.png,1\n", "row 2: 'c:a.png' is not a picture's name"),
        ("image,score\na.png,1\n.,2\n", "row 3: '.' is not a picture's name"),
        ("image,score\na.png,1\n./.,2\n", "row 3: './.' is not a picture's name"),
        ("image,score\na.png,1\n,2\n", "row 3: 'image' is empty"),
        ("image,score\n" + "a.png,\n" * 9, "9 rows are wrong: row 2: score is '', not a number; row 3: score is"),
        ("image,score\n" + "a.png,\n" * 9, "; and 6 more."),
        ("image,score\na.png,1\nc.png\nsub/b.png\n", "2 rows are wrong: row 3: 1 cell where 2 are expected; row 4"),
        (
            "image,score\n" + "a.png,1\n" * 3,
            "a.png has two labels: labels.csv, row 2 and labels.csv, row 3 (and 1 more",
        ),
        ("image,score\n/pics/a.png,1\n/pics/b.png,1\n", '. If the pictures lie there, set images = "/pics".'),
        ("image,score\na.png,1,5\n", "row 2: 3 cells where 2 are expected (a decimal comma? write a point"),
        ("image;score\na.png;1,5\n", "row 2: score is '1,5', not a number; write a point, not a comma"),
        ("image,score\n", "labels.csv has no rows of labels."),
        ("", "labels.csv is empty."),
        ("image,points\na.png,1\n", "no column 'score'; its columns are: image, points"),
    ],
)
def test_an_own_folder_is_checked_as_strictly_as_the_eight(tmp_path, rows, said):
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        load(mine(own_folder(tmp_path, rows=rows)))
    assert "archive" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_text_that_is_no_utf8_comes_with_the_remedy(tmp_path, encoding):
    path = own_folder(tmp_path)
    (path / "labels.csv").write_bytes("image,score\nä.png,1\n".encode(encoding))
    with pytest.raises(DataError, match=r"UTF-8 text; save the file as UTF-8\."):
        load(mine(path))


def test_labels_and_pictures_of_an_own_set_may_lie_anywhere(tmp_path):
    path = own_folder(tmp_path / "pictures")
    (path / "labels.csv").rename(tmp_path / "scores.csv")
    (tmp_path / "home").mkdir()
    beside = load(mine(path, csv=str(tmp_path / "scores.csv")))
    apart = load(mine(tmp_path / "home", csv=str(tmp_path / "scores.csv"), images=str(path)))
    above = load(mine(path, csv="../scores.csv", images="../pictures"))
    assert beside.table["image"].tolist() == ["a.png", "c.png", "sub/b.png"]
    assert beside.hash() == apart.hash() == above.hash()
    assert all(file.is_file() for file in apart.paths())


def test_a_negative_standard_deviation_is_no_label(tmp_path):
    path = own_folder(tmp_path, rows="image,score,sd\na.png,1,1\nc.png,2,-1\nsub/b.png,3,-2\n")
    with pytest.raises(
        DataError, match="2 rows are wrong: row 3: sd is -1, and a standard deviation is never negative"
    ):
        load(mine(path, std="sd"))


def test_an_empty_standard_deviation_is_an_unknown_one(tmp_path):
    path = own_folder(tmp_path, rows="image,score,sd\na.png,1,.5\nc.png,2,\nsub/b.png,3,.25\n")
    assert load(mine(path, std="sd")).table["std"].fillna(-1).tolist() == [0.5, -1, 0.25]


def test_what_is_no_setting_of_data_is_refused():
    for config, said in (
        ({"rot": "/x"}, r"\[data\] has no setting 'rot'. Did you mean root\?"),
        ({"holiday": "/x"}, r"A set is a section, written \[data.holiday\]"),
    ):
        with pytest.raises(UsageError, match=said):
            refuse_unknown_settings(config)
    refuse_unknown_settings({"root": "/x", "mine": {"path": "/y"}})


def test_an_own_set_goes_by_its_title(tmp_path):
    from bench.report.tables.fill import dataset_title

    config = mine(own_folder(tmp_path), title="My pictures")
    assert len(load(config)) == 3
    take_titles(config)
    assert dataset_title("mine") == "My pictures"
    with pytest.raises(UsageError, match=r"\[data.mine\] title must be a text"):
        take_titles(mine(tmp_path, title=5))
    take_titles({})
    assert dataset_title("mine") == "mine"


@pytest.mark.parametrize(
    ("folder", "name"), [("my set", "my_set"), ("csiq", "my_csiq"), ("2024", "my_2024"), ("é", "set")]
)
def test_the_section_for_a_folder_is_toml(tmp_path, folder, name):
    import tomllib

    written = tomllib.loads(section_for(tmp_path / folder))
    assert written == {"data": {name: {"loader": "folder", "path": str(tmp_path / folder)}}}


def test_an_own_set_that_is_not_there_is_nobody_elses_and_named_as_configured(tmp_path):
    from bench.data.obtain.check import check

    config = mine(tmp_path, csv="noten.csv", image="datei", score="note")
    said = " ".join([*check("mine", config, tmp_path).errors, *check("mine", config, tmp_path).lines()])
    assert "does not hold noten.csv; correct [data.mine] in bench.toml" in said
    assert "FOLDER/noten.csv with the columns datei and note" in said
    for stranger in ("to get it", "you.", "it comes from", "labels.csv"):
        assert stranger not in said
    with pytest.raises(DataError, match=r"there is no folder .*nowhere; correct \[data.mine\] in bench.toml"):
        load(mine(tmp_path / "nowhere"))


def on_a_disk_that_knows_case(path):
    (path / "Case").touch()
    if (path / "case").exists():
        pytest.skip("this disk does not tell upper from lower case")


def test_names_that_differ_only_in_case_are_two_pictures(tmp_path):
    on_a_disk_that_knows_case(tmp_path)
    path = own_folder(tmp_path, rows="image,score\na.png,1\nA.png,2\nsub/b.png,3\nSub/b.png,4\n")
    (path / "A.png").write_bytes(picture(9, ".png"))
    (path / "Sub").mkdir()
    (path / "Sub/b.png").write_bytes(picture(8, ".png"))
    table = load(mine(path)).table
    assert dict(zip(table["image"], table["score"], strict=True)) == {
        "a.png": 1, "A.png": 2, "sub/b.png": 3, "Sub/b.png": 4,
    }  # fmt: skip


def test_a_name_that_may_mean_either_of_two_files_is_refused(tmp_path):
    on_a_disk_that_knows_case(tmp_path)
    path = own_folder(tmp_path, rows="image,score\na.PNG,1\nsub/b.png,2\nc.png,3\n")
    (path / "A.png").write_bytes(picture(9, ".png"))
    with pytest.raises(DataError, match=r"'a.PNG' may be A.png or a.png in .*: name it as it is spelled"):
        load(mine(path))


def test_a_name_in_another_case_is_found_where_only_one_fits(tmp_path):
    path = own_folder(tmp_path, rows="image,score\nA.PNG,1\nSUB/b.png,2\nc.png,3\n")
    assert load(mine(path)).table["image"].tolist() == ["a.png", "c.png", "sub/b.png"]


def test_a_name_may_begin_with_the_folder_itself(tmp_path):
    path = own_folder(tmp_path, rows="image,score\n./a.png,1\n.\\sub\\.\\b.png,2\nc.png,3\n")
    dataset = load(mine(path, csv="./labels.csv", images="./"))
    assert dataset.table["image"].tolist() == ["a.png", "c.png", "sub/b.png"]
    assert dataset.table["group"].tolist() == ["a.png", "c.png", "sub/b.png"]


def test_settings_of_a_wrong_type_are_refused(tmp_path):
    for settings in ({"higher_is_better": "no"}, {"score": 3}, {"group": ["a"]}):
        with pytest.raises(UsageError, match="must be"):
            load(mine(own_folder(tmp_path / str(settings)), **settings))


def test_a_synthesized_folder_needs_no_settings(tmp_path):
    from bench.data.synthesis.synthesize import Recipe, synthesize

    photos = [(f"p{i}", np.random.default_rng(i).integers(0, 256, (40, 40, 3), dtype=np.uint8)) for i in range(3)]
    synthesize(photos, tmp_path / "made", Recipe(kinds=(1, 10), levels=(1, 5), size=(32, 32), per_crop=None))
    dataset = load(mine(tmp_path / "made"))
    assert (len(dataset), dataset.table["group"].nunique(), dataset.grouped) == (12, 3, True)


def test_a_synthesized_folder_notes_that_its_labels_are_no_opinions_until_somebody_rates_it(tmp_path):
    from bench.data.synthesis.human_cells import NO_OPINIONS
    from bench.data.synthesis.synthesize import Recipe, synthesize

    photos = [(f"p{i}", np.random.default_rng(i).integers(0, 256, (40, 40, 3), dtype=np.uint8)) for i in range(3)]
    synthesize(photos, tmp_path / "made", Recipe(kinds=(1, 10), levels=(1, 5), size=(32, 32), per_crop=None))
    assert load(mine(tmp_path / "made")).notes == (NO_OPINIONS,)
    labels = tmp_path / "made" / "dmos.csv"
    head, first, *others = labels.read_text().splitlines()
    name, reference, _, *rest = first.split(",")
    labels.write_text("\n".join([head, ",".join([name, reference, "1.5", *rest]), *others]) + "\n")
    assert load(mine(tmp_path / "made")).notes == ()


def table(groups, each):
    rows = [(f"g{g:03}_{i}.png", f"g{g:03}") for g in range(groups) for i in range(each)]
    frame = pd.DataFrame(rows, columns=["image", "group"])
    frame["score"] = np.arange(len(frame), dtype=float)
    return Dataset("x", None, frame, grouped=True)


def test_regrouped_pictures_are_another_set():
    whole, other = table(6, 4), table(6, 4)
    other.table.loc[0, "group"] = "g001"
    assert whole.hash() == table(6, 4).hash() != other.hash()


def test_a_limit_keeps_contents_and_their_sides_of_every_split():
    whole = table(25, 8)
    part = subset(whole, 60)
    assert (len(part), part.table["group"].nunique()) == (60, 25)
    assert (part.name, part.hash() != whole.hash()) == ("x-60", True)
    for number in range(3):
        test = set(whole.table["group"].iloc[make_split(whole, number).test])
        assert set(part.table["group"].iloc[make_split(part, number).test]) == test


def test_a_limit_below_the_number_of_contents_still_leaves_three():
    assert subset(table(25, 8), 3).table["group"].nunique() == 3
    with pytest.raises(UsageError, match="at least 3"):
        subset(table(25, 8), 2)


def test_a_limit_is_the_same_whatever_the_order_of_rows():
    whole = table(9, 5)
    shuffled = Dataset("x", None, whole.table.sample(frac=1, random_state=0).reset_index(drop=True), grouped=True)
    assert set(subset(shuffled, 20).table["image"]) == set(subset(whole, 20).table["image"])


def test_a_limit_reaches_the_loader(tmp_path):
    rows = "image,score\na.png,1\nsub/b.png,2\nc.png,3\nunlabelled.png,4\n"
    config = mine(own_folder(tmp_path, rows=rows))
    assert len(load(config, limit=3)) == 3
    assert len(load(config, limit=50)) == 4
