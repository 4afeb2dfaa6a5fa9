"""Figures carry their conditions: what runs changed is said once below, smoke runs never pass for whole ones."""

import pytest

from bench.records.results import Results
from bench.report.figures import make_figure, make_figures
from tests.report.figures.drawn import FROM_RECORDS, drawings, made, seeded, words
from tests.report.records import body_of, predictions, record_of


@pytest.mark.parametrize("name", FROM_RECORDS)
def test_what_all_runs_changed_is_said_once_below_and_in_no_label(name, tmp_path):
    records = made("linear_probe,glia", recipe={"epochs": 7, "lr": 0.01}, splits=1)
    for path in make_figure(name, Results(records), tmp_path, formats=("svg",)):
        said = words(path)
        assert said.count("epochs=7") == 1
        assert "Preset demo, changed: epochs=7, lr=0.01; backbone" in said  # lr=0.01 is the linear probe's own


@pytest.mark.parametrize("name", FROM_RECORDS)
def test_a_figure_of_smoke_runs_says_so_in_its_title_its_words_and_its_name(name, tmp_path):
    records = made("linear_probe,glia", recipe={"epochs": 1}, splits=1, limit=40)
    for path in make_figure(name, Results(records), tmp_path, formats=("svg",)):
        said = words(path)
        assert path.stem.endswith("_demo_smoke")
        assert "Demo. Smoke run." in said
        assert "changed: epochs=1, limit=40" in said
        assert "Smoke run: at most 40 images of each set" in said


@pytest.mark.parametrize("name", FROM_RECORDS)
def test_smoke_runs_never_share_a_figure_with_whole_ones_and_their_absence_is_said(name, tmp_path):
    records = [*made("glia", splits=1), *made("lora,glia", splits=1, limit=40)]
    paths = make_figure(name, Results(records), tmp_path, formats=("svg",))
    for path in paths:
        said = words(path)
        assert "smoke" not in path.stem
        assert "Left out, for they are smoke runs (--limit): LoRA." in said
        assert "limit=40" not in said


def test_a_set_with_smoke_runs_only_takes_no_room_beside_whole_ones(tmp_path):
    records = [*made("glia", ["demo_a"]), *made("glia", ["demo_a", "demo_b"], limit=40)]
    [drawing] = drawings("data_efficiency", records, tmp_path)
    assert [axes.get_title() for axes in drawing.figure.axes] == ["Demo A"]


def test_a_part_of_a_dataset_is_said(tmp_path):
    [record] = made("glia", ["demo_a"], protocols="main", splits=1)
    body = body_of(record.spec)
    body["data"]["train"]["notes"] = ["partial: 100 of 300 images", "labels of 2021"]
    partial = type(record).from_dict(body, lambda: predictions(record.spec))
    [drawing] = drawings("scatter", [partial], tmp_path)
    assert "demo_a: partial: 100 of 300 images." in drawing.words


def test_a_label_holds_what_tells_its_method_apart_and_a_star_stands_for_more(tmp_path):
    records = made("linear_probe", ["demo_a"], protocols="main", splits=1, recipe={"epochs": 2})
    records += made("lora", ["demo_a"], protocols="main", splits=1, recipe={"epochs": 3})
    records += made("glia", ["demo_a"], protocols="main", splits=1, recipe={"epochs": 2, "lr": 0.5, "batch": 7})
    [drawing] = drawings("training", records, tmp_path)
    titles = [axes.get_title() for axes in drawing.figure.axes]
    assert [title for title in titles if title] == ["Linear probe, epochs=2", "LoRA, epochs=3", "GLIA*"]
    assert "GLIA*: epochs=2, batch=7, lr=0.5." in drawing.words


def test_an_option_of_a_method_alone_in_its_figure_is_said_below(tmp_path):
    [record] = made("glia", ["demo_a"], protocols="main", splits=1)
    from dataclasses import replace

    changed = record_of(replace(record.spec, options={**record.spec.options, "rank": 4}))
    [drawing] = drawings("scatter", [changed], tmp_path)
    assert drawing.figure.axes[0].get_title().startswith("GLIA\n")
    assert any("changed: rank=4;" in line for line in drawing.words)


def test_a_method_asked_for_without_runs_is_named(tmp_path):
    records = [*made("glia", splits=1, protocols="main"), *made("lora,glia", splits=1, protocols="cross")]
    [drawing] = drawings("scatter", records, tmp_path, methods=("glia", "lora"), datasets=("demo_a",))
    assert "Not shown, for they have no run here: LoRA." in drawing.words


def test_whiskers_and_splits_are_explained_only_where_some_are_drawn(tmp_path):
    for splits, so in ((1, False), (2, True)):
        records = made("glia", ["demo_a"], splits=splits)
        for name, word in (("parameters", "Whiskers"), ("data_efficiency", "Whiskers"), ("training", "Thin")):
            [drawing] = drawings(name, records, tmp_path)
            assert (word in drawing.words[0]) == so, name


@pytest.mark.parametrize("name", ["training", "cross", "data_efficiency"])
def test_a_figure_of_some_never_takes_the_name_of_the_figure_of_all(name, tmp_path):
    results, svg = Results(made("linear_probe,glia", splits=1)), {"formats": ("svg",)}
    selections = [{}, {"methods": ("glia",)}, {"methods": ("linear_probe", "glia")}]
    if name in ("cross", "data_efficiency"):
        selections.append({"datasets": ("demo_a", "demo_b")})
    found = [
        {path.name for path in make_figures([name], results, tmp_path, **svg, **wish).paths} for wish in selections
    ]
    assert all(found)
    assert sum(map(len, found)) == len(set.union(*found))
    turned = make_figures([name], results, tmp_path, **svg, methods=("glia", "linear_probe"))
    assert {path.name for path in turned.paths} == found[2]


def test_a_name_of_many_methods_still_fits_a_file_system(tmp_path):
    from bench.report.figures.scene import Wish, scenes

    several = tuple(f"peft:variant_{i}" for i in range(30))
    [(scene, _)] = scenes(Results(made("glia", splits=1)), Wish(methods=several))
    [(other, _)] = scenes(Results(made("glia", splits=1)), Wish(methods=several[:-1]))
    assert len(scene.stem("scatter", "demo_a")) <= 160
    assert scene.stem("scatter", "demo_a") != other.stem("scatter", "demo_a")
    assert ":" not in scene.stem("scatter", "demo_a")


def test_a_named_method_with_runs_and_nothing_to_draw_is_not_said_to_have_no_run(tmp_path):
    lora, ridge = made("lora", splits=1, protocols="main"), made("ridge", splits=1, protocols="main")
    records = [*lora, *(type(r).from_dict({**r.body, "loss": []}) for r in ridge)]
    said, *_ = drawings("training", records, tmp_path, methods=("lora", "ridge"))
    assert "Not shown, though they have runs here: Ridge." in said.words
    assert not any("no run here" in line for line in said.words)


def test_what_some_runs_have_no_number_for_is_named_below_their_distortions(tmp_path):
    lacking, whole = made("lora", ["demo_a"], protocols="main")
    arrays = predictions(lacking.spec)
    arrays["demo_a:test/predicted"][arrays["demo_a:test/distortion"] == "jpeg"] = 0.0
    records = [type(lacking).from_dict(lacking.body, lambda: arrays), whole]
    families, kinds = drawings("distortions", records, tmp_path)
    assert "Not every run has a number for: compression (1 of 2)." in families.words
    assert "Not every run has a number for: jpeg (1 of 2)." in kinds.words


def test_the_lines_of_a_fold_under_several_seeds_are_called_runs(tmp_path):
    folds = made("lora", ["demo_a"], protocols="main")
    said = [drawings("training", records, tmp_path)[0].words[0] for records in (folds, seeded(r.spec for r in folds))]
    assert [words.partition(". Loss")[0] for words in said] == [
        "Thin: one split. Thick: the mean over splits",
        "Thin: one run. Thick: the mean over runs",
    ]
