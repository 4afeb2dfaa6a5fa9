"""Wrong data is worse than none: each way to be wrong is an error that names set, file and row."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.core.errors import DataError
from bench.data.locate import load_dataset
from bench.data.obtain.check import check, check_all, sets_to_check
from bench.data.pixels.contents import Contents
from tests.data.trees import load
from tests.fixtures_data import overwrite, picture

ROOT = Path(__file__).resolve().parents[2]


def look(name, path, **more):
    return check(name, {name: {"path": str(path)}}, path / "cache", **more)


def edit(path, change):
    """Change a csv's lines; `change` gets them as a list."""
    lines = path.read_text().splitlines()
    overwrite(path, "\n".join(change(lines)) + "\n")


def cell(line, column, text):
    cells = line.split(",")
    cells[column] = text
    return ",".join(cells)


def score_of_row(text):
    return lambda lines: [*lines[:4], cell(lines[4], 2, text), *lines[5:]]


WRONG_CSVS = {
    "a score that is NaN": (score_of_row("nan"), "row 5: dmos is 'nan', not a finite number"),
    "a score that is text": (score_of_row("good"), "row 5: dmos is 'good', not a number"),
    "a score that is missing": (score_of_row(""), "row 5: dmos is '', not a number"),
    "a score out of range": (score_of_row("7.5"), "row 5: dmos is 7.5, outside the known range 1 to 5"),
    "an infinite score": (score_of_row("inf"), "row 5: dmos is 'inf'"),
    "a score as only Python reads it": (score_of_row("1_0"), "row 5: dmos is '1_0', not a number"),
    "a renamed column": (lambda lines: [lines[0].replace("dmos", "mos"), *lines[1:]], "no column 'dmos'"),
    "a column twice": (lambda lines: [lines[0].replace("var", "dmos"), *lines[1:]], "column 'dmos' twice"),
    "a row too short": (lambda lines: [*lines[:3], "I01_01_03.png,I01.png", *lines[4:]], "row 4: 2 cells where 4"),
    "a duplicate row": (lambda lines: [*lines[:-1], lines[1]], "two labels: dmos.csv, row 2 and dmos.csv, row 376"),
    "no rows": (lambda lines: lines[:1], "no rows of labels"),
    "too few rows": (lambda lines: lines[:-1], "374 labels; the set is known to have 375"),
    "a name of another form": (
        lambda lines: [lines[0], cell(lines[1], 0, "x.png"), *lines[2:]],
        "row 2: 'x.png' is not",
    ),
    "a name that leads out": (lambda lines: [lines[0], cell(lines[1], 0, "../x.png"), *lines[2:]], "row 2: '../x.png'"),
    "another reference": (lambda lines: [lines[0], cell(lines[1], 1, "I09.png"), *lines[2:]], "row 2: ref_img is 'I09"),
}


@pytest.mark.parametrize(("change", "said"), WRONG_CSVS.values(), ids=WRONG_CSVS)
def test_a_wrong_csv_is_an_error_naming_set_file_and_row(change, said, trees, monkeypatch):
    top = trees.fresh("kadid10k", monkeypatch)
    edit(top / "dmos.csv", change)
    with pytest.raises(DataError) as caught:
        load("kadid10k", top)
    assert said in str(caught.value)
    assert str(caught.value).startswith("kadid10k: ")
    assert "dmos.csv" in str(caught.value)
    report = look("kadid10k", top)
    assert not report.ok
    assert said in report.errors[0]


LABEL_FILES = {
    "live": "refnames_all.mat",
    "csiq": "csiq.DMOS.xlsx",
    "tid2013": "mos_std.txt",
    "kadid10k": "dmos.csv",
    "livec": "Data/AllStdDev_release.mat",
    "spaq": "Annotations/MOS and Image attribute scores.xlsx",
    "flive": "labels_image.csv",
}


@pytest.mark.parametrize(("name", "file"), LABEL_FILES.items())
def test_a_missing_label_file_says_what_to_get_and_from_whom(name, file, trees, monkeypatch):
    top = trees.fresh(name, monkeypatch)
    (top / file).unlink()
    report = look(name, top)
    assert file in report.errors[0]
    assert any(line.startswith("to get it: ") for line in report.lines())
    assert any(line.startswith("the folder: ") for line in report.lines())


@pytest.mark.parametrize(("name", "file"), LABEL_FILES.items())
@pytest.mark.parametrize("data", [b"", b"\0\1\2 no labels", b"PK\x03\x04 half an archive"])
def test_a_damaged_label_file_is_named(name, file, data, trees, monkeypatch):
    top = trees.fresh(name, monkeypatch)
    overwrite(top / file, data)
    with pytest.raises(DataError) as caught:
        load(name, top)
    assert file.rpartition("/")[2] in str(caught.value)


def test_a_label_without_a_picture_and_a_picture_without_a_label(trees, monkeypatch):
    top = trees.fresh("koniq10k", monkeypatch)
    pictures = sorted((top / "1024x768").iterdir())
    gone = [picture.name for picture in pictures[:12]]
    for picture_file in pictures[:12]:
        picture_file.unlink()
    with pytest.raises(DataError, match=r"koniq10k_distributions_sets.csv, row 2: there is no picture .*and 11 more"):
        load("koniq10k", top)
    report = look("koniq10k", top)
    assert (report.images_found, report.images_expected, report.label_rows) == (48, 60, 60)
    shown = next(line for line in report.lines() if line.startswith("labels without a picture (12)"))
    assert shown.count(".jpg") == 10
    assert [name.rpartition("/")[2] for name in report.missing] == gone
    for name in gone:
        (top / "1024x768" / name).write_bytes(picture(0))
    (top / "1024x768" / "stray.jpg").write_bytes(picture(0))
    with pytest.raises(DataError, match=r"stray.jpg has no label in koniq10k_distributions_sets.csv"):
        load("koniq10k", top)
    assert look("koniq10k", top).extra == ["1024x768/stray.jpg"]


def test_partial_turns_a_smaller_set_into_a_warning_with_both_numbers(trees, monkeypatch):
    top = trees.fresh("koniq10k", monkeypatch)
    for picture_file in sorted((top / "1024x768").iterdir())[:12]:
        picture_file.unlink()
    dataset = load("koniq10k", top, partial=True)
    assert len(dataset) == 48
    assert "partial: 48 of 60 images" in dataset.notes
    report = look("koniq10k", top, partial=True)
    assert report.ok
    assert report.warnings == ["partial: 48 of 60 images"]


def test_a_partial_set_without_any_picture_is_still_an_error(trees, monkeypatch):
    top = trees.fresh("flive", monkeypatch)
    for picture_file in (top / "database").rglob("*.*"):
        picture_file.unlink()
    with pytest.raises(DataError, match="there is no picture .*, nor any of the 59 others"):
        load("flive", top, partial=True)


def test_references_and_unrated_pictures_need_no_label(trees, monkeypatch):
    for name in ("kadid10k", "csiq", "live", "tid2013"):
        assert look(name, trees.fresh(name, monkeypatch)).ok


def test_a_sound_set_is_described(trees, monkeypatch):
    top = trees.fresh("livec", monkeypatch)
    report = look("livec", top)
    assert (report.verdict, look("livec", top, deep=True).verdict) == ("labels sound", "sound")
    assert (report.found, report.ok, report.images_found, report.label_rows) == (True, True, 90, 90)
    low, high = report.range_found
    assert 3.42 <= low < high <= 92.432
    assert report.hash
    assert report.lines() == ["note: 7 practice images dropped"]


@pytest.mark.parametrize(
    ("data", "said", "in_the_head"),
    [
        (b"", "0 bytes", True),
        (b"hello, I am text", "not a picture", True),
        (picture(1)[:12], "does not decode", True),
        (picture(1)[:-100], "truncated", False),
    ],
)
def test_what_a_pictures_head_shows_is_found_always_and_the_rest_by_deep(data, said, in_the_head, trees, monkeypatch):
    top = trees.fresh("koniq10k", monkeypatch)
    victims = sorted((top / "1024x768").iterdir())[5:7]
    for victim in victims:
        overwrite(victim, data)
    shallow = look("koniq10k", top)
    assert shallow.verdict == ("has errors" if in_the_head else "labels sound")
    assert [victim.name in error for victim, error in zip(victims, shallow.errors, strict=False)] == (
        [True, True] if in_the_head else []
    )
    told = []
    report = look("koniq10k", top, deep=True, workers=2, progress=lambda done, total, _: told.append((done, total)))
    assert report.decoded == 58
    assert len(report.errors) == 2
    for victim, error in zip(victims, report.errors, strict=True):
        assert victim.name in error
        assert said in error
    assert not report.ok
    assert told[-1] == (60, 60)


def test_deep_leaves_nothing_to_read_for_the_runs_that_follow(trees, monkeypatch):
    top = trees.fresh("koniq10k", monkeypatch)
    assert look("koniq10k", top, deep=True).ok
    dataset = load_dataset("koniq10k", {"koniq10k": {"path": str(top)}}, top / "cache")
    with Contents(dataset.root, top / "cache") as contents:
        assert all(map(contents.find, dataset.table["image"]))


def test_a_set_that_is_not_there_is_not_found(tmp_path):
    report = look("spaq", tmp_path / "nowhere")
    assert not report.found
    assert "no folder" in report.errors[0]
    assert "GitHub" in " ".join(report.lines())


def own_set(folder, labels):
    for number in range(3):
        (folder / f"{number}.png").write_bytes(picture(number, ".png"))
    (folder / "labels.csv").write_text(labels)
    return check("mine", {"mine": {"loader": "folder", "path": str(folder)}}, folder)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("image,score\n0.png,1\n1.png,2\n", "it has 2 contents; a split needs at least 3"),
        ("image,score\n0.png,1\n", "it has 1 content; a split needs at least 3"),
    ],
)
def test_a_set_with_too_few_contents_to_split_is_not_sound(tmp_path, labels, said):
    assert said in own_set(tmp_path, labels).errors


LOADER = '''
"""A loader that gives whatever its csv says, and looks at nothing."""
import pandas as pd
from bench.data.dataset import Dataset, DatasetSource

class Trusting(DatasetSource):
    name = "trusting"

    def load(self):
        table = pd.read_csv(self.place.path / "labels.csv")
        more = {"original": table.score, "group": table.image, "distortion": "", "level": 0, "official": ""}
        return Dataset(self.name, self.place.path, table.assign(**more), grouped=False)
'''


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ("image,score,std\n0.png,1,0\n1.png,2,0\nx.png,3,0\ny.png,3,0\n", "there is no picture"),
        ("image,score,std\n0.png,1,0\n1.png,2,0\n2.png,3,0\n2.png,4,0\n", "2.png has two labels"),
        ("image,score,std\n0.png,1,0\n1.png,,0\n2.png,3,0\n", "the score of 1.png is no finite number"),
        ("image,score,std\n0.png,1,0\n1.png,good,0\n2.png,3,0\n", "is no finite number"),
        ("image,score\n0.png,1\n1.png,2\n2.png,3\n", "its loader gives no column std"),
        ("image,score,std\n0.png,1,1\n1.png,2,-1\n2.png,3,1\n", "the standard deviation of 1.png is negative"),
    ],
)
def test_a_set_whose_loader_checks_nothing_is_checked_all_the_same(tmp_path, labels, said):
    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(picture(number, ".png"))
    (tmp_path / "labels.csv").write_text(labels)
    (tmp_path / "trusting.py").write_text(LOADER)
    (tmp_path / "bench.toml").write_text(f'[data.trusting]\npath = "{tmp_path}"\n')
    code = "import sys; from bench.cli import app; sys.argv = ['bench', *sys.argv[1:]]; app()"
    words = [sys.executable, "-c", code, "data", "check", "trusting", "--plugin", "trusting.py"]
    checked = subprocess.run(
        words, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert checked.returncode == 1, checked.stderr
    assert said in checked.stdout
    assert "has errors" in checked.stdout


def test_a_head_that_is_broken_does_not_hide_behind_a_part_of_a_set(trees, monkeypatch):
    top = trees.fresh("koniq10k", monkeypatch)
    gone, broken, *_ = sorted((top / "1024x768").iterdir())
    gone.unlink()
    overwrite(broken, b"")
    for deep in (False, True):
        report = look("koniq10k", top, partial=True, deep=deep)
        assert report.verdict == "has errors"
        assert broken.name in report.errors[0]


def test_the_set_is_named_once_in_a_line(trees, monkeypatch):
    top = trees.fresh("koniq10k", monkeypatch)
    overwrite(top / "koniq10k_distributions_sets.csv", "")
    (line,) = [line for line in look("koniq10k", top).lines() if line.startswith("error: ")]
    assert "koniq10k: " not in line


def test_a_set_without_contents_is_told_what_that_means(tmp_path):
    labels = "image,score,scene\n0.png,1,a\n1.png,2,b\n2.png,3,c\n"
    report = own_set(tmp_path, labels)
    assert report.verdict == "labels sound"
    assert ["`group`" in note for note in report.notes] == [True]
    grouped = {"mine": {"loader": "folder", "path": str(tmp_path), "group": "scene"}}
    assert check("mine", grouped, tmp_path).notes == []


def test_sets_that_nobody_configured_are_not_looked_at(tmp_path):
    mine = {"loader": "folder", "path": str(tmp_path)}
    asked, absent = sets_to_check({"mine": mine})
    assert asked == ["mine"]
    assert {"csiq", "flive", "live"} <= set(absent)
    (tmp_path / "CSIQ").mkdir()
    asked, absent = sets_to_check({"root": str(tmp_path), "spaq": {"path": "/gone"}})
    assert asked == ["csiq", "spaq"]  # found below the root; named in bench.toml
    assert "live" in absent
    assert sets_to_check({})[0] == ["demo_a", "demo_b", "demo_wild"]


def test_equal_scores_teach_nothing(tmp_path):
    report = own_set(tmp_path, "image,score\n0.png,3\n1.png,3\n2.png,3\n")
    assert report.errors == ["all scores are equal: nothing can be learnt or measured"]


def test_a_broken_set_does_not_keep_the_others_from_being_checked(tmp_path, monkeypatch):
    from bench.data.sets.folder import Folder

    for number in range(3):
        (tmp_path / f"{number}.png").write_bytes(picture(number, ".png"))
    (tmp_path / "labels.csv").write_text("image,score\n0.png,1\n1.png,2\n2.png,3\n")
    sound = {"loader": "folder", "path": str(tmp_path)}
    config = {"a": {**sound, "pth": "x"}, "b": {**sound, "std": "score"}, "c": sound}

    def labels(self, real=Folder.labels):
        return real(self) if self.name != "b" else {}["image"]

    monkeypatch.setattr(Folder, "labels", labels)
    reports = check_all(["a", "b", "c"], config, tmp_path)
    assert [report.ok for report in reports] == [False, False, True]
    assert "no setting 'pth'" in reports[0].errors[0]
    assert reports[1].errors == ["its loader failed with KeyError: 'image'"]


def test_one_picture_under_several_names_is_told_where_it_may_stand_on_both_sides(tmp_path):
    for number, name in enumerate(["a.png", "b.png", "c.png", "d.png"]):
        (tmp_path / name).write_bytes(picture(number % 3, ".png"))
    rows = "image,score,scene\na.png,1,x\nb.png,2,y\nc.png,3,z\nd.png,4,{}\n"
    (tmp_path / "labels.csv").write_text(rows.format("w"))
    config = {"mine": {"loader": "folder", "path": str(tmp_path), "csv": "labels.csv", "group": "scene"}}
    assert check("mine", config, tmp_path / "cache", deep=True).warnings == [
        "one picture under several names and contents: a.png, d.png; it may stand on both sides of a split"
    ]
    (tmp_path / "labels.csv").write_text(rows.format("x"))
    assert check("mine", config, tmp_path / "cache", deep=True).warnings == []
