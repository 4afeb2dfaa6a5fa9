"""A run made ready in three steps, each of which takes the result of the one before: data, model, feeds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch

from bench.core.code import code_of, method_of
from bench.core.errors import DataError, WeightsError
from bench.core.hashes import file_token
from bench.core.machine import autocast, pick_device, refuse_graphs, refuse_precision, set_up
from bench.core.mixes import mix_of
from bench.core.progress import Report, silent
from bench.core.registry import add_plugin_file
from bench.core.runtime import Runtime
from bench.core.spec import RunSpec, Target
from bench.data.dataset import Dataset
from bench.data.feed import Feed
from bench.data.frozen.inputs import FrozenInputs
from bench.data.joint import JointFeed
from bench.data.locate import load_dataset
from bench.data.pixels.contents import pixels_hash
from bench.data.pixels.on_gpu import PlacedStores
from bench.data.splits import Split, split_of
from bench.data.views.batches import ViewMaker
from bench.models.method import Method, QualityModel
from bench.models.sharing import SharedToolbox, backbone_of, own_what_is_trained
from bench.models.weights.load import LoadedWeights
from bench.models.whole import views_in_test
from bench.records.store import Store
from bench.training.checkpoints import Identity
from bench.training.members import Member, members
from bench.training.shared import Shared
from bench.training.step import Autocast

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class LoadedData:
    """First: the set that a run trains on, and its split, on a machine that is set up for the run."""

    spec: RunSpec
    runtime: Runtime
    report: Report
    device: torch.device
    dataset: Dataset
    split: Split


@dataclass(frozen=True)
class Networks:
    """What a spec's method builds on pretrained networks, without any data: enough to score pictures."""

    spec: RunSpec
    device: torch.device
    method: Method
    model: QualityModel
    weights: LoadedWeights
    further: Mapping[str, LoadedWeights]
    written_on: str
    """A hash of the loaded networks that the method has written on; "" of none."""

    @property
    def autocast(self) -> Autocast:
        """The precision of the networks. It knows nothing of the session, which its feeds would keep alive by it."""
        return partial(autocast, self.device.type, self.spec.precision)

    def weights_hash(self) -> str:
        """A hash of the frozen networks, names and weights, for the keys of caches and kept states.

        The name belongs to it: the same tensors under another activation are another network.
        """
        further = (f"{name}={loaded.hash}" for name, loaded in sorted(self.further.items()))
        own = [f"{self.spec.backbone}={self.weights.hash}"] if self.spec.backbone else []
        return "+".join([*own, *further, *([f"written on: {self.written_on}"] if self.written_on else [])])

    def normalisation(self) -> tuple[Sequence[float], Sequence[float]]:
        """Mean and deviation of the pixels that networks see; by norm=timm, without a ViT, the first network's own."""
        if self.spec.recipe.norm == "imagenet":
            return IMAGENET
        own = self.weights if self.spec.backbone else next(iter(self.further.values()), self.weights)
        return own.mean, own.std


@dataclass(frozen=True)
class BuiltModel(LoadedData, Networks):
    """Second: with the method's model on the device."""


class Feeds:
    """The sets of a run, each made ready for its model once. Runs of a pack see the same views and share one."""

    def __init__(self, built: BuiltModel, stores: PlacedStores) -> None:
        self._built, self._stores = built, stores
        self._open: dict[str, Feed] = {}

    def of(self, name: str) -> Feed:
        """The feed of a set."""
        if name not in self._open:
            self._open[name] = self._made(name)
        return self._open[name]

    def _made(self, name: str) -> Feed:
        built = self._built
        if name == built.spec.train and built.dataset.parts:
            feeds = [self.of(part) for part in built.spec.trained_on]
            return JointFeed.of(built.dataset, feeds, mix_of(name))
        own = dict(zip(built.spec.trained_on, built.dataset.parts or (built.dataset,), strict=True))
        dataset = own[name] if name in own else load_set(built.spec, name, built.runtime, built.report)
        return _feed(built, dataset, self._stores)

    def of_originals(self, dataset: Dataset) -> Feed:
        """The feed of a set's undistorted pictures."""
        originals = dataset.of_originals()
        if not len(originals):
            raise DataError(f"{dataset.name}: none of its undistorted pictures was found, which this method needs.")
        if originals.name not in self._open:
            self._open[originals.name] = _feed(self._built, originals, self._stores)
        return self._open[originals.name]


@dataclass(frozen=True)
class Session(BuiltModel):
    """Third: with the feeds, and so everything that one run works with."""

    feeds: Feeds
    shared: Shared
    seconds: float = 0.0

    @cached_property
    def members(self) -> list[Member]:
        """The done runs that this one stands on, where its method makes its scores of theirs."""
        return members(Store(self.runtime.results), self.runtime.members) if self.method.stands_on == "runs" else []

    @property
    def feed(self) -> Feed:
        """The feed of the training set."""
        return self.feed_of(self.spec.train)

    @property
    def originals(self) -> Feed | None:
        """The feed of the training set's undistorted pictures, where the method needs them."""
        return self.feeds.of_originals(self.dataset) if "originals" in self.method.needs else None

    def feed_of(self, name: str) -> Feed:
        """A dataset made ready for the model, once."""
        return self.feeds.of(name)

    def identity(self) -> Identity:
        """What this training's tensors come from, as kept states and checkpoints go by it."""
        code = code_of(self.spec.method)
        names = (self.data_hash(), self.weights_hash(), code["method"], str(code["numerics"]))
        return Identity(self.spec.method, self.spec.training_key, *names)

    def data_hash(self) -> str:
        """The training set, its pictures, and which of them are on which side, as kept states go by them."""
        sides = self.split.hash(self.dataset.table["image"].tolist())
        originals = f"+{self.originals.pixels}" if self.originals is not None else ""
        return f"{self.dataset.hash()}+{self.feed.pixels}+{sides}{originals}"

    def target(self, name: str) -> tuple[Feed, np.ndarray]:
        """The feed and the rows of a test target."""
        target = Target.parse(name)
        feed = self.feed_of(target.dataset)
        if target.part == "validation":  # `bench tune`: contents of the training part that were not trained on
            return feed, self.split.validation
        if target.part == "all":
            return feed, np.arange(len(feed.dataset))
        if target.dataset == self.spec.train:
            return feed, self.split.test
        return feed, split_of(self.spec, feed.dataset, self.runtime.results).test


def prepare(
    spec: RunSpec,
    runtime: Runtime,
    report: Report = silent,
    shared: Shared | None = None,
    beside: Session | None = None,
) -> Session:
    """Load, check and build everything a spec names.

    `shared` holds what earlier runs of this process left. A session `beside` it is of the same pack
    (bench/execution/grouping.py): it sees the same views, and shares what it has opened.
    """
    start = time.perf_counter()
    shared = Shared() if shared is None else shared
    data = load_data(spec, runtime, report, beside)
    session = open_feeds(build_model(data, shared), shared, beside)
    return replace(session, seconds=time.perf_counter() - start)


def load_data(spec: RunSpec, runtime: Runtime, report: Report = silent, beside: LoadedData | None = None) -> LoadedData:
    """Set up the machine, then load the training set and split it."""
    for plugin in runtime.plugins:
        add_plugin_file(Path(plugin))
    set_up(runtime.threads)
    device = pick_device(runtime.device)
    refuse_precision(spec.precision, device)
    if runtime.graphs:
        refuse_graphs(device)
    dataset = beside.dataset if beside is not None else load_set(spec, spec.train, runtime, report)
    return LoadedData(spec, runtime, report, device, dataset, split_of(spec, dataset, runtime.results))


def build_model(data: LoadedData, shared: Shared) -> BuiltModel:
    """Build the method's model on pretrained networks."""
    networks = build_networks(data.spec, data.runtime, data.report, data.device, shared)
    return BuiltModel(**(vars(data) | vars(networks)))


def build_networks(spec: RunSpec, runtime: Runtime, report: Report, device: torch.device, shared: Shared) -> Networks:
    """The method's model on pretrained networks, with its initial weights; what it does not read is not loaded.

    The seed comes after the ViT, which may be loaded or shared: the initial weights of what the method adds are the
    same either way.
    """
    method = make_method(spec)
    vit, weights = backbone_of(method, shared.networks, spec, runtime, report)
    torch.manual_seed(initial_seed(spec))
    _check_cnn_file(spec, runtime)
    tools = SharedToolbox(shared.networks, spec, runtime, report)
    model = method.build(vit, spec.recipe, tools)
    own_what_is_trained(model.to(device))
    return Networks(spec, device, method, model, weights, tools.loaded, shared.networks.written_on())


def open_feeds(built: BuiltModel, shared: Shared, beside: Session | None = None) -> Session:
    """Open the feed of the training set; those of test sets are opened when they are asked for."""
    feeds = Feeds(built, shared.stores) if beside is None else beside.feeds
    feeds.of(built.spec.train)
    return Session(**vars(built), feeds=feeds, shared=shared)


def load_set(spec: RunSpec, name: str, runtime: Runtime, report: Report) -> Dataset:
    """A dataset as a run sees it."""
    return load_dataset(name, runtime.data, runtime.cache, partial=runtime.partial, limit=spec.limit, progress=report)


def make_method(spec: RunSpec) -> Method:
    """The method of a spec with its options."""
    method: Method = method_of(spec.method, spec.options)
    return method


def initial_seed(spec: RunSpec) -> int:
    """The seed of a run's initial weights and dropout."""
    return (spec.recipe.seed * 1009 + spec.split + 1) & 0x7FFFFFFF


def _check_cnn_file(spec: RunSpec, runtime: Runtime) -> None:
    """The CNN's file must be the one the spec names."""
    if spec.cnn_weights == "pretrained":
        return
    path = runtime.weight_files.get("cnn")
    if path is None or file_token(path) != spec.cnn_weights:
        raise WeightsError(f"The run wants a CNN from the file {spec.cnn_weights}: give that file with --cnn-weights.")


def _feed(built: BuiltModel, dataset: Dataset, stores: PlacedStores) -> Feed:
    """One dataset made ready for a model."""
    maker = _view_maker(built, dataset, stores)
    frozen = _frozen_inputs(built, dataset, maker)
    pixels = pixels_hash(dataset, built.runtime.cache, built.report)
    features = built.model.features
    return Feed(dataset, maker, frozen, features.pictures, maker.tested, pixels, features.knows)


def _view_maker(built: BuiltModel, dataset: Dataset, stores: PlacedStores) -> ViewMaker:
    spec, runtime = built.spec, built.runtime
    mean, std = built.normalisation()
    tested = views_in_test(built.method, spec.recipe, spec.backbone)
    learned = dataset.name in {built.dataset.name, *(part.name for part in built.dataset.parts)}
    return ViewMaker(
        dataset,
        built.method.views(spec.recipe) if learned else tested,
        spec.recipe,
        runtime.cache,
        built.device,
        mean,
        std,
        progress=built.report,
        limit_bytes=runtime.cache_limit_bytes,
        placed=stores,
        tested=tested,
    )


def _frozen_inputs(built: BuiltModel, dataset: Dataset, maker: ViewMaker) -> FrozenInputs:
    runtime = built.runtime
    return FrozenInputs(
        dataset,
        maker,
        built.model.features.frozen,
        built.weights_hash(),
        runtime.cache,
        runtime.cache_limit_bytes,
        enabled=runtime.use_cache,
        device=built.device,
        autocast=built.autocast,
        progress=built.report,
        code=str(code_of(built.spec.method)["method"]),
    )
