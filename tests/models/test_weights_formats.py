"""Weights files of every kind: read without running code, checked tensor by tensor, and named when wrong."""

import argparse
import re

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from bench.core.files import sha256_of
from bench.models.weights.load import tensors_hash
from tests.checkpoints import TINY, as_augreg, headless, load, random_state

VIT_B = "vit_base_patch16_224.augreg2_in21k_ft_in1k"


@pytest.fixture(scope="module")
def tiny():
    return random_state(TINY)


@pytest.fixture
def tiny_file(tmp_path, tiny):
    """Writes a state, or anything else, with torch.save."""

    def write(content, name="weights.pth"):
        torch.save(content, tmp_path / name)
        return tmp_path / name

    return write


@pytest.fixture(scope="module")
def vit_b():
    return random_state(VIT_B)


@pytest.mark.parametrize("kind", ["safetensors", "pth", "npz"])
def test_a_vit_b_checkpoint_of_each_format_gives_the_same_network(kind, vit_b, tmp_path):
    path = tmp_path / f"vit_b.{kind}"
    if kind == "safetensors":
        save_file(vit_b, path)
    elif kind == "pth":
        torch.save({"model": vit_b, "epoch": 3}, path)
    else:
        np.savez(path, **as_augreg(vit_b, heads=12))
    vit, loaded = load(VIT_B, path)
    path.unlink()
    assert loaded.hash == tensors_hash(headless(vit_b))
    assert (loaded.backbone, loaded.source) == (VIT_B, f"file vit_b.{kind}")
    assert (loaded.mean, loaded.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert sum(p.numel() for p in vit.parameters()) == 85_798_656


@pytest.mark.parametrize("root", ["", "opt/target/", "params/"])
def test_the_augreg_names_are_converted_as_timm_itself_does(root, tiny, tmp_path):
    path = tmp_path / "tiny.npz"
    arrays = as_augreg(tiny, heads=3, root=root)
    if root == "params/":  # big_vision's names differ a little
        arrays = {
            name.replace("Transformer/posembed_input/", "")
            .replace("Attention_1", "Attention_0")
            .replace("MlpBlock_3", "MlpBlock_0")
            .replace("LayerNorm_2", "LayerNorm_1"): value
            for name, value in arrays.items()
        }
    np.savez(path, **arrays)
    theirs = timm.create_model(TINY, pretrained=False)
    theirs.load_pretrained(str(path))
    vit, _ = load(TINY, path)
    ours = vit.model.state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in headless(theirs.state_dict()).items())


WRAPPED = {
    "plain": lambda s: s,
    "state_dict": lambda s: {"state_dict": s, "epoch": 1},
    "model, with the command line": lambda s: {"model": s, "args": argparse.Namespace(lr=1.0)},
    "nested": lambda s: {"model": {"state_dict": s}},
    "data parallel": lambda s: {"module." + k: v for k, v in s.items()},
    "a detector's backbone": lambda s: {"backbone." + k: v for k, v in headless(s).items()} | {"head.x": torch.ones(1)},
    "two prefixes": lambda s: {"model": {"module.backbone." + k: v for k, v in s.items()}},
    "compiled": lambda s: {"_orig_mod." + k: v for k, v in s.items()},
    "teacher": lambda s: {"teacher": {"backbone." + k: v for k, v in s.items()}, "student": {}},
    "double": lambda s: {k: v.double() for k, v in s.items()},
    "parameters": lambda s: {k: torch.nn.Parameter(v) for k, v in s.items()},
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED.keys())
def test_common_wrappers_come_off(wrap, tiny, tiny_file):
    _, loaded = load(TINY, tiny_file(wrap(tiny)))
    assert loaded.hash == tensors_hash(headless(tiny))


def test_the_old_pickle_format_is_read_too(tiny, tmp_path):
    torch.save(tiny, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    assert load(TINY, tmp_path / "old.bin")[1].hash == tensors_hash(headless(tiny))


def test_the_content_counts_and_not_the_name(tiny, tmp_path):
    save_file(tiny, tmp_path / "wrong.pth")
    assert load(TINY, tmp_path / "wrong.pth")[1].hash == tensors_hash(headless(tiny))


def test_half_precision_becomes_fp32(tiny, tiny_file):
    vit, _ = load(TINY, tiny_file({k: v.half() for k, v in tiny.items()}))
    assert {p.dtype for p in vit.parameters()} == {torch.float32}
    assert torch.equal(vit.model.norm.weight, tiny["norm.weight"].half().float())


def test_training_in_place_leaves_the_file_alone(tiny, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(tiny, path)
    before = sha256_of(path)
    vit, _ = load(TINY, path)
    with torch.no_grad():
        for parameter in vit.parameters():
            parameter.add_(1)
    assert sha256_of(path) == before


def test_a_dinov2_file_under_its_original_names_fits(tmp_path, tiny_file):
    backbone = "vit_small_patch14_reg4_dinov2"
    ours = random_state(backbone, size=112)
    patches = ours["pos_embed"]
    first = torch.rand(1, 1, 384)
    theirs = {name: tensor for name, tensor in ours.items() if name != "reg_token"}
    theirs |= {"register_tokens": ours["reg_token"], "mask_token": torch.zeros(1, 384)}
    theirs["pos_embed"] = torch.cat([first, patches], dim=1)
    state = load(backbone, tiny_file(theirs), size=112)[0].model.state_dict()
    assert torch.equal(state["reg_token"], ours["reg_token"])
    assert torch.equal(state["cls_token"], ours["cls_token"] + first)
    assert torch.equal(state["pos_embed"], patches)


def test_a_clip_file_under_its_original_names_fits(tiny_file):
    backbone = "vit_xsmall_patch16_clip_224"
    ours = headless(random_state(backbone))
    theirs = {"text_projection": torch.ones(3), "visual.proj": torch.ones(ours["norm.weight"].numel(), 8)}
    swaps = [("patch_embed.proj", "conv1"), ("norm_pre", "ln_pre"), ("blocks.", "transformer.resblocks.")]
    swaps += [("norm1", "ln_1"), ("norm2", "ln_2"), ("qkv.", "in_proj_"), ("attn.proj", "attn.out_proj")]
    swaps += [("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj")]
    for name, tensor in ours.items():
        old = name
        for new, former in swaps:
            old = old.replace(new, former)
        old = {"norm.weight": "ln_post.weight", "norm.bias": "ln_post.bias"}.get(old, old)
        if name == "cls_token":
            old, tensor = "class_embedding", tensor[0, 0]
        if name == "pos_embed":
            old, tensor = "positional_embedding", tensor[0]
        theirs["visual." + old] = tensor
    assert load(backbone, tiny_file(theirs))[1].hash == tensors_hash(ours)


def test_the_old_layer_scale_names_of_deit_3_fit(tiny_file):
    backbone = "deit3_small_patch16_224"
    ours = random_state(backbone)
    theirs = {re.sub(r"ls(\d)\.gamma", r"gamma_\1", name): tensor for name, tensor in ours.items()}
    assert load(backbone, tiny_file({"model": theirs}))[1].hash == tensors_hash(headless(ours))
