"""A trained scorer as a metric of pyiqa's: in a stand-in, and in the toolbox itself where it is installed."""

import sys
from importlib import metadata
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import bench
from bench.core.errors import UsageError
from tests.scoring.worlds import make_runs

PICTURE = np.random.RandomState(5).randint(0, 256, (70, 90, 3), dtype=np.uint8)


class Registry(dict):
    """pyiqa's, as far as plugins meet it."""

    def register(self, what):
        assert what.__name__ not in self
        self[what.__name__] = what


def stand_in(monkeypatch):
    """A toolbox with one metric of its own."""
    names = ("pyiqa", "pyiqa.utils", "pyiqa.utils.registry", "pyiqa.default_model_configs")
    pyiqa, utils, registry, configs = (ModuleType(name) for name in names)
    configs.DEFAULT_CONFIGS = {"niqe": {"metric_opts": {"type": "NIQE"}, "metric_mode": "NR", "lower_better": True}}
    registry.ARCH_REGISTRY = Registry()

    class InferenceModel(nn.Module):
        def __init__(self, name):
            super().__init__()
            config = configs.DEFAULT_CONFIGS[name]
            options = dict(config["metric_opts"])
            self.net = registry.ARCH_REGISTRY[options.pop("type")](**options)
            self.lower_better = config.get("lower_better", False)

        def forward(self, pictures):
            return self.net(pictures)

    pyiqa.create_metric = InferenceModel
    for name, module in zip(names, (pyiqa, utils, registry, configs), strict=True):
        monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture(params=["a stand-in", "pyiqa itself"])
def toolbox(request, monkeypatch):
    if request.param == "a stand-in":
        stand_in(monkeypatch)
    else:
        pytest.importorskip("pyiqa", reason="pyiqa is not installed (its licence is non-commercial)")
    return sys.modules["pyiqa"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    runtime, keys = make_runs(tmp_path_factory.mktemp("runs"), ["adapter"])
    return keys["adapter", 0], {"folder": runtime.results, "device": "cpu"}


def batch():
    return torch.from_numpy(PICTURE).permute(2, 0, 1)[None].float() / 255


def test_a_trained_scorer_is_a_metric_with_the_numbers_of_the_scorer(toolbox, trained):
    key, options = trained
    metric, scorer = bench.pyiqa_metric(key, "ours", **options), bench.load(key, **options)
    assert metric(torch.cat([batch(), batch().flip(-1)])).tolist() == [
        [value] for value in scorer([PICTURE, PICTURE[:, ::-1].copy()]).tolist()
    ]
    assert metric.lower_better == (not scorer.higher_is_better)
    assert toolbox.create_metric("ours")(batch()).item() == scorer(PICTURE)[0]


def test_a_grey_picture_has_the_score_of_its_three_equal_channels(toolbox, trained):
    key, options = trained
    grey = batch()[:, :1]
    expected = bench.load(key, **options)(Image.fromarray(PICTURE[:, :, 0]))
    assert bench.pyiqa_metric(key, "grey", **options)(grey).item() == expected[0]


def test_it_says_that_it_is_no_loss(toolbox, trained):
    metric = bench.pyiqa_metric(trained[0], "loss", **trained[1])
    with pytest.raises(UsageError, match="no loss"):
        metric.net(batch().requires_grad_())


def test_a_name_of_the_toolbox_s_own_is_refused_and_a_model_that_is_not_there_leaves_no_name(toolbox, trained):
    configs = sys.modules["pyiqa.default_model_configs"].DEFAULT_CONFIGS
    with pytest.raises(UsageError, match="metric 'niqe' of its own"):
        bench.pyiqa_metric(trained[0], "niqe", **trained[1])
    with pytest.raises(bench.BenchError):
        bench.pyiqa_metric("0123456789abcdef0123", "nobody", **trained[1])
    assert "nobody" not in configs


def test_without_the_toolbox_a_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(UsageError, match="pyiqa cannot be imported here"):
        bench.pyiqa_metric("m.safetensors", "ours")


def test_the_toolbox_finds_our_network_by_its_entry_point():
    found = metadata.entry_points(group="pyiqa.archs")
    assert found["glia_bench"].load().__name__ == "register"
