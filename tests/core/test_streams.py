"""Output as it is met with: pipes whose reader leaves, encodings that lack signs, terminals of any width."""

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from bench.cli import app
from bench.cli.console import LONGEST_WORD, column_widths, grid
from bench.cli.plan_lines import PlainLines
from bench.core.errors import StoreError
from bench.core.progress import Display
from bench.core.runtime import Runtime
from bench.core.streams import ReaderGone, fitting, write_line
from bench.execution.attempt import attempt
from bench.execution.orders import ExecutionOptions
from bench.execution.serial import execute_serial
from bench.records.store import Store
from bench.training.shared import Shared
from bench.training.signals import Signals
from tests.report.records import body_of, predictions
from tests.report.results import specs_of
from tests.survive.makers import failing, record_of, specs

ROOT = Path(__file__).resolve().parents[2]
FULL = Path("/dev/full")
OWN = '[data.mine]\nloader = "folder"\npath = "/nowhere"\ntitle = "Meine Bilder – Übung"\n'


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with records of two methods on a demo set, and a configured set of one's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bench.toml").write_text(OWN, encoding="utf-8")
    store = Store(tmp_path / "results")
    for spec in specs_of("main", "demo", "glia,linear_probe", ["demo_a", "demo_b"], splits=2):
        store.write(body_of(spec), predictions(spec))
    return tmp_path


def bench(*words, charset="utf-8", **environment):
    return CliRunner(charset=charset, env=environment).invoke(app, list(words))


def command(*words):
    return [sys.executable, "-m", "bench.cli", *words]


def at_home(**more):
    return os.environ | {"PYTHONPATH": str(ROOT)} | more


def started(*words, **environment):
    return subprocess.Popen(
        command(*words),
        env=at_home(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize(
    "words",
    ["methods", "data check mine", "table", "status", "compare glia linear_probe", "--help", "run --help", "--version"],
)
def test_a_reader_that_leaves_ends_the_command_without_a_word(home, words):
    with started(*words.split()) as process:
        process.stdout.close()
        said = process.stderr.read().decode()
    assert process.returncode in (0, 141)
    for complaint in ("Error", "Exception", "Traceback", "Broken"):
        assert complaint not in said


def test_a_wrong_command_whose_complaint_nobody_reads_ends_quietly_too():
    with started("nope") as process:
        process.stderr.close()
    assert process.returncode == 141


class Broken(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, _text):
        raise BrokenPipeError


def test_a_run_whose_output_nobody_reads_is_not_a_failed_run(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stderr", Broken())
    with Display() as display:

        def making(spec, runtime, report, *_):
            display.line("a note from the middle of a run")

        with pytest.raises(ReaderGone):
            attempt(specs(1)[0], None, display.report, making, Signals(), Shared())
        with pytest.raises(ReaderGone):
            execute_serial(
                specs(2), Runtime(results=tmp_path, cache=tmp_path), ExecutionOptions(say=display.line), make=failing
            )
    assert [record["status"] for record in Store(tmp_path).records()] == ["done"]
    assert not Store(tmp_path).claims.held()


class OnFullDisk(io.StringIO):
    """A file that takes no more, at once or when what is held back is written out."""

    def __init__(self, fails):
        super().__init__()
        self.fails = fails

    def write(self, text):
        self._grow("write")
        return len(text)

    def flush(self):
        self._grow("flush")

    def _grow(self, how):
        if how == self.fails:
            raise OSError(errno.ENOSPC, "No space left on device")


def telling(spec, _runtime, report, *_rest):
    """A run that says how far it is."""
    for step in range(3):
        report(step, 10, "training")
    return record_of(spec), {}


@pytest.mark.parametrize("fails", ["write", "flush"])
def test_a_run_whose_log_lies_on_a_full_disk_is_not_a_failed_run(tmp_path, monkeypatch, fails):
    monkeypatch.setattr("sys.stderr", OnFullDisk(fails))
    view = PlainLines(specs(2))
    options = ExecutionOptions(say=view.say, watch=view)
    with pytest.raises(StoreError, match="Cannot write standard error: the disk is full"):
        execute_serial(specs(2), Runtime(results=tmp_path, cache=tmp_path), options, make=telling)
    assert list(Store(tmp_path).records()) == []
    assert not Store(tmp_path).claims.held()


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", ["methods", "--version"])
def test_output_that_a_full_disk_does_not_take_is_an_error_in_a_line(words):
    with FULL.open("w") as full:
        done = subprocess.run(command(words), env=at_home(), stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: Cannot write standard output: the disk is full")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")
def test_an_error_that_a_full_disk_does_not_take_keeps_its_exit_status(tmp_path):
    with FULL.open("w") as full:
        wrong = command("table", "--results", str(tmp_path / "nowhere"))
        assert subprocess.run(wrong, env=at_home(), stderr=full).returncode == 2


@pytest.mark.parametrize("charset", ["ascii", "latin-1", "cp1252"])
@pytest.mark.parametrize(
    "words", [("table",), ("datasets",), ("compare", "glia", "linear_probe"), ("data", "check", "mine")]
)
def test_any_encoding_of_the_output_will_do(home, words, charset):
    result = bench(*words, charset=charset)
    assert result.exit_code == (1 if "check" in words else 0), result.output
    assert result.stdout_bytes.decode(charset)
    assert "Error" not in result.stderr_bytes.decode(charset)
    if words == ("datasets",):
        assert "Meine Bilder" in result.stdout_bytes.decode(charset)


def test_signs_that_an_encoding_lacks_become_plain_ones_and_the_others_stay():
    ascii_file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    latin_file = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    assert fitting("−0.5 ≈ 1 → Müller…", ascii_file) == "-0.5 ~ 1 -> Muller..."
    assert fitting("−0.5 ≈ 1 → Müller…", latin_file) == "-0.5 ~ 1 -> Müller..."
    assert fitting("名\udcff", ascii_file) == "??"
    assert fitting("名\udcff", io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) == "名?"


def test_columns_of_a_plain_table_stand_below_one_another(home):
    text = bench("table", "main", charset="ascii", COLUMNS="100").stdout_bytes.decode("ascii")
    framed = [line for line in text.splitlines() if line.startswith(("|", "+"))]
    assert len({len(line) for line in framed[:5]}) == 1


@pytest.mark.parametrize("width", [60, 80, 160])
@pytest.mark.parametrize("words", [("methods",), ("datasets",), ("table",), ("protocols",)])
def test_the_width_that_columns_gives_is_kept(home, words, width):
    lines = bench(*words, COLUMNS=str(width)).stdout.splitlines()
    drawn = [line for line in lines if not line.startswith(("Written", "Sizes"))]
    assert max(map(len, drawn)) <= width
    if words == ("methods",) and width == 160:
        assert max(map(len, drawn)) > 120  # the room is used


def test_help_is_as_wide_as_the_terminal_up_to_a_limit():
    processes = [started("run", "--help", COLUMNS=str(columns)) for columns in (80, 100, 300)]
    texts = [process.communicate()[0].decode() for process in processes]
    widths = [max(map(len, text.splitlines())) for text in texts]
    assert widths[0] <= 80 < widths[1] <= 100 < widths[2] <= 110


WORDS = st.text("abcdefgh-/", min_size=1, max_size=LONGEST_WORD)
CELLS = st.lists(WORDS, min_size=1, max_size=6).map(" ".join)


@given(rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=2, max_size=4), room=st.integers(40, 130))
def test_no_word_of_a_grid_is_cut(rows, room):
    widths = column_widths(rows, room)
    longest = [max(len(word) for row in rows for word in row[j].split()) for j in range(3)]
    if widths:
        assert sum(widths) + 6 <= room
        assert all(width >= word for width, word in zip(widths, longest, strict=True))
    else:
        assert sum(longest) + 6 > room


def test_a_grid_too_wide_for_its_words_becomes_a_list(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    grid(("set", "finding"), [("holiday_pictures_of_2024", "NotConfigured_anywhere")], title="what was found")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "what was found"
    assert "set      holiday_pictures_of_2024" in lines
    assert "finding  NotConfigured_anywhere" in lines


def test_a_word_longer_than_any_column_is_broken_behind_a_sign(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "44")
    name = "vit_base_patch16_224.augreg2_in21k_ft_in1k"
    grid(("setting", "value"), [("backbone", f"is {name}")])
    parts = [line.split("│")[1].strip() for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert parts == ["is vit_base_patch16_224.augreg2_", "in21k_ft_in1k"]


class Terminal(io.StringIO):
    """What a terminal is to a program: a stream that says it is one."""

    def isatty(self):
        return True


def test_messages_are_broken_between_words_on_a_terminal_and_left_whole_in_a_file(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = "Preset demo (asked for): its short recipe; its numbers are not the papers'."
    terminal, file = Terminal(), io.StringIO()
    write_line(text, terminal)
    write_line(text, file)
    assert file.getvalue() == text + "\n"
    lines = terminal.getvalue().splitlines()
    assert len(lines) == 2
    assert " ".join(lines) == text


def test_a_bar_leaves_room_for_what_the_terminal_shows_of_ctrl_c(monkeypatch):
    from rich.console import Console

    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stderr", Terminal())
    with Display() as display:
        display.report(0, 8, "runs")
        drawn = Console(width=80, file=io.StringIO(), record=True)
        drawn.print(display._bars.get_renderable())
    (line,) = drawn.export_text().splitlines()
    assert line.startswith("runs")
    assert len(line.rstrip()) <= 77
