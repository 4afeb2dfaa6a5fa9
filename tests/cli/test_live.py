"""A plan under way as it is shown: drawn at any width of a terminal, in lines where there is none, as objects."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.live import LiveView, drawn, view_lines, view_of
from bench.cli.plan_lines import JsonLines, PlainLines, Quiet
from bench.core.runtime import Runtime
from bench.execution.orders import ExecutionOptions
from bench.execution.outcome import Result
from bench.execution.serial import execute_serial
from bench.execution.standing import Standing
from bench.execution.watching import Position, Underway
from bench.records.times import Times, kind_of
from tests.survive.makers import failing, specs
from tests.world import RECIPE, TINY, make_world, tiny_spec, toml_of

FACTS = {"epoch": 2, "epochs": 4, "loss": 0.213, "images_s": 41.2, "memory_bytes": 5 << 28}
WIDTHS = [60, 80, 140]


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("bench.execution.standing.time.monotonic", lambda: now[0])
    return now


def standing_of(clock, kind=Standing, count=14, at_once=1, where=""):
    """A plan with one run made, one failed, and `at_once` under way for 40 seconds."""
    wanted = [tiny_spec("linear_probe", split=split) for split in range(count)]
    standing = kind(wanted, Times({kind_of(wanted[0]): 60.0}))
    standing.ended(wanted[0], Result("done"), 60.0)
    standing.ended(wanted[1], Result("failed"), 1.0)
    for number in range(at_once):
        runs = Underway((wanted[number + 2],), number + 3, count, where)
        standing.begun(runs)
        standing.moved(runs, Position(0, 32, "training", FACTS))
    clock[0] += 40
    for number in range(at_once):
        runs = Underway((wanted[number + 2],), number + 3, count, where)
        standing.moved(runs, Position(17, 32, "training", FACTS))
    return standing


@pytest.mark.parametrize("width", WIDTHS)
def test_the_view_has_the_plan_and_the_run_and_keeps_to_the_width(clock, width):
    plan, name, run = view_lines(standing_of(clock), width, 24)
    assert re.match(r"Plan  █+░+  1 of 14 done, 1 failed, about 11 min left", plan)
    assert name == "Run   3 of 14: linear_probe on near, split 2"
    assert "epoch 2/4, loss 0.213" in run
    assert max(map(len, (plan, name, run))) <= width - 3
    for fact in ("41 images/s", "1.2 GB", "step 17/32", "35 s left"):
        assert (fact in run) or width < 140
    assert ("1 running" in plan) is (width > 60)


def test_what_is_not_known_is_not_shown(clock):
    spec = tiny_spec()
    standing = Standing([spec, tiny_spec("adapter")])
    standing.begun(Underway((spec,), 1, 2))
    plan, _, run = view_lines(standing, 80, 24)
    assert "left" not in plan + run
    assert run.endswith("beginning")
    standing.moved(Underway((spec,), 1, 2), Position(3, 12, "decoding near"))
    assert view_lines(standing, 80, 24)[2].endswith("decoding near, 3/12")


@pytest.mark.parametrize("width", WIDTHS)
def test_runs_that_are_made_at_once_have_a_line_each_with_their_machine(clock, width):
    lines = view_lines(standing_of(clock, at_once=4, where="node7 GPU 1"), width, 24)
    assert len(lines) == 5
    assert all(line.startswith("       53%  node7 GPU 1: linear_probe on near, ") for line in lines[1:])
    assert max(map(len, lines)) <= width - 3
    assert ("epoch 2/4" in lines[1]) is (width > 60)


def test_of_many_runs_at_once_as_many_are_shown_as_the_terminal_has_lines_for(clock):
    lines = view_lines(standing_of(clock, count=60, at_once=40), 80, 16)
    assert len(lines) == 1 + 10 + 1
    assert lines[-1].strip() == "and 30 more"


def test_a_terminal_without_block_characters_gets_plain_ones(clock, monkeypatch):
    class Old:
        encoding = "latin-1"

    monkeypatch.setattr("bench.cli.live.sys.stderr", Old())
    assert re.search(r"Plan  #+\.+  1 of 14", drawn(standing_of(clock), 80, 24).plain)


def test_lines_come_every_half_minute_and_name_run_i_of_n_and_the_whole_plans_time(clock, monkeypatch, capsys):
    monkeypatch.setattr("bench.cli.plan_lines.time.monotonic", lambda: clock[0])
    lines = standing_of(clock, PlainLines)
    runs = next(iter(lines.making.values())).runs
    for step in range(18, 32):
        clock[0] += 10
        lines.moved(runs, Position(step, 32, "training", FACTS))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == (
        "run 3 of 14: linear_probe on near, split 2: epoch 2/4, loss 0.213, 41 images/s, 1.2 GB: 17/32, "
        "about 35 s left; the whole plan: about 11 min left"
    )
    assert len(said) == 1 + 140 // 30


def test_quiet_says_what_failed_and_nothing_else(tmp_path, capsys):
    view = view_of(specs(4), Times(), quiet=True)
    assert isinstance(view, Quiet)
    with view:
        execute_serial(specs(4), Runtime(tmp_path, tmp_path), ExecutionOptions(say=view.say, watch=view), failing)
    out, err = capsys.readouterr()
    assert not out
    failures = [re.sub(" +", " ", line) for line in err.splitlines()]
    assert failures == [f"failed glia on demo_a, split {split} split {split} is odd 0 s" for split in (1, 3)]


def test_objects_are_one_a_line_and_tell_the_whole_story(tmp_path, capsys):
    view = view_of(specs(2), Times(), as_json=True)
    assert isinstance(view, JsonLines)
    with view:
        execute_serial(specs(2), Runtime(tmp_path, tmp_path), ExecutionOptions(say=view.say, watch=view), failing)
    out, err = capsys.readouterr()
    assert not err
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == ["begin", "end", "begin", "end"]
    assert events[0] | {"method": "glia", "split": 0, "number": 1, "of": 2} == events[0]
    assert events[1]["metrics"] == {"demo_a:test": {"srcc": 0.5}}
    assert (events[3]["status"], events[3]["error"]) == ("failed", "split 1 is odd")
    assert events[1]["run"] == events[0]["run"] == specs(1)[0].key


def test_a_run_that_failed_in_another_process_is_told_of_whoever_listens(tmp_path, capsys):
    execute_serial(specs(2), Runtime(tmp_path, tmp_path), ExecutionOptions(), failing)
    for how in ({"as_json": True}, {"quiet": True}):
        with view_of(specs(2), Times(), **how) as view:
            execute_serial(specs(2), Runtime(tmp_path, tmp_path), ExecutionOptions(say=view.say, watch=view), failing)
        assert view.failed == 1
    out, err = capsys.readouterr()
    ends = [(event["status"], event.get("error")) for event in map(json.loads, out.splitlines())]
    assert ends == [("elsewhere", None), ("failed", "RunError: split 1 is odd")]
    assert err == "failed  glia on demo_a, split 1  RunError: split 1 is odd  (by another process)\n"


def test_progress_objects_come_every_two_seconds_and_hold_no_word_that_json_lacks(clock, monkeypatch, capsys):
    monkeypatch.setattr("bench.cli.plan_lines.time.monotonic", lambda: clock[0])
    for quiet in (False, True):
        lines = standing_of(clock, lambda *args, quiet=quiet: JsonLines(*args, quiet=quiet))
        runs = next(iter(lines.making.values())).runs
        for step in range(20, 30):
            clock[0] += 1
            lines.moved(runs, Position(step, 32, "training", FACTS | {"loss": float("nan")}))
        events = [json.loads(line, parse_constant=pytest.fail) for line in capsys.readouterr().out.splitlines()]
        progress = [event for event in events if event["event"] == "progress"]
        assert len(progress) == (0 if quiet else 2 + 5)
    assert progress == []


def test_where_there_is_no_terminal_lines_are_written(monkeypatch):
    assert isinstance(view_of([], Times()), PlainLines)

    class Terminal:
        def isatty(self):
            return True

    monkeypatch.setattr("bench.cli.live.sys.stderr", Terminal())
    assert isinstance(view_of([], Times()), LiveView)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(view_of([], Times()), PlainLines)


def command(home, *more):
    """A `bench run` of two runs of a second."""
    if not (home / "sets").exists():
        (home / "bench.toml").write_text(toml_of(make_world(home / "sets")))
    words = ["run", "-m", "linear_probe,adapter", "-d", "near", "--preset", "demo", "--splits", "1"]
    words += ["--backbone", TINY, "--weights", "random", "--device", "cpu", *more]
    for name, value in RECIPE.items():
        words += ["--set", f"{name}={value}"]
    return [sys.executable, "-m", "bench.cli", *words]


def in_folder(home):
    root = str(Path(__file__).parents[2])
    return {"cwd": home, "env": {**os.environ, "PYTHONPATH": root, "GLIA_BENCH_CACHE": str(home / "cache")}}


@pytest.mark.slow
def test_on_a_real_terminal_the_view_is_drawn_and_gone_at_the_end(tmp_path):
    master, slave = pty.openpty()
    where = in_folder(tmp_path)
    where["env"] |= {"COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
    longer = [*command(tmp_path), "--set", "epochs=50"]  # a run that is over before the next frame is not drawn
    process = subprocess.Popen(longer, stdout=slave, stderr=slave, stdin=slave, **where)
    os.close(slave)
    seen = b""
    while True:
        try:
            seen += os.read(master, 65536)
        except OSError:
            break
    assert process.wait() == 0
    text = seen.decode()
    assert "\x1b[?25l" in text, "the cursor is hidden"
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "and is there again"
    assert "of 2 done" in text
    assert re.search("Run   [12] of 2: ", text)
    for line in ("done    adapter on near", "done    linear_probe on near", "2 done, 0 failed."):
        assert line in text
    assert "of 2 done" not in text[text.rindex("2 done, 0 failed.") :]


@pytest.mark.slow
def test_a_machine_reads_objects_and_nothing_else_from_the_command(tmp_path):
    done = subprocess.run(command(tmp_path, "--json", "--quiet"), capture_output=True, text=True, **in_folder(tmp_path))
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["event"] for event in events] == ["plan", "begin", "end", "begin", "end", "plan_end"]
    assert events[0]["to_make"] == events[-1]["made"] == 2
    again = subprocess.run(command(tmp_path, "--json"), capture_output=True, text=True, **in_folder(tmp_path))
    assert [json.loads(line)["event"] for line in again.stdout.splitlines()] == ["plan", "plan_end"]
