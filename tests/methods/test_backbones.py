"""The walk works for every timm VisionTransformer, or says in a sentence why not."""

from __future__ import annotations

import copy

import pytest
import timm
import torch

from bench.core.errors import UsageError
from bench.core.registry import METHODS
from bench.core.spec import Recipe
from bench.models.attention import tapped_attention
from bench.models.conformance import check_method
from bench.models.vit import Vit, cnn_channels
from bench.models.weights.load import _fit_vit
from tests.methods.vits import build, small_vit

SMALL = {"img_size": 56, "embed_dim": 48, "depth": 2, "num_heads": 3}
KINDS = {
    "dinov2, layer scale": ("vit_small_patch14_dinov2", {}),
    "dinov2 with registers": ("vit_small_patch14_reg4_dinov2", {}),
    "swiglu mlp": ("vit_giant_patch14_dinov2", {"mlp_ratio": 4.0}),
    "clip, norm before the blocks": ("vit_base_patch16_clip_224", {"img_size": 64}),
    "siglip, no CLS, attention pool": ("vit_base_patch16_siglip_224", {"img_size": 64}),
    "siglip, mean pool": ("vit_base_patch16_siglip_gap_224", {"img_size": 64}),
    "deit-iii": ("deit3_base_patch16_224", {"img_size": 64}),
    "deit, distilled": ("deit_base_distilled_patch16_224", {"img_size": 64}),
    "norm of q and k": ("vit_small_patch16_224", {"img_size": 64, "qk_norm": True}),
    "norm after pooling, with CLS": ("vit_small_patch16_224", {"img_size": 64, "global_pool": "avg"}),
    "parallel blocks": ("vit_base_patch16_224", {"img_size": 64, "block_fn": "parallel"}),
}
EVAS = {
    "dinov3, registers, no biases in qkv": ("vit_base_patch16_dinov3", {"img_size": 64, "num_heads": 3}),
    "dinov3, biases in qkv": ("vit_base_patch16_dinov3_qkvb", {"img_size": 64}),
    "perception encoder, attention pool": (
        "vit_pe_core_base_patch16_224",
        {"img_size": 64, "attn_pool_num_heads": 3, "num_heads": 3},
    ),
    "perception encoder, spatial": ("vit_pe_spatial_base_patch16_512", {"img_size": 64}),
    "perception encoder, for language": ("vit_pe_lang_large_patch14_448", {}),
    "eva-02, separate maps, swiglu": ("eva02_base_patch14_224", {}),
    "eva-02, fused maps": ("eva02_tiny_patch14_224", {}),
    "eva, no rotation": ("eva_large_patch14_196", {}),
    "rotation learned by block": ("vit_small_patch16_rope_mixed_224", {"img_size": 64}),
    "rotation and table": ("vit_small_patch16_rope_ape_224", {"img_size": 64}),
}
"""Kinds of timm's Eva."""
KINDS |= {kind: (name, {"embed_dim": 96} | changes) for kind, (name, changes) in EVAS.items()}
ON_ALL = ["linear_probe", "full_finetune", "glia", "vpt", "bitfit", "loda"]


def _make(kind: str) -> Vit:
    name, changes = KINDS[kind]
    changes = dict(SMALL) | changes
    if changes.pop("block_fn", None):
        changes["block_fn"] = timm.models.vision_transformer.ParallelScalingBlock
    torch.manual_seed(0)
    return Vit(timm.create_model(name, pretrained=False, **changes), changes["img_size"])


def _options(method: str, vit: Vit) -> dict:
    fragments = {"grid": 4, "fragment": vit.size // 4}
    return {"glia": fragments, "loda": {"cnn": "test_efficientnet"}}.get(method, {})


@pytest.mark.parametrize("kind", KINDS)
def test_the_walk_is_the_models_own_forward(kind: str) -> None:
    vit = _make(kind).eval()
    pictures = torch.randn(2, 3, vit.size, vit.size)
    with torch.no_grad():
        features = vit.model.fc_norm(vit.model.forward_features(pictures))
        assert torch.allclose(vit.tokens(pictures), features, atol=1e-6)
        if not vit.reads_cls:
            assert torch.allclose(
                vit(pictures), vit.model.forward_head(vit.model.forward_features(pictures)), atol=1e-6
            )
        else:
            assert torch.allclose(vit(pictures), features[:, 0], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ON_ALL)
def test_methods_that_act_between_blocks_work_on_every_kind(kind: str, method: str) -> None:
    model = build(method, _make(kind), **_options(method, _make(kind)))
    size = model.features.vit.size
    pictures = {view: torch.randn(3, 3, size, size) for view in ("crop", "semantic", "detail")}
    with torch.no_grad():
        frozen = {name: f.compute(pictures[f.view]) for name, f in model.features.frozen.items()}
    scores = model.train()(pictures | frozen)
    scores.square().sum().backward()
    dead = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    counted = sum(p.numel() for p in model.features.parameters() if p.requires_grad)
    documented = METHODS.make(method, _options(method, _make(kind))).size(_make(kind).shape)
    assert scores.shape == (3,)
    assert not dead
    assert counted == documented


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"parallel blocks", *EVAS}])
@pytest.mark.parametrize("method", ["adapter", "ssf", "lora"])
def test_methods_that_act_inside_blocks_work_on_every_kind_of_plain_block(kind: str, method: str) -> None:
    failed = [r for r in check_method(method, backbone=lambda: _make(kind)) if not r.passed]
    assert not failed


LATE_BIASES = {"dinov3, biases in qkv", "eva-02, fused maps"}
SEPARATE = {"eva-02, separate maps, swiglu"}


@pytest.mark.parametrize("kind", EVAS)
@pytest.mark.parametrize("method", ["adapter", "ssf", "lora", "peft:dora"])
def test_methods_that_act_inside_blocks_work_on_an_eva_or_are_refused_in_a_sentence(kind: str, method: str) -> None:
    refused = {"ssf": LATE_BIASES | SEPARATE, "lora": SEPARATE, "peft:dora": SEPARATE}.get(method, set())
    if kind in refused:
        with pytest.raises(UsageError, match=r"have three|do not have|adds that map's biases later"):
            build(method, _make(kind))
        return
    model = build(method, _make(kind))
    pictures = {"crop": torch.randn(2, 3, model.features.vit.size, model.features.vit.size)}
    model.train()(pictures).square().sum().backward()
    learning = {name: p for name, p in model.features.named_parameters() if p.requires_grad}
    assert not [name for name, p in learning.items() if p.grad is None], "who goes round a map leaves it without one"
    assert sum(p.numel() for p in learning.values()) == METHODS.make(method).size(_make(kind).shape)


def test_adaptformer_is_refused_where_layer_scale_would_shrink_its_branch() -> None:
    with pytest.raises(UsageError, match=r"blocks\.0\.ls2.*EvaBlock blocks do not have"):
        build("adapter", _make("dinov3, biases in qkv"), position="adaptformer")


def test_prompts_have_no_place_and_leave_the_patches_theirs() -> None:
    vit = _make("dinov3, registers, no biases in qkv").eval()
    tokens = vit.embed(torch.randn(1, 3, vit.size, vit.size))
    more = torch.cat((tokens[:, :5], torch.zeros(1, 2, 96), tokens[:, 5:]), dim=1)
    turns, longer = vit._turns(), vit._turns_of(vit._turns(), 0, more)
    sines, cosines = longer[:2].chunk(2, dim=-1)
    assert torch.equal(longer[2:], turns)
    assert (bool((sines == 0).all()), bool((cosines == 1).all())) == (True, True)
    assert vit._turns_of(turns, 0, tokens) is turns


def test_attention_under_rotation_is_not_looked_into() -> None:
    with pytest.raises(UsageError, match="rotary positions"), tapped_attention(_make("eva-02, fused maps")):
        pass


@pytest.mark.parametrize("name", ["vit_base_patch16_dinov3.lvd1689m", "eva02_tiny_patch14_224"])
def test_an_evas_own_file_of_weights_is_loaded_and_walks_as_timm_has_it(name: str, tmp_path) -> None:
    small = {"embed_dim": 96, "depth": 2, "num_heads": 3, "num_classes": 0}
    torch.manual_seed(1)
    whole = timm.create_model(name.partition(".")[0], dynamic_img_size=False, **small).eval()
    twin = timm.create_model(name.partition(".")[0], dynamic_img_size=False, img_size=112, **small).eval()
    twin.load_state_dict(_fit_vit(dict(whole.state_dict()), twin, "a file", name), strict=True)
    pictures = torch.randn(1, 3, 112, 112)
    with torch.no_grad():
        tokens = twin.fc_norm(twin.forward_features(pictures))
        assert torch.allclose(Vit(twin, 112).tokens(pictures), tokens, atol=1e-5)


@pytest.mark.parametrize(
    ("method", "options"), [("adapter", {}), ("adapter", {"position": "adaptformer"}), ("ssf", {})]
)
def test_methods_that_act_inside_blocks_refuse_blocks_of_another_build(method: str, options: dict) -> None:
    with pytest.raises(UsageError, match="ParallelScalingBlock blocks do not have"):
        build(method, _make("parallel blocks"), **options)


@pytest.mark.parametrize("name", ["resnet18", "swin_tiny_patch4_window7_224"])
def test_other_networks_are_refused_by_name(name: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name)
    with pytest.raises(UsageError, match="is not a plain timm VisionTransformer"):
        Vit(model, 224)


def test_pictures_that_patches_do_not_tile_are_refused() -> None:
    with pytest.raises(UsageError, match="cut into 16-pixel patches"):
        Vit(small_vit().model, 65)


def test_a_network_without_stages_is_refused_as_lodas_cnn() -> None:
    with pytest.raises(UsageError, match="not a timm network with feature stages"):
        cnn_channels("no_such_network")
    assert cnn_channels("resnet50.a1_in1k") == (256, 512, 1024, 2048)
    assert cnn_channels("tf_efficientnet_lite0") == (24, 40, 112, 320)


def test_nothing_before_the_first_trained_tensor_records_a_gradient() -> None:
    model = build("glia", small_vit(), grid=4, fragment=16).train()
    recorded = []
    for block in model.features.vit.blocks:
        block.register_forward_hook(lambda module, given, made: recorded.append(made.requires_grad))
    model.features({"detail": torch.randn(2, 3, 64, 64), "guide": torch.randn(2, 17, 48)})
    assert recorded == [False, True, True]


@pytest.mark.parametrize("name", ["glia", "adapter", "loda", "peft:dora", "linear_probe"])
def test_a_copy_of_a_model_computes_with_its_own_weights(name: str) -> None:
    options = {"glia": {"grid": 4, "fragment": 16}, "loda": {"cnn": "test_efficientnet"}}.get(name, {})
    model = build(name, small_vit(), **options).eval()
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(0.5)

    def scores(of) -> torch.Tensor:
        pictures = {view: torch.ones(1, 3, 64, 64) for view in METHODS.make(name).views(Recipe(size=224))}
        with torch.no_grad():
            return of(pictures | {k: f.compute(pictures[f.view]) for k, f in of.features.frozen.items()})

    fresh = build(name, small_vit(), **options).eval()
    assert torch.equal(scores(twin), scores(fresh))
    assert not torch.equal(scores(twin), scores(model))


def test_lodas_drifting_statistics_belong_to_the_trained_state() -> None:
    crop = {"crop": torch.randn(4, 3, 64, 64)}
    drifting = build("loda", small_vit(), cnn="test_efficientnet", bn="train").train()
    still = build("loda", small_vit(), cnn="test_efficientnet").train()
    before = {name: b.clone() for name, b in drifting.features.cnn.named_buffers()}
    drifting(crop), still(crop)
    assert any(not torch.equal(before[name], b) for name, b in drifting.features.cnn.named_buffers())
    assert all(torch.equal(before[name], b) for name, b in still.features.cnn.named_buffers())
    assert any("running_mean" in name for name in drifting.trainable_state())
    assert not any("running_mean" in name for name in still.trainable_state())


@pytest.mark.parametrize("kind", KINDS)
def test_the_feature_is_the_pooled_walk_and_its_gradients_are_the_same(kind: str) -> None:
    vit = _make(kind).eval()
    tokens = torch.randn(2, *vit.embed(torch.randn(1, 3, vit.size, vit.size)).shape[1:])

    def shift(i: int, x: torch.Tensor) -> torch.Tensor:
        return x * (1 + 0.1 * i)

    found = []
    for way in (lambda x: vit.feature(x, shift), lambda x: vit.pool(vit.walk(x, shift))):
        given = tokens.clone().requires_grad_()
        vit.zero_grad()
        feature = way(given)
        feature.square().sum().backward()
        found.append((feature, given.grad, vit.blocks[-1].get_parameter(_first_weight(vit)).grad))
    for short, whole in zip(*found, strict=True):
        assert torch.allclose(short, whole, rtol=1e-4, atol=1e-5)


def _first_weight(vit: Vit) -> str:
    return next(name for name, p in vit.blocks[-1].named_parameters() if p.ndim == 2)


def test_who_watches_the_last_block_sees_all_its_tokens() -> None:
    vit, seen = small_vit(), []
    vit.blocks[-1].register_forward_hook(lambda _, __, given: seen.append(given))
    vit(torch.randn(1, 3, 64, 64))
    assert [tokens.shape[1] for tokens in seen] == [1 + 16]
