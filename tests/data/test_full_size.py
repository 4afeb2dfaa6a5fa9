"""KonIQ-10k at its full size of 10,073 pictures, from the authors' layout to a split on prepared pixels."""

import pytest

from bench.data.locate import load_dataset
from bench.data.obtain.check import check
from bench.data.pixels.policy import Policy
from bench.data.pixels.store import open_store
from bench.data.splits import make_split
from tests.fixtures_data import build


@pytest.mark.slow
def test_the_whole_of_koniq_is_checked_prepared_and_split(tmp_path):
    build("koniq10k", tmp_path)
    config = {"root": str(tmp_path)}
    report = check("koniq10k", config, tmp_path / "cache", deep=True, workers=2)
    twins, note = report.lines()  # the tree of 10,073 names has a few pictures only
    assert twins.startswith("warning: one picture under several names and contents: 1024x768/")
    assert note == "note: pictures of 1024x768"
    assert report.ok
    assert (report.images_found, report.label_rows, report.decoded) == (10073, 10073, 10073)
    dataset = load_dataset("koniq10k", config, tmp_path / "cache")
    assert report.hash == dataset.hash()
    store = open_store(dataset, Policy(short_side=32), tmp_path / "cache")
    assert len(store) == 10073
    split = make_split(dataset, 0)
    assert (len(split.train), len(split.test)) == (8058, 2015)
