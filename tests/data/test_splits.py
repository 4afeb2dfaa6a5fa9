"""Splits: the same for everybody, contents never on both sides, smaller training parts inside larger ones."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import DataError
from bench.data.dataset import Dataset
from bench.data.splits import make_split, order_contents


def dataset(groups, each=5):
    names = [f"g{g:02}/{i}.png" for g in range(groups) for i in range(each)]
    table = pd.DataFrame({"image": names, "score": range(len(names)), "group": [name[:3] for name in names]})
    return Dataset("made", None, table.assign(official=""), grouped=True)


@given(st.integers(8, 40), st.integers(1, 7), st.integers(0, 27))
def test_no_content_stands_on_both_sides(groups, each, number):
    data = dataset(groups, each)
    split = make_split(data, number, validate=True)
    sides = [set(data.table["group"].iloc[rows]) for rows in (split.train, split.test, split.validation)]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert not sides[2] & (sides[0] | sides[1])


@given(st.integers(8, 30), st.integers(1, 9), st.integers(0, 20))
def test_smaller_parts_have_exactly_their_share_and_lie_inside_larger_ones(groups, each, number):
    data = dataset(groups, each)
    full = make_split(data, number)
    before = set()
    for fraction in (0.2, 0.4, 0.6, 0.8):
        split = make_split(data, number, fraction=fraction)
        assert before <= set(split.train)
        assert np.array_equal(split.test, full.test)
        if fraction < 0.8:
            assert len(split.train) == min(round(fraction * len(data)), len(full.train))
        before = set(split.train)


@given(st.integers(16, 30), st.integers(1, 9), st.integers(0, 20), st.sampled_from([0.2, 0.4, 0.6]))
def test_what_is_held_out_to_choose_an_epoch_lies_inside_the_share_that_is_learned_from(groups, each, number, fraction):
    data = dataset(groups, each)
    share = make_split(data, number, fraction=fraction)
    split = make_split(data, number, fraction=fraction, validate=True)
    assert sorted({*split.train, *split.validation}) == sorted(share.train)
    assert len(split.validation)
    assert np.array_equal(split.test, share.test)


def test_a_share_of_one_content_leaves_none_to_choose_an_epoch_by():
    assert len(make_split(dataset(10), 0, fraction=0.1).train) == 5
    with pytest.raises(DataError, match="One content is all"):
        make_split(dataset(10), 0, fraction=0.1, validate=True)


def test_the_order_of_rows_and_files_changes_nothing():
    data = dataset(12)
    mixed = Dataset("made", None, data.table.sample(frac=1, random_state=3).reset_index(drop=True), grouped=True)
    chosen = [set(d.table["image"].iloc[make_split(d, 4, fraction=0.4).train]) for d in (data, mixed)]
    assert chosen[0] == chosen[1]


def test_a_split_is_pinned_for_ever():
    split = make_split(dataset(10), 0)
    assert sorted(set(dataset(10).table["group"].iloc[split.test])) == PINNED


PINNED = ["g05", "g07"]


def test_training_on_everything_keeps_nothing_back():
    data = dataset(5)
    assert len(make_split(data, 0, source="all").train) == len(data)


@given(st.integers(3, 12))
def test_no_split_of_a_few_contents_has_the_test_part_of_another(groups):
    data = dataset(groups)
    parts = math.comb(groups, groups - round(0.8 * groups)) if groups > 3 else 3
    found = {tuple(make_split(data, number).test) for number in range(min(parts, 12))}
    assert len(found) == min(parts, 12)


def test_a_split_that_would_repeat_a_test_part_is_refused_with_the_number_there_are():
    assert make_split(dataset(5), 4)
    with pytest.raises(DataError, match=r"only 5 different test parts.*at most --splits 5"):
        make_split(dataset(5), 5)


@pytest.mark.parametrize("groups", [25, 29, 30, 81])
def test_ten_splits_of_as_many_contents_as_the_papers_sets_have_are_the_first_ten_shuffles(groups):
    data = dataset(groups)
    for number in range(10):
        test = set(data.table["group"].iloc[make_split(data, number).test])
        order = order_contents(set(data.table["group"]), number)
        assert test == set(order[-len(test) :])


def test_too_few_contents_are_refused():
    with pytest.raises(DataError, match="at least 3"):
        make_split(dataset(2), 0)


@given(st.integers(3, 20), st.integers(2, 6))
def test_a_split_by_image_has_the_share_of_pictures_and_lets_contents_stand_on_both_sides(groups, each):
    data = dataset(groups, each)
    split = make_split(data, 0, split_rule="images")
    assert sorted([*split.train, *split.test]) == list(range(len(data)))
    assert len(split.train) == round(0.8 * len(data))
    assert split.rule == "random 80%/20% of images, whatever they show"


def test_a_split_by_image_gives_contents_away():
    data = dataset(10)
    split = make_split(data, 0, split_rule="images", validate=True)
    sides = [set(data.table["group"].iloc[rows]) for rows in (split.train, split.test, split.validation)]
    assert sides[0] & sides[1]
    assert not set(split.validation) & {*split.train, *split.test}


def test_where_each_picture_is_a_content_a_split_by_image_is_the_random_one():
    data = dataset(40, 1)
    alone = Dataset("made", None, data.table.assign(group=data.table["image"]), grouped=False)
    for number in range(3):
        by_image, random = make_split(alone, number, split_rule="images"), make_split(alone, number)
        assert by_image.hash(alone.table["image"].tolist()) == random.hash(alone.table["image"].tolist())
        assert by_image.rule == random.rule
