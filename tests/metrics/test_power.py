"""What the papers' ten splits could tell apart: simulated as benchmarks/power.py assumes it."""

import numpy as np
import pytest

from bench.metrics.comparisons import corrected_paired_test, srcc_standard_error
from benchmarks.power import OF_A_MEDIAN, SPLITS, detectable

IMAGES, SRCC, R, SETS = 1162, 0.9, 0.5, 1500


@pytest.fixture(scope="module")
def splits():
    """The errors of the differences in ten random fifths of many sets of independent pictures."""
    draw, part = np.random.default_rng(0), round(0.2 * IMAGES)
    pictures = draw.normal(0, srcc_standard_error(part, SRCC) * np.sqrt(2 * (1 - R) * part), (SETS, IMAGES))
    return np.stack([draw.permuted(pictures, axis=1)[:, :part].mean(axis=1) for _ in range(SPLITS)], axis=1)


def test_a_difference_of_the_table_is_found_in_four_of_five_sets(splits):
    shifted = splits + detectable(IMAGES, SRCC, R)
    found = np.mean([corrected_paired_test(values, 0.25).low > 0 for values in shifted])
    assert found == pytest.approx(0.8, abs=0.025)


def test_medians_of_ten_splits_err_by_as_much_more_as_the_table_says(splits):
    assert np.median(splits, axis=1).std() / splits.mean(axis=1).std() == pytest.approx(OF_A_MEDIAN, abs=0.03)
