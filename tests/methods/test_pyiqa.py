"""`pyiqa:METRIC` as a training-free baseline: a toolbox that the user has, here a stand-in with the same interface."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from bench.cli.commands.lists import ground_text
from bench.core.errors import RunError, UsageError
from bench.core.registry import METHODS
from bench.models.conformance import check_method
from bench.training.run import make_run
from tests.world import make_world, tiny_runtime, tiny_spec

SEEN = []


class Noise(nn.Module):
    """Mean difference of neighbours: it grows with the noise, so a low score is a good picture."""

    lower_better = True

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, pictures):
        SEEN.append((tuple(pictures.shape), float(pictures.min()), float(pictures.max())))
        return self.scale * (pictures[..., 1:] - pictures[..., :-1]).abs().mean(dim=(1, 2, 3), keepdim=True)


class Upright(Noise):
    lower_better = False

    def forward(self, pictures):
        return -super().forward(pictures)


class Broken(Noise):
    def __init__(self):
        raise OSError("no weights")


METRICS = {"noise": Noise, "upright": Upright, "broken": Broken}


@pytest.fixture
def pyiqa(monkeypatch):
    def list_models(metric_mode):
        assert metric_mode == "NR"
        return sorted(METRICS)

    def create_metric(name, device):
        return METRICS[name]().to(device)

    SEEN.clear()
    toolbox = SimpleNamespace(list_models=list_models, create_metric=create_metric)
    monkeypatch.setitem(sys.modules, "pyiqa", toolbox)


@pytest.fixture
def world(tmp_path):
    return tmp_path, make_world(tmp_path / "sets")


def run(world, name, split=0, **changes):
    return make_run(tiny_spec(name, split, **changes), tiny_runtime(*world))


def test_whole_pictures_are_scored_with_the_direction_of_the_metric(pyiqa, world):
    record, arrays = run(world, "pyiqa:noise", tests=("near:test", "far:all"))
    pictures = [seen for seen in SEEN if seen[0][2:] != (384, 384)]  # the others count GFLOPs
    assert {shape for shape, _, _ in pictures} == {(1, 3, 40, 48)}
    assert all(0 <= low < high <= 1 for _, low, high in pictures)
    assert (arrays["far:all/predicted"] < 0).all()
    assert record["metrics"]["far:all"]["srcc"] > 0.8
    assert record["parameters"]["trainable"] == 0
    assert record["spec"]["backbone"] == ""


def test_a_picture_has_one_score_whatever_the_split_and_is_scored_once(pyiqa, world):
    _, first = run(world, "pyiqa:upright", tests=("far:all",))
    count = len(SEEN)
    _, second = run(world, "pyiqa:upright", 1, tests=("far:all",))
    assert np.array_equal(first["far:all/predicted"], second["far:all/predicted"])
    assert len(SEEN) - count < 24


def test_it_shows_what_every_method_must_show(pyiqa):
    assert [check.name for check in check_method("pyiqa:noise") if not check.passed] == []


def test_the_listing_says_that_it_stands_on_networks_of_its_own_without_naming_any():
    assert ground_text(METHODS.card("pyiqa")) == "its own"


def test_without_pyiqa_it_says_what_is_missing_and_under_which_licence(world, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(UsageError, match="The metric noise needs pyiqa.*PolyForm Noncommercial"):
        run(world, "pyiqa:noise")


def test_a_metric_that_there_is_not_or_that_cannot_be_made_is_said_in_a_line(pyiqa, world):
    with pytest.raises(UsageError, match="no no-reference metric 'niose'. Did you mean noise"):
        run(world, "pyiqa:niose")
    with pytest.raises(RunError, match="pyiqa cannot make broken: OSError: no weights"):
        run(world, "pyiqa:broken")
