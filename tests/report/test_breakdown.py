"""Agreement by distortion: the plain correlations among the images of a group, after one mapping for all."""

import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr

from bench.metrics.agreement import fit_logistic
from bench.records.results import Predictions
from bench.report.breakdown import by_distortion, by_family, family_of


def predictions(kinds):
    random = np.random.default_rng(3)
    human = random.uniform(1, 5, len(kinds))
    predicted = np.tanh(human - 3) + random.normal(0, 0.2, len(kinds))
    names = np.array([f"{i}.png" for i in range(len(kinds))])
    return Predictions(names, human, predicted, names, np.array(kinds), np.ones(len(kinds), dtype=int))


def test_groups_agree_with_scipy_on_the_scores_mapped_once():
    found = predictions(["jpeg"] * 12 + ["lens_blur"] * 9 + ["motion_blur"] * 8)
    mapped = fit_logistic(found.predicted, found.human)(found.predicted)
    blur = slice(12, None)
    agreement = by_family(found)["blur"]
    assert agreement.n == 17
    assert agreement.srcc == pytest.approx(spearmanr(found.predicted[blur], found.human[blur]).statistic)
    assert agreement.plcc == pytest.approx(pearsonr(mapped[blur], found.human[blur]).statistic)
    assert list(by_distortion(found)) == ["lens_blur", "motion_blur", "jpeg"]


def test_small_groups_mixed_pictures_and_unknown_families_are_left_out():
    found = predictions(["jpeg"] * 4 + ["lens_blur+jpeg"] * 9 + ["of_its_own"] * 9 + [""] * 9)
    assert list(by_distortion(found)) == ["of_its_own"]
    assert by_family(found) == {}
    assert family_of("of_its_own") == ""


def test_sets_without_distortions_have_no_groups():
    found = predictions(["jpeg"] * 9)
    without = Predictions(found.names, found.human, found.predicted, found.group)
    assert by_distortion(without) == {}
