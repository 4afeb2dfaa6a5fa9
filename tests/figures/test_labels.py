"""Names beside points, and all other texts of a figure, never lie on one another or off the page."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.path import Path
from matplotlib.text import Text

from bench.figures import FIGURES
from bench.figures.labels import Name, name_points
from bench.figures.scene import Wish, scenes
from bench.figures.style import finish, house_style, panels, wrapped
from bench.results import Results
from tests.tables.records import record_of
from tests.tables.results import specs_of


@pytest.mark.parametrize("count", [2, 7, 12, 15])
def test_names_of_crowded_points_lie_neither_on_one_another_nor_on_a_line_that_leads_to_one(count):
    random = np.random.default_rng(count)
    with house_style():
        figure, (axes,) = panels(1, columns=1, size=(7.2, 4.6))
        axes.set(xlim=(0, 1), ylim=(0, 1))
        finish(figure, "A title", ["Words below."])
        names = [Name(f"method_with_a_name_{i}", tuple(random.uniform(0.3, 0.7, 2)), 5.0) for i in range(count)]
        name_points(axes, names)
        figure.draw_without_rendering()
        frame = axes.get_window_extent()
        boxes = [Text.get_window_extent(text) for text in axes.texts]  # without the line that leads to the point
        lines = {
            i: Path([((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2), axes.transData.transform(text.xy)])
            for i, (text, box) in enumerate(zip(axes.texts, boxes, strict=True))
            if text.arrow_patch is not None
        }
    assert len(boxes) == count
    assert bool(lines) == (count >= 12)
    assert not any(line.intersects_bbox(box) for i, line in lines.items() for j, box in enumerate(boxes) if i != j)
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)


def texts_of(figure):
    """Every text of a drawn figure that layout could push onto another: titles, labels, names, legend, words below."""
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        if axes.get_visible():
            texts += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
    return [text for text in texts if text.get_text() and text.get_visible()]


@pytest.mark.parametrize("name", ["parameters", "scatter", "distortions", "data_efficiency", "cross", "training"])
@pytest.mark.parametrize("count", [7, *(pytest.param(count, marks=pytest.mark.slow) for count in (2, 12))])
def test_no_text_of_any_figure_lies_on_another_or_off_the_page(name, count):
    methods = [f"a_method_with_a_long_name_{i}" for i in range(count)]
    records = [
        record_of(replace(spec, method=method, options={}))
        for spec in specs_of("main,cross,data_efficiency", "demo", "linear_probe", ["demo_a", "demo_b"], splits=1)
        for method in methods
    ]
    with house_style():
        [(scene, _)] = scenes(Results(records), Wish(datasets=() if name == "cross" else ("demo_a",)))
        figure = FIGURES.load(name)()
        for topic in figure.topics(scene):
            for drawing in figure.draw(scene, topic):
                drawing.figure.draw_without_rendering()
                page = drawing.figure.bbox
                found = {text: Text.get_window_extent(text) for text in texts_of(drawing.figure)}
                for (one, here), (other, there) in combinations(found.items(), 2):
                    assert not here.overlaps(there), (drawing.stem, one.get_text(), other.get_text())
                for text, box in found.items():
                    inside = page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1
                    assert inside, (drawing.stem, text.get_text())


def test_long_names_break_after_underscores():
    assert wrapped("my_own_method_with_a_long_name", 16) == "my_own_method_\nwith_a_long_name"
    assert wrapped("GLIA", 16) == "GLIA"
