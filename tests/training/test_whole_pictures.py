"""`views=native`: trained on crops, tested on the whole picture at its own aspect, with interpolated positions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.core.errors import UsageError
from bench.core.spec import Recipe, RunSpec
from bench.data.pixels.policy import Policy
from bench.models.vit import Vit
from bench.models.weights.load import load_vit
from bench.models.whole import refuse_squares, views_in_test
from bench.planning.presets import preset_named
from bench.records.store import Store
from bench.report.tables.notes import conditions
from bench.scoring.load import load_scorer
from bench.scoring.onnx_file import write_onnx
from bench.training.run import make_run, scoring_gflops
from bench.training.session import prepare
from tests.report.records import records_of
from tests.scoring.worlds import make_runs
from tests.world import TINY, make_world, tiny_runtime, tiny_spec

WHOLE = {"views": "native", "tokens": 12}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    home = tmp_path_factory.mktemp("world")
    return home, make_world(home)


def test_runs_on_crops_are_called_as_they_always_were():
    plain = Recipe().as_dict()
    assert not {"views", "tokens"} & set(plain)
    assert tiny_spec("lora").key == tiny_spec("lora", recipe={"views": "crops"}).key
    assert tiny_spec("lora").key != tiny_spec("lora", recipe=WHOLE).key


def test_a_run_on_whole_pictures_says_so_in_its_spec_and_is_read_back():
    spec = tiny_spec("lora", recipe=WHOLE)
    assert spec.as_dict()["recipe"]["views"] == "native"
    assert spec.as_dict()["recipe"]["tokens"] == 12
    assert RunSpec.from_dict(spec.as_dict()) == spec


def test_a_bound_of_whole_pictures_is_refused_beside_crops():
    with pytest.raises(UsageError, match=r"tokens=64 bounds whole pictures: it goes with views=native"):
        Recipe(tokens=64)


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 2000), st.sampled_from([14, 16]), st.integers(0, 600))
def test_a_whole_picture_is_of_whole_patches_and_of_no_more_than_its_bound(height, width, tokens, patch, short_side):
    tall, wide = Policy(short_side, patch=patch, tokens=tokens).target(height, width)
    assert tall % patch == wide % patch == 0
    assert 0 < tall * wide <= tokens * patch**2


def test_a_whole_picture_keeps_its_aspect_to_within_half_a_patch():
    assert Policy(384, patch=16, tokens=1024).target(768, 1024) == (384, 512)
    assert Policy(384, patch=14, tokens=1024).target(768, 1024) == (378, 518)
    assert Policy(384, patch=16, tokens=300).target(768, 1024) == (240, 320)


BACKBONES = {
    "table": "vit_small_patch16_224",
    "table of dinov2": "vit_small_patch14_dinov2",
    "attention pool": "vit_base_patch16_siglip_224",
    "rotation": "vit_small_patch16_dinov3",
    "rotation beside a table": "vit_small_patch16_rope_ape_224",
    "rotation by block": "vit_small_patch16_rope_mixed_224",
}


def small(name: str, any_shape: bool) -> Vit:
    import timm

    changes = {"embed_dim": 48, "depth": 2, "num_heads": 3, "num_classes": 0, "img_size": 112}
    torch.manual_seed(5)
    return Vit(timm.create_model(name, pretrained=False, dynamic_img_size=any_shape, **changes), 112).eval()


@pytest.mark.parametrize("name", BACKBONES.values(), ids=BACKBONES)
def test_the_walk_over_a_whole_picture_is_timms_own_and_over_a_square_the_same_as_ever(name):
    vit, square = small(name, any_shape=True), small(name, any_shape=False)
    patch = vit.shape.patch
    picture = torch.randn(1, 3, 5 * patch, 9 * patch)
    with torch.no_grad():
        assert torch.allclose(vit.tokens(picture), vit.model.fc_norm(vit.model.forward_features(picture)), atol=1e-5)
        crop = torch.randn(2, 3, 112, 112)
        assert torch.allclose(vit(crop), square(crop), atol=1e-5)
        again = vit.tokens(picture)
        assert again.shape[1] == vit.shape.prefix + 45, "and after a square it is the picture's own grid again"


@pytest.mark.parametrize("method", ["lora", "linear_probe", "vpt", "ridge"])
def test_a_run_is_trained_on_crops_and_tested_on_each_picture_as_if_it_were_alone(method, world):
    home, data = world
    spec = tiny_spec(method, tests=("near:test", "far:all"), recipe=WHOLE)
    runtime = tiny_runtime(home, data)
    record, arrays = make_run(spec, runtime)
    session = prepare(spec, runtime)
    assert session.feed.maker.views["crop"].kind == "crop"
    assert session.feed.maker.tested["crop"].kind == "native"
    assert len(arrays["far:all/predicted"]) == 24
    assert record["speed"]["test_images_s"] > 0
    assert record["gflops"] > 0


def test_the_trained_tensors_are_those_of_the_run_on_crops(world):
    home, data = world
    specs = [tiny_spec("lora", recipe=recipe) for recipe in ({}, WHOLE)]
    losses = [make_run(spec, tiny_runtime(home, data))[0]["loss"] for spec in specs]
    assert losses[0] == losses[1]


def test_whole_pictures_are_tested_with_the_weights_that_a_run_on_crops_left(tmp_path, monkeypatch):
    runtime = tiny_runtime(tmp_path, make_world(tmp_path))
    make_run(tiny_spec("lora"), runtime)
    monkeypatch.setattr("bench.training.run.learn", None)
    record, _ = make_run(tiny_spec("lora", recipe=WHOLE), runtime)
    assert record["spec"]["recipe"]["views"] == "native"


def test_a_set_that_is_only_tested_on_is_stored_as_tests_see_it_alone(world):
    home, data = world
    runtime = tiny_runtime(home / "apart", data)
    session = prepare(tiny_spec("lora", tests=("far:all",), recipe=WHOLE), runtime)
    session.feed_of("far")
    assert len(list((runtime.cache / "pixels").glob("near-*"))) == 2
    assert len(list((runtime.cache / "pixels").glob("far-*"))) == 1


def test_a_picture_of_other_shape_than_its_neighbour_is_scored_in_the_same_test(tmp_path):
    data = make_world(tmp_path)
    for number, path in enumerate(sorted((tmp_path / "far").glob("*.png"))):
        with Image.open(path) as image:
            image.resize((48 + 16 * (number % 3), 40 + 8 * (number % 2))).save(path)
    _, arrays = make_run(tiny_spec("lora", tests=("far:all",), recipe=WHOLE), tiny_runtime(tmp_path, data))
    assert np.isfinite(arrays["far:all/predicted"]).all()


def test_what_scoring_costs_is_counted_on_the_middle_picture(world):
    home, data = world
    crops, whole = (
        scoring_gflops(prepare(tiny_spec("lora", recipe=recipe), tiny_runtime(home, data))) for recipe in ({}, WHOLE)
    )
    assert whole > crops


@pytest.mark.parametrize("method", ["lora", "linear_probe"])
def test_a_picture_outside_of_its_set_gets_the_number_of_the_test(method, tmp_path):
    runtime, keys = make_runs(tmp_path, (method,), tests=("far:all",), recipe=WHOLE)
    stored, scorer = Store(runtime.results).predictions(keys[method, 0]), load_scorer(keys[method, 0], runtime)
    paths = [tmp_path / "far" / name for name in stored["far:all/names"][:6]]
    assert np.array_equal(scorer.raw(paths), stored["far:all/predicted"][:6])
    with pytest.raises(UsageError, match="whole pictures of any size"):
        write_onnx(scorer, tmp_path / "model.onnx")


def test_the_footer_says_what_a_test_looked_at():
    records = records_of([tiny_spec("lora", recipe={"views": "native"}), tiny_spec("vpt")])
    notes = conditions(records, preset_named("demo"), (), 1)
    (line,) = [note for note in notes if note.startswith("Views:")]
    assert "2 or the whole picture once at its own aspect (at most 1024 patches, trained on crops) in test" in line


REFUSED = {
    "glia": ("a square of fragments", {"grid": 8, "fragment": 28}),
    "hyperiqa": ("methods on a ViT", {}),
    "loda": ("looks at squares only", {"cnn": "test_efficientnet", "injector": False}),
}


@pytest.mark.parametrize("method", REFUSED)
def test_a_method_that_needs_a_square_is_refused_in_a_sentence_at_planning(method):
    why, options = REFUSED[method]
    spec = replace(tiny_spec("lora", recipe={**WHOLE, "size": 224}), method=method, options=_options(method) | options)
    with pytest.raises(UsageError, match=f"{method}: .*{why}"):
        refuse_squares(replace(spec, backbone="vit_small_patch14_dinov2"))


def _options(method: str) -> dict:
    from bench.core.registry import METHODS

    return METHODS.card(method).defaults()


@pytest.mark.parametrize(
    "method", ["lora", "adapter", "ssf", "vpt", "bitfit", "full_finetune", "linear_probe", "ridge", "loda"]
)
def test_methods_on_crops_take_whole_pictures_on_a_table_and_under_rotation(method):
    options = _options(method) | ({"cnn": "test_efficientnet"} if method == "loda" else {})
    for backbone in ("vit_small_patch14_dinov2", "vit_small_patch16_dinov3"):
        refuse_squares(
            RunSpec(method, "near", ("near:test",), options=options, backbone=backbone, recipe=Recipe(views="native"))
        )


def test_methods_that_take_no_crops_are_left_as_they_are():
    from bench.core.registry import METHODS

    for name in ("mean", "brisque", "niqe", "ensemble"):
        method = METHODS.make(name)
        assert views_in_test(method, Recipe(views="native"), "") == method.views(Recipe())


def test_a_network_for_any_shape_has_the_tensors_of_one_for_squares(tmp_path):
    loaded = [
        load_vit(TINY, "random", 32, files={}, cache=tmp_path, any_shape=any_shape) for any_shape in (True, False)
    ]
    assert loaded[0][1].hash == loaded[1][1].hash
