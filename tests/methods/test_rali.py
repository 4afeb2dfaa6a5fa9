"""RALI's second and third stage, each step against a restatement of what the paper and its inference code say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.core.registry import METHODS
from bench.core.spec import Recipe
from bench.models.part import TrainingPart
from bench.models.weights.load import WeightlessToolbox
from bench.training.run import make_run
from methods.rali import clustered, principal, shares
from tests.methods.vits import small_vit
from tests.world import make_world, tiny_runtime, tiny_spec


def features(pictures: int = 60, width: int = 12) -> np.ndarray:
    random = np.random.RandomState(0)
    return random.normal(size=(pictures, width)) * np.linspace(1, 5, width) + 3


def fitted(found: np.ndarray, scores: np.ndarray, **options):
    """A model whose training part is these features."""
    method = METHODS.make("rali_noalign", options)
    model = method.build(small_vit(), Recipe(size=64), WeightlessToolbox())
    tensor = torch.from_numpy(found).float()
    part = TrainingPart(
        scores=scores,
        contents=np.arange(len(scores)).astype(str),
        views=1,
        load=lambda pictures, view: {"feature": tensor[torch.from_numpy(pictures)]},
        device=torch.device("cpu"),
    )
    method.fit(model, part)
    return model


def test_axes_are_of_plain_features_and_what_is_projected_is_divided_by_its_deviation():
    found = features()
    mean, deviation, axes = principal(found, 5)
    off = found - found.mean(0)
    values, directions = np.linalg.eigh(off.T @ off)
    assert mean == pytest.approx(found.mean(0))
    assert deviation == pytest.approx(found.std(0))
    largest = directions[:, np.argsort(values)[::-1][:5]]
    assert np.abs((axes * largest).sum(0)) == pytest.approx(np.ones(5), abs=1e-6)


def test_a_score_is_the_softmax_of_cosines_over_tau_times_the_vectors_scores():
    found, scores = features(), np.linspace(-2, 2, 60)
    model = fitted(found, scores, components=5, vectors=10).eval()
    given = model({"feature": torch.from_numpy(found).float()}).detach().numpy()
    mean, deviation, axes = principal(found.astype(np.float32).astype(np.float64), 5)
    vectors, values = (getattr(model.features, name).detach().double().numpy() for name in ("vectors", "values"))
    assert vectors.shape == (10, 5)
    for one, score in zip(found, given, strict=True):
        x = ((one - mean) / deviation) @ axes
        cosines = np.array([x @ v / np.linalg.norm(x) / np.linalg.norm(v) for v in vectors])
        weights = np.exp(cosines / 0.07) / np.exp(cosines / 0.07).sum()
        assert score == pytest.approx(weights @ values, abs=1e-4)


def test_a_vector_stands_for_pictures_of_one_bucket_of_scores_and_has_their_mean_score():
    found, scores = features(40), np.linspace(0, 1, 40)
    vectors, values = clustered(found, scores, count=8, buckets=4, seed=0)
    assert vectors.shape == (8, 12)
    assert np.bincount((values * 4).astype(int)).tolist() == [2, 2, 2, 2]
    one_each, means = clustered(found, scores, count=4, buckets=4, seed=0)
    assert one_each == pytest.approx(found.reshape(4, 10, 12).mean(1))
    assert means == pytest.approx(scores.reshape(4, 10).mean(1))


@pytest.mark.parametrize(
    ("pictures", "count", "given"),
    [
        ([10, 0, 10], 2, [1, 0, 1]),
        ([30, 0, 10], 4, [3, 0, 1]),
        ([2, 50], 10, [1, 9]),
        ([1, 1, 1], 9, [1, 1, 1]),
        ([1, 5, 3], 2, [0, 1, 1]),
    ],
)
def test_each_bucket_with_pictures_has_a_cluster_first_and_full_ones_have_more(pictures, count, given):
    assert shares(np.array(pictures), count).tolist() == given


@pytest.mark.parametrize(("pictures", "vectors", "components"), [(40, 10, 12), (1200, 250, 12), (8, 2, 8), (3, 1, 3)])
def test_a_small_set_has_fewer_vectors_and_components(pictures, vectors, components):
    model = fitted(features(pictures), np.linspace(-1, 1, pictures))
    assert model.features.vectors.shape == (vectors, components)
    assert model.features.values.shape == (vectors,)


def test_a_feature_that_never_changes_is_no_trouble():
    found = features()
    found[:, 3] = 1.0
    model = fitted(found, np.linspace(-1, 1, 60)).eval()
    assert model({"feature": torch.from_numpy(found).float()}).isfinite().all()


def test_descent_tunes_vectors_and_scores_and_nothing_else():
    found, scores = features(), np.random.RandomState(1).normal(size=60)
    model = fitted(found, scores)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"features.vectors", "features.values"}
    seen, human = {"feature": torch.from_numpy(found).float()}, torch.from_numpy(scores).float()
    optimiser, losses = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2), []
    for _ in range(40):
        losses.append(torch.nn.functional.mse_loss(model(seen), human))
        optimiser.zero_grad()
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    ("pictures", "width", "components", "vectors"), [(1040, 64, 64, 250), (100, 12, 12, 25), (1040, 64, 8, 250)]
)
def test_its_size_is_that_of_the_basis_the_pictures_allow(pictures, width, components, vectors):
    """Means, deviations and axes of the feature, then vectors and their scores; on CLIP's ViT-L/14-336, 1024 wide,
    with a thousand pictures or more 2 · 1024 + 1024 · 512 + 250 · 512 + 250 = 654,586."""
    found, scores = features(pictures, width), np.random.RandomState(1).normal(size=pictures)
    model = fitted(found, scores, components=components)
    assert model.learned() == counted(width, components, vectors)
    assert counted(1024, 512, 250) == 654_586


def counted(width: int, components: int, vectors: int) -> int:
    return 2 * width + width * components + vectors * components + vectors


def test_a_run_fits_and_then_descends(tmp_path):
    spec = tiny_spec("rali_noalign", recipe={"loss": "mse", "train_views": 2})
    record, arrays = make_run(spec, tiny_runtime(tmp_path, make_world(tmp_path)))
    assert len(record["loss"]) == 2
    assert record["parameters"]["head"] == 0
    assert np.isfinite(arrays["near:test/predicted"]).all()
