"""MANIQA against a restatement of its paper, its code's count of parameters, and its own recipe."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bench.core.registry import METHODS
from bench.core.spec import Recipe
from bench.models.vit import vit_shape
from bench.planning.presets import PAPER
from bench.planning.protocol import MethodChoice, Request
from bench.training.run import make_run
from methods.maniqa import PERIOD
from tests.methods.test_comparators import SMALL, counted, own
from tests.methods.vits import build, small_vit
from tests.world import TINY, make_world, tiny_runtime

VIT = "vit_base_patch8_224.augreg_in21k_ft_in1k"


def pictures(batch: int = 2, size: int = 64) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def deep():
    """The method on a ViT of twelve narrow blocks, and what its blocks 7 to 10 make of two pictures."""
    vit = small_vit(depth=12)
    tokens, seen = vit.double().eval().embed(pictures()), []
    for block in vit.blocks:
        tokens = block(tokens)
        seen.append(tokens[:, 1:])
    features = build("maniqa", vit).double().eval().features
    features.score.float(), features.weight.float()  # patches are scored in fp32 whatever networks compute in
    return features, torch.cat(seen[6:10], dim=2)


def by_channels(layer, x: torch.Tensor, recut: bool = False) -> torch.Tensor:
    """Attention between the rows of one picture [channels, places]."""
    q, k, v = (x @ one.weight.T + one.bias for one in (layer.q, layer.k, layer.v))
    seen = torch.softmax(q @ k.T / x.shape[1] ** 0.5, dim=1) @ v
    return x + (seen.T.reshape(x.shape) if recut else seen)


def stage(module, x: torch.Tensor, recut: bool = False) -> torch.Tensor:
    """One stage of one picture, [patches, channels]: channels, then windows, whose blocks are timm's."""
    for layer in module.channels:
        x = by_channels(layer, x.T, recut).T
    x = x @ module.narrowing.weight.T + module.narrowing.bias
    for layer, mix in zip(module.layers, module.mixing, strict=True):
        seen = x.reshape(1, 4, 4, -1)
        for block in layer:
            seen = block(seen)
        mixed = F.conv2d(seen.permute(0, 3, 1, 2), mix.weight, mix.bias, padding=1).relu()[0]
        x = 0.8 * mixed.flatten(1).T + x
    return x


def two_layers(module, x: torch.Tensor) -> torch.Tensor:
    first, last = module[0], module[3]
    return (x @ first.weight.T + first.bias).relu() @ last.weight.T + last.bias


def test_the_score_is_the_patches_scores_by_their_weights_after_two_stages(deep):
    features, maps = deep
    expected = []
    for one in maps:
        x = stage(features.narrow, stage(features.wide, one)).float()
        scores, weights = two_layers(features.score, x)[:, 0], torch.sigmoid(two_layers(features.weight, x)[:, 0])
        expected.append((scores * weights).sum() / weights.sum())
    given = features({"crop": pictures()})
    assert (given - torch.stack(expected)).abs().max() < 1e-5


def test_channels_and_places_are_mixed_as_the_authors_code_has_it_where_that_is_asked_for(deep):
    features, maps = deep
    with torch.no_grad():
        plain = features.wide(maps)
        for layer in features.wide.channels:
            layer.recut = True
        recut = features.wide(maps)
        for layer in features.wide.channels:
            layer.recut = False
        expected = torch.stack([stage(features.wide, one, recut=True) for one in maps])
    assert (recut - expected).abs().max() < 1e-10
    assert (recut - plain).abs().max() > 1e-3
    assert build("maniqa", small_vit(), recut=True).features.wide.channels[0].recut


def test_a_patchs_score_is_cut_at_zero_where_that_is_asked_for():
    free, cut = (build("maniqa", small_vit(), positive=positive).eval() for positive in (False, True))
    for model in (free, cut):
        model.features.score[3].bias.data.fill_(-9.0)
    seen = {"crop": pictures().float()}
    assert free(seen).max() < -5
    assert (cut(seen) == 0).all()


def test_blocks_behind_the_last_one_that_is_read_are_neither_run_nor_counted():
    vit = small_vit(depth=12)
    features = build("maniqa", vit).features
    assert (features.first, features.last, len(features.vit.blocks)) == (6, 10, 10)
    trained = {name for name, p in features.named_parameters() if p.requires_grad}
    assert not [name for name in trained if name.startswith("vit.model.norm.")]
    assert len([name for name in trained if name.startswith("vit.model.blocks.9.")]) > 0


def test_on_vit_b8_it_has_the_135_747_530_of_the_authors_code_without_those_that_nothing_reads():
    """Idle there: two blocks, the final norm, the classifier, and two convolutions for halving that are not used."""
    shape, method = vit_shape(VIT), METHODS.make("maniqa")
    wide, narrow = shape.width, shape.width // 2
    idle = 2 * shape.block + 2 * wide + 1000 * (wide + 1) + sum(9 * w * w + w for w in (wide, narrow))
    assert counted("maniqa", VIT) == method.size(shape) == 114_164_578
    assert method.size(shape) + idle == 135_747_530
    assert method.breakdown(shape) == {
        "vit": 71_630_592,
        "attention between channels": 7_385_280,
        "narrowing": 2_655_360,
        "attention in windows": 32_196_896,
        "scores and weights": 296_450,
    }


def test_it_stands_on_vit_b8_under_the_papers_preset():
    assert Request(PAPER).spec(MethodChoice("maniqa"), "live", ["live:test"], 0).backbone == VIT


def test_its_rate_goes_down_and_up_again_as_torchs_cosine_does_by_the_step():
    parameter = torch.nn.Parameter(torch.ones(1))
    optimiser = torch.optim.Adam([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=PERIOD)
    method, recipe = METHODS.make("maniqa"), own("maniqa").recipe
    for step in range(3 * PERIOD):
        assert method.rates(step, 7, recipe)[0] == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-9)
        optimiser.step()
        schedule.step()


def test_its_own_recipe_trains_on_a_small_vit(tmp_path):
    spec = own("maniqa", recipe=SMALL | {"lr": 1e-3, "epochs": 3}, backbone=TINY)
    assert (spec.recipe.loss, spec.recipe.schedule, spec.recipe.weight_decay) == ("mse", "own", 1e-5)
    record, arrays = make_run(spec, tiny_runtime(tmp_path, make_world(tmp_path)))
    assert np.isfinite(arrays["near:test/predicted"]).all()
    assert min(record["loss"]) < record["loss"][0]
    assert record["parameters"]["trainable"] == METHODS.make("maniqa").size(small_shape())


def small_shape():
    from bench.models.weights.load import vit_without_weights

    return vit_without_weights(TINY, 32).shape


def test_the_whole_picture_as_a_square_is_an_option():
    kinds = {METHODS.make("maniqa", {"view": view}).views(Recipe())["crop"].kind for view in ("crop", "resized")}
    assert kinds == {"crop", "resize"}
