"""A whole run on every set, from the authors' own layout to a verified record."""

import pytest

from bench.core.runtime import Runtime
from bench.planning.presets import PAPER
from bench.planning.protocol import MethodChoice, Request
from bench.records.store import Store
from bench.report.verify import DataNow, verify
from bench.training.run import make_run
from tests.data.trees import SMALL
from tests.fixtures_data import build
from tests.world import TINY


def spec_of(name, method="linear_probe", limit=40, **recipe):
    small = {"epochs": 1, "batch": 16, "size": 32, "train_views": 1, "test_views": 1} | recipe
    small |= {"short_side": 40} if PAPER.dataset_recipe(name).get("short_side", 384) else {}
    request = Request(PAPER, recipe=small, common={"backbone": TINY, "weights": "random", "limit": limit})
    return request.spec(MethodChoice(method), name, (f"{name}:test",), 0)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_run_completes_on_the_tree_as_its_authors_ship_it(name, trees, tmp_path, monkeypatch):
    path = trees.fresh(name, monkeypatch)
    data = {name: {"path": str(path)}}
    runtime = Runtime(tmp_path / "results", tmp_path / "cache", data, device="cpu", threads=1)
    record, predictions = make_run(spec_of(name), runtime)
    store = Store(runtime.results)
    store.write(record | {"status": "done", "error": None}, predictions)
    assert record["data"]["train"]["n"] == 40
    assert verify(store, DataNow(data, runtime.cache, results=runtime.results)) == (1, [])


@pytest.mark.slow
def test_one_epoch_on_the_whole_of_koniq(tmp_path):
    build("koniq10k", tmp_path)
    runtime = Runtime(tmp_path / "results", tmp_path / "cache", {"root": str(tmp_path)}, device="cpu", threads=1)
    record, predictions = make_run(spec_of("koniq10k", limit=0, batch=128), runtime)
    assert (record["data"]["train"]["n_train"], record["data"]["train"]["n_test"]) == (8058, 2015)
    assert len(predictions["koniq10k:test/predicted"]) == 2015
