"""From words to pictures: names stay names, each picture is meant once, and what is left out is counted."""

import os
from pathlib import Path

import pytest

from bench.core.errors import DataError, UsageError
from bench.scoring.finding import pictures_meant


def meant(*words, listed="", ours=None):
    """(the pictures, what was told on the way)."""
    told = []
    return pictures_meant([*map(str, words)], lambda: listed.encode(), told.append, ours), told


@pytest.fixture
def album(tmp_path, monkeypatch):
    """A folder `album` with two pictures, one of them deeper, in the working folder."""
    monkeypatch.chdir(tmp_path)
    below = Path("album") / "day"
    below.mkdir(parents=True)
    for path in (Path("album/b.png"), below / "a.JPG"):
        path.touch()
    return Path("album")


def test_a_name_in_a_list_is_no_pattern(album):
    names = ["album/b.png", "album/IMG(1)[2].png", "album/gone*.png"]
    found, told = meant("-", listed="\n".join(names))
    assert found == [*map(Path, names)]
    assert told == []


def test_an_empty_folder_or_a_vain_pattern_among_others_is_told_and_stops_none(album):
    Path("empty").mkdir()
    found, told = meant("empty", album, "*.xyz")
    assert found == [album / "b.png", album / "day" / "a.JPG"]
    assert [line.partition(" (")[0] for line in told] == [
        "The folder empty has no pictures in it or below it",
        "Nothing is called *.xyz.",
    ]


@pytest.mark.parametrize(
    ("word", "kind", "why"), [("empty", DataError, "has no pictures"), ("*.xyz", UsageError, "Nothing")]
)
def test_words_that_all_mean_nothing_are_an_error(word, kind, why, album):
    Path("empty").mkdir()
    with pytest.raises(kind, match=why):
        meant(word)


def test_what_a_folder_holds_and_is_not_scored_is_counted_by_kind(album):
    for name in ("x.HEIC", "y.heic", "z.avif", "notes.txt", ".hidden.heic"):
        (album / name).touch()
    (album / "broken.png").symlink_to("nowhere.png")
    (album / "linked").symlink_to(Path("album/day").resolve())
    found, told = meant(album)
    assert found == [album / "b.png", album / "day" / "a.JPG"]
    assert told == [
        "Left out: 1 .avif, 2 .heic, 1 broken link, 1 linked folder (a file that is named by itself is tried)."
    ]
    assert meant(album / "x.HEIC") == ([album / "x.HEIC"], [])


def test_a_folder_that_cannot_be_read_is_counted(album, monkeypatch):
    real = os.scandir

    def refuses(path):
        if str(path).endswith("day"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", refuses)
    found, told = meant(album)
    assert found == [album / "b.png"]
    assert told == ["Left out: 1 unreadable folder (a file that is named by itself is tried)."]


def test_a_picture_is_meant_once_whatever_way_leads_to_it(album):
    (album / "latest.png").symlink_to("b.png")
    Path("link").symlink_to(album)
    found, _ = meant("album/b.png", "album/day/../b.png", "link/b.png", album / "latest.png")
    assert found == [album / "b.png", album / "latest.png"], "a link beside it is a name of its own"


def test_a_folder_of_ours_is_left_out_without_a_word(album):
    (album / "why").mkdir()
    (album / "why" / "b.png.explain.png").touch()
    (album / "why" / "x.heic").touch()
    assert meant(album, ours=album / "why") == ([album / "b.png", album / "day" / "a.JPG"], [])
