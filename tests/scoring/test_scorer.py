"""A scorer gives the test's own numbers, and the same ones whatever a picture comes as and whatever is beside it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.core.errors import DataError, UsageError, WeightsError
from bench.core.progress import silent
from bench.core.spec import Recipe
from bench.data.locate import load_dataset
from bench.data.views.batches import ViewMaker
from bench.data.views.single import views_of
from bench.data.views.view import View
from bench.records.store import Store
from bench.scoring.about import About
from bench.scoring.load import load, load_scorer
from bench.scoring.many import score_many
from bench.scoring.pictures import open_picture
from bench.scoring.scorer import Scorer
from bench.training.session import build_networks
from bench.training.shared import Shared
from bench.training.states import read_trained
from tests.methods.vits import SMALL_CNN
from tests.scoring.worlds import METHODS, copied, make_runs
from tests.world import tiny_spec


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_runs(tmp_path_factory.mktemp("scoring"))


@pytest.fixture(scope="module")
def scorers(made):
    runtime, keys = made
    return {method: load_scorer(keys[method, 0], runtime) for method in METHODS}


def pictures(runtime) -> list[Path]:
    return sorted(Path(runtime.data["near"]["path"]).glob("*.png"))


@pytest.mark.parametrize("kind", ["crop", "resize", "fragments", "corner", "original"])
def test_a_picture_alone_is_cut_as_a_test_cuts_it_in_its_set(made, kind, tmp_path):
    runtime, _ = made
    dataset = load_dataset("near", runtime.data, runtime.cache)
    view = {
        "crop": View("crop", 24),
        "resize": View("resize", 24),
        "fragments": View("fragments", 24, 3, 8),
        "corner": View("fragments", 24, 3, 8, "corner"),
        "original": View("fragments", 24, 3, 8, original=True),
    }[kind]
    recipe = Recipe(short_side=36)
    maker = ViewMaker(dataset, {"it": view}, recipe, tmp_path, "cpu", (0.5,) * 3, (0.5,) * 3)
    rows = np.zeros(4, dtype=np.int64)
    in_set = maker.raw("it", rows, epoch=0, number=np.arange(4), training=False).numpy()
    alone = views_of(open_picture(dataset.paths()[0]), view, recipe, 4)
    assert np.array_equal(alone, in_set)


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_of_a_set_gets_the_number_that_the_test_gave_it(made, scorers, method):
    runtime, keys = made
    stored = Store(runtime.results).predictions(keys[method, 0])
    root, scorer = Path(runtime.data["near"]["path"]), scorers[method]
    names = stored["near:test/names"]
    assert np.abs(scorer.raw([root / name for name in names]) - stored["near:test/predicted"]).max() < 1e-5


@pytest.mark.parametrize("method", METHODS)
def test_a_score_does_not_depend_on_order_company_name_or_kind_of_the_picture(made, scorers, method, tmp_path):
    runtime, _ = made
    scorer, paths = scorers[method], pictures(runtime)[:6]
    alone = [float(scorer(path)[0]) for path in paths]
    assert len(set(alone)) == len(alone)
    assert scorer(paths).tolist() == alone
    assert scorer(paths[::-1]).tolist() == alone[::-1]
    assert [one.score for one in score_many([scorer], paths, workers=3)] == alone
    renamed = shutil.copy(paths[0], tmp_path / "another name.png")
    picture = Image.open(renamed)
    array = np.array(picture)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    kinds = [str(renamed), Path(renamed), picture, array, tensor, tensor.float() / 255]
    assert scorer(kinds).tolist() == [alone[0]] * len(kinds)
    assert scorer(np.stack([array, array])).tolist() == [alone[0]] * 2
    assert scorer(torch.stack([tensor, tensor])).tolist() == [alone[0]] * 2


@pytest.mark.parametrize("method", METHODS)
def test_a_score_does_not_depend_on_the_precision_of_whoever_asks_for_it(made, scorers, method):
    picture = pictures(made[0])[0]
    alone = scorers[method].raw(picture)
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(scorers[method].raw(picture), alone)


def test_where_a_model_looked_does_not_depend_on_it_either(made, scorers):
    picture = pictures(made[0])[0]
    alone = scorers["adapter"].explain(picture)
    with torch.autocast("cpu", torch.bfloat16):
        assert np.array_equal(scorers["adapter"].explain(picture).rollout, alone.rollout)


def test_a_load_leaves_the_random_numbers_of_the_caller_alone(made):
    runtime, keys = made
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_scorer(keys["adapter", 0], runtime)
    assert torch.equal(torch.rand(3), expected)


def test_a_scale_is_fitted_once_kept_with_the_tensors_and_keeps_the_order(made, scorers):
    runtime, keys = made
    scorer = scorers["adapter"]
    scale, raw = scorer.scale, scorer.raw(pictures(runtime))
    assert (scale.dataset, scale.higher_is_better, scale.pictures) == ("near", True, 20)
    assert 1 < scale(raw).mean() < 5.05, "on the set's own scale"
    assert (np.argsort(scale(raw)) == np.argsort(raw)).all()
    without_data = replace(runtime, data={})
    again = load_scorer(keys["adapter", 0], without_data)
    assert again.scale == scale
    assert again(pictures(runtime)[:2]).tolist() == scorer(pictures(runtime)[:2]).tolist()
    state = Store(runtime.results).state_path(scorer.about.spec)
    assert read_trained(state) is not None, "still whole with a scale beside it"


def test_where_low_scores_are_good_ones_the_scale_says_so_and_falls(made, tmp_path):
    runtime, keys = make_runs_of_dmos(tmp_path)
    scorer = load_scorer(keys["adapter", 0], runtime)
    assert not scorer.higher_is_better
    paths = pictures(runtime)
    raw, scores = scorer.raw(paths), scorer(paths)
    assert (np.argsort(-scores) == np.argsort(raw)).all()
    assert "lower is better" in scorer.scale.said


def make_runs_of_dmos(home):
    from tests.scoring import worlds

    plain = worlds.make_world
    try:
        worlds.make_world = lambda home: {n: e | {"higher_is_better": False} for n, e in plain(home).items()}
        return make_runs(home, ("adapter",))
    finally:
        worlds.make_world = plain


def test_without_the_training_set_scores_are_raw(made, tmp_path):
    runtime, keys = made
    other = copied(tmp_path, runtime, data={})
    store = Store(other.results)
    path = store.state_path(load_scorer(keys["glia", 0], runtime).about.spec)
    strip_scale(path)
    scorer = load_scorer(keys["glia", 0], other)
    picture = pictures(runtime)[0]
    assert scorer.scale is None
    assert scorer(picture).tolist() == scorer.raw(picture).tolist()


def strip_scale(path: Path) -> None:
    from safetensors.torch import save_file

    found = read_trained(path)
    save_file(found.tensors, path, metadata={k: v for k, v in found.about.items() if k != "scale"})


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (np.zeros((4, 4, 4), dtype=np.uint8), "no picture"),
        (np.zeros((4, 4, 3)), "uint8"),
        (torch.full((3, 4, 4), 2.0), "between 0 and 1"),
        (np.zeros((0, 4, 3), dtype=np.uint8), "no picture"),
        (7, "not a int"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(scorers, what, why):
    with pytest.raises(UsageError, match=why):
        scorers["adapter"](what)


def test_a_picture_without_pixels_is_refused_by_its_name(scorers):
    with pytest.raises(DataError, match=r"picture 1 cannot be used: it has no pixels \(0×5\)"):
        scorers["adapter"](Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (300, 2)])
def test_tiny_and_narrow_pictures_have_scores(scorers, size):
    picture = Image.new("RGB", size, (90, 120, 30))
    for scorer in scorers.values():
        assert np.isfinite(scorer(picture)).all()


@pytest.mark.parametrize("mode", ["CMYK", "L", "P", "RGBA", "1", "I;16"])
def test_pictures_of_other_modes_are_read_as_their_files_are(scorers, mode, tmp_path):
    plain = Image.fromarray(np.random.RandomState(0).randint(0, 255, (40, 50, 3), dtype=np.uint8))
    picture = (
        Image.fromarray(np.arange(2000, dtype=np.uint16).reshape(40, 50)) if mode == "I;16" else plain.convert(mode)
    )
    path = tmp_path / ("it.tif" if mode == "CMYK" else "it.png")
    picture.save(path)
    assert scorers["adapter"](picture).tolist() == scorers["adapter"](path).tolist()


def test_a_picture_that_does_not_decode_is_named(scorers, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture at all")
    with pytest.raises(DataError, match=r"^/.*broken\.png cannot be used: it is not a picture"):
        scorers["adapter"](broken)


def test_a_text_may_begin_with_the_home_and_a_path_is_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    assert open_picture("~/a.png").size == (3, 2)
    with pytest.raises(DataError, match="there is no such file"):
        open_picture(Path("~/a.png"))


def test_weights_that_were_not_kept_are_asked_for_with_the_command_that_makes_them(made, tmp_path):
    runtime, keys = made
    other = copied(tmp_path, runtime)
    for path in (other.results / "states").iterdir():
        path.unlink()
    with pytest.raises(UsageError, match=r'keep_weights = "always".*bench run -m glia -d near.*--overwrite always'):
        load_scorer(keys["glia", 0], other)


def test_a_key_may_be_shortened_and_a_wrong_one_lists_what_there_is(made):
    runtime, keys = made
    scorer = load(keys["glia", 0][:8], results=runtime.results, cache=runtime.cache, device="cpu")
    assert scorer.about.key == keys["glia", 0]
    with pytest.raises(UsageError, match=f"no run feedbeef .*{keys['glia', 0][:8]} .glia on near, split 0"):
        load_scorer("feedbeef", runtime)


def test_damaged_weights_are_refused(made, tmp_path):
    runtime, keys = made
    other = copied(tmp_path, runtime)
    path = Store(other.results).state_path(load_scorer(keys["glia", 0], runtime).about.spec)
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        load_scorer(keys["glia", 0], other)


@pytest.mark.parametrize("method", ["ridge", "brisque", "loda"])
def test_methods_that_learn_or_look_otherwise_score_as_their_test_does(tmp_path, method):
    options = {"cnn": SMALL_CNN, "latent": 8, "heads": 2, "pool": 2} if method == "loda" else {}
    runtime, keys = make_runs(tmp_path, (method,), options=options)
    key = keys[method, 0]
    scorer, stored = load_scorer(key, runtime), Store(runtime.results).predictions(key)
    names, root = stored["near:test/names"], Path(runtime.data["near"]["path"])
    assert np.allclose(scorer.raw([root / name for name in names]), stored["near:test/predicted"], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("method", "why"),
    [("distortion_oracle", "is told the distortion"), ("ensemble", "looks at no picture: name these")],
)
def test_a_method_that_needs_more_than_a_picture_is_refused_with_the_reason(made, method, why):
    runtime, _ = made
    spec = tiny_spec(method)
    networks = build_networks(spec, runtime, silent, torch.device("cpu"), Shared())
    with pytest.raises(UsageError, match=why):
        Scorer(About(spec, networks.weights_hash(), "", 1), networks)
