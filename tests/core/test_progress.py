"""Progress where the output is a file: a line now and then, and a remaining time that is of what was seen."""

import os
import pty
import subprocess
import sys

import pytest

from bench.core.progress import Display, in_megabytes, in_words, of_run


@pytest.mark.parametrize(("first", "left"), [(0, "about 60 s left"), (1, "about 80 s left")])
def test_the_remaining_time_is_by_the_steps_that_were_watched(first, left, monkeypatch, capsys):
    clock = [1000.0]
    monkeypatch.setattr("bench.core.progress.time.monotonic", lambda: clock[0])
    with Display() as display:
        display.report(first, 16, "training")
        clock[0] += 20
        display.report(4, 16, "training")
        clock[0] += 29
        display.report(5, 16, "training")
    assert capsys.readouterr().err.splitlines() == [f"training: 4/16, {left}"]


def test_nothing_is_said_of_the_time_before_anything_was_watched(monkeypatch, capsys):
    with Display() as display:
        display.report(1, 64, "training")
    assert not capsys.readouterr().err


def test_no_remaining_time_is_made_up_from_the_first_thousandth(monkeypatch, capsys):
    clock = [0.0]
    monkeypatch.setattr("bench.core.progress.time.monotonic", lambda: clock[0])
    with Display() as display:
        display.report(0, 90_210, "downloading")
        clock[0] += 40
        display.report(1, 90_210, "downloading")
    assert capsys.readouterr().err == "downloading: 1/90210\n"


def test_bytes_are_told_in_megabytes_and_end_only_at_the_end():
    told = []
    report = in_megabytes(lambda done, total, what: told.append((done, total, what)))
    for done in (0, 1426, 45_000_000, 90_210_193, 90_210_194):
        report(done, 90_210_194, "downloading x")
    assert told[0] == (0, 91, "downloading x, MB")
    assert [done for done, _, _ in told] == [0, 0, 45, 90, 91]


def test_a_line_says_which_run_it_is_with_epoch_and_loss_and_comes_every_half_minute(monkeypatch, capsys):
    clock = [1000.0]
    monkeypatch.setattr("bench.core.progress.time.monotonic", lambda: clock[0])
    with Display() as display:
        report = of_run(display.report, "run 3 of 14: glia on demo_a, split 1")
        for step in range(1, 16):
            report(step, 16, "training", {"epoch": 1 + step // 8, "epochs": 2, "loss": 1 / step, "images_s": 40.0})
            clock[0] += 10
        report(0, 4, "testing on demo_a:test")
        clock[0] += 40
        report(1, 4, "testing on demo_a:test")
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "run 3 of 14: glia on demo_a, split 1: epoch 1/2, loss 0.200: 5/16, about 2 min left"
    assert len(lines) == 6, "one at the second step, then one for each 30 of 130 seconds, and one of the test"
    assert lines[-1].startswith("run 3 of 14: glia on demo_a, split 1: testing on demo_a:test: 1/4")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_on_a_terminal_a_long_line_loses_what_it_is_about_before_epoch_and_loss(width, monkeypatch):
    from rich.console import Console

    from bench.core.progress import _bars

    monkeypatch.setenv("COLUMNS", str(width))
    bars = _bars()
    bars.add_task("run 3 of 14: linear_probe on demo_wild 20%, split 1: epoch 2/12, loss 0.2", total=32, completed=17)
    console = Console(width=width)
    with console.capture() as captured:
        console.print(bars.get_renderable())
    (line,) = captured.get().splitlines()
    assert "17/32 eta" in line
    assert ("linear_probe" in line) is (width == 120)
    assert ("epoch 2/12, loss 0.2" in line) is (width > 60)


def test_of_a_training_only_what_is_known_is_said_the_weightiest_first():
    facts = {"memory_bytes": 3 << 29, "loss": 0.25, "epoch": 2, "epochs": 4, "images_s": 1234.5}
    assert in_words(facts) == ["epoch 2/4", "loss 0.250", "1,234 images/s", "1.5 GB"]
    assert in_words({"epoch": 1, "epochs": 4}) == ["epoch 1/4"]
    assert not in_words({})


def test_what_is_over_in_a_moment_writes_no_line(monkeypatch, capsys):
    clock = [100.0]
    monkeypatch.setattr("bench.core.progress.time.monotonic", lambda: clock[0])
    with Display() as display:
        for done, clock[0] in ((0, 100.0), (1, 101.9), (2, 102.1)):
            display.report(done, 4, "figures")
    assert capsys.readouterr().err == "figures: 2/4, about 2 s left\n"


def test_what_goes_into_a_pipe_stays_out_of_the_bars_terminal():
    master, terminal = pty.openpty()
    code = (
        "from bench.core.progress import Display\n"
        "with Display() as display: display.report(0, 2, 'x'); print('for the pipe')"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=terminal, check=True, text=True)
    os.close(terminal)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert done.stdout == "for the pipe\n"
    assert "for the pipe" not in shown
