"""A results folder of the commit before bench/ got its rooms: every run is done, sound, and keeps its name.

tests/fixtures_flat holds two runs made by it on the tiny world, a GLIA and a linear probe. Where a method's code is
changed on purpose its run is no answer any more: then make the fixture again with the code before and after. Views have
been drawn otherwise since (NUMERICS is 2), which is why this test says that it was not.
"""

import json
import shutil
from pathlib import Path

from bench.records.store import Store
from bench.report.verify import verify
from tests.world import tiny_spec

FLAT = Path(__file__).resolve().parents[1] / "fixtures_flat"
RECIPE = {"epochs": 2, "batch": 8, "lr": 0.01, "size": 32, "test_views": 2, "short_side": 0}


def test_no_run_is_made_again_because_files_of_the_harness_moved(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.core.code.NUMERICS", 1)
    shutil.copytree(FLAT, tmp_path / "results")
    store = Store(tmp_path / "results")
    wanted = [spec for _, spec in store.sound()]
    assert sorted(spec.method for spec in wanted) == ["glia", "linear_probe"]
    assert store.pending(wanted, "changed") == []
    assert store.problems == []
    assert verify(store) == (2, [])


def test_a_run_is_named_today_as_it_was_then():
    known = {json.loads(path.read_text())["spec"]["method"]: path.stem for path in (FLAT / "runs").glob("*.json")}
    for method, key in known.items():
        assert tiny_spec(method, recipe=RECIPE).key == key
