"""Whether an order of methods survives: tau by hand, against our own tau-b, and what its interval is of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import RunError
from bench.metrics.kendall import tau_b
from bench.metrics.orders import order_kept, worth


def same(*medians, splits=3):
    """Methods with the same score in every split."""
    return [[median] * splits for median in medians]


@pytest.mark.parametrize(
    ("after", "tau"),
    [
        ((0.1, 0.2, 0.3, 0.4), 1.0),
        ((0.2, 0.1, 0.3, 0.4), 4 / 6),  # one of six pairs changed places
        ((0.4, 0.3, 0.2, 0.1), -1.0),
        ((0.1, 0.2, 0.3, 0.3), 5 / np.sqrt(6 * 5)),  # one pair is tied now
        ((0.1, 0.2, 0.3, 0.30004), 5 / np.sqrt(6 * 5)),  # … and so is one that prints the same
    ],
)
def test_tau_is_what_it_is_by_hand(after, tau):
    kept = order_kept(same(0.1, 0.2, 0.3, 0.4), same(*after), 0.25)
    assert (kept.tau, kept.low, kept.high) == pytest.approx((tau, tau, tau))
    assert not kept.why


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=2, max_size=7))
def test_tau_is_kendalls_tau_b_of_the_medians(pairs):
    before, after = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    kept = order_kept(same(*before), same(*after), 0.0)
    if np.ptp(before) and np.ptp(after):
        assert kept.tau == pytest.approx(tau_b(before, after))
    else:
        assert kept.tau is None
        assert "equal" in kept.why


def test_one_method_has_no_order_and_two_splits_no_interval():
    assert order_kept(same(0.5), same(0.6), 0.25).tau is None
    assert "fewer than two methods" in order_kept(same(0.5), same(0.6), 0.25).why
    two = order_kept(same(0.1, 0.2, splits=2), same(0.1, 0.2, splits=2), 0.25)
    assert (two.tau, two.low, two.high) == (1.0, None, None)
    assert two.why == "fewer than 3 splits"


@pytest.mark.parametrize(("splits", "ratio", "count"), [(10, 0.25, 2), (10, 0, 10), (3, 0.5, 1), (21, 1 / 6, 4)])
def test_overlapping_splits_are_worth_fewer_independent_ones(splits, ratio, count):
    """10 / (1 + 2.5) = 2.86, 3 / 2.5 = 1.2, 21 / 4.5 = 4.67: rounded down."""
    assert worth(splits, ratio) == count


def test_the_interval_of_three_folds_is_what_single_folds_say():
    before = [[0.1, 0.1, 0.1], [0.2, 0.2, 0.2], [0.3, 0.3, 0.3]]
    after = [[0.1, 0.1, 0.2], [0.2, 0.2, 0.1], [0.3, 0.3, 0.3]]  # in the last fold two change places
    kept = order_kept(before, after, 0.5)
    assert (kept.tau, kept.low, kept.high) == (1.0, pytest.approx(1 / 3), 1.0)


def test_the_interval_is_the_same_each_time_and_holds_tau():
    draws = np.random.default_rng(3)
    before, after = draws.normal(size=(2, 6, 10))
    first, second = (order_kept(before, after, 0.25) for _ in range(2))
    assert first == second
    assert -1 <= first.low <= first.tau <= first.high <= 1


def test_orders_of_other_methods_or_splits_are_refused():
    with pytest.raises(RunError, match="same methods"):
        order_kept(same(0.1, 0.2), same(0.1), 0.25)
