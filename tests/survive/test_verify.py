"""`bench verify`: what fits is passed, and whatever was changed is named."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.metrics.agreement import score_metrics
from bench.records.store import Store, record_hash, record_text
from bench.report.verify import verify
from tests.survive.makers import record_of, specs

TARGET = "demo_a:test"


@pytest.fixture
def store(tmp_path):
    random = np.random.RandomState(0)
    human = random.uniform(1, 5, 40)
    predicted = human + random.normal(0, 1, 40)
    arrays = {f"{TARGET}/human": human, f"{TARGET}/predicted": predicted}
    Store(tmp_path).write(record_of(specs(1)[0], metrics={TARGET: score_metrics(predicted, human)}), arrays)
    return Store(tmp_path)


def rewritten(store, change):
    """Change a record and give it a fitting hash, as somebody might who knows how."""
    (path,) = store.runs.glob("*.json")
    record = json.loads(path.read_text())
    change(record)
    record["sha256"] = record_hash(record)
    path.write_text(record_text(record))


def findings(store):
    checked, found = verify(store)
    return checked, [finding.what for finding in found]


def test_a_sound_record_passes(store):
    assert findings(store) == (1, [])


@pytest.mark.parametrize("metric", ["srcc", "plcc", "krcc", "rmse"])
def test_a_metric_that_does_not_follow_from_the_predictions_is_named(store, metric):
    def improve(record):
        record["metrics"][TARGET][metric] += 0.001

    rewritten(store, improve)
    checked, found = findings(store)
    assert checked == 1
    assert len(found) == 1
    assert f"{TARGET}: {metric} is stored as" in found[0]


def test_a_missing_metric_is_named(store):
    rewritten(store, lambda record: record["metrics"][TARGET].pop("krcc"))
    assert "krcc is stored as None" in findings(store)[1][0]


def test_an_edited_record_is_named_and_not_counted(store):
    (path,) = store.runs.glob("*.json")
    path.write_text(path.read_text().replace('"srcc": 0', '"srcc": 1'))
    checked, found = findings(store)
    assert checked == 0
    assert "changed after it was written" in found[0]


def test_a_record_of_another_spec_under_this_name_is_named(store):
    rewritten(store, lambda record: record["spec"].update(split=5))
    assert "name that does not fit its spec" in findings(store)[1][0]


def test_changed_predictions_are_named(store):
    (path,) = store.runs.glob("*.npz")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert findings(store)[1] == ["its predictions were changed after they were written"]


def test_missing_predictions_are_named(store):
    (path,) = store.runs.glob("*.npz")
    path.unlink()
    assert findings(store)[1] == ["its predictions are missing"]


def test_metrics_of_other_tests_than_the_spec_names_are_named(store):
    rewritten(store, lambda record: record["metrics"].clear())
    assert "not of the tests its spec names" in findings(store)[1][0]


def test_nothing_is_changed_by_looking(store):
    before = {path: path.read_bytes() for path in Path(store.root).rglob("*") if path.is_file()}
    verify(store)
    assert before == {path: path.read_bytes() for path in Path(store.root).rglob("*") if path.is_file()}
