"""Intervals and marks hold what they promise: the committed simulation, and some of its rows made again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import coverage
from benchmarks.coverage import CONTENTS, NOT_PROMISED, PAIRED, PROMISED, SPLITS, contents_row, pairs_row, splits_row

PAGE = Path(__file__).parent.parent.parent / "docs" / "coverage.md"
PROMISE, THREE_ERRORS = 0.93, 3 * 0.01
FALSE = {3: 0.05 + 3 * 0.0055, 6: 0.05 + 3 * 0.0077, 12: 0.05 + 3 * 0.011}  # three standard errors of 400 sets


def rows(section: str) -> list[list[str]]:
    """The cells of a section's table."""
    text = PAGE.read_text(encoding="utf-8").partition(f"## {section}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_has_a_row_for_every_design():
    assert len(rows("Trainings repeated")) == len(PROMISED) * len(SPLITS)
    assert len(rows("Where that promise ends")) == len(NOT_PROMISED) * len(SPLITS)
    assert len(rows("These trained models on other contents")) == len(CONTENTS)
    assert len(rows("All pairs of several methods")) == len(PAIRED)


def test_every_promised_interval_covers_and_no_column_of_marks_errs_too_often():
    for name, splits, *cells in rows("Trainings repeated"):
        assert min(float(cells[0]), float(cells[2])) >= PROMISE, name
        if splits != "2":
            assert all(float(cell) <= bound for cell, bound in zip(cells[4:], FALSE.values(), strict=True)), name
    for name, _, difference, _, mean, _ in rows("These trained models on other contents"):
        assert float(difference) >= PROMISE, name
        assert float(mean) >= PROMISE, name


def test_pairs_of_equal_methods_are_told_apart_too_seldom_to_matter():
    for name, _, *cells in rows("All pairs of several methods"):
        assert all(float(cell) <= 0.05 for cell in cells), name


@pytest.mark.slow
def test_a_row_of_pairs_made_again_is_the_page_s():
    assert pairs_row(PAIRED[0]) in PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("design", [replace(PROMISED[1], splits=5), replace(PROMISED[5], splits=3)], ids=str)
def test_a_row_over_splits_made_again_is_the_page_s(design):
    assert splits_row(design) in PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("design", [d for d in CONTENTS if d.contents == 17 and d.target == "folds"][1:2], ids=str)
def test_a_row_over_contents_made_again_is_the_page_s(design):
    assert contents_row(design) in PAGE.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("design", [CONTENTS[0], *(d for d in CONTENTS if d.target == "folds")], ids=str)
def test_few_sets_do_not_speak_against_the_intervals_over_contents(design, monkeypatch):
    monkeypatch.setattr(coverage, "POOL", 60)
    difference, mean = coverage.over_contents(design, 50)
    assert min(difference.share, mean.share) > PROMISE - 3 * 0.036  # a standard error of 50 sets
