"""A figure is one more thing a plugin can bring: by a file, by an entry point, as its base class shows."""

import inspect
import textwrap
from importlib import metadata

import pytest

from bench.core.errors import UsageError
from bench.core.registry import Registry, add_plugin_file
from bench.records.results import Results
from bench.report.figures import FIGURES, Figure, facts, make_figures
from tests.report.figures.drawn import made, words


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The figure in the base class's docstring, as a file of its own."""
    monkeypatch.setattr(FIGURES, "_targets", dict(FIGURES._table()))
    monkeypatch.setattr(FIGURES, "_origin", dict(FIGURES._origin))
    text = inspect.getdoc(Figure)
    code = textwrap.dedent(text[text.index("    from statistics") :])
    path = tmp_path / "seconds.py"
    path.write_text(code)
    return path


def test_the_example_of_the_base_class_is_found_listed_and_drawn(example, tmp_path):
    assert add_plugin_file(example) == ["seconds"]
    assert FIGURES.card("seconds").summary == "How long each method trains."
    assert FIGURES.origin("seconds") == f"plugin {example}"
    outcome = make_figures(["seconds"], Results(made("glia,lora", protocols="main")), tmp_path, formats=("svg",))
    assert [path.name for path in outcome.paths] == ["seconds_demo_a_demo.svg", "seconds_demo_b_demo.svg"]
    said = words(outcome.paths[0])
    for text in ("seconds of training", "GLIA", "LoRA", "Demo. Training time on demo_a", "Preset demo; backbone"):
        assert text in said


def test_an_installed_figure_is_found_by_its_entry_point(monkeypatch):
    entry = metadata.EntryPoint("theirs", "bench.report.figures.scatter:Scatter", "bench.figures")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [entry] if group == "bench.figures" else [])
    registry = Registry("figure", "bench.report.figures", base="bench.report.figures.figure:Figure")
    assert "theirs" in registry
    assert registry.load("theirs").__name__ == "Scatter"


def test_a_broken_plugin_stops_no_other_figure(example, tmp_path):
    example.write_text(example.read_text() + "\nraise RuntimeError('at once')\n")
    add_plugin_file(example)
    few = Results(made("glia", ["demo_a"], protocols="main", splits=1))
    outcome = make_figures(["seconds", "scatter"], few, tmp_path, formats=("svg",))
    [refusal] = outcome.refused
    assert refusal.line.startswith("seconds: The figure 'seconds'")
    assert [path.name for path in outcome.paths] == ["scatter_demo_a_demo.svg"]


def test_every_built_in_figure_says_what_it_shows_and_what_it_needs():
    assert {"parameters", "scatter", "cross", "gmad", "attention", "spectra", "training"} <= set(FIGURES)
    for name in FIGURES:
        assert FIGURES.card(name).summary
        loaded = FIGURES.load(name)
        assert issubclass(loaded, Figure)
        for about in ("protocol", "takes_image", "needs_pictures", "needs_weights"):
            assert facts(name)[about] == getattr(loaded, about), (name, about)


def test_a_typo_gets_a_suggestion():
    with pytest.raises(UsageError, match="Unknown figure 'paramters'. Did you mean parameters"):
        FIGURES.target("paramters")
