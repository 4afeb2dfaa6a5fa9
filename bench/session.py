"""A run made ready: data, split, weights, model and feeds, from its spec."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from bench.checkpoint import Identity
from bench.code import code_of, method_of
from bench.data.batches import ViewMaker
from bench.data.contents import pixels_hash
from bench.data.dataset import Dataset
from bench.data.frozen import FrozenInputs
from bench.data.locate import load_dataset
from bench.data.splits import Split, make_split
from bench.errors import UsageError, WeightsError
from bench.feed import Feed
from bench.hashes import file_token
from bench.lending import LendingToolbox, lend_vit, own_what_is_trained
from bench.machine import autocast, pick_device, refuse_precision, set_up
from bench.method import Method, QualityModel
from bench.progress import Report, silent
from bench.registry import add_plugin_file
from bench.runtime import Runtime
from bench.spec import RunSpec
from bench.step import Autocast
from bench.weights import LoadedWeights

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass
class Session:
    """Everything one run works with."""

    spec: RunSpec
    runtime: Runtime
    device: torch.device
    method: Method
    model: QualityModel
    weights: LoadedWeights
    further: Mapping[str, LoadedWeights]
    dataset: Dataset
    split: Split
    report: Report = silent
    seconds: float = 0.0
    _feeds: dict[str, Feed] = field(default_factory=dict)

    @property
    def autocast(self) -> Autocast:
        """The precision of the networks. It knows nothing of the session, which its feeds would keep alive by it."""
        return partial(autocast, self.device.type, self.spec.precision)

    @property
    def feed(self) -> Feed:
        """The feed of the training set."""
        return self.feed_of(self.spec.train)

    def weights_hash(self) -> str:
        """All frozen networks in the model by name and weights, as caches and kept states go by them.

        The name belongs to it: the same tensors under another activation are another network.
        """
        further = (f"{name}={loaded.hash}" for name, loaded in sorted(self.further.items()))
        return "+".join([f"{self.spec.backbone}={self.weights.hash}", *further])

    def identity(self) -> Identity:
        """What this training's tensors come from, as kept states and checkpoints go by it."""
        code = code_of(self.spec.method)
        names = (self.data_hash(), self.weights_hash(), code["method"], str(code["numerics"]))
        return Identity(self.spec.method, self.spec.training_key, *names)

    def data_hash(self) -> str:
        """The training set, its pictures, and which of them are on which side, as kept states go by them."""
        sides = self.split.hash(self.dataset.table["image"].tolist())
        return f"{self.dataset.hash()}+{self.feed.pixels}+{sides}"

    def target(self, name: str) -> tuple[Feed, np.ndarray]:
        """The feed and the rows of a test target: "dataset:test" or "dataset:all"."""
        dataset, _, part = name.rpartition(":")
        if part not in ("test", "all", "validation") or not dataset:
            raise UsageError(f"The test target {name!r} is none of DATASET:test, DATASET:all and DATASET:validation.")
        feed = self.feed_of(dataset)
        if part == "validation":  # `bench tune`: contents of the training part that were not trained on
            return feed, self.split.validation
        if part == "all":
            return feed, np.arange(len(feed.dataset))
        if dataset == self.spec.train:
            return feed, self.split.test
        return feed, split_of(self.spec, feed.dataset).test

    def feed_of(self, name: str) -> Feed:
        """A dataset made ready for the model, once."""
        if name not in self._feeds:
            dataset = self.dataset if name == self.spec.train else load_set(self.spec, name, self.runtime, self.report)
            self._feeds[name] = make_feed(self, dataset)
        return self._feeds[name]


def prepare(spec: RunSpec, runtime: Runtime, report: Report = silent, beside: Session | None = None) -> Session:
    """Load, check and build everything a spec names.

    A session `beside` it is of the same pack (bench/packs.py): it sees the same views, and shares what it has opened.
    """
    start = time.perf_counter()
    for plugin in runtime.plugins:
        add_plugin_file(Path(plugin))
    set_up(runtime.threads)
    device = pick_device(runtime.device)
    refuse_precision(spec.precision, device)
    dataset = beside.dataset if beside is not None else load_set(spec, spec.train, runtime, report)
    split = split_of(spec, dataset)
    method = make_method(spec)
    vit, weights = lend_vit(spec, runtime, report)
    torch.manual_seed(initial_seed(spec))
    _check_cnn_file(spec, runtime)
    tools = LendingToolbox(spec, runtime, report)
    model = method.build(vit, spec.recipe, tools)
    own_what_is_trained(model.to(device))
    session = Session(spec, runtime, device, method, model, weights, tools.loaded, dataset, split, report)
    if beside is not None:
        session._feeds = beside._feeds
    session.feed_of(spec.train)
    session.seconds = time.perf_counter() - start
    return session


def _check_cnn_file(spec: RunSpec, runtime: Runtime) -> None:
    """The CNN's file must be the one the spec names."""
    if spec.cnn_weights == "pretrained":
        return
    path = runtime.weight_files.get("cnn")
    if path is None or file_token(path) != spec.cnn_weights:
        raise WeightsError(f"The run wants a CNN from the file {spec.cnn_weights}: give that file with --cnn-weights.")


def load_set(spec: RunSpec, name: str, runtime: Runtime, report: Report) -> Dataset:
    """A dataset as a run sees it."""
    return load_dataset(name, runtime.data, runtime.cache, partial=runtime.partial, limit=spec.limit, progress=report)


def make_method(spec: RunSpec) -> Method:
    """The method of a spec with its options."""
    method: Method = method_of(spec.method, spec.options)
    return method


def split_of(spec: RunSpec, dataset: Dataset) -> Split:
    """The split a spec asks of a dataset; the test part depends on the split's number only."""
    return make_split(
        dataset,
        spec.split,
        fraction=spec.fraction,
        source=spec.source,
        validate=spec.recipe.selection == "val" or any(test.endswith(":validation") for test in spec.tests),
        official=spec.split_rule == "official",
    )


def initial_seed(spec: RunSpec) -> int:
    """The seed of a run's initial weights and dropout."""
    return (spec.recipe.seed * 1009 + spec.split + 1) & 0x7FFFFFFF


def make_feed(session: Session, dataset: Dataset) -> Feed:
    """One dataset made ready for the session's model."""
    spec, runtime, model = session.spec, session.runtime, session.model
    views = session.method.views(spec.recipe)
    mean, std = IMAGENET if spec.recipe.norm == "imagenet" else (session.weights.mean, session.weights.std)
    maker = ViewMaker(
        dataset,
        views,
        spec.recipe,
        runtime.cache,
        session.device,
        mean,
        std,
        progress=session.report,
        limit_bytes=runtime.cache_limit_bytes,
    )
    frozen = FrozenInputs(
        dataset,
        maker,
        model.features.frozen,
        session.weights_hash(),
        runtime.cache,
        runtime.cache_limit_bytes,
        enabled=runtime.use_cache,
        device=session.device,
        autocast=session.autocast,
        progress=session.report,
        code=str(code_of(spec.method)["method"]),
    )
    pixels = pixels_hash(dataset, runtime.cache, session.report)
    return Feed(dataset, maker, frozen, model.features.pictures, views, pixels)
