"""Small pictures on the page: of what they are, how large, how many, and what is said where they are missing."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from bench.data.locate import load_dataset
from bench.report.arms import arm_of
from bench.report.figures.scene import Subject
from bench.report.page import pictures
from bench.report.page.competition import Duel, Pair
from bench.report.page.pictures import SIDE, Pictures
from tests.world import make_world, tiny_runtime, tiny_spec


@pytest.fixture
def runtime(tmp_path):
    return tiny_runtime(tmp_path, make_world(tmp_path / "sets"))


def duel_over(names):
    pairs = tuple(Pair("low", best, worst, (), 0) for best, worst in zip(names[::2], names[1::2], strict=True))
    one, other = (Subject(arm_of(tiny_spec(method)), method) for method in ("lora", "linear_probe"))
    return Duel("a duel", "near", one, other, 0, pairs)


def opened(address):
    kind, _, data = address.partition(";base64,")
    return kind, Image.open(io.BytesIO(base64.b64decode(data)))


def names_of(runtime, count):
    return load_dataset("near", runtime.data, runtime.cache).table["image"].tolist()[:count]


def test_a_small_picture_is_the_picture_and_no_larger_than_it_says(runtime, tmp_path):
    colours = dict(zip(names_of(runtime, 2), ((200, 40, 40), (40, 40, 200)), strict=True))
    root = load_dataset("near", runtime.data, runtime.cache).root
    for name, colour in colours.items():
        Image.new("RGB", (400, 300), colour).save(root / name)
    found = Pictures(runtime)
    found.want_pairs([duel_over(list(colours))])
    for name, colour in colours.items():
        kind, small = opened(found.of("near", name))
        assert (kind, small.size) == ("data:image/jpeg", (SIDE, SIDE * 3 // 4))
        assert np.asarray(small).mean(axis=(0, 1)) == pytest.approx(colour, abs=4)
    assert "licences" in found.note


def test_without_being_asked_for_there_is_none(runtime):
    found = Pictures()
    found.want_pairs([duel_over(names_of(runtime, 2))])
    assert (found.size, found.note) == (0, "")


def test_those_that_have_no_room_are_counted(runtime, monkeypatch):
    names = names_of(runtime, 4)
    all_of_them = Pictures(runtime)
    all_of_them.want_pairs([duel_over(names)])
    monkeypatch.setattr(pictures, "MOST_BYTES", all_of_them.size - 1)
    found = Pictures(runtime)
    found.want_pairs([duel_over(names)])
    assert found.size <= all_of_them.size - 1
    assert found.left_out >= 1
    assert "had no room" in found.note


def test_a_picture_that_cannot_be_read_costs_only_itself(runtime):
    bad, good = names_of(runtime, 2)
    root = load_dataset("near", runtime.data, runtime.cache).root
    (root / bad).write_bytes(b"no picture")
    found = Pictures(runtime)
    found.want_pairs([duel_over([bad, good])])
    assert found.of("near", bad) == ""
    assert found.of("near", good)
    assert "No pictures of near: some of their files cannot be read." in found.note


def test_sheets_that_figures_drew_stand_on_the_page_as_they_are(runtime, tmp_path):
    for name in ("gmad_a_b.png", "attention_near.png", "scatter.png"):
        Image.new("RGB", (30, 20)).save(tmp_path / name)
    found = Pictures(runtime)
    found.want_sheets(tmp_path)
    assert sorted(found.sheets) == ["attention_near", "gmad_a_b"]
    assert opened(found.sheets["gmad_a_b"])[1].size == (30, 20)
