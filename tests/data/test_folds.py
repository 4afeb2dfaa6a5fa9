"""k-fold over contents: each is tested exactly once, on any set that names contents."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import DataError, UsageError
from bench.core.spec import RunSpec
from bench.core.split_rules import folds_of, other_unit
from bench.data.dataset import Dataset
from bench.data.splits import make_split, split_of
from bench.planning.plan import Ask, make_plan
from tests.data.test_splits import dataset


def folds(data, k, **more):
    return [make_split(data, fold, split_rule=f"kfold:{k}", **more) for fold in range(k)]


@given(st.integers(2, 30), st.integers(2, 12), st.integers(1, 4))
def test_each_content_is_tested_in_exactly_one_fold_and_trained_on_in_all_others(groups, k, each):
    if groups < k:
        return
    data = dataset(groups, each)
    splits = folds(data, k)
    tested = np.concatenate([split.test for split in splits])
    assert sorted(tested) == list(range(len(data)))
    for split in splits:
        assert np.array_equal(np.union1d(split.train, split.test), np.arange(len(data)))
        assert not set(data.table["group"].iloc[split.test]) & set(data.table["group"].iloc[split.train])
    sizes = [data.table["group"].iloc[split.test].nunique() for split in splits]
    assert max(sizes) - min(sizes) <= 1


def test_folds_are_pinned_for_ever():
    tested = [sorted(set(dataset(7).table["group"].iloc[split.test])) for split in folds(dataset(7), 3)]
    assert tested == PINNED


PINNED = [["g02", "g04", "g05"], ["g01", "g06"], ["g00", "g03"]]


def test_validation_contents_are_taken_from_the_training_part():
    data = dataset(9)
    for split in folds(data, 3, validate=True):
        groups = [set(data.table["group"].iloc[part]) for part in (split.train, split.test, split.validation)]
        assert all(groups)
        assert sum(map(len, groups)) == 9


def test_a_smaller_training_part_leaves_the_test_part_and_lies_inside_the_larger_one():
    data = dataset(9, each=4)
    for whole, part in zip(folds(data, 3), folds(data, 3, fraction=0.4), strict=True):
        assert np.array_equal(whole.test, part.test)
        assert set(part.train) < set(whole.train)
        assert len(part.train) == round(0.4 * len(data))


def test_the_rule_is_named_in_words():
    assert make_split(dataset(9), 2, split_rule="kfold:3").rule == "3-fold over reference contents"


def test_more_folds_than_contents_are_refused_in_a_sentence():
    with pytest.raises(DataError, match=r"^made has 5 contents, too few for kfold:7\.$"):
        make_split(dataset(5), 0, split_rule="kfold:7")


def test_a_set_without_contents_is_refused_in_a_sentence():
    names = [f"{i}.png" for i in range(9)]
    table = pd.DataFrame({"image": names, "score": range(9), "group": names, "official": ""})
    with pytest.raises(DataError, match=r"names no contents.*use split_rule=random\."):
        make_split(Dataset("made", None, table, grouped=False), 0, split_rule="kfold:3")


@pytest.mark.parametrize("rule", ["kfold", "kfold:1", "kfold:0", "kfold:03", "kfold:x", "k-fold:3", "Random"])
def test_what_is_no_rule_is_refused_with_those_there_are(rule):
    with pytest.raises(UsageError, match="none of random, official, kfold:K"):
        folds_of(rule)


def test_a_fold_that_there_is_not_is_refused():
    says = r"kfold:3 has the splits 0 to 2, not 3\. Ask for at most --splits 3"
    with pytest.raises(UsageError, match=says):
        RunSpec("glia", "live", ("live:test",), split=3, split_rule="kfold:3")
    with pytest.raises(UsageError, match=says):  # `bench splits` asks without a spec
        make_split(dataset(12), 3, split_rule="kfold:3")


def test_the_rule_stands_in_the_spec_and_in_the_key():
    one, other, random = (
        RunSpec("glia", "live", ("live:test",), split_rule=r) for r in ("kfold:3", "kfold:4", "random")
    )
    assert len({one.key, other.key, random.key}) == 3
    assert RunSpec.from_dict(one.as_dict()) == one
    data = dataset(12)
    assert not np.array_equal(split_of(one, data).test, split_of(other, data).test)


def test_a_plan_has_all_folds_and_every_seed_of_them_a_seed_after_the_other():
    ask = Ask(("linear_probe",), ("main",), "paper", datasets=("live",), seeds=2, settings=("split_rule=kfold:5",))
    specs = make_plan(ask).specs
    assert [(s.recipe.seed, s.split) for s in specs] == [(seed, fold) for seed in (0, 1) for fold in range(5)]
    assert len({s.repetition for s in specs}) == 10
    assert {s.split_rule for s in specs} == {"kfold:5"}


def test_the_keys_of_runs_on_random_splits_are_what_they_were():
    assert RunSpec("glia", "livec", ("livec:test",), options={"rank": 64}, split=3).key == "9b401bf7fcdfe42304cd"


def test_folds_over_images_test_each_picture_once_and_need_no_contents():
    data = dataset(5, each=4)
    splits = [make_split(data, fold, split_rule="images:3") for fold in range(3)]
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(20))
    assert any(
        set(data.table["group"].iloc[split.test]) & set(data.table["group"].iloc[split.train]) for split in splits
    )
    assert splits[0].rule == "3-fold over images, whatever they show"
    alone = Dataset("made", None, data.table.assign(group=data.table["image"]), grouped=False)
    assert len(make_split(alone, 2, split_rule="images:3").test) == 6
    with pytest.raises(UsageError, match=r"images:3 has the splits 0 to 2"):
        RunSpec("glia", "koniq10k", ("koniq10k:test",), split=3, split_rule="images:3")


@pytest.mark.parametrize(
    ("rule", "other"), [("random", "images"), ("images", "random"), ("kfold:7", "images:7"), ("images:3", "kfold:3")]
)
def test_contents_and_images_are_dealt_in_as_many_folds(rule, other):
    assert other_unit(rule) == other
    assert other_unit("official") == other_unit("loda") == ""


def test_a_methods_own_seed_is_moved_by_seeds_too():
    ask = Ask(
        ("linear_probe", "lora"), ("main",), "paper", datasets=("live",), splits=1, seeds=3, settings=("lora.seed=5",)
    )
    seeds = {
        name: [s.recipe.seed for s in make_plan(ask).specs if s.method == name] for name in ("linear_probe", "lora")
    }
    assert seeds == {"linear_probe": [0, 1, 2], "lora": [5, 6, 7]}
