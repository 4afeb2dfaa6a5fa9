"""The script that measures a card goes from end to end without one, and loses nothing when it is interrupted."""

import re
from dataclasses import replace

import pytest
import torch

from benchmarks import card

SMALL = ["--device", "cpu", "--tiny", "--out"]


@pytest.mark.slow
def test_the_whole_script_goes_through_and_every_part_writes_its_lines(tmp_path):
    card.main([*SMALL, str(tmp_path / "card.md")])
    text = (tmp_path / "card.md").read_text()
    assert "failed" not in text
    first, second = (part.splitlines() for part in text.split("\n\n")[1:])
    assert [row.split("|")[1].strip() for row in first[2:]] == list(card.TINY.methods)
    said = "\n".join(second)
    for what in ("GLIA", "jobs auto", "first step", "ViT-S", "crops", "stored vectors", "2 splits"):
        assert (what in said) == (what != "GLIA"), what  # there is no adapter beside it in so small a round


def test_who_is_interrupted_keeps_what_was_measured(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(card, "small_runs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        card.main([*SMALL, str(tmp_path / "card.md"), "--only", "methods,small"])
    rows = (tmp_path / "card.md").read_text().splitlines()
    assert [row.split("|")[1].strip() for row in rows if row.startswith("| ")][2:] == list(card.TINY.methods)


def test_steps_made_faster_have_rows_beside_the_plain_ones_and_the_goals_name_the_best(tmp_path, monkeypatch):
    def steps(method, *_, compiled=False, graphs=False):
        seconds = 1 + (method == "glia") - 0.25 * (compiled + graphs)
        return {"train": lambda: seconds, "score": lambda: 1}

    monkeypatch.setattr(card, "ours", steps)
    monkeypatch.setattr(card, "per_second", lambda step, *_: 1 / step())
    monkeypatch.setattr(card, "TINY", replace(card.TINY, faster=("adapter", "glia")))
    card.main([*SMALL, str(tmp_path / "card.md"), "--only", "faster"])
    text = (tmp_path / "card.md").read_text()
    rows = [row.split("|")[1].strip() for row in text.split("\n\n")[1].splitlines()[2:]]
    ways = ("", ", compiled", ", recorded", ", compiled and recorded")
    assert rows == ["adapter", "glia", *(f"{m}{way}" for m in ("adapter", "glia") for way in ways if way)]
    plain, best = re.search(r"adapter's, in time \| ([\d.]+) plain, ([\d.]+) at best", text).groups()
    assert (float(plain), float(best)) == (2, 3)


def test_a_part_that_fails_says_so_and_the_others_are_measured(tmp_path, monkeypatch, capsys):
    def failing(*_):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(card, "ours", failing)
    monkeypatch.setattr(card, "small_runs", failing)
    card.main([*SMALL, str(tmp_path / "card.md"), "--only", "methods,small,crops"])
    text = (tmp_path / "card.md").read_text()
    assert text.count("failed: RuntimeError: no such kernel") == len(card.TINY.methods) + 1
    assert "normalised crops" in text
    assert "written:" in capsys.readouterr().out


def test_an_unknown_part_and_a_missing_card_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for words in (["--only", "everything"], ["--out", str(tmp_path / "card.md")]):
        with pytest.raises(SystemExit) as ended:
            card.main(words)
        assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "--only knows methods, small, probes, crops, jobs, faster" in said
    assert "torch sees no card here" in said


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a card: torch sees none")
def test_on_a_card_every_row_has_its_memory_and_how_long_the_card_idles(tmp_path):
    card.main(["--tiny", "--out", str(tmp_path / "card.md"), "--only", "methods"])
    text = (tmp_path / "card.md").read_text()
    assert "failed" not in text
    assert "–" not in text
