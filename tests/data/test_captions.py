"""Files of captions: whatever an editor or another system did to them, each picture finds its text."""

import json
import unicodedata

import pytest

from bench.core.errors import DataError, PlanError
from bench.data.captions import read_captions, texts_of


def written(folder, texts, encoding="utf-8"):
    path = folder / "captions.jsonl"
    lines = [json.dumps({"image": image, "text": text}, ensure_ascii=False) for image, text in texts.items()]
    path.write_bytes("".join(line + "\n" for line in lines).encode(encoding))
    return path


def test_a_file_that_an_editor_marked_as_utf_8_is_read_like_any_other(tmp_path):
    assert read_captions(written(tmp_path, {"a.png": "blurred"}, "utf-8-sig")) == {"a.png": "blurred"}


@pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85"])
def test_a_text_may_hold_a_sign_that_ends_a_line_elsewhere(tmp_path, sign):
    texts = {"a.png": f"blurred{sign}in the sky", "b.png": "sharp"}
    assert read_captions(written(tmp_path, texts)) == texts


@pytest.mark.parametrize(("in_set", "in_file"), [("NFD", "NFC"), ("NFC", "NFD")])
@pytest.mark.parametrize("prefix", ["", "trip/"])
def test_a_name_is_found_in_either_way_that_unicode_spells_it(tmp_path, in_set, in_file, prefix):
    path = written(tmp_path, {prefix + unicodedata.normalize(in_file, "café.png"): "blurred"})
    assert texts_of([("trip", unicodedata.normalize(in_set, "café.png"))], path) == ["blurred"]


def test_a_picture_that_has_no_text_is_still_named_with_the_line_to_add(tmp_path):
    with pytest.raises(DataError, match=r'no text for 1 picture of 1 .* add a line {"image": "b.png"'):
        texts_of([("trip", "b.png")], written(tmp_path, {"a.png": "blurred"}))


def test_two_texts_for_one_picture_are_refused_however_its_name_is_spelt(tmp_path):
    texts = {unicodedata.normalize(form, "café.png"): form for form in ("NFC", "NFD")}
    with pytest.raises(PlanError, match="line 2: another text"):
        read_captions(written(tmp_path, texts))
