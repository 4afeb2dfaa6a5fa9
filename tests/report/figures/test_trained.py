"""Figures that walk through trained models, from a run to the file: kept weights are found, opened and shown."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from bench.core.errors import UsageError
from bench.records.results import Results
from bench.records.store import Store
from bench.report.figures import make_figure, make_figures
from bench.report.figures.models import contiguous, open_trained
from bench.report.figures.spectra import feature_spectra
from bench.report.figures.style import NARROWEST
from bench.training.run import make_run
from bench.training.session import prepare
from bench.training.states import restore_trained
from tests.report.figures.drawn import drawings, panels_of, words
from tests.world import make_world, tiny_runtime, tiny_spec


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Three runs with kept weights, and one without."""
    home = tmp_path_factory.mktemp("trained")
    runtime = tiny_runtime(home, make_world(home))
    store = Store(runtime.results)
    for method in ("linear_probe", "vpt", "glia", "full_finetune"):
        spec = tiny_spec(method, recipe={"epochs": 1})
        store.write(*make_run(spec, runtime))
        if method == "full_finetune":
            store.state_path(spec).unlink()
    return runtime, store


def test_attention_maps_of_every_kept_method_stand_beside_the_pictures(world, tmp_path):
    runtime, store = world
    paths = make_figure("attention", Results.read(store), tmp_path, runtime=runtime)
    assert sorted(path.name for path in paths if path.suffix == ".svg") == [
        "attention_cls_near_demo.svg",
        "attention_rollout_near_demo.svg",
    ]
    said = words(paths[1])
    for text in ("Linear probe", "VPT", "GLIA", "Attention rollout", "label"):
        assert text in said
    assert "Without kept weights, and so not shown: Full fine-tune" in said


def test_a_picture_may_be_named_or_be_any_file(world, tmp_path):
    runtime, store = world
    results = Results.read(store)
    outside = next((runtime.results.parent / "far").glob("*.png"))
    for image in ("g0_1.png", str(outside)):
        assert make_figure("attention", results, tmp_path, runtime=runtime, methods=("glia",), image=image)
    with pytest.raises(UsageError, match="neither a file nor a picture of near"):
        make_figure("attention", results, tmp_path, runtime=runtime, image="nothing.png")


def test_spectra_are_drawn_and_the_same_twice(world, tmp_path):
    runtime, store = world
    once = make_figure("spectra", Results.read(store), tmp_path / "once", runtime=runtime)
    again = make_figure("spectra", Results.read(store), tmp_path / "again", runtime=runtime)
    stems = {path.stem for path in once}
    assert stems == {"spectra_near_demo", "spectra_amplitude_near_demo", "spectra_depth_near_demo"}
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]


def test_spectra_are_of_the_same_crops_for_every_method_unless_its_own_views_are_asked_for(world, tmp_path):
    runtime, store = world
    records = [one for one in Results.read(store).records if one.spec.method in ("glia", "vpt")]
    sessions = {record.spec.method: open_trained(record, runtime) for record in records}
    rows = np.arange(4)
    glia, vpt = (contiguous(sessions[name]) for name in ("glia", "vpt"))
    ask = {"epoch": 0, "number": 0, "training": False}
    assert torch.equal(glia.raw("detail", rows, **ask), vpt.raw("crop", rows, **ask))
    own = sessions["glia"].feed_of("near").maker
    assert not torch.equal(glia.raw("detail", rows, **ask), own.raw("detail", rows, **ask))
    assert torch.equal(glia.raw("semantic", rows, **ask), own.raw("semantic", rows, **ask))
    spectra = {views: feature_spectra(sessions["glia"], views) for views in ("same", "own")}
    assert not np.array_equal(spectra["same"], spectra["own"])
    assert np.array_equal(feature_spectra(sessions["vpt"], "same"), feature_spectra(sessions["vpt"], "own"))


def test_what_the_spectra_are_of_stands_below_them(world, tmp_path):
    runtime, store = world
    results = Results.read(store)
    for views, said in (("same", "every method on the same crops"), ("own", "each method on its own views")):
        paths = make_figure("spectra", results, tmp_path / views, runtime=runtime, views=views)
        assert said in words(paths[1])
    with pytest.raises(UsageError, match="--views is for spectra, not for attention"):
        make_figure("attention", results, tmp_path, runtime=runtime, views="own")
    with pytest.raises(UsageError, match="it is same or own"):
        make_figure("spectra", results, tmp_path, runtime=runtime, views="mine")


def test_with_views_asked_for_and_no_name_the_figures_that_take_them_are_drawn(world, tmp_path):
    runtime, store = world
    options = {"runtime": runtime, "methods": ("vpt",), "formats": ("svg",), "views": "own"}
    outcome = make_figures((), Results.read(store), tmp_path, **options)
    kinds = ("spectra", "spectra_amplitude", "spectra_depth")
    assert [path.stem for path in outcome.paths] == [f"{kind}_own_near_vpt_demo" for kind in kinds]
    assert not outcome.refused + outcome.without_records
    with pytest.raises(UsageError, match="No figure takes --image and --views together"):
        make_figures((), Results.read(store), tmp_path, image="g0_1.png", **options)


@pytest.mark.parametrize("kind", ["attention", "spectra"])
def test_runs_in_bf16_are_looked_into_in_bf16(kind, tmp_path):
    runtime = tiny_runtime(tmp_path, make_world(tmp_path))
    store = Store(runtime.results)
    for method in ("linear_probe", "glia"):
        store.write(*make_run(tiny_spec(method, precision="bf16", recipe={"epochs": 1}), runtime))
    assert make_figure(kind, Results.read(store), tmp_path / "figures", runtime=runtime)


def test_the_maps_of_one_method_stand_right_beside_the_picture(world, tmp_path):
    runtime, store = world
    for drawing in drawings("attention", Results.read(store).records, tmp_path, runtime=runtime, methods=("glia",)):
        assert drawing.figure.get_figwidth() == NARROWEST
        left, right = (axes.get_position() for axes in panels_of(drawing)[:2])
        assert right.x0 - left.x1 < 0.3 * left.width
        assert (left.x0 + right.x1) / 2 == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("shape", [(60, 160), (160, 60)])
def test_maps_of_a_tall_or_a_wide_picture_leave_no_hole(shape, world, tmp_path):
    runtime, store = world
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)).save(path)
    chosen = {"runtime": runtime, "methods": ("glia",), "image": str(path)}
    drawing = drawings("attention", Results.read(store).records, tmp_path, **chosen)[0]
    for axes in panels_of(drawing)[:2]:
        room, picture = axes.get_position(original=True), axes.get_position()
        assert picture.width * picture.height > 0.55 * room.width * room.height


def test_spectra_name_both_ends_of_both_axes(world, tmp_path):
    runtime, store = world
    drawing = drawings("spectra", Results.read(store).records, tmp_path, runtime=runtime)[0]
    axes = panels_of(drawing)[0]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["−π", "0", "π"]
    for low, high in (axes.get_xlim(), sorted(axes.get_ylim())):
        assert low < -1
        assert high > 1


def test_models_whose_pictures_are_not_here_are_one_line_per_figure(world, tmp_path):
    runtime, store = world
    elsewhere = replace(runtime, data={})
    outcome = make_figures(["attention", "spectra"], Results.read(store), tmp_path, runtime=elsewhere)
    lines = [refusal.line for refusal in outcome.refused]
    assert [line.partition(":")[0] for line in lines] == ["attention (near)", "spectra (near)"]
    assert all("it needs the pictures of near, and they are not here." in line for line in lines)
    assert not any("\n" in line for line in lines)


def test_an_attention_figure_of_a_named_picture_has_a_name_of_its_own(world, tmp_path):
    runtime, store = world
    paths = make_figure("attention", Results.read(store), tmp_path, runtime=runtime, image="g0_1.png", methods=("vpt",))
    assert {path.stem for path in paths} == {f"attention_{kind}_near_vpt_g0_1_demo" for kind in ("rollout", "cls")}


def test_methods_without_kept_weights_name_the_command(world, tmp_path):
    runtime, store = world
    with pytest.raises(UsageError, match="no kept weights.*bench run -p main -m full_finetune"):
        make_figure("attention", Results.read(store), tmp_path, runtime=runtime, methods=("full_finetune",))


def test_methods_without_a_vit_are_named_and_keep_no_other_from_being_shown(world, tmp_path):
    runtime, store = world
    other = Store(tmp_path / "other")
    other.ready()
    other.write(*make_run(tiny_spec("brisque", recipe={"epochs": 1}), runtime))
    both = Results([*Results.read(store).records, *Results.read(other).records])
    for name in ("attention", "spectra"):
        paths = make_figure(name, both, tmp_path, runtime=runtime)
        assert "Without a ViT, and so not shown: BRISQUE." in words(paths[1])
    with pytest.raises(UsageError, match="no ViT to look into in brisque"):
        make_figure("attention", both, tmp_path, runtime=runtime, methods=("brisque",))


def test_a_walk_through_models_says_how_far_it_is(world, tmp_path):
    runtime, store = world
    told = []
    make_figure(
        "attention",
        Results.read(store),
        tmp_path,
        runtime=runtime,
        report=lambda done, total, what, _facts=None: told.append((what, done, total)),
    )
    assert [one for one in told if one[0] == "attention maps"] == [("attention maps", n, 3) for n in range(4)]
    assert (told[0], told[-1]) == (("figures", 0, 1), ("figures", 1, 1))


def test_damaged_weights_are_refused_with_the_command_that_mends_them(world, tmp_path):
    runtime, store = world
    [record] = [one for one in Results.read(store).records if one.spec.method == "linear_probe"]
    path = store.state_path(record.spec)
    sound = path.read_bytes()
    try:
        path.write_bytes(sound[:-4] + b"\0\1\2\3")
        assert restore_trained(prepare(record.spec, runtime), store) is None
        with pytest.raises(UsageError, match="--overwrite always"):
            open_trained(record, runtime)
    finally:
        path.write_bytes(sound)
