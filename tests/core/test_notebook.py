"""Progress in a notebook: tqdm's bars where a kernel runs this process, plain lines elsewhere."""

import sys
from types import SimpleNamespace

import pytest

from bench.cli.live import view_of
from bench.core.notebook import NotebookBars, in_notebook, notebook_bars
from bench.core.progress import Display
from bench.execution.watching import Position, Underway
from bench.records.times import Times
from tests.world import tiny_spec


def as_notebook(monkeypatch, kernel=True):
    shell = SimpleNamespace(kernel=object()) if kernel else SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))


class Bar:
    """A stand-in for tqdm that remembers what became of it."""

    made: list["Bar"] = []
    lines: list[str] = []

    def __init__(self, total, desc, leave):
        self.total, self.desc, self.n, self.closed, self.seen = total, desc, 0, False, []
        Bar.made.append(self)

    def set_description(self, text):
        self.seen.append((self.n, self.total, text))

    def close(self):
        self.closed = True

    @staticmethod
    def write(text, file):
        Bar.lines.append(text)


@pytest.fixture
def bars(monkeypatch):
    Bar.made, Bar.lines = [], []
    monkeypatch.setattr("bench.core.progress.notebook_bars", lambda: NotebookBars(Bar))
    return Bar


def test_only_a_kernel_makes_a_notebook(monkeypatch):
    assert not in_notebook()
    as_notebook(monkeypatch, kernel=False)
    assert not in_notebook()
    as_notebook(monkeypatch)
    assert in_notebook()


def test_each_activity_is_a_bar_that_goes_when_it_is_over(bars):
    with Display() as display:
        display.report(0, 4, "training", {"epoch": 1, "epochs": 4})
        display.report(2, 4, "training", {"epoch": 2, "epochs": 4})
        display.report(0, 9, "testing")
        display.line("done    glia")
        display.report(4, 4, "training", {"epoch": 2, "epochs": 4})
        training, testing = bars.made
        assert training.seen == [(0, 4, "epoch 1/4"), (2, 4, "epoch 2/4"), (4, 4, "epoch 2/4")]
        assert training.closed
        assert not testing.closed
    assert testing.closed
    assert bars.lines == ["done    glia"]


def test_outside_a_notebook_and_without_tqdm_there_are_lines(monkeypatch, capsys):
    assert notebook_bars() is None
    as_notebook(monkeypatch)
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert notebook_bars() is None
    with Display() as display:
        display.line("done    glia")
    assert "done    glia" in capsys.readouterr().err


def test_with_tqdm_a_notebook_has_its_bars(monkeypatch, capsys):
    pytest.importorskip("tqdm")
    as_notebook(monkeypatch)
    with Display() as display:
        display.report(1, 4, "training", {"epoch": 2, "epochs": 4})
        display.line("done    glia")
    said = capsys.readouterr().err
    assert "epoch 2/4" in said
    assert "done    glia" in said


def test_a_plan_in_a_notebook_has_a_bar_of_its_own_and_one_for_the_run(bars, monkeypatch):
    spec = tiny_spec()
    runs = Underway((spec,), 1, 2)
    as_notebook(monkeypatch)
    with view_of([spec, tiny_spec(split=1)], Times()) as view:
        view.begun(runs)
        view.moved(runs, Position(1, 4, "training", {"epoch": 1, "epochs": 2}))
        plan, run = bars.made
        assert (plan.desc, plan.total) == ("runs", 2)
        assert run.seen == [(1, 4, "run 1 of 2: glia on near, split 0: epoch 1/2")]
    assert plan.closed
    assert run.closed
