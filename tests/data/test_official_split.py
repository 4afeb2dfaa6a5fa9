"""A split is official where the authors published one: elsewhere it is refused, and never a random one by that name."""

import numpy as np
import pandas as pd
import pytest

from bench.core.errors import DataError, UsageError
from bench.data.dataset import Dataset
from bench.data.splits import make_split
from bench.records.store import Store
from bench.report.verify import DataNow, verify
from bench.training.run import make_run
from tests.world import make_world, tiny_runtime, tiny_spec


def labelled(*parts, each=20):
    """A set whose pictures carry these official labels in turn."""
    names = [f"{i:03}.png" for i in range(each * len(parts))]
    table = pd.DataFrame({"image": names, "score": range(len(names)), "group": names, "official": parts * each})
    return Dataset("made", None, table, grouped=False)


def test_an_official_split_is_the_authors_and_the_same_under_every_number():
    data = labelled("train", "test", "val")
    splits = [make_split(data, number, split_rule="official") for number in (0, 5)]
    labels = data.table["official"].to_numpy()
    for split in splits:
        assert set(labels[split.train]) == {"train"}
        assert set(labels[split.test]) == {"test"}
        assert set(labels[split.validation]) == {"val"}
        assert split.rule == "official split"


def test_where_the_authors_name_no_validation_part_an_eighth_of_their_training_part_is_held_out():
    data = labelled("train", "train", "train", "test")
    plain, held = make_split(data, 0, split_rule="official"), make_split(data, 0, split_rule="official", validate=True)
    assert len(plain.validation) == 0
    assert len(held.validation) == 8
    assert np.array_equal(np.union1d(held.train, held.validation), plain.train)
    assert np.array_equal(held.test, plain.test)


@pytest.mark.parametrize("parts", [("",), ("train",), ("test",), ("train", "val")])
def test_a_set_without_both_official_parts_has_no_official_split(parts):
    with pytest.raises(DataError, match=r"made has no official split\."):
        make_split(labelled(*parts), 0, split_rule="official")


@pytest.mark.parametrize("change", [{"fraction": 0.2}, {"source": "all"}])
def test_an_official_training_part_is_taken_as_it_is(change):
    with pytest.raises(UsageError, match="leave out fraction and source"):
        make_split(labelled("train", "test"), 0, split_rule="official", **change)


def test_a_run_on_the_official_split_of_a_set_without_one_stops_at_its_start(tmp_path):
    runtime = tiny_runtime(tmp_path, make_world(tmp_path / "sets"))
    with pytest.raises(DataError, match="near has no official split"):
        make_run(tiny_spec("linear_probe", split_rule="official"), runtime)


def test_verify_finds_runs_that_were_made_on_a_random_split_under_the_official_name(tmp_path):
    data = make_world(tmp_path / "sets")
    runtime = tiny_runtime(tmp_path, data)
    store = Store(runtime.results)
    record, arrays = make_run(tiny_spec("linear_probe", recipe={"epochs": 1}), runtime)
    spec = tiny_spec("linear_probe", recipe={"epochs": 1}, split_rule="official")
    store.write(record | {"key": spec.key, "spec": spec.as_dict()}, arrays)
    checked, found = verify(store)
    assert checked == 1
    assert [finding.what for finding in found] == [
        "it says split_rule=official, but near was split otherwise (random 80%/20% of reference contents)"
    ]
    with_data = [finding.what for finding in verify(store, DataNow(data, runtime.cache, results=runtime.results))[1]]
    assert "near has no official split" in with_data
