"""What is told of a run under way: which run of how many, its method, set and split, the epoch and the loss."""

from bench.cli.status import describe_holder
from bench.core.progress import NO_FACTS
from bench.execution.orders import ExecutionOptions
from bench.execution.serial import execute_serial
from tests.world import make_world, tiny_runtime, tiny_spec


def watched(home, specs, **changes):
    """Every (what, facts) that a plan's execution reports."""
    told = []

    def report(_done, _total, what, facts=NO_FACTS, /):
        told.append((what, facts))

    runtime = tiny_runtime(home, make_world(home / "sets"), **changes)
    assert len(execute_serial(specs, runtime, ExecutionOptions(report=report)).done) == len(specs)
    return told


def test_a_training_is_told_of_with_its_place_in_the_plan_its_epoch_its_loss_and_its_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.training.loop.LOOK_SECONDS", -1.0)
    told = watched(tmp_path, [tiny_spec(split=0), tiny_spec(split=1)], pack=1)
    training = [(what, facts) for what, facts in told if what.endswith(": training")]
    assert training[0][0] == "run 1 of 2: glia on near, split 0: training"
    assert training[-1][0] == "run 2 of 2: glia on near, split 1: training"
    assert (training[0][1]["epoch"], training[-1][1]["epoch"], training[-1][1]["epochs"]) == (1, 2, 2)
    assert all(facts["loss"] > 0 and facts["memory_bytes"] > 1 << 20 for _, facts in training)
    assert "images_s" not in training[0][1], "nothing was watched yet"
    assert training[1][1]["images_s"] > 0
    assert ("run 1 of 2: glia on near, split 0: testing on near:test", {}) in told


def test_runs_that_are_made_together_are_told_of_together(tmp_path):
    told = watched(tmp_path, [tiny_spec("linear_probe", split) for split in range(3)], pack=3)
    training = [what for what, _ in told if what.endswith(": training")]
    assert training[0] == "runs 1 to 3 of 3: 3 runs of linear_probe on near: training"


def test_the_loss_that_is_told_is_the_mean_of_the_epoch_so_far(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.training.loop.LOOK_SECONDS", -1.0)
    told = watched(tmp_path, [tiny_spec()])
    last_of = [facts for _, facts in told if facts.get("epoch") == 1][-1]
    from bench.records.store import Store

    (record,) = Store(tmp_path / "results").records()
    assert abs(last_of["loss"] - record["loss"][0]) < 1e-6


def test_status_says_epoch_and_loss_of_a_run_elsewhere():
    facts = {"method": "glia", "train": "near", "split": 1, "since": 0.0, "at": 3, "of": 8, "doing": "training"}
    facts |= {"doing_since": 0.0, "first": 0}
    text = describe_holder(facts | {"shown": "epoch 1/2, loss 0.400"}, now=60.0)
    assert "training 3/8, epoch 1/2, loss 0.400, about" in text
