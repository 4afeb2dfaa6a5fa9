"""Backbones and CNNs with their weights: at every size, of every family, random ones reproducible."""

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer

from bench.core.errors import UsageError, WeightsError
from bench.models.weights import demo as demo_weights
from bench.models.weights.load import load_vit, tensors_hash, toolbox
from tests.checkpoints import TINY, load, random_state

CNN = "tf_efficientnet_lite0"


def test_the_position_table_is_resampled_to_the_size_as_timm_does(monkeypatch, tmp_path):
    state = random_state("vit_small_patch14_dinov2", size=518)
    save_file(state, tmp_path / "dino.safetensors")
    monkeypatch.setattr(demo_weights, "dinov2_vits14", lambda cache, progress: cache / "dino.safetensors")
    vit, loaded = load_vit("vit_small_patch14_dinov2", "pretrained", 112, files={}, cache=tmp_path)
    wanted = resample_abs_pos_embed(state["pos_embed"], [8, 8], num_prefix_tokens=1)
    assert vit.model.pos_embed.shape == (1, 65, 384)
    assert torch.equal(vit.model.pos_embed, wanted)
    assert torch.equal(vit.model.blocks[3].attn.qkv.weight, state["blocks.3.attn.qkv.weight"])
    assert (loaded.source, loaded.mean) == ("demo wheel", (0.485, 0.456, 0.406))
    assert vit(torch.zeros(2, 3, 112, 112)).shape == (2, 384)


def test_attention_is_fused_and_the_network_waits_in_eval_mode():
    vit, _ = load_vit(TINY, "random", 64, files={}, cache=None)
    assert all(block.attn.fused_attn for block in vit.blocks)
    assert not any(module.training for module in vit.modules())


@pytest.mark.parametrize(
    ("backbone", "size", "prefix"),
    [
        ("deit3_small_patch16_224.fb_in1k", 96, 1),
        ("deit_tiny_distilled_patch16_224", 64, 2),
        ("vit_small_patch14_reg4_dinov2.lvd142m", 112, 5),
        ("vit_xsmall_patch16_clip_224", 80, 1),
        ("vit_base_patch16_siglip_224.webli", 64, 0),
    ],
)
def test_tags_of_every_family_are_built_at_the_size_asked_for(backbone, size, prefix):
    vit, loaded = load_vit(backbone, "random", size, files={}, cache=None)
    assert (vit.shape.grid, vit.shape.prefix) == (size // vit.shape.patch, prefix)
    assert vit(torch.zeros(1, 3, size, size)).isfinite().all()
    assert loaded.source == "random"


def test_random_weights_depend_on_the_name_only():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = load_vit(TINY, "random", 64, files={}, cache=None)[1]
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    assert load_vit(TINY, "random", 64, files={}, cache=None)[1] == first
    assert load_vit(TINY + ".augreg_in21k", "random", 64, files={}, cache=None)[1].hash != first.hash


@pytest.mark.parametrize(
    ("backbone", "size", "said"),
    [
        ("vit_bse_patch16_224", 224, "Did you mean vit_base_patch16_224"),
        ("zzzzzzzz", 224, "timm has no network 'zzzzzzzz'"),
        ("hf-hub:someone/something", 224, "timm has no network"),
        (TINY + ".nothing", 224, "no weights tagged 'nothing'. It has: .*augreg_in21k"),
        ("resnet18", 224, "ResNet is not a plain timm VisionTransformer"),
        ("swin_tiny_patch4_window7_224", 224, "SwinTransformer is not a plain"),
        (TINY, 100, "100 pixels cannot be cut into 16-pixel patches"),
    ],
)
@pytest.mark.parametrize("weights", ["random", "pretrained"])
def test_backbones_that_do_not_work_are_refused_in_a_sentence(backbone, size, said, weights):
    with pytest.raises(UsageError, match=said):
        load_vit(backbone, weights, size, files={}, cache=None)


def test_weights_must_be_one_of_the_three_words():
    with pytest.raises(UsageError, match="neither 'pretrained', 'random' nor the hash"):
        load_vit(TINY, "pretraind", 224, files={}, cache=None)


@pytest.fixture(scope="module")
def cnn_state():
    torch.manual_seed(5)
    return timm.create_model(CNN, pretrained=False).state_dict()


def test_a_random_cnn_gives_four_stages_frozen_and_the_same_every_time():
    tools = toolbox({}, None, random=True)
    network = tools(CNN)
    maps = network(torch.zeros(1, 3, 64, 64))
    assert [m.shape[1:] for m in maps] == [(24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    assert not any(p.requires_grad for p in network.parameters())
    assert not any(module.training for module in network.modules())
    again = toolbox({}, None, random=True)
    again(CNN)
    assert again.loaded == tools.loaded
    assert tools.loaded[CNN].source == "random"


def test_the_demo_cnn_comes_from_its_wheel(cnn_state, monkeypatch, tmp_path, caplog):
    save_file(cnn_state, tmp_path / "cnn.safetensors")
    monkeypatch.setattr(demo_weights, "efficientnet_lite0", lambda cache, progress: cache / "cnn.safetensors")
    tools = toolbox({}, tmp_path)
    network = tools(CNN)
    held = network.state_dict()
    assert all(torch.equal(tensor, cnn_state[name]) for name, tensor in held.items())
    assert (tools.loaded[CNN].hash, tools.loaded[CNN].source) == (tensors_hash(held), "demo wheel")
    assert not caplog.records


def test_a_users_cnn_file_is_checked_and_needs_no_batch_counters(cnn_state, tmp_path):
    path = tmp_path / "mine.pth"
    torch.save({"state_dict": {k: v for k, v in cnn_state.items() if "num_batches" not in k}}, path)
    tools = toolbox({"cnn": path}, tmp_path)
    assert torch.equal(tools(CNN).conv_stem.weight, cnn_state["conv_stem.weight"])
    assert tools.loaded[CNN].source == "file mine.pth"
    with pytest.raises(WeightsError, match="mine.pth .* does not fit resnet18: .*missing.*not its own"):
        tools("resnet18")


def test_a_network_whose_stages_timm_renames_keeps_its_tensors(tmp_path):
    whole = timm.create_model("convnext_atto", pretrained=False).state_dict()
    save_file(whole, tmp_path / "c.safetensors")
    held = toolbox({"cnn": tmp_path / "c.safetensors"}, tmp_path)("convnext_atto").state_dict()
    assert torch.equal(held["stages_2.blocks.1.mlp.fc1.weight"], whole["stages.2.blocks.1.mlp.fc1.weight"])


def test_cnns_that_do_not_work_are_refused_in_a_sentence():
    tools = toolbox({}, None, random=True)
    with pytest.raises(UsageError, match="Did you mean"):
        tools("resnet5O")
    with pytest.raises(UsageError, match="mixer_b16_224 is no CNN .* strides"):
        tools("mixer_b16_224")
    with pytest.raises(UsageError, match="feature stages"):
        tools("sequencer2d_s")


def test_tensors_hash_sees_names_types_shapes_and_bytes():
    base = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor(3)}
    assert tensors_hash(base) == tensors_hash(dict(reversed(base.items())))
    others = [
        {"a": base["a"], "c": base["b"]},
        base | {"a": torch.tensor([[1.0, 2.0]])},
        base | {"a": torch.tensor([1.0, 2.5])},
        base | {"a": base["a"].view(torch.int32)},
    ]
    assert len({tensors_hash(state) for state in [base, *others]}) == 5


def test_the_loaded_file_is_what_the_network_computes_with(tmp_path):
    save_file(random_state(TINY), tmp_path / "w.safetensors")
    vit, _ = load(TINY, tmp_path / "w.safetensors", size=224)
    plain = VisionTransformer(embed_dim=192, depth=12, num_heads=3).eval()
    plain.load_state_dict(load_file(tmp_path / "w.safetensors"))
    picture = torch.rand(1, 3, 224, 224)
    torch.testing.assert_close(vit(picture), plain.forward_head(plain.forward_features(picture), pre_logits=True))
