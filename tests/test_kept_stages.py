"""What LoDa's frozen CNN makes of test views is kept where it fits, and no number knows."""

import shutil
import warnings

import numpy as np
import pytest
import torch

from bench.data.caches import cache_entries
from bench.data.sheets import FileSheet
from bench.feed import Batch
from bench.run import make_run, scoring_gflops
from bench.session import prepare
from methods.loda import Stages
from tests.methods.vits import SMALL_CNN
from tests.world import make_world, tiny_runtime, tiny_spec


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def seen(monkeypatch):
    """How many pictures went through the CNN, in the order of its calls."""
    counts, maps = [], Stages.maps

    def counted(self, pictures):
        counts.append(len(pictures))
        return maps(self, pictures)

    monkeypatch.setattr(Stages, "maps", counted)
    return counts


def loda(split=0, tests=("near:test", "far:all"), **changes):
    options = {"cnn": SMALL_CNN, **changes.pop("options", {})}
    return tiny_spec("loda", split, tests, options=options, recipe={"size": 64}, **changes)


def sheets(home):
    return [entry for entry in cache_entries(home / "cache") if entry.kind == "frozen"]


def feed_of(spec, runtime):
    feed = prepare(spec, runtime).feed
    feed.frozen.frozen["stages"].compute.__self__.cnn.eval()
    return feed


def ask(feed, rows, training=False):
    rows = np.array(rows)
    return feed.inputs(Batch(rows, np.zeros(len(rows), dtype=np.int64), epoch=0, training=training)).get("stages")


@pytest.mark.parametrize("injector", [True, False])
def test_scores_are_the_same_with_an_empty_a_full_and_no_cache(tmp_path, data, seen, monkeypatch, injector):
    spec = loda(options={"injector": injector})
    asked, made = [], []
    for use_cache in (True, True, False):
        seen.clear()
        monkeypatch.setattr("bench.run._gflops", {})
        made.append(make_run(spec, tiny_runtime(tmp_path, data, use_cache=use_cache))[1])
        asked.append(sum(seen))
        shutil.rmtree(tmp_path / "results", ignore_errors=True)
    for name, values in made[0].items():
        assert np.array_equal(values, made[1][name]), name
        assert np.array_equal(values, made[2][name]), name
    views = 2 * sum(len(made[0][f"{target}/predicted"]) for target in spec.tests)
    assert asked[1] <= asked[2] - views + 2, "what is kept is not computed again; one picture a set tells the shapes"
    assert asked[0] <= asked[2] + 2, "an empty cache costs no more than none"


def test_another_split_computes_what_no_split_tested_before_but_never_very_few(tmp_path, data, seen, monkeypatch):
    monkeypatch.setattr("bench.data.frozen.CHUNK", 4)
    runtime = tiny_runtime(tmp_path, data)
    ask(feed_of(loda(), runtime), [0, 1, 2, 5])
    other = feed_of(loda(split=1), runtime)
    seen.clear()
    both = ask(other, [1, 2, 7, 8, 5, 9])
    assert seen == [4]
    fresh = ask(feed_of(loda(), tiny_runtime(tmp_path / "fresh", data)), [9, 8, 7, 5, 2, 1])
    torch.testing.assert_close(both, fresh[[5, 4, 2, 1, 3, 0]], rtol=1e-5, atol=1e-6)


def test_training_and_drifting_statistics_keep_nothing(tmp_path, data):
    assert ask(feed_of(loda(), tiny_runtime(tmp_path, data)), [0, 1], training=True) is None
    assert not prepare(loda(options={"bn": "train"}), tiny_runtime(tmp_path, data)).model.features.frozen
    assert not sheets(tmp_path)


def test_a_set_whose_views_take_too_much_of_the_cache_is_left_to_the_cnn_without_a_word(tmp_path, data, seen):
    feed = feed_of(loda(), tiny_runtime(tmp_path / "ample", data))
    row = ask(feed, [0, 1]).nbytes // 2
    all_views = row * len(feed.dataset) * loda().recipe.test_views
    for limit, kept in ((8 * all_views + 8, True), (8 * all_views - 8, False)):
        home = tmp_path / str(limit)
        feed = feed_of(loda(), tiny_runtime(home, data, cache_limit_bytes=limit))
        seen.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = [ask(feed, [0, 1]) for _ in range(3)]
        assert all((value is not None) == kept for value in found)
        assert len(sheets(home)) == kept
        assert kept or sum(seen) == 1, "one picture tells the size, once"


def test_a_disk_that_fills_up_leaves_it_to_the_cnn(tmp_path, data, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileSheet, "put", full)
    feed = feed_of(loda(), tiny_runtime(tmp_path, data))
    assert ask(feed, [0, 1]) is None
    assert ask(feed, [0, 1]) is None


def test_gflops_of_scoring_count_the_cnn_whether_it_is_kept_or_not(tmp_path, data, monkeypatch):
    found = []
    for use_cache in (True, False):
        monkeypatch.setattr("bench.run._gflops", {})
        session = prepare(loda(), tiny_runtime(tmp_path, data, use_cache=use_cache))
        for _ in range(2):
            session.model.eval()
            session.feed.inputs(Batch(np.arange(4), np.zeros(4, dtype=np.int64), epoch=0, training=False))
        found.append(scoring_gflops(session))
    monkeypatch.setattr(Stages, "maps", lambda self, pictures: [torch.zeros(1, c, 2, 2) for c in CHANNELS])
    monkeypatch.setattr("bench.run._gflops", {})
    without = scoring_gflops(prepare(loda(), tiny_runtime(tmp_path, data, use_cache=False)))
    assert found[0] == found[1] > without


CHANNELS = (24, 32, 48, 64)
