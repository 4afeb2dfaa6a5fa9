"""Progress where the output is a file: a line now and then, and a remaining time that is of what was seen."""

import pytest

from bench.progress import Display


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
