"""Figures from records alone: every one is drawn, says what it shows, gives the same bytes, and refuses plainly."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from bench.core.errors import UsageError
from bench.records.results import Experiment, Results
from bench.report.cells import Cell, nearest_to_median
from bench.report.figures import FIGURES, facts, make_figure, make_figures
from tests.report.figures.drawn import FROM_RECORDS, words
from tests.report.records import record_of, records_of
from tests.report.results import results_of, specs_of

METHODS = "linear_probe,full_finetune,glia"


@pytest.fixture(scope="module")
def demo():
    return results_of("main,cross,data_efficiency", "demo", METHODS, ["demo_a", "demo_b"], splits=2)


@pytest.fixture(scope="module")
def small():
    return results_of("main", "demo", "linear_probe,glia", ["demo_a"], splits=2)


@pytest.mark.parametrize("name", FROM_RECORDS)
def test_every_figure_is_drawn_as_png_and_svg_and_marked_as_demo(name, demo, tmp_path):
    paths = make_figure(name, demo, tmp_path, datasets=() if name == "cross" else ("demo_a",))
    assert {path.suffix for path in paths} == {".png", ".svg"}
    for path in paths:
        assert path.stem.endswith("_demo")
        assert path.read_bytes()[:4] == b"\x89PNG" if path.suffix == ".png" else "Demo. " in words(path)
    said = words(paths[1])
    assert "vit_small_patch14_dinov2" in said
    assert "Preset demo" in said
    for title in ("Linear probe", "Full fine-tune", "GLIA"):
        assert title in said


@pytest.mark.parametrize("name", ["parameters", "scatter", "distortions"])
def test_the_same_records_give_the_same_bytes_in_any_order_and_style(name, small, tmp_path):
    import matplotlib

    once = make_figure(name, small, tmp_path / "once")
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "red", "svg.hashsalt": None}):
        again = make_figure(name, Results(reversed(small.records)), tmp_path / "again")
    for first, second in zip(once, again, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_published_numbers_stand_beside_measured_ones_only_outside_the_demo(small, tmp_path):
    paper = results_of("main", "paper", METHODS, ["koniq10k"], splits=2)
    assert "LIQE" in words(make_figure("parameters", paper, tmp_path, formats=("svg",))[0])
    assert "LIQE" not in words(make_figure("parameters", small, tmp_path, formats=("svg",))[0])


def test_presets_never_share_a_figure(small, tmp_path):
    both = Results([*small.records, *records_of(specs_of("main", "paper", METHODS, ["koniq10k"], splits=1))])
    stems = {path.stem for path in make_figure("scatter", both, tmp_path, formats=("svg",))}
    assert stems == {"scatter_koniq10k", "scatter_demo_a_demo"}


@pytest.mark.parametrize("name", FIGURES.names())
def test_without_records_the_command_that_makes_them_is_named(name, tmp_path):
    with pytest.raises(UsageError, match=f"bench run -p {facts(name)['protocol']}"):
        make_figure(name, Results([]), tmp_path)


@pytest.mark.parametrize("name", ["data_efficiency", "cross", "gmad"])
def test_records_of_other_protocols_do_not_make_a_figure(name, tmp_path):
    others = results_of("main", "demo", "glia", ["demo_a"], splits=1)
    with pytest.raises(UsageError, match="1 record here, without what it shows"):
        make_figure(name, others, tmp_path)


def test_all_figures_that_have_records_are_drawn_when_none_is_named(tmp_path):
    few = results_of("main", "demo", "glia", ["demo_a"], splits=1)
    outcome = make_figures((), few, tmp_path, formats=("svg",))
    stems = ("parameters", "scatter", "distortions", "distortions_each", "training")
    assert {path.name for path in outcome.paths} == {f"{stem}_demo_a_demo.svg" for stem in stems}
    assert sorted(outcome.paths) == sorted(tmp_path.iterdir())
    assert outcome.without_records == ["cross", "data_efficiency", "gmad", "koniq_cross", "ranks"]
    assert [refusal.figure for refusal in outcome.refused] == ["attention", "spectra"]  # a runtime they have not


def test_mistakes_are_named(demo, tmp_path):
    with pytest.raises(UsageError, match="Did you mean parameters"):
        make_figure("paramters", demo, tmp_path)
    with pytest.raises(UsageError, match="Unknown figure format gif"):
        make_figure("cross", demo, tmp_path, formats=("gif",))
    with pytest.raises(UsageError, match="--image is for attention"):
        make_figure("cross", demo, tmp_path, image="x.png")
    with pytest.raises(UsageError, match="bench run -m lora -p cross"):
        make_figure("cross", demo, tmp_path, methods=("lora",))
    with pytest.raises(UsageError, match="nope is no method; there are adapter"):
        make_figure("cross", demo, tmp_path, methods=("glia", "nope"))
    with pytest.raises(UsageError, match="No record here is of nowhere; there are some of demo_a, demo_b"):
        make_figure("scatter", demo, tmp_path, datasets=("demo_a", "nowhere"))
    assert list(tmp_path.iterdir()) == []


def test_only_the_named_methods_and_datasets_are_shown(demo, tmp_path):
    paths = make_figure("scatter", demo, tmp_path, formats=("svg",), methods=("glia",), datasets=("demo_b",))
    assert [path.name for path in paths] == ["scatter_demo_b_glia_demo.svg"]
    assert "Linear probe" not in words(paths[0])


def test_failed_and_missing_runs_are_said_below(tmp_path):
    first, second = specs_of("main", "demo", "glia", ["demo_a"], splits=2)
    [other, _] = specs_of("main", "demo", "lora", ["demo_a"], splits=2)
    records = [record_of(first), record_of(second, error=("RunError", "diverged")), record_of(other)]
    said = words(make_figure("parameters", Results(records), tmp_path, formats=("svg",))[0])
    assert "Failed runs left out: GLIA (1)." in said
    assert "Not all 2 splits are there: LoRA (1)." in said


def test_a_method_whose_runs_all_failed_is_named_below(tmp_path):
    specs = specs_of("main", "demo", "glia,loda", ["demo_a"])
    records = [record_of(s, error=("RunError", "no")) if s.method == "loda" else record_of(s) for s in specs]
    said = words(make_figure("parameters", Results(records), tmp_path, formats=("svg",))[0])
    assert "all their runs here failed (bench status says why): LoDa" in said


def test_a_method_under_several_settings_is_shown_with_the_plainest(tmp_path):
    plain, changed = (
        [record_of(spec) for spec in specs_of("main", "demo", "glia", ["demo_a"], splits=1, **changes)]
        for changes in ({}, {"limit": 50})
    )
    said = words(make_figure("scatter", Results([*changed, *plain]), tmp_path, formats=("svg",))[0])
    assert "limit" not in said
    alone = words(make_figure("scatter", Results(changed), tmp_path / "alone", formats=("svg",))[0])
    assert "GLIA" in alone


def test_the_scatter_shows_the_split_nearest_to_the_median():
    records = [record_of(spec) for spec in specs_of("main", "demo", "glia", ["demo_a"], splits=3)]
    cell = Cell.of(records, Experiment("demo_a", "demo_a:test"), "srcc")
    chosen = nearest_to_median(cell).value("demo_a:test", "srcc")
    assert chosen == np.median([record.value("demo_a:test", "srcc") for record in records])


def test_the_registry_of_figures_loads_no_matplotlib():
    code = (
        "import sys, bench.report.figures, bench.cli; sys.exit('matplotlib' in sys.modules or 'numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_fold_under_several_seeds_is_one_split_of_a_figure(tmp_path):
    specs = specs_of("main", "study", "lora,glia", ["study"], splits=7)
    seeds = [replace(s, recipe=replace(s.recipe, seed=seed)) for s in specs for seed in (0, 1)]
    some = [record_of(s) for s in seeds if (s.method, s.recipe.seed) != ("lora", 1)]
    said = words(make_figure("parameters", Results(some), tmp_path, formats=("svg",))[0])
    assert "Medians over 7 splits." in said
    assert "Not all" not in said
