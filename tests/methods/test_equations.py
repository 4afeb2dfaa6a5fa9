"""Each structure against a plain restatement of its paper's equations, in float64, to 1e-10."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.models.head import quality_head
from bench.models.losses import plcc
from tests.methods.vits import SMALL_CNN, build, small_vit

TOLERANCE = 1e-10


def _pictures(batch: int = 2, size: int = 64) -> Tensor:
    return torch.randn(batch, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


def _awake(model: nn.Module) -> nn.Module:
    """Double precision, and every trainable tensor far from its start, so that no term hides behind a zero."""
    generator = torch.Generator().manual_seed(9)
    for p in model.double().parameters():
        if p.requires_grad:
            p.data += 0.3 * torch.randn(p.shape, dtype=torch.float64, generator=generator)
    return model.eval()


def _linear(x: Tensor, layer: nn.Linear) -> Tensor:
    return x @ layer.weight.T + (0 if layer.bias is None else layer.bias)


def _mlp(x: Tensor, layers: nn.Sequential) -> Tensor:
    return _linear(F.gelu(_linear(x, layers[0])), layers[2])


def _mhca(attention: nn.Module, queries: Tensor, guide: Tensor) -> Tensor:
    """softmax(q kᵀ / √d) v, one head after another."""
    width = queries.shape[-1]
    d = width // attention.heads
    q = queries @ attention.q.weight.T
    k, v = guide @ attention.kv.weight[:width].T, guide @ attention.kv.weight[width:].T
    heads = []
    for h in range(attention.heads):
        part = slice(h * d, (h + 1) * d)
        scores = torch.softmax(q[..., part] @ k[..., part].transpose(1, 2) / d**0.5, dim=-1)
        heads.append(scores @ v[..., part])
    return _linear(torch.cat(heads, dim=-1), attention.out)


@pytest.mark.parametrize("residual", ["added", "literal"])
@pytest.mark.parametrize("placement", ["between", "before_each"])
@pytest.mark.parametrize("glr", [True, False])
def test_glia_is_equations_3_and_4_between_the_blocks(residual: str, placement: str, glr: bool) -> None:
    vit = small_vit()
    model = _awake(
        build("glia", vit, grid=4, fragment=16, rank=16, residual=residual, placement=placement, glr=glr)
    ).features
    detail, semantic = _pictures(), _pictures().flip(-1)
    with torch.no_grad():
        f_s = model.frozen["guide"].compute(semantic)
        given = model({"detail": detail, "guide": f_s})
        f_sd = _linear(f_s, model.project)
        f_d = vit.embed(detail)
        for i, block in enumerate(vit.blocks):
            if str(i) in model.blocks:
                glia = model.blocks[str(i)]
                low = _mlp(f_d, glia.down)
                raised = _mlp(low + glia.fuse_weight * _mhca(glia.fuse, low, f_sd), glia.up)  # Eq. 3
                f_d = raised if residual == "literal" else f_d + glia.scale * raised
                if glr and i < len(vit.blocks) - 1:
                    f_sd = f_sd + glia.refine_weight * _mhca(glia.refine, f_sd, low)  # Eq. 4
            f_d = block(f_d)
        expected = vit.model.norm(f_d)[:, 0]
    assert (given - expected).abs().max() < TOLERANCE


def test_glias_guidance_is_every_token_of_the_frozen_network_after_its_final_norm() -> None:
    vit = small_vit()
    model = _awake(build("glia", vit, grid=4, fragment=16)).features
    with torch.no_grad():
        f_s = model.frozen["guide"].compute(_pictures())
        expected = vit.model.forward_features(_pictures())
    assert f_s.shape == (2, 17, 48)
    assert (f_s - expected).abs().max() < TOLERANCE


def test_glia_without_lgf_ignores_the_semantic_view() -> None:
    vit = small_vit()
    model = _awake(build("glia", vit, grid=4, fragment=16, lgf=False)).features
    with torch.no_grad():
        f_d = vit.embed(_pictures())
        for i, block in enumerate(vit.blocks):
            if i:
                glia = model.blocks[str(i)]
                f_d = f_d + glia.scale * _mlp(_mlp(f_d, glia.down), glia.up)
            f_d = block(f_d)
        expected = vit.model.norm(f_d)[:, 0]
        given = model({"detail": _pictures()})
    assert not model.frozen
    assert (given - expected).abs().max() < TOLERANCE


def test_glia_without_lgf_can_take_the_guidance_as_one_mean_token() -> None:
    vit = small_vit(depth=2)
    model = _awake(build("glia", vit, grid=4, fragment=16, lgf=False, without_lgf="mean")).features
    with torch.no_grad():
        guide = model.frozen["guide"].compute(_pictures())
        f_d = vit.blocks[0](vit.embed(_pictures()))
        glia = model.blocks["1"]
        low = _mlp(f_d, glia.down) + glia.fuse_weight * _linear(guide, model.project).mean(1, keepdim=True)
        expected = vit.pool(vit.blocks[1](f_d + glia.scale * _mlp(low, glia.up)))
        given = model({"detail": _pictures(), "guide": guide})
    assert (given - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("projection", ["code", "eq4"])
def test_loda_is_equations_1_to_4_before_every_block(projection: str) -> None:
    vit = small_vit()
    model = _awake(build("loda", vit, cnn=SMALL_CNN, latent=16, projection=projection)).features
    crop = _pictures()
    with torch.no_grad():
        given = model({"crop": crop})
        maps = []
        for extract, stage in zip(model.extractors, model.cnn(crop)[-4:], strict=True):  # Eq. 1
            first, _, second, _ = extract.layers
            hidden = F.gelu(torch.einsum("bchw,oc->bohw", stage, first.weight[:, :, 0, 0]) + first.bias[:, None, None])
            wide = F.unfold(hidden, 3, padding=1)
            conv = (second.weight.flatten(1) @ wide).unflatten(2, hidden.shape[-2:])
            maps.append(F.adaptive_avg_pool2d(conv, 7).flatten(2).transpose(1, 2))
        f_msd = torch.cat(maps, dim=1)
        x = vit.embed(crop)
        for injector, block in zip(model.injectors, vit.blocks, strict=True):
            low = _mlp(x, injector.down)
            tokens = _mlp(f_msd, injector.project) if projection == "eq4" else f_msd  # Eq. 4
            queried = _mhca(injector.attend, low, tokens) + low  # Eq. 2
            x = block(x + injector.scale * _mlp(queried, injector.up))  # Eq. 3
        expected = vit.model.norm(x)[:, 0]
    assert f_msd.shape == (2, 196, 16)
    assert (given - expected).abs().max() < TOLERANCE


def test_the_plcc_loss_is_lodas_equation_5() -> None:
    generator = torch.Generator().manual_seed(1)
    ours, human = torch.randn(2, 32, dtype=torch.float64, generator=generator)
    numerator = ((ours - ours.mean()) * (human - human.mean())).sum()
    denominator = (((ours - ours.mean()) ** 2).sum() * ((human - human.mean()) ** 2).sum()).sqrt()
    assert abs(plcc(ours, human) - (1 - numerator / denominator) / 2) < TOLERANCE


@pytest.mark.parametrize("kind", ["deep", "shallow"])
def test_vpt_puts_prompts_between_cls_and_patches(kind: str) -> None:
    vit = small_vit(reg_tokens=2)
    model = _awake(build("vpt", vit, kind=kind, prompts=5)).features
    with torch.no_grad():
        x = vit.embed(_pictures())
        prefix, patches = x[:, :3], x[:, 3:]
        prompts = model.prompts[0].expand(2, -1, -1)
        for i, block in enumerate(vit.blocks):
            if kind == "deep":
                prompts = model.prompts[i].expand(2, -1, -1)
            out = block(torch.cat((prefix, prompts, patches), dim=1))
            prefix, prompts, patches = out[:, :3], out[:, 3:8], out[:, 8:]
        expected = vit.model.norm(prefix)[:, 0]
        given = model({"crop": _pictures()})
    assert (given - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("position", ["houlsby", "pfeiffer", "adaptformer"])
def test_adapters_act_inside_the_residuals_and_after_layer_scale(position: str) -> None:
    plain = small_vit(init_values=0.1).double().eval()
    model = _awake(build("adapter", small_vit(init_values=0.1), position=position, bottleneck=8)).features

    def adapt(x: Tensor, adapter: nn.Module) -> Tensor:
        activation = F.relu if position == "adaptformer" else F.gelu
        return _linear(activation(_linear(x, adapter.down)), adapter.up)

    with torch.no_grad():
        x = plain.embed(_pictures())
        for block, adapted in zip(plain.blocks, model.vit.blocks, strict=True):
            attended = block.ls1(block.attn(block.norm1(x)))
            x = x + attended + (adapt(attended, adapted.ls1[1]) if position == "houlsby" else 0)
            moved = block.ls2(block.mlp(block.norm2(x)))
            if position == "adaptformer":
                x = x + moved + 0.1 * adapt(block.norm2(x), adapted.mlp.branch)
            else:
                x = x + moved + adapt(moved, adapted.ls2[1])
        expected = plain.pool(x)
        given = model({"crop": _pictures()})
    assert (given - expected).abs().max() < TOLERANCE


def test_ssf_folds_into_the_weights_it_follows() -> None:
    plain = small_vit().double().eval()
    model = _awake(build("ssf", small_vit())).features
    with torch.no_grad():
        for name, module in list(plain.model.named_modules()):
            place = dict(model.vit.model.named_modules()).get(name)
            if isinstance(place, nn.Sequential) and hasattr(module, "weight"):
                scale, shift = place[1].scale, place[1].shift
                column = scale if module.weight.dim() == 1 else scale[:, None]
                module.weight.mul_(column)
                module.bias.mul_(scale).add_(shift)
        pair = model.vit.model.patch_embed.norm[1]
        projection = plain.model.patch_embed.proj
        projection.weight.mul_(pair.scale[:, None, None, None])
        projection.bias.mul_(pair.scale).add_(pair.shift)
        gap = (plain(_pictures()) - model({"crop": _pictures()})).abs().max()
    assert gap < TOLERANCE


def test_vpts_prompt_dropout_draws_a_mask_for_each_image():
    model = build("vpt", small_vit(), dropout=0.5)
    for p in model.features.parameters():
        if p.requires_grad:
            p.data.fill_(1.0)
    seen: list[Tensor] = []
    model.features.vit.model.blocks[0].register_forward_hook(lambda _block, given, _out: seen.append(given[0].detach()))
    picture = _pictures(1).float()
    model.train()
    model({"crop": picture.expand(2, -1, -1, -1)})
    one, other = seen[0]
    assert not torch.equal(one, other)
    model.eval()
    model({"crop": picture.expand(2, -1, -1, -1)})
    assert torch.equal(seen[1][0], seen[1][1])


def test_the_head_is_a_cosine_with_a_direction_of_length_one_or_a_plain_weighted_sum() -> None:
    cosine, linear = quality_head("cosine", 48), quality_head("linear", 48)
    assert torch.linalg.vector_norm(cosine.weight).item() == pytest.approx(1)
    features = torch.randn(5, 48, generator=torch.Generator().manual_seed(1)).double()
    _awake(cosine), _awake(linear)
    wanted = {cosine: F.cosine_similarity(features, cosine.weight), linear: _linear(features, linear).squeeze(-1)}
    for head, scores in wanted.items():
        assert torch.allclose(head(features).squeeze(-1), scores, atol=TOLERANCE, rtol=0)
