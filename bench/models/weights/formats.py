"""Weights files of every common kind, read without running code from them, as tensors under plain names."""

from __future__ import annotations

import argparse
import math
import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bench.core.errors import WeightsError

WRAPPERS = ("state_dict", "model_state_dict", "model", "teacher")
"""Under which keys training scripts keep the weights."""

PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
"""What wrappers (data parallel, compile, Lightning, a detector) put before every name."""


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors, PyTorch (.pth, .pt, .bin) or AugReg .npz file, told apart by content.

    Wrappers are taken off, half precision becomes fp32, and the original JAX names become timm's.
    """
    try:
        with path.open("rb") as handle:
            start = handle.read(16)
    except OSError as error:
        raise WeightsError(f"The weights file {path} cannot be read: {error.strerror or error}.") from None
    try:
        content = _read(path, start)
    except WeightsError:
        raise
    except Exception as error:  # whatever a parser stumbles over is the file's fault
        raise WeightsError(f"{path.name} is damaged or incomplete ({_short(error)}). Fetch it again.") from None
    tensors = _plain(_without_prefix(_unwrapped(content, path.name)))
    bad = [name for name, tensor in tensors.items() if not math.isfinite(tensor.sum().item())]
    if bad:
        raise WeightsError(f"{path.name} holds infinite or undefined numbers in {listed(bad)}.")
    return tensors


def listed(names: Iterable[str], most: int = 4) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def _read(path: Path, start: bytes) -> Any:
    if start[:2] == b"PK":
        with zipfile.ZipFile(path) as archive:
            members = archive.namelist()
        if any(name.endswith(".npy") for name in members):
            with np.load(path, allow_pickle=False) as arrays:
                return augreg_to_timm({name: arrays[name] for name in arrays.files})
        if any("/code/" in name for name in members):
            raise WeightsError(
                f"{path.name} is a TorchScript archive, which holds code: save its state_dict() with torch.save."
            )
        return _read_torch(path)
    if start[8:9] == b"{":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise WeightsError(f"{path.name} is damaged or incomplete ({_short(error)}). Fetch it again.") from None
    if start[:1] == b"\x80":
        return _read_torch(path)
    what = "empty" if not start else "not a weights file"
    raise WeightsError(f"{path.name} is {what}: safetensors, PyTorch (.pth, .pt, .bin) and AugReg .npz are read.")


def _read_torch(path: Path) -> Any:
    try:
        # DeiT's and MAE's own checkpoints carry the parsed command line beside the weights; it is inert
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if "Unsupported" in str(error) or "WeightsUnpickler" in str(error):
            raise WeightsError(
                f"{path.name} holds Python objects, not weights alone, and loading them could run code: "
                "save its state_dict() with torch.save, or as safetensors."
            ) from None
        raise


def _unwrapped(content: Any, name: str) -> dict[str, Tensor]:
    while isinstance(content, Mapping):
        inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping):
        raise WeightsError(f"{name} holds a {type(content).__name__}, not named tensors.")
    tensors = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not tensors:
        raise WeightsError(f"{name} holds no tensors (it holds {listed(map(str, content)) or 'nothing'}).")
    return tensors


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off a wrapper's prefix where most names have it; names outside (a head) stay as they are."""
    for prefix in PREFIXES * 2:
        if 2 * sum(name.startswith(prefix) for name in tensors) > len(tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Dense tensors that stand by themselves, fp32 where they are floating."""
    plain = {}
    for name, tensor in tensors.items():
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_complex():
            raise WeightsError(f"{name} is a sparse, quantised, complex or empty tensor; plain ones are needed.")
        tensor = tensor.detach()
        plain[name] = (tensor.float() if tensor.is_floating_point() else tensor).contiguous()
    return plain


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:160]


# The JAX names of AugReg's ViTs (bare, or below opt/target/ or params/) and timm's, one pattern per kind.
_AUGREG = (
    (r"embedding/(kernel|bias)", "patch_embed.proj.{}"),
    (r"Transformer/encoder_norm/(scale|bias)", "norm.{}"),
    (r"Transformer/encoderblock_(\d+)/LayerNorm_0/(scale|bias)", "blocks.{}.norm1.{}"),
    (r"Transformer/encoderblock_(\d+)/LayerNorm_[12]/(scale|bias)", "blocks.{}.norm2.{}"),
    (r"Transformer/encoderblock_(\d+)/MultiHeadDotProductAttention_\d/out/(kernel|bias)", "blocks.{}.attn.proj.{}"),
    (r"Transformer/encoderblock_(\d+)/MlpBlock_\d/Dense_0/(kernel|bias)", "blocks.{}.mlp.fc1.{}"),
    (r"Transformer/encoderblock_(\d+)/MlpBlock_\d/Dense_1/(kernel|bias)", "blocks.{}.mlp.fc2.{}"),
)
_QKV = re.compile(r"Transformer/encoderblock_(\d+)/MultiHeadDotProductAttention_\d/(query|key|value)/(kernel|bias)")


def augreg_to_timm(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The original AugReg arrays as timm's tensors; names that belong to no ViT stay and are reported later."""
    anchor = "embedding/kernel"
    roots = [root for root in ("", "opt/target/", "params/") if root + anchor in arrays]
    if not roots:
        raise WeightsError(f"The .npz file holds {listed(arrays) or 'nothing'}: not an AugReg ViT (no {anchor}).")
    named = {name.removeprefix(roots[0]): value for name, value in arrays.items() if name.startswith(roots[0])}
    tensors: dict[str, Tensor] = {}
    attention: dict[str, dict[str, Tensor]] = {}
    for name, value in named.items():
        tensor = torch.from_numpy(np.ascontiguousarray(value))
        triple = _QKV.fullmatch(name)
        if triple:
            block, role, part = triple.groups()
            # a kernel is [width, heads, head width], a bias [heads, head width]
            flat = tensor.flatten(1).T if part == "kernel" else tensor.flatten()
            attention.setdefault(f"blocks.{block}.attn.qkv.{_part(part)}", {})[role] = flat
        else:
            tensors[_timm_name(name)] = _turned(name, tensor)
    for name, roles in attention.items():
        if len(roles) == 3:
            tensors[name] = torch.cat([roles[role] for role in ("query", "key", "value")])
    return tensors


def _timm_name(name: str) -> str:
    for pattern, ours in _AUGREG:
        match = re.fullmatch(pattern, name)
        if match:
            *block, part = match.groups()
            return ours.format(*block, _part(part))
    if name.endswith("pos_embedding"):
        return "pos_embed"
    return {"cls": "cls_token"}.get(name, name.replace("/", "."))


def _part(part: str) -> str:
    return {"kernel": "weight", "scale": "weight"}.get(part, part)


def _turned(name: str, tensor: Tensor) -> Tensor:
    """A JAX kernel in PyTorch's order: [h, w, in, out] → [out, in, h, w]; [..., out] → [out, ...]."""
    if not name.endswith("kernel"):
        return tensor
    return tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor.flatten(0, -2).T
