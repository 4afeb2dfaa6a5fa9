"""Progress where the output is a file: a line now and then, and a remaining time that is of what was seen."""

import pytest

from bench.progress import Display, in_megabytes


@pytest.mark.parametrize(("first", "left"), [(0, "about 60 s left"), (1, "about 80 s left")])
def test_the_remaining_time_is_by_the_steps_that_were_watched(first, left, monkeypatch, capsys):
    clock = [1000.0]
    monkeypatch.setattr("bench.progress.time.monotonic", lambda: clock[0])
    with Display() as display:
        display.report(first, 16, "training")
        clock[0] += 20
        display.report(4, 16, "training")
        clock[0] += 5
        display.report(5, 16, "training")
    assert capsys.readouterr().err.splitlines() == [f"training: 4/16, {left}"]


def test_nothing_is_said_of_the_time_before_anything_was_watched(monkeypatch, capsys):
    with Display() as display:
        display.report(1, 64, "training")
    assert not capsys.readouterr().err


def test_no_remaining_time_is_made_up_from_the_first_thousandth(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr("bench.progress.time.monotonic", lambda: clock[0])
    with Display() as display:
        display.report(0, 90_210, "downloading")
        clock[0] += 20
        display.report(1, 90_210, "downloading")
    assert capsys.readouterr().err == "downloading: 1/90210\n"


def test_bytes_are_told_in_megabytes_and_end_only_at_the_end():
    told = []
    report = in_megabytes(lambda done, total, what: told.append((done, total, what)))
    for done in (0, 1426, 45_000_000, 90_210_193, 90_210_194):
        report(done, 90_210_194, "downloading x")
    assert told[0] == (0, 91, "downloading x, MB")
    assert [done for done, _, _ in told] == [0, 0, 45, 90, 91]
