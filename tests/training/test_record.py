"""A record is made in one file, done and failed alike, and what it says of a training travels beside its tensors."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.data.locate import load_dataset
from bench.records.store import Store
from bench.training.record import DoneRecord, FailedRecord, TrainingFacts, failed_record
from bench.training.run import make_run
from bench.training.session import prepare
from bench.training.states import keep_trained, restore_trained
from tests.report.test_made_on import documented
from tests.world import make_world, tiny_runtime, tiny_spec

FACTS = TrainingFacts(
    loss=(0.5, 0.25),
    selection_epoch=1,
    selection_curve=(),
    seconds=1.5,
    images=40,
    memory_peak_bytes=1 << 20,
    places=({"device": "a CPU", "packed": 1},),
)


@pytest.fixture
def data(tmp_path):
    return make_world(tmp_path / "sets")


def test_a_record_s_type_has_the_fields_of_records_and_of_their_page(tmp_path, data):
    record, _ = make_run(tiny_spec("linear_probe"), tiny_runtime(tmp_path, data))
    assert set(record) == DoneRecord.__required_keys__
    assert set(failed_record(tiny_spec(), RuntimeError("it failed"))) == FailedRecord.__required_keys__
    hashes = {"sha256", "predictions_sha256"}  # the store adds them
    imported = {"kind", "external"}  # of scores that were made elsewhere
    fields = DoneRecord.__required_keys__ | DoneRecord.__optional_keys__ | hashes | imported
    assert {name.partition(".")[0] for name in documented()} == fields


def test_where_the_deviations_of_opinions_are_known_a_record_says_what_label_noise_allows(tmp_path, data):
    labels = Path(data["near"]["path"]) / "labels.csv"
    head, *rows = labels.read_text().splitlines()
    labels.write_text("\n".join([f"{head},sd", *(f"{row},2.0" for row in rows)]) + "\n")
    known = {**data, "near": {**data["near"], "std": "sd", "opinions": 25}}
    record, _ = make_run(tiny_spec("linear_probe"), tiny_runtime(tmp_path, known))
    test = load_dataset("near", known, tmp_path / "cache").table["score"].to_numpy()
    found = record["data"]["tests"]["near:test"]["ceiling"]
    assert 0.8 < found["srcc"] < 1
    assert found["plcc"] == pytest.approx((1 - 0.16 / test.var()) ** 0.5, abs=0.05), "0.4² of the labels' variance"
    labels.write_text("\n".join([head, *rows]) + "\n")
    record, _ = make_run(tiny_spec("linear_probe"), tiny_runtime(tmp_path / "other", data))
    assert "ceiling" not in record["data"]["tests"]["near:test"]


def test_executors_make_the_record_of_a_failed_run_without_torch():
    modules = "bench.execution.serial, bench.training.record, bench.training.shared"
    code = f"import sys, {modules}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


def test_what_is_kept_of_a_training_is_read_back_as_it_was():
    assert TrainingFacts.from_json(FACTS.to_json()) == FACTS


@pytest.mark.parametrize("damage", ["", "[]", "{}", '{"loss": [0.5]}', FACTS.to_json().replace("images", "pictures")])
def test_tensors_whose_facts_are_damaged_are_left_alone(damage, tmp_path, data, monkeypatch):
    session, store = prepare(tiny_spec("adapter"), tiny_runtime(tmp_path, data)), Store(tmp_path / "results")
    with monkeypatch.context() as patched:
        patched.setattr(TrainingFacts, "to_json", lambda _facts: damage)
        keep_trained(session, store, FACTS)
    with torch.no_grad():
        for parameter in session.model.parameters():
            if parameter.requires_grad:
                parameter.zero_()
    assert restore_trained(session, store) is None
    assert all(not value.any() for value in session.model.trainable_state().values())
    keep_trained(session, store, FACTS)
    assert restore_trained(session, store) == FACTS
