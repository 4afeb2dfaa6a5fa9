"""Whether an order of methods survives: tau by hand and as our own tau-b, and an interval that holds the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import RunError
from bench.metrics.comparisons import corrected_paired_test
from bench.metrics.kendall import tau_b
from bench.metrics.orders import _told, order_kept


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
    assert kept.tau == pytest.approx(tau)
    assert kept.low <= kept.tau <= kept.high
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


def test_pairs_that_splits_tell_apart_make_the_interval():
    """Scores that never vary are told apart: of six pairs five keep their order and one swaps it."""
    kept = order_kept(same(0.1, 0.2, 0.3, 0.4), same(0.2, 0.1, 0.3, 0.4), 0.25)
    assert (kept.kept, kept.swapped, kept.open) == (5, 1, 0)
    assert (kept.low, kept.high) == pytest.approx((4 / 6, 4 / 6))


def test_a_pair_that_splits_cannot_tell_apart_is_open():
    """The corrected t of (.1, .2, .3) at ratio ½ is .2 / (.1 √(1/3 + 1/2)) = 2.19, below the 4.30 that two degrees of
    freedom ask for; of (.2, .21, .22) it is 23."""
    before = [[0.3, 0.3, 0.3], [0.2, 0.1, 0.0], [0.1, 0.09, 0.08]]
    assert _told(np.array(before), 0.5).tolist() == [0, 1, 0]
    kept = order_kept(before, before, 0.5)
    assert (kept.tau, kept.kept, kept.swapped, kept.open) == (1.0, 1, 0, 2)
    assert (kept.low, kept.high) == pytest.approx((-1 / 3, 1.0))


def test_a_pair_told_apart_by_the_corrected_test_is_told_apart_here():
    draws = np.random.default_rng(3)
    for _ in range(20):
        scores = draws.normal(size=(2, 5)) + [[0.0], [1.0]]
        test = corrected_paired_test(scores[0] - scores[1], 0.25)
        assert _told(scores, 0.25)[0] == (np.sign(test.effect) if test.p < 0.05 else 0)


@pytest.mark.parametrize(("gap", "change"), [(0.3, 0.0), (1.0, 1.0), (3.0, 3.0)])
def test_the_interval_holds_the_tau_of_the_true_order_in_nearly_all_sets(gap, change):
    draws, held = np.random.default_rng(1), 0
    for _ in range(200):
        true = np.arange(6) * gap
        moved = true + change * draws.normal(size=6)
        before, after = (
            mean[:, None] + draws.normal(size=(6, 10)) + 0.5 * draws.normal(size=(6, 1)) for mean in (true, moved)
        )
        kept = order_kept(before, after, 0.25)
        held += kept.low - 1e-9 <= tau_b(true, moved) <= kept.high + 1e-9
    assert held >= 190


def test_orders_of_other_methods_or_splits_are_refused():
    with pytest.raises(RunError, match="same methods"):
        order_kept(same(0.1, 0.2), same(0.1), 0.25)
