"""What comes of drawing: files in any format with the same bytes, one line for each figure that could not be drawn."""

import pytest
from PIL import Image

from bench.core.errors import StoreError
from bench.core.runtime import Runtime
from bench.records.results import Results
from bench.report.figures import make_figure, make_figures
from tests.report.figures.drawn import made, words


@pytest.fixture(scope="module")
def small():
    return Results(made("linear_probe,glia", ["demo_a"], protocols="main"))


def test_a_pdf_has_the_same_bytes_twice_and_no_date(small, tmp_path):
    [once] = make_figure("parameters", small, tmp_path / "once", formats=("pdf",))
    [again] = make_figure("parameters", small, tmp_path / "again", formats=("pdf",))
    data = once.read_bytes()
    assert data == again.read_bytes()
    assert data.startswith(b"%PDF")
    assert b"Date" not in data
    assert b"Producer" not in data


def test_a_plain_figure_has_neither_title_nor_words_and_its_file_still_knows_them(small, tmp_path):
    outcome = make_figures(["scatter"], small, tmp_path, formats=("svg", "png", "pdf"), plain=True)
    [written] = outcome.written
    vector, raster, page = written.paths
    said = words(vector)
    assert "Demo" not in said
    assert "Preset" not in said
    assert "GLIA" in said
    assert written.drawing.title == "Demo. Predicted against labels on Demo A"
    with Image.open(raster) as opened:
        assert opened.text["Title"] == written.drawing.title
        assert opened.text["Description"] == " ".join(written.drawing.words)
    assert "Preset demo" in vector.read_text().replace("\n", " ")
    assert b"/Subject" in page.read_bytes()


def test_a_plain_figure_is_as_large_as_its_panels(small, tmp_path):
    heights = [
        make_figures(["scatter"], small, tmp_path, plain=plain).written[0].drawing.figure.get_figheight()
        for plain in (False, True)
    ]
    assert heights[0] - heights[1] > 0.7  # inches of title and words


def test_one_failing_figure_stops_no_other(small, tmp_path, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("by\nnought")

    monkeypatch.setattr("bench.report.figures.scatter.Scatter.draw", fail)
    told = []
    outcome = make_figures(["scatter", "training", "cross"], small, tmp_path, formats=("svg",), tell=told.append)
    assert [path.name for path in outcome.paths] == ["training_demo_a_demo.svg"]
    assert told == [*outcome.refused[:1], *outcome.written, *outcome.refused[1:]]  # as they came
    lines = [refusal.line for refusal in outcome.refused]
    assert lines[0] == "scatter (Demo A): ZeroDivisionError: by nought"
    assert lines[1].startswith("cross: Nothing to draw for cross")
    with pytest.raises(ZeroDivisionError):
        make_figures(["scatter"], small, tmp_path, strict=True)


def test_one_failing_dataset_stops_no_other_of_its_figure(tmp_path, monkeypatch):
    from bench.report.figures.scatter import Scatter

    sound = Scatter.draw

    def only_the_second(self, scene, experiment):
        if experiment.train == "demo_a":
            raise StoreError("The predictions are gone.")
        yield from sound(self, scene, experiment)

    monkeypatch.setattr(Scatter, "draw", only_the_second)
    outcome = make_figures(["scatter"], Results(made("glia", protocols="main")), tmp_path, formats=("svg",))
    assert [path.name for path in outcome.paths] == ["scatter_demo_b_demo.svg"]
    assert [refusal.line for refusal in outcome.refused] == ["scatter (Demo A): The predictions are gone."]


def test_pictures_that_are_not_here_are_one_line_which_names_them(tmp_path):
    results = Results(made("linear_probe,glia", (), preset="paper", protocols="gmad", splits=1))
    runtime = Runtime(results=tmp_path, cache=tmp_path)
    outcome = make_figures(["gmad"], results, tmp_path, runtime=runtime)
    assert not outcome.written
    [refusal] = outcome.refused
    assert "\n" not in refusal.line
    why = "it needs the pictures of livec, and they are not here. livec: no folder is configured"
    assert refusal.line.startswith(f"gmad (KonIQ-10k → LIVEC): {why}")


def test_a_folder_that_cannot_be_written_gives_advice_that_works(small, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("bench.core.files.tempfile.NamedTemporaryFile", refuse)
    with pytest.raises(StoreError, match="figures cannot be written; --out DIR puts the figures elsewhere"):
        make_figures(["scatter", "training"], small, tmp_path / "figures")
