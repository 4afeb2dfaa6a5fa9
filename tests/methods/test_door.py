"""A method need not stand on the run's ViT, nor learn by gradient descent: one file says so, and all else follows."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from bench.core.errors import RunError, UsageError
from bench.core.registry import METHODS, add_plugin_file
from bench.models import sharing
from bench.models.conformance import check_method
from bench.planning.plan import Ask, make_plan
from bench.planning.presets import DEMO
from bench.planning.protocol import MethodChoice, Request
from bench.records.store import Store
from bench.report.verify import verify
from bench.training.run import make_run
from bench.training.session import build_networks
from bench.training.shared import Shared
from tests.world import make_world, tiny_runtime, tiny_spec

OWN_NETWORK = '''
"""A CNN trained whole, with a recipe, rates, loss, optimiser and head of its own."""

import torch
from torch import nn

from bench.models.method import Features, Method


class OwnCnn(Method):
    "Pools the last stage of a CNN."

    name = "own_cnn"
    title = "Own CNN"
    stands_on = "own"
    networks = ("cnn",)
    vit_b = 1
    recipe = {"loss": "own", "schedule": "own", "epochs": 3}
    preset_recipe = {"demo": {"lr": 0.004}}
    preset_options = {"demo": {"cnn": "test_efficientnet"}}

    cnn: str = "resnet50"
    "The CNN."

    def assemble_alone(self, recipe, toolbox):
        return _Pooled(toolbox(self.cnn).requires_grad_(True))

    def size(self, shape):
        return -1

    def head(self, recipe, width):
        return None

    def parameter_groups(self, model, lr):
        weights = model.features.score
        others = [p for p in model.features.cnn.parameters()]
        slow = {"params": others, "lr": lr / 10, "weight_decay": 0.0}
        return [{"params": list(weights.parameters()), "lr": lr}, slow]

    def optimiser(self, groups, recipe):
        return torch.optim.Adam(groups, lr=recipe.lr) if recipe.schedule == "own" else None

    def rates(self, step, per_epoch, recipe):
        return [0.1 ** (step // per_epoch), 1.0]

    def loss(self, predicted, human):
        return (predicted - human).abs().mean()


class _Pooled(Features):
    pictures = ("crop",)
    drifting = ("cnn",)

    def __init__(self, cnn):
        super().__init__()
        self.cnn, self.score = cnn, nn.LazyLinear(1)
        with torch.no_grad():
            self(dict(crop=torch.zeros(1, 3, 32, 32)))

    def forward(self, inputs):
        return self.score(self.cnn(inputs["crop"])[-1].mean((2, 3))).squeeze(-1)
'''

BOTH = '''
"""A fit gives what descent begins with."""

import torch
from torch import nn

from bench.data.views.view import Frozen
from bench.models.method import Features, Method, put_fitted


class Started(Method):
    "A linear map that starts at the mean feature."

    learns = "fit_then_descent"

    def assemble(self, vit, toolbox):
        return _Mapped(vit)

    def size(self, shape):
        return shape.width

    def head(self, recipe, width):
        return None

    def fit(self, model, part):
        put_fitted(model.features, "direction", part.stacked("feature").mean(0))


class _Mapped(Features):
    fitted = ("direction",)

    def __init__(self, vit):
        super().__init__()
        self.vit = vit
        self.frozen = {"feature": Frozen("crop", "pooled", vit.forward)}
        self.direction = nn.Parameter(torch.empty(0))

    def forward(self, inputs):
        return inputs["feature"] @ self.direction
'''


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    home = tmp_path_factory.mktemp("world")
    return home, make_world(home)


@pytest.fixture
def plugins(own_methods, tmp_path):
    for name, text in (("own_cnn", OWN_NETWORK), ("started", BOTH)):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        add_plugin_file(path)
    return tmp_path


@pytest.fixture
def no_vit(monkeypatch):
    def refused(*_, **__):
        raise AssertionError("the run's ViT was loaded")

    monkeypatch.setattr(sharing.SharedNetworks, "shared_vit", refused)


def test_a_method_with_a_network_of_its_own_is_trained_without_the_runs_vit(world, plugins, no_vit):
    record, arrays = make_run(tiny_spec("own_cnn"), tiny_runtime(plugins, world[1]))
    assert record["spec"]["backbone"] == ""
    assert record["spec"]["weights"] == "random"
    assert record["weights"]["source"] == "none"
    assert list(record["weights"]["further"]) == ["test_efficientnet"]
    assert record["gflops"] > 0
    assert record["parameters"]["head"] == 0
    assert record["parameters"]["trainable"] == record["parameters"]["total"] > 80_000
    assert np.isfinite(arrays["near:test/predicted"]).all()
    assert len(record["loss"]) == 2


def test_by_norm_timm_a_network_of_its_own_gets_its_own_normalisation(world, plugins):
    home, data = world
    runtime = tiny_runtime(home, data)
    means = {}
    for norm in ("imagenet", "timm"):
        options = {"cnn": "tf_efficientnet_lite0"}
        spec = tiny_spec("ridge_cnn", recipe={"norm": norm}, options=options)
        built = build_networks(spec, runtime, lambda *_: None, torch.device("cpu"), Shared())
        means[norm] = tuple(built.normalisation()[0])
    assert means == {"imagenet": (0.485, 0.456, 0.406), "timm": (0.5, 0.5, 0.5)}


def test_its_own_recipe_loss_schedule_and_optimiser_are_used_when_asked_for_and_only_then(world, plugins):
    request = {"common": {"weights": "random"}, "recipe": {"batch": 8, "size": 32, "short_side": 0, "test_views": 1}}
    plain, own = (
        Request(DEMO, own_recipes=own, **request).spec(MethodChoice("own_cnn"), "near", ["near:test"], 0)
        for own in (False, True)
    )
    assert (plain.recipe.loss, plain.recipe.epochs, plain.recipe.lr, plain.recipe_from) == ("plcc", 4, 0.004, "default")
    assert (own.recipe.loss, own.recipe.epochs, own.recipe.lr, own.recipe_from) == ("own", 3, 0.002, "own")
    record, _ = make_run(own, tiny_runtime(plugins, world[1]))
    assert len(record["loss"]) == 3
    with pytest.raises(UsageError, match="glia has no schedule of its own"):
        tiny_spec("glia", recipe={"schedule": "own"})


def test_what_a_method_does_not_read_is_not_in_its_runs_names(plugins):
    def keys(**changes):
        ask = Ask(("own_cnn", "mean", "glia"), ("main",), "demo", splits=1, datasets=("demo_a",), **changes)
        return {spec.method: spec.key for spec in make_plan(ask).specs}

    usual, wide = keys(), keys(backbone="vit_base_patch14_dinov2")
    assert (usual["own_cnn"], usual["mean"]) == (wide["own_cnn"], wide["mean"])
    assert usual["glia"] != wide["glia"]


def test_a_method_can_name_the_vit_that_it_stands_on_by_preset(plugins):
    path = plugins / "named.py"
    path.write_text(BOTH.replace("    learns =", '    backbones = {"paper": "deit3_small_patch16_224"}\n    learns ='))
    METHODS.add_plugin(path)

    def backbone(preset, **changes):
        return make_plan(Ask(("named",), ("main",), preset, splits=1, datasets=("live",), **changes)).specs[0].backbone

    assert backbone("paper") == "deit3_small_patch16_224"
    assert backbone("paper", backbone="vit_base_patch16_224") == "vit_base_patch16_224"
    assert backbone("demo") == DEMO.backbone


def test_what_a_fit_found_is_kept_and_a_further_test_fits_nothing(world, plugins, monkeypatch):
    runtime = tiny_runtime(plugins, world[1])
    first, arrays = make_run(tiny_spec("ridge"), runtime)
    assert first["loss"] == []
    assert first["selection"]["epoch"] == -1
    assert first["parameters"]["trainable"] == METHODS.make("ridge").size(_shape()) == 65
    monkeypatch.setattr(METHODS.load("ridge"), "fit", lambda *_: pytest.fail("it was fitted again"))
    again, more = make_run(tiny_spec("ridge", tests=("near:test", "far:all")), runtime)
    assert np.array_equal(arrays["near:test/predicted"], more["near:test/predicted"])
    assert set(again["metrics"]) == {"near:test", "far:all"}


def _shape():
    from bench.models.vit import vit_shape
    from tests.world import TINY

    return vit_shape(TINY)


def test_a_fit_can_be_the_start_of_descent_and_an_interrupted_run_ends_in_the_same_numbers(world, plugins):
    from bench.core.errors import Interrupted
    from bench.training.signals import Signals

    spec = tiny_spec("started")
    _, whole = make_run(spec, tiny_runtime(plugins / "whole", world[1]))
    runtime = tiny_runtime(plugins / "stopped", world[1], checkpoint_seconds=0.0)
    signals = Signals()

    def stop(done, of, what, *_):
        if what == "training" and done == 2:
            signals.stop.set()

    with pytest.raises(Interrupted):
        make_run(spec, runtime, report=stop, signals=signals)
    _, resumed = make_run(spec, runtime)
    assert np.array_equal(whole["near:test/predicted"], resumed["near:test/predicted"])


@pytest.mark.parametrize("name", ["own_cnn", "started"])
def test_such_methods_pass_the_checks(name, plugins):
    options = {"cnn": "test_efficientnet"} if name == "own_cnn" else {}
    assert [check for check in check_method(name, options) if not check.passed] == []


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('stands_on = "own"', 'stands_on = "cnn"', "stands_on='cnn' is none of vit, own, runs, nothing"),
        ('networks = ("cnn",)', 'networks = ("vgg",)', "networks: there is no option vgg"),
    ],
)
def test_a_fact_that_says_nothing_known_is_found_by_the_check(before, after, said, plugins):
    path = plugins / "own_cnn.py"
    path.write_text(path.read_text().replace(before, after))
    (check,) = (
        c
        for c in check_method("own_cnn", {"cnn": "test_efficientnet"})
        if c.name == "what it says of itself can be read"
    )
    assert said in check.detail


def test_a_fit_that_leaves_nothing_or_nonsense_fails_its_run(world, plugins, monkeypatch):
    cls = METHODS.load("ridge")
    monkeypatch.setattr(cls, "fit", lambda *_: None)
    with pytest.raises(RunError, match="The fit left weights empty"):
        make_run(tiny_spec("ridge"), tiny_runtime(plugins, world[1]))


def test_a_constant_comes_out_as_undefined_and_never_as_zero(world, plugins, no_vit):
    runtime = tiny_runtime(plugins, world[1])
    spec = tiny_spec("mean")
    record, arrays = make_run(spec, runtime)
    metrics = record["metrics"]["near:test"]
    assert metrics == dict.fromkeys(("srcc", "plcc", "plcc_raw", "krcc", "rmse")) | {"logistic_ok": False}
    store = Store(runtime.results)
    store.write(record, arrays)
    assert verify(store) == (1, [])
    assert json.loads(next(store.runs.glob("*.json")).read_text())["status"] == "done"


def test_ridge_on_frozen_features_is_the_closed_form(world, plugins):
    from scipy.linalg import lstsq

    from methods.ridge import solve

    random = np.random.RandomState(0)
    features, scores = random.normal(size=(40, 7)), random.normal(size=40)
    weights, constant = solve(features, scores, 3.0)
    middle = features - features.mean(0)
    stacked = np.vstack([middle, np.sqrt(3.0) * np.eye(7)])
    wanted = lstsq(stacked, np.concatenate([scores - scores.mean(), np.zeros(7)]))[0]
    assert weights == pytest.approx(wanted)
    assert constant == pytest.approx(scores.mean() - features.mean(0) @ wanted)
