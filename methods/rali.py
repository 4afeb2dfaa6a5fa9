"""RALI: a picture's score is read off basis vectors, each of which stands for pictures alike in look and score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.core.cards import Bound
from bench.core.spec import Recipe, Scalar
from bench.data.views.view import Frozen
from bench.models.method import Features, Method, QualityModel, Toolbox, put_fitted
from bench.models.part import TrainingPart
from bench.models.texts import Encode
from bench.models.vit import Vit, VitShape


class RaliNoalign(Method):
    """Stages 2 and 3 of RALI on a frozen backbone as it is; its paper's own ablation without the alignment to texts."""

    name = "rali_noalign"
    title: ClassVar[str] = "RALI, not aligned"
    origin: ClassVar[str] = "the RALI paper, and facts of the authors' inference code"
    learns: ClassVar[Literal["fit_then_descent"]] = "fit_then_descent"
    backbones: ClassVar[Mapping[str, str]] = {"paper": "vit_large_patch14_clip_336.openai"}
    recipe: ClassVar[Mapping[str, Scalar]] = {
        "loss": "mse",
        "size": 336,
        "short_side": 336,
        "flips": False,
        "train_views": 1,
        "test_views": 1,
        "norm": "timm",
    }
    bounds: ClassVar[Mapping[str, Bound]] = {
        "components": {"least": 1},
        "vectors": {"least": 1},
        "buckets": {"least": 1},
        "temperature": {"least": 1e-4},
    }

    components: int = 512
    """Principal components at most; never more than the feature is wide or than there are pictures."""
    vectors: int = 250
    """Basis vectors at most; never more than a quarter of the pictures."""
    buckets: int = 240
    """Equal parts of the range of scores, inside each of which pictures are clustered; of fewer vectors fewer."""
    temperature: float = 0.07
    """What cosines are divided by before the softmax."""

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """The frozen feature, and places for what the fit finds."""
        return _Basis(vit, self.temperature)

    def size(self, shape: VitShape) -> int:
        """As many vectors as the pictures allow."""
        return -1

    def head(self, recipe: Recipe, width: int) -> nn.Module | None:
        """None: the weighted mean of the vectors' scores is the score."""
        return None

    def fit(self, model: QualityModel, part: TrainingPart) -> None:
        """Stage 2: principal components, then clusters inside buckets of scores."""
        found = np.concatenate([self.looked_at(model, part, view).double().numpy() for view in range(part.views)])
        scores = np.tile(part.scores, part.views)
        mean, deviation, axes = principal(found, min(self.components, found.shape[1], len(part)))
        projected = (found - mean) / deviation @ axes
        count = max(1, min(self.vectors, len(part) // 4))
        buckets = max(1, round(self.buckets * count / self.vectors))
        vectors, values = clustered(projected, scores, count, buckets, part.seed)
        tensors = {"mean": mean, "deviation": deviation, "axes": axes, "vectors": vectors, "values": values}
        for name, array in tensors.items():
            put_fitted(model.features, name, torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)))

    def looked_at(self, model: QualityModel, part: TrainingPart, view: int) -> Tensor:
        """What the encoder makes of one view of all pictures, on the CPU."""
        return part.stacked("feature", view)


class Rali(RaliNoalign):
    """All three stages of RALI: first the whole encoder is aligned to a text about each training picture."""

    name = "rali"
    title: ClassVar[str] = "RALI"
    files: ClassVar[Mapping[str, str]] = {
        "captions": "its first stage aligns to a text about each picture: name a file of them with --set "
        "rali.captions=FILE; rali_noalign is the paper's own ablation without it",
        "text_weights": "",
    }
    bounds: ClassVar[Mapping[str, Bound]] = {
        "components": {"least": 1},
        "vectors": {"least": 1},
        "buckets": {"least": 1},
        "temperature": {"least": 1e-4},
        "align_epochs": {"least": 1},
        "align_batch": {"least": 2},
        "align_rate": {"least": 0},
        "align_temperature": {"least": 1e-4},
    }

    captions: str = ""
    """A file with a text about each training picture, a line {"image": "name.jpg", "text": "..."} for one."""
    text_encoder: str = "ViT-L-14-336-quickgelu:openai"
    """The frozen text encoder: a model of open_clip, and the tag of its weights."""
    text_weights: str = ""
    """A file with its weights, where the tag's cannot be fetched."""
    align_epochs: int = 10
    """Passes of the first stage over the training part, each with other views."""
    align_batch: int = 64
    """Pictures in a batch of the first stage at most, each against the texts of the others."""
    align_rate: float = 1e-5
    """The rate of the first stage, along a half cosine to zero."""
    align_temperature: float = 0.07
    """What cosines between pictures and texts are divided by."""

    def assemble(self, vit: Vit, toolbox: Toolbox) -> Features:
        """The encoder with places for its aligned weights, and for what stage 2 finds."""
        return _Aligned(vit, self.temperature, toolbox.texts(self.text_encoder, self.text_weights))

    def fit(self, model: QualityModel, part: TrainingPart) -> None:
        """Stage 1, then stage 2 on what the aligned encoder gives."""
        features = model.features
        assert isinstance(features, _Aligned)
        assert part.texts is not None
        texts = features.read(part.texts(self.captions), part.device)
        put_fitted(features, "encoder", self._align(features, part, F.normalize(texts, dim=-1)))
        super().fit(model, part)

    def looked_at(self, model: QualityModel, part: TrainingPart, view: int) -> Tensor:
        """What the aligned encoder makes of one view of all pictures, on the CPU."""
        features = model.features
        assert isinstance(features, _Aligned)
        with part.autocast():
            return torch.cat([features.encode(inputs["crop"]).float().cpu() for inputs in part.batches(view=view)])

    def _align(self, features: _Aligned, part: TrainingPart, texts: Tensor) -> Tensor:
        """The encoder's weights in one vector, trained with a linear map that leads to the texts' space."""
        random = np.random.RandomState(np.array([part.seed, 0xA119], dtype=np.uint32))
        encoder = flat(features.vit).requires_grad_(True)
        width, to = features.vit.shape.width, texts.shape[1]
        projection = torch.from_numpy(random.normal(0, width**-0.5, (width, to))).float().to(part.device)
        optimiser = torch.optim.AdamW([encoder, projection.requires_grad_(True)], lr=self.align_rate)
        batches = -(-len(part) // self.align_batch)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, batches * self.align_epochs)
        for epoch in range(self.align_epochs):
            for step, rows in enumerate(np.array_split(random.permutation(len(part)), batches)):
                part.report(epoch * batches + step, batches * self.align_epochs, "aligning to texts")
                crops = part.load(rows, epoch)["crop"]
                with torch.enable_grad():
                    with part.autocast():
                        seen = features.encoded(crops, encoder)
                    own = texts[torch.from_numpy(rows)].to(part.device)
                    loss = contrastive(seen.float() @ projection, own, self.align_temperature)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
        return encoder


def contrastive(pictures: Tensor, texts: Tensor, temperature: float) -> Tensor:
    """CLIP's loss, both ways: each picture is to find its text among the batch's, and each text its picture."""
    cosine = F.normalize(pictures, dim=-1) @ texts.T / temperature
    own = torch.arange(len(cosine), device=cosine.device)
    return (F.cross_entropy(cosine, own) + F.cross_entropy(cosine.T, own)) / 2


def flat(network: nn.Module) -> Tensor:
    """All parameters of a network as one vector, a copy."""
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def principal(found: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean, standard deviation, axes as columns) of features [pictures, width].

    The axes are of features that are not divided by the deviation, what is projected on them is: so the paper's code.
    """
    from sklearn.decomposition import IncrementalPCA

    machine: Any = IncrementalPCA(n_components=count)
    for batch in np.array_split(found, max(1, len(found) // max(count, 5 * found.shape[1]))):
        machine.partial_fit(batch)
    deviation = np.sqrt(machine.var_)
    return machine.mean_, np.where(deviation > 0, deviation, 1.0), machine.components_.T


def clustered(
    found: np.ndarray, scores: np.ndarray, count: int, buckets: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """`count` centres in all, of clusters inside buckets of equal width in score, and the mean score of each."""
    from sklearn.cluster import KMeans

    low, span = scores.min(), np.ptp(scores)
    bucket = np.minimum(((scores - low) / (span or 1) * buckets).astype(int), buckets - 1)
    centres, values = [], []
    for at, share in enumerate(shares(np.bincount(bucket, minlength=buckets), count)):
        if not share:
            continue
        inside, own = found[bucket == at], scores[bucket == at]
        machine = KMeans(n_clusters=share, n_init=4, random_state=seed).fit(inside)
        for cluster in np.unique(machine.labels_):
            centres.append(inside[machine.labels_ == cluster].mean(0))
            values.append(own[machine.labels_ == cluster].mean())
    return np.array(centres), np.array(values)


def shares(pictures: np.ndarray, count: int) -> np.ndarray:
    """How many of `count` clusters each bucket gets: one where there is a picture (the fullest first), then by size.

    Always the bucket with the most pictures to a cluster gets the next one, and none gets more than it has pictures.
    """
    given = np.zeros(len(pictures), dtype=int)
    for _ in range(min(count, int(pictures.sum()))):
        crowd = np.where(given < pictures, np.where(given == 0, pictures + 1e9, pictures / np.maximum(given, 1)), -1.0)
        given[int(np.argmax(crowd))] += 1
    return given


class _Basis(Features):
    fitted: tuple[str, ...] = ("mean", "deviation", "axes", "vectors", "values")

    def __init__(self, vit: Vit, temperature: float) -> None:
        super().__init__()
        self.vit, self.temperature = vit, temperature
        self.frozen = {"feature": Frozen("crop", "pooled", vit.forward)}  # the linear probe's: computed once for both
        for name in ("mean", "deviation", "axes"):
            self.register_buffer(name, torch.empty(0))
        self.vectors = nn.Parameter(torch.empty(0))
        self.values = nn.Parameter(torch.empty(0))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Σ softmax(cos(x, μ) / τ) · f, with x the picture's principal components."""
        with torch.autocast(inputs["feature"].device.type, enabled=False):
            of = self.get_buffer
            seen = (inputs["feature"].float() - of("mean")) / of("deviation") @ of("axes")
            cosine = F.normalize(seen, dim=-1) @ F.normalize(self.vectors, dim=-1).T
            return (cosine / self.temperature).softmax(-1) @ self.values


class _Aligned(_Basis):
    pictures = ("crop",)
    fitted = ("encoder", *_Basis.fitted)

    def __init__(self, vit: Vit, temperature: float, read: Encode) -> None:
        super().__init__(vit, temperature)
        self.frozen, self.read = {}, read
        self.register_buffer("encoder", torch.empty(0))

    def encoded(self, pictures: Tensor, weights: Tensor) -> Tensor:
        """The ViT's feature, with these weights in the place of its own."""
        names, own = zip(*self.vit.named_parameters(), strict=True)
        pieces = weights.split([p.numel() for p in own])
        given = {name: piece.view_as(p) for name, piece, p in zip(names, pieces, own, strict=True)}
        feature: Tensor = torch.func.functional_call(self.vit, given, (pictures,))
        return feature

    def encode(self, pictures: Tensor) -> Tensor:
        """The aligned feature, through which nothing is trained; before the fit the ViT's own."""
        aligned = self.get_buffer("encoder")
        with torch.no_grad():
            return self.encoded(pictures, aligned) if len(aligned) else self.vit(pictures)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The same softmax over vectors, of the aligned feature."""
        return super().forward({"feature": self.encode(inputs["crop"])})
