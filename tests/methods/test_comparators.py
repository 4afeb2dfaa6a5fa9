"""Comparators that bring networks, decoders and recipes of their own: each against a restatement of its paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bench.core.errors import Interrupted, UsageError
from bench.core.registry import METHODS
from bench.core.spec import Recipe
from bench.models.conformance import random_cnn
from bench.models.vit import vit_shape
from bench.models.weights.load import WeightlessToolbox, vit_without_weights
from bench.planning.presets import PAPER
from bench.planning.protocol import MethodChoice, Request
from bench.training.run import make_run
from bench.training.signals import Signals
from tests.methods.vits import SMALL_CNN, build, small_vit
from tests.world import TINY, make_world, tiny_runtime

DEIT = "deit3_small_patch16_224.fb_in22k_ft_in1k"
SMALL = {"batch": 8, "size": 32, "short_side": 0, "train_views": 1, "test_views": 1, "epochs": 2}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    home = tmp_path_factory.mktemp("world")
    return home, make_world(home)


def own(name: str, options: dict | None = None, preset=PAPER, recipe: dict | None = None, **common):
    """The spec of a method under its own recipe."""
    request = Request(preset, own_recipes=True, recipe=recipe or {}, common={"weights": "random", **common})
    return request.spec(MethodChoice(name, options or {}), "near", ["near:test"], 0)


def counted(name: str, backbone: str = "", **options) -> int:
    """Trainable numbers without the head, on networks without weights."""
    method = METHODS.make(name, options)
    with torch.device("meta"):
        vit = vit_without_weights(backbone, 224) if backbone else None
        features = method.build(vit, Recipe(), WeightlessToolbox()).features
    return sum(p.numel() for p in features.parameters() if p.requires_grad)


def pictures(batch: int = 2, size: int = 64) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def hyperiqa(size: int = 64):
    torch.manual_seed(0)
    method = METHODS.make("hyperiqa", {"cnn": SMALL_CNN})
    return method, method.build(None, Recipe(size=size), lambda name: random_cnn(name).requires_grad_(False))


def test_hyperiqa_writes_a_network_for_each_picture_and_scores_it_by_that():
    features = hyperiqa()[1].double().eval().features
    given = features({"crop": pictures()})
    for picture, score in zip(pictures(), given, strict=True):
        stages = features.cnn(picture[None])[-4:]
        seen = []
        for stage, narrow, local, cells in zip(stages, features.narrow, features.local, (8, 4, 2), strict=False):
            pooled = F.adaptive_avg_pool2d(torch.einsum("oi,ihw->ohw", narrow.weight[:, :, 0, 0], stage[0]), cells)
            seen.append(local.weight @ pooled.flatten() + local.bias)
        x = torch.cat([*seen, features.content.weight @ stages[3][0].mean((1, 2)) + features.content.bias])
        maps = F.adaptive_avg_pool2d(stages[3], 7)
        for layer in features.hyper:
            maps = F.conv2d(maps, layer.weight, layer.bias).relu()
        mean = maps[0].mean((1, 2))
        for layer, bias, (i, o) in zip(
            features.weights, features.biases, [(224, 112), (112, 56), (56, 28), (28, 14)], strict=False
        ):
            matrix = F.conv2d(maps, layer.weight, layer.bias, padding=1).reshape(o, i)
            x = torch.sigmoid(matrix @ x + bias.weight @ mean + bias.bias)
        last = features.last.weight @ mean + features.last.bias
        expected = last @ x + features.biases[4].weight @ mean
        assert score.item() == pytest.approx(expected.item(), abs=1e-10)


def test_hyperiqa_has_the_papers_27_millions_on_resnet_50():
    assert counted("hyperiqa") == 27_375_368
    assert METHODS.make("hyperiqa").breakdown() == {
        "cnn": 23_508_032,
        "local distortion": 475_360,
        "hyper-network": 2_680_432,
        "weights": 687_702,
        "biases": 23_842,
    }


def test_hyperiqas_pooling_is_windows_of_seven_at_224():
    stage = torch.randn(1, 3, 56, 56)
    assert torch.allclose(F.adaptive_avg_pool2d(stage, 8), F.avg_pool2d(stage, 7, 7), atol=1e-6)


def test_hyperiqas_cnn_and_local_features_learn_at_a_tenth_of_the_rate_and_nothing_is_left_out():
    method, model = hyperiqa()
    writing, looking = method.parameter_groups(model, 1e-3)
    assert (writing["lr"], looking["lr"]) == (1e-3, pytest.approx(1e-4))
    named = {id(p): name.split(".")[1] for name, p in model.named_parameters()}
    assert {named[id(p)] for p in looking["params"]} == {"cnn", "narrow", "local", "content"}
    assert {named[id(p)] for p in writing["params"]} == {"hyper", "weights", "last", "biases"}
    assert len(writing["params"]) + len(looking["params"]) == len(named)
    assert all(p.requires_grad for p in model.parameters())


def test_hyperiqas_rates_fall_as_its_code_has_them():
    method, recipe = METHODS.make("hyperiqa"), own("hyperiqa").recipe
    rates = [method.rates(epoch * 5 + 4, 5, recipe) for epoch in range(16)]
    assert [round(new, 9) for new, _ in rates] == [1.0] * 7 + [0.1] * 3 + [0.01] * 3 + [0.001] * 3
    assert {cnn for _, cnn in rates} == {1.0}


@pytest.mark.parametrize("name", ["ridge", "ridge_cnn"])
def test_the_ridges_own_recipe_is_five_crops_of_the_picture_in_its_own_size(name):
    recipe = own(name).recipe
    assert (recipe.train_views, recipe.test_views, recipe.short_side, recipe.flips) == (5, 5, 0, False)


def test_hyperiqas_own_recipe_is_adam_on_25_crops_with_an_absolute_loss(world, tmp_path):
    recipe = own("hyperiqa").recipe
    assert (recipe.epochs, recipe.batch, recipe.lr, recipe.loss) == (16, 96, 2e-4, "l1")
    assert (recipe.train_views, recipe.test_views, recipe.weight_decay) == (25, 25, 5e-4)
    assert isinstance(METHODS.make("hyperiqa").optimiser([{"params": [torch.ones(1)]}], recipe), torch.optim.Adam)
    assert METHODS.make("hyperiqa").optimiser([], Recipe()) is None
    spec = own("hyperiqa", {"cnn": SMALL_CNN}, recipe=SMALL)
    record, arrays = make_run(spec, tiny_runtime(tmp_path, world[1]))
    assert np.isfinite(arrays["near:test/predicted"]).all()
    assert record["loss"][1] < record["loss"][0]


def dbcnn(**options):
    torch.manual_seed(0)
    method = METHODS.make("dbcnn_vgg", {"cnn": SMALL_CNN, "stage": "last", **options})
    return method, method.build(None, Recipe(size=64), lambda name: random_cnn(name).requires_grad_(False))


def test_dbcnn_pools_each_two_channels_of_a_map_together_and_scales_them():
    features = dbcnn()[1].double().eval().features
    for picture, given in zip(pictures(), features({"crop": pictures()}), strict=True):
        stage = features.cnn(picture[None])[-1][0]
        products = torch.stack([(a * b).mean() for a in stage for b in stage])
        expected = products.sign() * (products.abs() + 1e-8).sqrt()
        assert (given - expected / expected.norm()).abs().max() < 1e-8
        assert given.norm().item() == pytest.approx(1)


def test_dbcnn_reads_vggs_last_map_before_it_is_halved():
    options = {"cnn": "vgg16", "stage": "before_last"}
    features = dbcnn(**options)[1].eval().features
    before, halved = features.cnn(pictures(1).float())[-2:]
    assert before.shape == (1, 512, 4, 4)  # 64 pixels at a stride of 16
    assert torch.equal(F.max_pool2d(before, 2), halved)
    assert (features.at, features.width) == (-2, 512**2)


def test_dbcnn_without_its_s_cnn_has_the_14_millions_of_vgg_16():
    assert counted("dbcnn_vgg") == 14_714_688
    head = METHODS.make("dbcnn_vgg").head(own("dbcnn_vgg").recipe, 512**2)
    assert sum(p.numel() for p in head.parameters()) == 262_145


def test_dbcnns_head_learns_alone_by_momentum_and_then_all_by_adam_at_one_small_rate():
    method, model = dbcnn()
    recipe = own("dbcnn_vgg", {"cnn": SMALL_CNN}, recipe={"epochs": 4}).recipe
    groups = method.parameter_groups(model, recipe.lr)
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
    rates = [[g["lr"] * rate for g, rate in zip(groups, method.rates(at * 5, 5, recipe), strict=True)] for at in (1, 2)]
    assert rates == [[pytest.approx(1e-3), 0], [pytest.approx(1e-5), pytest.approx(1e-5)]]

    head, cnn = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    twins = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    sgd = torch.optim.SGD(twins[:1], lr=1e-3, momentum=0.9, weight_decay=5e-4)
    adam = torch.optim.Adam(twins, lr=1e-5, weight_decay=5e-4)
    both = method.optimiser([{"params": [head]}, {"params": [cnn]}], recipe)
    for step in range(6):
        for p in (head, cnn, *twins):
            p.grad = torch.tensor([1.0, -2.0]) * (step + 1)
        for group, rate in zip(both.param_groups, rates[step // 3], strict=True):
            group["lr"] = rate
        both.step()
        (sgd, adam)[step // 3].step()
        assert torch.allclose(head, twins[0], atol=1e-7, rtol=0)
        assert torch.allclose(cnn, twins[1], atol=1e-7, rtol=0)
        assert torch.equal(cnn, torch.ones(2)) == (step < 3)
    assert method.optimiser([], Recipe()) is None


def test_dbcnns_own_recipe_trains_in_both_stages(world, tmp_path):
    recipe = SMALL | {"lr": 0.05}
    spec = own("dbcnn_vgg", {"cnn": SMALL_CNN, "stage": "last"}, recipe=recipe)
    assert (spec.recipe.loss, spec.recipe.head, spec.recipe.weight_decay) == ("mse", "linear", 5e-4)
    record, arrays = make_run(spec, tiny_runtime(tmp_path, world[1]))
    assert np.isfinite(arrays["near:test/predicted"]).all()
    assert len(record["loss"]) == 2


@pytest.mark.parametrize("stops", [[2], [6], [9], [2, 6, 9]], ids=str)
def test_dbcnn_stopped_in_either_stage_or_between_them_resumes_to_the_bit(stops, world, tmp_path):
    recipe = SMALL | {"lr": 0.05, "epochs": 4}  # three steps an epoch: the second stage begins behind the sixth
    spec = own("dbcnn_vgg", {"cnn": SMALL_CNN, "stage": "last"}, recipe=recipe)
    whole, predictions = make_run(spec, tiny_runtime(tmp_path / "whole", world[1]))
    runtime = tiny_runtime(tmp_path / "parts", world[1])
    for at in stops:
        signals = Signals()

        def stop(done, total, what, shown="", at=at, signals=signals):
            if (what, done) == ("training", at):
                signals.stop.set()

        with pytest.raises(Interrupted):
            make_run(spec, runtime, stop, signals)
    resumed, again = make_run(spec, runtime)
    assert resumed["loss"] == whole["loss"]
    assert np.array_equal(again["near:test/predicted"], predictions["near:test/predicted"])


@pytest.mark.parametrize("name", ["hyperiqa", "deiqt"])
def test_crops_of_squeezed_pictures_are_an_option(name):
    usual, squeezed = (METHODS.make(name, {"squeezed": on}).views(Recipe())["crop"] for on in (False, True))
    assert usual.squeezed == (0, 0)
    assert squeezed.squeezed == (512, 384)


def decoded(layer, judges, patches):
    """A pre-norm decoder layer: self-attention, attention to the patches, MLP, each added to what it was given."""

    def attend(attention, queries, given):
        width = queries.shape[-1]
        q, k, v = (
            x @ w.T + b
            for x, w, b in zip(
                (queries, given, given), attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), strict=True
            )
        )
        d, mixed = width // attention.num_heads, []
        for h in range(attention.num_heads):
            part = slice(h * d, (h + 1) * d)
            mixed.append(torch.softmax(q[:, part] @ k[:, part].T / d**0.5, dim=-1) @ v[:, part])
        return torch.cat(mixed, dim=-1) @ attention.out_proj.weight.T + attention.out_proj.bias

    normed = layer.norm1(judges)
    judges = judges + attend(layer.self_attn, normed, normed)
    judges = judges + attend(layer.multihead_attn, layer.norm2(judges), patches)
    inside = F.gelu(layer.norm3(judges) @ layer.linear1.weight.T + layer.linear1.bias)
    return judges + inside @ layer.linear2.weight.T + layer.linear2.bias


def test_deiqt_asks_the_patches_as_six_judges_that_are_the_cls_token_and_a_query_each():
    model = build("deiqt", small_vit()).double().eval()
    features = model.features
    features.queries.data += torch.randn(features.queries.shape, dtype=torch.float64)
    tokens = features.vit.model.forward_features(pictures())
    expected = torch.stack([decoded(features.decoder, one[0] + features.queries, one[1:]).mean(0) for one in tokens])
    assert features.queries.shape == (6, 48)
    assert (features({"crop": pictures()}) - expected).abs().max() < 1e-10


def test_deiqt_has_the_papers_24_millions_on_deit_iii_small():
    shape = vit_shape(DEIT)
    head = METHODS.make("deiqt").head(own("deiqt", backbone=DEIT).recipe, shape.width)
    assert counted("deiqt", DEIT) == METHODS.make("deiqt").size(shape) == 24_043_392
    assert sum(p.numel() for p in head.parameters()) == 384


def test_deiqt_stands_on_deit_iii_under_the_papers_preset():
    assert Request(PAPER).spec(MethodChoice("deiqt"), "live", ["live:test"], 0).backbone == DEIT


def test_deiqts_vectors_tokens_and_positions_do_not_decay():
    method = METHODS.make("deiqt")
    model = method.build(small_vit(), own("deiqt").recipe, WeightlessToolbox())
    decayed, plain = method.parameter_groups(model, 1e-3)
    spared = {id(p) for p in plain["params"]}
    names = {name for name, p in model.named_parameters() if id(p) in spared}
    assert {"features.vit.model.pos_embed", "features.vit.model.cls_token"} <= names
    assert all(
        p.ndim < 2 or name.endswith(("pos_embed", "cls_token")) for name, p in model.named_parameters() if name in names
    )
    assert all(p.ndim >= 2 for p in decayed["params"])
    assert len(decayed["params"]) + len(plain["params"]) == len(list(model.parameters()))
    assert plain["weight_decay"] == 0
    assert "weight_decay" not in decayed


@pytest.mark.parametrize(
    ("stairs", "later"), [("after_warmup", [1.0, 1.0, 1.0, 0.1, 0.1, 0.1]), ("from_start", [0.1] * 3 + [0.01] * 3)]
)
def test_deiqts_schedule_is_timms_stairs_in_either_version(stairs, later):
    from timm.scheduler.step_lr import StepLRScheduler

    per_epoch, recipe = 4, own("deiqt").recipe
    method = METHODS.make("deiqt", {"stairs": stairs})
    ours = [2e-4 * method.rates(step, per_epoch, recipe)[0] for step in range(9 * per_epoch)]
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=2e-4)
    theirs = StepLRScheduler(
        optimiser,
        decay_t=3 * per_epoch,
        decay_rate=0.1,
        warmup_t=3 * per_epoch,
        warmup_lr_init=2e-7,
        warmup_prefix=stairs == "after_warmup",
        t_in_epochs=False,
    )
    expected = [theirs._get_lr(step)[0] for step in range(9 * per_epoch)]
    assert ours == pytest.approx(expected, rel=1e-9)
    assert [ours[epoch * per_epoch] / 2e-4 for epoch in range(3, 9)] == pytest.approx(later)


def test_deiqts_own_recipe_trains_a_head_without_bias(world, tmp_path):
    spec = own("deiqt", recipe=SMALL | {"epochs": 9}, backbone=TINY)
    assert (spec.recipe.clip, spec.recipe.loss, spec.recipe.weight_decay) == (5.0, "smooth_l1", 0.05)
    record, arrays = make_run(spec, tiny_runtime(tmp_path, world[1]))
    assert np.isfinite(arrays["near:test/predicted"]).all()
    assert record["parameters"]["head"] == vit_shape(TINY).width
    assert min(record["loss"][4:]) < record["loss"][0]


def test_deiqt_refuses_a_backbone_without_cls():
    with pytest.raises(UsageError, match="CLS token"):
        build("deiqt", small_vit(class_token=False, global_pool="avg"))
