"""Made-up checkpoints in a backbone's shapes, for the tests of weights."""

import re

import numpy as np
import timm
import torch

from bench.core.hashes import file_token
from bench.models.weights.load import load_vit

TINY = "vit_tiny_patch16_224"


def random_state(backbone, size=224, **options):
    """A made-up checkpoint in the backbone's shapes, made without the backbone's own slow start."""
    with torch.device("meta"):
        model = timm.create_model(backbone, pretrained=False, img_size=size, **options)
    generator = torch.Generator().manual_seed(3)
    return {name: torch.rand(t.shape, generator=generator) - 0.5 for name, t in model.state_dict().items()}


def headless(state):
    return {name: tensor for name, tensor in state.items() if not name.startswith("head")}


def as_augreg(state, heads, root=""):
    """A timm state as the original JAX arrays: the way there, to prove the way back."""
    arrays = {}
    for name, tensor in state.items():
        value = tensor.numpy()
        jax = name.replace("cls_token", "cls").replace("patch_embed.proj", "embedding").replace("head.", "head/")
        jax = jax.replace("pos_embed", "Transformer/posembed_input/pos_embedding")
        jax = re.sub(r"^norm\.", "Transformer/encoder_norm/", jax)
        jax = re.sub(r"blocks\.(\d+)\.", r"Transformer/encoderblock_\1/", jax)
        jax = jax.replace("norm1.", "LayerNorm_0/").replace("norm2.", "LayerNorm_2/")
        jax = re.sub(r"mlp\.fc(\d)\.", lambda found: f"MlpBlock_3/Dense_{int(found[1]) - 1}/", jax)
        jax = (
            jax.replace("attn.", "MultiHeadDotProductAttention_1/")
            .replace("proj.", "out/")
            .replace("embedding.", "embedding/")
        )
        norm = "norm" in name.rpartition(".")[0].rpartition(".")[2]
        jax = re.sub(r"weight$", "scale" if norm else "kernel", jax)
        if ".qkv." in name:
            for role, part in zip(("query", "key", "value"), np.split(value, 3), strict=True):
                cut = part.T.reshape(part.shape[1], heads, -1) if part.ndim == 2 else part.reshape(heads, -1)
                arrays[root + jax.replace("qkv.", f"{role}/")] = cut
        elif name == "patch_embed.proj.weight":
            arrays[root + jax] = value.transpose(2, 3, 1, 0)
        elif name.endswith("attn.proj.weight"):
            arrays[root + jax] = value.T.reshape(heads, -1, value.shape[0])
        else:
            arrays[root + jax] = value.T if value.ndim == 2 else value
    return arrays


def load(backbone, path, size=224):
    token = file_token(path)
    return load_vit(backbone, token, size, files={token: path}, cache=path.parent)
