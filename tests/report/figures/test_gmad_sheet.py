"""gMAD sheets: the pairs of the competition, two models at a time, with the right pictures."""

import numpy as np
import pytest

from bench.core.runtime import Runtime
from bench.metrics.gmad import find_pairs
from bench.records.results import Results
from bench.report.figures import make_figure
from tests.report.figures.drawn import drawings, made, panels_of, words
from tests.report.records import predictions, record_of
from tests.report.results import specs_of


@pytest.fixture
def asked(monkeypatch):
    """The names of the pictures that were asked for; each is a grey square."""
    names = []

    def grey(dataset, wanted, runtime):
        names.extend(wanted)
        return [np.full((8, 8, 3), 128, np.uint8) for _ in wanted]

    monkeypatch.setattr("bench.report.figures.gmad.pictures_of", grey)
    return names


def draw(specs, tmp_path, **wishes):
    runtime = Runtime(results=tmp_path, cache=tmp_path)
    return make_figure("gmad", Results(map(record_of, specs)), tmp_path, formats=("svg",), runtime=runtime, **wishes)


def test_a_sheet_shows_the_pairs_at_the_lowest_and_the_highest_level(asked, tmp_path):
    specs = specs_of("gmad", "demo", "lora,glia", splits=1)
    [path] = draw(specs, tmp_path)
    assert path.name == "gmad_demo_a_demo_b_lora_glia_demo.svg"
    said = words(path)
    for column in (
        "(a) LoRA fixed at low",
        "(b) LoRA fixed at high",
        "(c) GLIA fixed at low",
        "(d) GLIA fixed at high",
    ):
        assert column in said
    arrays = {spec.method: predictions(spec) for spec in specs}
    scores = {method: found["demo_b:all/predicted"] for method, found in arrays.items()}
    pair = find_pairs("glia", "lora", scores, arrays["glia"]["demo_b:all/human"])[0]
    names = arrays["glia"]["demo_b:all/names"]
    assert (asked[0], asked[len(asked) // 2]) == (names[pair.best], names[pair.worst])


def test_the_two_strongest_meet_unless_others_are_named(asked, tmp_path):
    specs = specs_of("gmad", "demo", "linear_probe,lora,glia", splits=1)
    assert len(draw(specs, tmp_path)) == 1
    named = draw(specs, tmp_path, methods=("linear_probe", "lora"))
    assert [path.name for path in named] == ["gmad_demo_a_demo_b_linear_probe_lora_demo.svg"]


def test_glia_meets_deiqt_as_in_the_paper_where_both_are_there(asked, tmp_path):
    specs = specs_of("gmad", "paper", splits=1)
    assert {(spec.train, spec.tests) for spec in specs} == {("koniq10k", ("livec:all",))}
    assert {spec.backbone for spec in specs if spec.method == "deiqt"} == {"deit3_small_patch16_224.fb_in22k_ft_in1k"}
    [path] = draw(specs, tmp_path)
    assert path.name == "gmad_koniq10k_livec_deiqt_glia.svg"
    said = words(path)
    assert all(f"{letter} {who} fixed" in said for letter, who in (("(a)", "DEIQT"), ("(c)", "GLIA")))
    [other] = draw([spec for spec in specs if spec.method != "deiqt"], tmp_path / "without")
    assert "deiqt" not in other.name


def test_a_pair_shares_what_both_changed_and_every_column_is_titled_on_the_same_lines(asked, tmp_path):
    records = made("linear_probe,lora,glia", (), splits=1, protocols="gmad", recipe={"epochs": 9})
    runtime = Runtime(results=tmp_path, cache=tmp_path)
    [drawing] = drawings("gmad", records, tmp_path, runtime=runtime, methods=("lora", "glia"))
    assert any(line.startswith("Preset demo, changed: epochs=9; backbone") for line in drawing.words)
    titles = [axes.get_title() for axes in drawing.figure.axes if axes.get_title()]
    assert [title.split("\n")[:2] for title in titles[:2]] == [
        ["(a) LoRA", "fixed at low quality"],
        ["(b) LoRA", "fixed at high quality"],
    ]
    assert {title.count("\n") for title in titles} == {2}


@pytest.mark.parametrize("shape", [(60, 80, 3), (80, 80, 3), (90, 60, 3), (100, 108, 3)])
def test_no_score_lies_on_a_picture(shape, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "bench.report.figures.gmad.pictures_of", lambda _, wanted, __: [np.full(shape, 128, np.uint8) for _ in wanted]
    )
    runtime = Runtime(results=tmp_path, cache=tmp_path)
    records = made("lora,glia", (), splits=1, protocols="gmad")
    [drawing] = drawings("gmad", records, tmp_path, runtime=runtime)
    drawing.figure.draw_without_rendering()
    panels = panels_of(drawing)
    for axes in panels:
        for text in (axes.xaxis.label, axes.title):
            assert not any(text.get_window_extent().overlaps(other.get_window_extent()) for other in panels)
