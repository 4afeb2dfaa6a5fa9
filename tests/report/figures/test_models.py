"""Looking into models: explicit attention is the fused one, patches lie behind other tokens, no hook is left."""

import numpy as np
import pytest
import torch
from timm.models.eva import EvaAttention
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from bench.core.errors import UsageError
from bench.models.attention import attention_weights, on_patches, rollout, tapped_attention, tapped_blocks
from bench.models.vit import Vit
from bench.report.figures.spectra import log_amplitude, relative
from tests.methods.vits import build
from tests.methods.vits import small_vit as method_vit


def small_vit(**options):
    torch.manual_seed(0)
    settings = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2, "num_classes": 0}
    return Vit(VisionTransformer(**(settings | options)).eval(), 32)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("qk_norm", [True, False])
def test_explicit_weights_give_what_timms_attention_gives(fused, qk_norm):
    attention = small_vit(qk_norm=qk_norm).blocks[0].attn
    attention.fused_attn = fused
    tokens = torch.randn(2, 5, 24)
    value = attention.qkv(tokens).reshape(2, 5, 3, 2, 12).permute(2, 0, 3, 1, 4)[2]
    mixed = (attention_weights(attention, tokens) @ value).transpose(1, 2).reshape(2, 5, 24)
    assert torch.allclose(attention.proj(mixed), attention(tokens), atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"reg_tokens": 4}, {"class_token": False, "global_pool": "avg"}])
def test_every_block_is_tapped_once_and_no_hook_stays(options):
    vit = small_vit(**options)
    with torch.no_grad(), tapped_attention(vit) as maps, tapped_blocks(vit) as outputs:
        vit(torch.randn(2, 3, 32, 32))
    count = 16 + vit.shape.prefix
    assert [tuple(one.shape) for one in maps] == [(2, count, count)] * 3
    assert [tuple(one.shape) for one in outputs] == [(2, count, 24)] * 3
    assert all(torch.allclose(one.sum(-1), torch.ones(2, count), atol=1e-5) for one in maps)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in vit.modules())


def test_hooks_go_even_when_the_forward_fails():
    vit = small_vit()
    with pytest.raises(RuntimeError), tapped_attention(vit):
        vit(torch.randn(1, 7, 32, 32))
    assert not any(module._forward_pre_hooks for module in vit.modules())


def test_explicit_weights_know_of_biases_that_stand_beside_the_map():
    torch.manual_seed(0)
    attention = EvaAttention(48, num_heads=3, qkv_bias=True, norm_layer=nn.LayerNorm).eval()
    for bias in (attention.q_bias, attention.v_bias):
        torch.nn.init.normal_(bias)
    tokens = torch.randn(2, 5, 48)
    with torch.no_grad():
        value = (attention.qkv(tokens)[..., 96:] + attention.v_bias).reshape(2, 5, 3, 16).transpose(1, 2)
        mixed = (attention_weights(attention, tokens) @ value).transpose(1, 2).reshape(2, 5, 48)
        assert torch.allclose(attention.proj(attention.norm(mixed)), attention(tokens), atol=1e-5)


def test_blocks_without_the_usual_attention_are_refused():
    vit = small_vit()
    vit.model.blocks[1].attn = nn.Identity()
    with pytest.raises(UsageError, match="no attention of the usual build"), tapped_attention(vit):
        pass


def test_patches_are_read_by_cls_and_lie_behind_registers_and_prompts():
    vit = small_vit(reg_tokens=4)
    weights = torch.zeros(1, 1 + 4 + 3 + 16, 1 + 4 + 3 + 16)  # CLS, registers, three prompts, patches
    weights[0, 0, -16:] = torch.arange(16.0)
    assert torch.equal(on_patches(vit, weights)[0], torch.arange(16.0).reshape(4, 4))


def test_without_cls_the_mean_patch_reads():
    vit = small_vit(class_token=False, global_pool="avg")
    weights = torch.eye(16)[None]
    assert torch.allclose(on_patches(vit, weights), torch.full((1, 4, 4), 1 / 16))


def test_rollout_is_the_product_through_the_blocks():
    first, second = torch.rand(1, 4, 4).softmax(-1), torch.rand(1, 4, 4).softmax(-1)
    half = [0.5 * weights + 0.5 * torch.eye(4) for weights in (first, second)]
    assert torch.allclose(rollout([first, second]), half[1] @ half[0])
    assert torch.allclose(rollout([first, second]).sum(-1), torch.ones(1, 4))


def test_rollout_follows_nothing_through_tokens_that_are_new_before_every_block():
    first, second = torch.eye(4)[None].clone(), torch.eye(4)[None].clone()  # CLS, a prompt, two patches
    first[0, 1] = torch.tensor([0.0, 0.0, 1.0, 0.0])  # the first block's prompt reads the first patch,
    second[0, 0] = torch.tensor([0.0, 1.0, 0.0, 0.0])  # and in the second block CLS reads a new prompt in its place
    assert rollout([first, second])[0, 0, 2] == 0.25
    followed = rollout([first, second], renewed=(1, 2))
    assert torch.equal(followed[0, 0], torch.tensor([0.5, 0.5, 0.0, 0.0]))
    assert torch.allclose(followed.sum(-1), torch.ones(1, 4))


@pytest.mark.parametrize(("kind", "renewed"), [("deep", (1, 6)), ("shallow", (0, 0))])
def test_deep_prompts_are_new_before_every_block_and_say_so(kind, renewed):
    model = build("vpt", method_vit(), kind=kind, prompts=5).eval()
    assert model.features.renewed == renewed
    given = []
    for block in model.features.vit.blocks:
        block.register_forward_pre_hook(lambda _block, tokens: given.append(tokens[0].detach()))
    with torch.no_grad():
        for _ in range(2):
            model.features({"crop": torch.randn(1, 3, 64, 64)})
    depth = len(given) // 2
    unmoved = [torch.equal(one[:, 1:6], other[:, 1:6]) for one, other in zip(given[:depth], given[depth:], strict=True)]
    assert unmoved == [True, *[kind == "deep"] * (depth - 1)], "what no picture changes, nothing of a picture passes"


def test_a_checkerboard_of_features_has_its_amplitude_at_the_highest_frequency():
    board = torch.tensor([[(-1.0) ** (i + j) for j in range(8)] for i in range(8)]).reshape(1, 64, 1)
    tokens = torch.cat([torch.full((1, 5, 1), 100.0), board], dim=1)  # CLS and registers must not count
    spectrum = log_amplitude(tokens, 8).numpy()
    assert np.unravel_index(spectrum.argmax(), spectrum.shape) == (0, 0)
    assert (spectrum > 0).sum() == 1


def test_relative_amplitude_starts_at_zero_and_ends_below_pi():
    frequencies, values = relative(np.random.default_rng(0).normal(size=(3, 8, 8)))
    assert values.shape == (3, 4)
    assert np.array_equal(values[:, 0], np.zeros(3))
    assert frequencies.tolist() == [0, 0.25, 0.5, 0.75]
