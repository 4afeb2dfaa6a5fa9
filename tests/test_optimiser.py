"""Optimisers stepped in one call change every tensor as each run's own would, and leave each its own state."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.method import Features, Method, QualityModel
from bench.optimiser import Joint, Optimiser
from bench.spec import Recipe

CPU = torch.device("cpu")
STEPS = 12


class _Two(Method):
    """Two rates, as methods with a rate of their own for some tensors have."""

    def parameter_groups(self, model, lr):
        return [{"params": [model.head.weight], "lr": lr}, {"params": [model.head.bias], "lr": lr / 3}]


def model_of(seed):
    torch.manual_seed(seed)
    return QualityModel(Features(), nn.Linear(13, 1), 0.0)


def optimisers_of(recipes):
    models = [model_of(seed) for seed in range(len(recipes))]
    return models, [Optimiser(_Two(), m, recipe, CPU, STEPS) for m, recipe in zip(models, recipes, strict=True)]


def give_gradients(models, step):
    for run, model in enumerate(models):
        draw = torch.Generator().manual_seed(100 * step + run)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=draw)


BASE = Recipe(lr=1e-2, weight_decay=0.01)
ALIKE = [BASE] * 3
UNLIKE = [BASE, replace(BASE, lr=3e-3, clip=0.5), replace(BASE, weight_decay=0.3), replace(BASE, schedule="constant")]


@pytest.mark.parametrize("recipes", [ALIKE, UNLIKE, [replace(BASE, warmup=3), BASE]])
def test_one_call_ends_in_the_bits_of_a_call_for_each(recipes):
    (models, together), (others, apart) = optimisers_of(recipes), optimisers_of(recipes)
    joint = Joint(together, CPU)
    for step in range(STEPS):
        give_gradients(models, step)
        give_gradients(others, step)
        for optimiser in (*together, *apart):
            optimiser.make_ready(step)
        joint.step()
        for optimiser in apart:
            optimiser.adamw.step()
    for one, other in zip(models, others, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    for one, other in zip(together, apart, strict=True):
        assert one.adamw.state_dict()["param_groups"] == other.adamw.state_dict()["param_groups"]
        mine, its = one.adamw.state_dict()["state"], other.adamw.state_dict()["state"]
        assert mine.keys() == its.keys() == {0, 1}
        assert all(torch.equal(mine[i][name], its[i][name]) for i in mine for name in mine[i])


def test_runs_may_go_on_in_another_company_or_alone():
    (models, together), (others, apart) = optimisers_of(ALIKE), optimisers_of(ALIKE)
    company = [(0, 1, 2), (0, 1), (0, 1, 2), (0,), (1, 2), (0, 1, 2)]
    joints = dict.fromkeys(company)
    for step, runs in enumerate(company):
        give_gradients(models, step)
        give_gradients(others, step)
        for run in runs:
            together[run].make_ready(step)
            apart[run].make_ready(step)
        joints[runs] = joints[runs] or Joint([together[run] for run in runs], CPU)
        joints[runs].step()
        for run in runs:
            apart[run].adamw.step()
    for one, other in zip(models, others, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_runs_of_one_kind_are_stepped_in_one_group():
    _, alike = optimisers_of(ALIKE)
    _, unlike = optimisers_of(UNLIKE)
    assert len(Joint(alike, CPU)._adamw.param_groups) == 2
    assert len(Joint(unlike, CPU)._adamw.param_groups) == 8
