"""How figures look: one look per method wherever it stands, honest scales, proper signs, no holes."""

import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.text import Text

from bench.core.registry import METHODS
from bench.records.results import Results
from bench.report.figures import make_figure
from bench.report.figures.cross import colour_scale
from bench.report.figures.spectra import periodic
from bench.report.figures.style import OTHER_MARKERS, OWN_PLACES, Look, printed
from tests.report.figures.drawn import drawings, made, panels_of
from tests.report.records import record_of

ALL = ",".join(OWN_PLACES)


def test_every_method_with_a_place_in_the_palette_has_a_look_of_its_own():
    built_in = {name for name in METHODS.names() if METHODS.origin(name) == "built-in"}
    assert set(OWN_PLACES) <= built_in
    looks = [Look.of(name) for name in OWN_PLACES]
    assert len({(look.colour, look.marker) for look in looks}) == len(looks)
    assert len({(look.colour, look.hatch) for look in looks}) == len(looks)


def test_a_plugins_look_depends_on_nothing_but_its_name():
    code = "from bench.report.figures.style import Look; print(Look.of('my_idea'), Look.of('peft:dora'))"
    said = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONHASHSEED": seed}, check=True,
            cwd=".",
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert said == {f"{Look.of('my_idea')} {Look.of('peft:dora')}\n"}


@pytest.mark.parametrize("name", ["my_idea", "peft:dora", "peft:oft", "a", "zzz"])
def test_a_plugin_never_looks_like_a_built_in_method(name):
    look = Look.of(name)
    assert look.marker in OTHER_MARKERS
    assert look == Look.of(name)
    for own in map(Look.of, OWN_PLACES):
        assert (look.colour, look.hatch) != (own.colour, own.hatch)


@pytest.mark.parametrize("name", ["parameters", "scatter", "distortions", "data_efficiency", "training"])
def test_a_method_has_one_colour_whoever_else_is_drawn(name, tmp_path):
    def colours(path):
        return set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", path.read_text()))

    alone = make_figure(name, Results(made("lora", ["demo_a"])), tmp_path / "alone", formats=("svg",))
    beside = make_figure(name, Results(made("linear_probe,adapter,lora", ["demo_a"])), tmp_path, formats=("svg",))
    own = {which: Look.of(which).colour.lower() for which in ("linear_probe", "adapter", "lora")}
    for one, several in zip(alone, beside, strict=True):
        assert set(own.values()) & colours(one) == {own["lora"]}
        assert set(own.values()) <= colours(several)


def test_the_scale_of_a_cross_map_is_wide_enough_not_to_dramatise():
    for low, high in ((0.957, 0.958), (0.26, 0.375), (-0.2, 0.9), (0.99, 1.0), (-0.05, 0.05), (0.4, 0.4)):
        start, end = colour_scale(np.array([[low, np.nan], [high, low]]))
        assert start <= low <= high <= end <= 1.0
        assert end - start >= 0.5 - 1e-9
        assert round(start, 1) == start
        assert round(end, 1) == end
    assert colour_scale(np.array([0.31, 0.97])) == (0.3, 1.0)


def test_a_small_cross_figure_has_a_bar_that_can_be_read_and_explains_only_what_is_drawn(tmp_path):
    [alone] = drawings("cross", made("glia", protocols="cross"), tmp_path)
    bar = next(axes for axes in alone.figure.axes if axes.get_label() == "<colorbar>")
    assert bar.get_position().width * alone.figure.get_figwidth() > 0.1
    assert "Framed" not in alone.words[0]  # no own test part was run
    assert "White" not in alone.words[0]
    [whole] = drawings("cross", made("glia", protocols="main,cross", preset="paper", datasets=()), tmp_path)
    assert "Framed" in whole.words[0]
    assert "White" in whole.words[0]


def test_panels_of_data_efficiency_share_one_range_which_is_no_magnifying_glass(tmp_path):
    records = made("linear_probe,adapter", ["demo_a", "demo_wild"], protocols="data_efficiency")
    left, right = panels_of(drawings("data_efficiency", records, tmp_path)[0])
    assert left.get_ylim() == right.get_ylim()
    [axes] = panels_of(drawings("data_efficiency", made("glia", ["demo_a"], splits=1), tmp_path)[0])
    low, high = axes.get_ylim()
    assert high - low >= 0.1 - 1e-9


def test_whiskers_are_seen_on_a_black_bar(tmp_path):
    axes = panels_of(drawings("distortions", made("glia", ["demo_a"]), tmp_path)[0])[0]
    whiskers = [one for one in axes.collections if isinstance(one, LineCollection)]
    rims, lines = whiskers[::2], whiskers[1::2]
    assert lines
    for rim, line in zip(rims, lines, strict=True):
        assert rim.get_linewidth()[0] > line.get_linewidth()[0]
        assert tuple(rim.get_color()[0][:3]) == (1, 1, 1)
        assert np.array_equal(rim.get_segments(), line.get_segments())


@pytest.mark.parametrize(("methods", "kinds"), [("glia", 1), ("glia", 5), (ALL, 1), (ALL, 5)])
def test_bars_are_never_broader_than_a_finger_and_names_of_groups_stay_apart(methods, kinds, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "tests.report.records.KINDS", ("jpeg", "rgb_noise", "contrast", "darken", "lens_blur")[:kinds] * (5 // kinds)
    )
    drawing = drawings("distortions", made(methods, ["demo_a"], splits=1), tmp_path)[0]
    axes = panels_of(drawing)[-1]
    drawing.figure.draw_without_rendering()
    pixel = drawing.figure.dpi
    for bar in axes.patches:
        assert bar.get_window_extent().width / pixel <= 0.32
    names = [Text.get_window_extent(label) for label in axes.get_xticklabels()]
    assert len(names) == kinds
    assert all(one.x1 + 0.05 * pixel < other.x0 for one, other in pairwise(names))


def test_numbers_have_a_proper_minus_and_zero_has_none(tmp_path):
    assert [printed(value) for value in (-0.0024, -0.0004, 0.5, 0.0)] == ["−0.002", "0.000", "0.500", "0.000"]
    assert [printed(value, 0, sign=True) for value in (-3.2, 3.2, -0.2)] == ["−3", "+3", "0"]
    [record] = made("glia", ["demo_a"], protocols="main", splits=1)
    metrics = {"demo_a:test": {"srcc": -0.0312, "plcc": -0.0001}}
    [drawing] = drawings("scatter", [record_of(record.spec, metrics=metrics)], tmp_path)
    assert drawing.figure.axes[0].get_title() == "GLIA\nSRCC −0.031  PLCC 0.000"
    [drawing] = drawings("parameters", [record_of(record.spec, metrics=metrics)], tmp_path)
    assert drawing.figure.axes[0].get_legend().get_texts()[0].get_text() == "1  GLIA  −0.031"


def test_a_spectrum_reaches_from_minus_pi_to_pi():
    even, odd = np.arange(16.0).reshape(4, 4), np.arange(9.0).reshape(3, 3)
    whole, edge = periodic(even)
    assert whole.shape == (5, 5)
    assert np.array_equal(whole[:4, :4], even)
    assert np.array_equal(whole[-1, :4], even[0])  # what stands at −π stands at π
    assert edge == pytest.approx(1.25)  # half a pixel beyond π: five pixels of π / 2
    assert periodic(odd)[1] == 1.0
    assert periodic(odd)[0] is odd
