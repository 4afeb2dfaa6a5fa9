"""Figures that walk through trained models, from a run to the file: kept weights are found, opened and shown."""

import numpy as np
import pytest
import torch

from bench.errors import UsageError
from bench.figures import make_figure
from bench.figures.models import contiguous, open_trained
from bench.figures.spectra import feature_spectra
from bench.results import Results
from bench.run import make_run
from bench.session import prepare
from bench.states import take_up_state
from bench.store import Store
from tests.figures.test_figures import words
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
    for text in ("Linear probe", "VPT", "GLIA", "Attention rollout", "human score"):
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
    for views, said in (("same", "every method on the same crops"), ("own", "each method on the views it eats")):
        paths = make_figure("spectra", results, tmp_path / views, runtime=runtime, views=views)
        assert said in words(paths[1])
    with pytest.raises(UsageError, match="for the spectra only"):
        make_figure("attention", results, tmp_path, runtime=runtime, views="own")
    with pytest.raises(UsageError, match="it is same or own"):
        make_figure("spectra", results, tmp_path, runtime=runtime, views="mine")


@pytest.mark.parametrize("kind", ["attention", "spectra"])
def test_runs_in_bf16_are_looked_into_in_bf16(kind, tmp_path):
    runtime = tiny_runtime(tmp_path, make_world(tmp_path))
    store = Store(runtime.results)
    for method in ("linear_probe", "glia"):
        store.write(*make_run(tiny_spec(method, precision="bf16", recipe={"epochs": 1}), runtime))
    assert make_figure(kind, Results.read(store), tmp_path / "figures", runtime=runtime)


def test_methods_without_kept_weights_name_the_command(world, tmp_path):
    runtime, store = world
    with pytest.raises(UsageError, match="no kept weights.*bench run -p main -m full_finetune"):
        make_figure("attention", Results.read(store), tmp_path, runtime=runtime, methods=("full_finetune",))


def test_damaged_weights_are_refused_with_the_command_that_mends_them(world, tmp_path):
    runtime, store = world
    [record] = [one for one in Results.read(store).records if one.spec.method == "linear_probe"]
    path = store.state_path(record.spec)
    sound = path.read_bytes()
    try:
        path.write_bytes(sound[:-4] + b"\0\1\2\3")
        assert take_up_state(prepare(record.spec, runtime), store) is None
        with pytest.raises(UsageError, match="--overwrite always"):
            open_trained(record, runtime)
    finally:
        path.write_bytes(sound)
