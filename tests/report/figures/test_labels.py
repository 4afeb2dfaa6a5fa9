"""Texts of a figure never lie on one another or off the page."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.text import Text

from bench.records.results import Results
from bench.report.figures import FIGURES
from bench.report.figures.parameters import Spot, number_spots
from bench.report.figures.scene import Wish, scenes
from bench.report.figures.style import finish, house_style, panels, wrapped
from tests.report.records import record_of
from tests.report.results import specs_of


def texts_of(figure):
    """Every text of a drawn figure that layout could push onto another: titles, labels, names, legend, words below."""
    legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
    texts = [*figure.texts, *(text for legend in legends for text in legend.get_texts())]
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
        figure = FIGURES.make(name)
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


def test_numbers_of_crowded_spots_lie_on_no_other_and_stay_with_their_spots():
    random = np.random.default_rng(27)
    with house_style():
        figure, (axes,) = panels(1, columns=1, size=(8.4, 4.6))
        axes.set(xlim=(0, 1), ylim=(0, 1))
        finish(figure, "A title", ["Words below."])
        spots = [Spot("name", *random.uniform(0.45, 0.55, 2)) for _ in range(27)]
        number_spots(axes, spots)
        figure.draw_without_rendering()
        boxes = [Text.get_window_extent(text) for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == [str(number) for number in range(1, 28)]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    for spot, box in zip(spots, boxes, strict=True):
        x, y = axes.transData.transform((spot.trainable, spot.srcc))
        assert box.y0 < y < box.y1
        assert abs((box.x0 + box.x1) / 2 - x) < 0.1 * axes.bbox.width


def test_every_spot_of_the_parameters_has_a_number_and_the_legend_beside_it_a_name_and_value():
    records = [record_of(spec) for spec in specs_of("main", "paper", "linear_probe,loda,glia", ["koniq10k"], splits=1)]
    with house_style():
        [(scene, _)] = scenes(Results(records), Wish())
        figure = FIGURES.make("parameters")
        [drawing] = [drawing for topic in figure.topics(scene) for drawing in figure.draw(scene, topic)]
    [axes] = drawing.figure.axes
    numbers = [text.get_text() for text in axes.texts]
    names = [text.get_text().split("  ") for text in axes.get_legend().get_texts()]
    assert numbers == [number for number, _, _ in names] == [str(n) for n in range(1, len(names) + 1)]
    assert [name for _, name, _ in names[:3]] == ["Linear probe", "LoDa", "GLIA"]
    assert ["LIQE", "0.919"] in [rest for _, *rest in names], "a published one"
    values = sorted(record.value("koniq10k:test", "srcc") for record in records)
    assert sorted(value for _, _, value in names[:3]) == [f"{value:.3f}" for value in values]


def test_long_names_break_after_underscores():
    assert wrapped("my_own_method_with_a_long_name", 16) == "my_own_method_\nwith_a_long_name"
    assert wrapped("GLIA", 16) == "GLIA"
