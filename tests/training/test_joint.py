"""Several sets in one run: whose pictures make a batch, a loss within each share, and what is shared with others."""

import multiprocessing
import signal

import numpy as np
import pytest
import torch

from bench.core.errors import Interrupted, RunError, UsageError
from bench.core.mixes import Mix, mix_of, sets_of
from bench.core.spec import RunSpec, Target
from bench.models.losses import LOSSES
from bench.planning.presets import DEMO, PAPER, STUDY
from bench.records.store import Store
from bench.report.verify import DataNow, verify
from bench.training.joint import Shares, within_shares
from bench.training.loop import can_be_recorded, epoch_batches, standardised
from bench.training.orders import epoch_order
from bench.training.run import job_of, make_run
from bench.training.session import prepare
from bench.training.signals import Signals
from tests.survive.killing import die_in
from tests.world import make_set, tiny_runtime, tiny_spec

MIX = "near+far"


def mixed_spec(method="linear_probe", train=MIX, tests=("near:test", "far:test", "third:all"), **changes):
    single = tiny_spec(method, **changes)
    return RunSpec.from_dict(single.as_dict() | {"train": train, "tests": list(tests)})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Three sets of unlike sizes, one of whose scores lie far from the others'."""
    home = tmp_path_factory.mktemp("joint")
    for name, seed, groups in (("near", 1, 5), ("far", 2, 10), ("third", 3, 4)):
        make_set(home / name, seed, groups=groups)
    labels = home / "far" / "labels.csv"
    lines = [line.split(",") for line in labels.read_text().splitlines()]
    rows = [[name, str(1000 + 50 * float(score)), group] for name, score, group in lines[1:]]
    labels.write_text("\n".join(map(",".join, [lines[0], *rows])) + "\n")
    common = {"loader": "folder", "csv": "labels.csv", "group": "group"}
    return home, {name: common | {"path": str(home / name)} for name in ("near", "far", "third")}


def job_for(world, tmp_path, spec):
    home, data = world
    runtime = tiny_runtime(tmp_path, data, cache=home / "cache")
    return job_of(prepare(spec, runtime), Store(runtime.results))


def names_of(job, batch):
    return [name.partition("/")[0] for name in job.feed.dataset.table["image"].iloc[batch.rows]]


def test_a_mix_is_one_name_however_its_sets_are_ordered():
    assert str(mix_of("b+a")) == str(Mix.of(("a", "b"))) == "a+b"
    assert str(mix_of("b+a@size")) == "a+b@size"
    assert (sets_of("b+a@size"), sets_of("koniq10k")) == (("a", "b"), ("koniq10k",))
    assert mixed_spec(train="near+far").key == mixed_spec(train="far+near@equal").key
    assert mixed_spec(train="near+far").key != mixed_spec(train="far+near@size").key


@pytest.mark.parametrize("name", ["a+a", "a+", "a@size", "a+b@half"])
def test_what_is_no_mix_is_refused(name):
    with pytest.raises(UsageError):
        mix_of(name)


@pytest.mark.parametrize("test", ["near:all", "far+near:test", "near:validation"])
def test_a_mix_is_never_tested_on_what_it_learned_or_across_scales(test):
    with pytest.raises(UsageError):
        mixed_spec(tests=(test,))


def test_equal_shares_give_every_batch_as_many_pictures_of_each_set(world, tmp_path):
    job = job_for(world, tmp_path, mixed_spec(recipe={"batch": 9}))
    assert {len(batch.rows) for batch in epoch_batches(job, 0)} == {8}
    for epoch in range(3):
        for batch in epoch_batches(job, epoch):
            assert names_of(job, batch) == ["far"] * 4 + ["near"] * 4


def test_shares_by_size_show_every_picture_once_an_epoch_in_every_batch_some(world, tmp_path):
    job = job_for(world, tmp_path, mixed_spec(train=f"{MIX}@size", recipe={"batch": 9}))
    batches = epoch_batches(job, 1)
    assert sorted(np.concatenate([batch.rows for batch in batches])) == sorted(job.train)
    assert all(len(batch.rows) <= 9 and names_of(job, batch).count("near") >= 2 for batch in batches)
    assert not can_be_recorded(job.feed, parts=1), "its shares differ from one batch to the next"


@pytest.mark.parametrize("train", [MIX, f"{MIX}@size"])
def test_each_set_is_gone_through_in_the_views_and_the_order_of_its_own_runs(world, tmp_path, train):
    job = job_for(world, tmp_path, mixed_spec(train=train, recipe={"epochs": 6, "train_views": 2}))
    batches = [batch for epoch in range(6) for batch in epoch_batches(job, epoch)]
    for name in ("far", "near"):
        own = np.flatnonzero([image.startswith(name) for image in job.feed.dataset.table["image"].iloc[job.train]])
        seen = []
        for batch in batches:
            here = np.flatnonzero([found == name for found in names_of(job, batch)])
            seen += [(batch.passes[i], batch.rows[i], batch.numbers[i]) for i in here]
        for one in range(seen[-1][0]):
            rows, numbers = epoch_order(job.train[own], job.recipe, job.split, one)
            assert [(r, n) for p, r, n in seen if p == one] == list(zip(rows, numbers, strict=True))


def test_a_share_of_one_picture_is_refused_with_the_way_out(world, tmp_path):
    job = job_for(world, tmp_path, mixed_spec(train=f"{MIX}@size", recipe={"batch": 4}))
    with pytest.raises(RunError, match=r"batch=4 leaves near fewer than 2 .*, or shares=equal"):
        Shares(job.feed, job.train, job.recipe, 0)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_the_loss_is_taken_within_each_share_and_weighted_by_its_size(loss):
    predicted, human = torch.randn(7, dtype=torch.float64), torch.randn(7, dtype=torch.float64)
    value = within_shares(LOSSES[loss], [3, 4])(predicted, human)
    wanted = 3 / 7 * LOSSES[loss](predicted[:3], human[:3]) + 4 / 7 * LOSSES[loss](predicted[3:], human[3:])
    assert value.item() == pytest.approx(wanted.item())
    moved = human + torch.tensor([0.0] * 3 + [100.0] * 4, dtype=torch.float64)
    if loss == "plcc":
        assert within_shares(LOSSES[loss], [3, 4])(predicted, moved).item() == pytest.approx(value.item())


def test_targets_are_standardised_within_each_set(world, tmp_path):
    job = job_for(world, tmp_path, mixed_spec())
    scores, sets = standardised(job), job.feed.set_of(job.train)
    for number in (0, 1):
        assert scores[sets == number].mean() == pytest.approx(0, abs=1e-9)
        assert scores[sets == number].std() == pytest.approx(1)


@pytest.mark.parametrize("method", ["glia", "linear_probe", "adapter", "ridge", "mean"])
def test_any_method_learns_a_mix_and_its_record_verifies(world, tmp_path, method):
    home, data = world
    runtime = tiny_runtime(tmp_path, data, cache=home / "cache")
    spec = mixed_spec(method)
    record, arrays = make_run(spec, runtime)
    Store(runtime.results).write(record, arrays)
    assert set(record["metrics"]) == {"near:test", "far:test", "third:all"}
    train = record["data"]["train"]
    assert (train["name"], train["n_train"]) == ("far+near", 48)
    assert {name: part["n_train"] for name, part in train["sets"].items()} == {"far": 32, "near": 16}
    assert arrays["far:test/human"].min() > 1000
    assert verify(Store(runtime.results), DataNow(data, runtime.cache, results=runtime.results)) == (1, [])


def test_each_set_is_tested_on_the_part_that_its_own_runs_hold_out(world, tmp_path):
    home, data = world
    runtime = tiny_runtime(tmp_path, data, cache=home / "cache")
    _, joint = make_run(mixed_spec("mean", split=1), runtime)
    _, single = make_run(tiny_spec("mean", split=1), runtime)
    assert joint["near:test/names"].tolist() == single["near:test/names"].tolist()


def test_a_joint_run_finds_the_stores_and_frozen_inputs_of_single_runs(world, tmp_path):
    _, data = world
    runtime = tiny_runtime(tmp_path, data)
    views = {"recipe": {"epochs": 1}}
    for train in ("near", "far"):
        single = tiny_spec("linear_probe", **views).as_dict() | {"train": train, "tests": [f"{train}:test"]}
        make_run(RunSpec.from_dict(single), runtime)
    kept = {kind: {path.name for path in (runtime.cache / kind).iterdir()} for kind in ("pixels", "frozen")}
    make_run(mixed_spec(train=f"{MIX}@size", tests=("near:test", "far:test"), **views), runtime)
    assert {kind: {path.name for path in (runtime.cache / kind).iterdir()} for kind in kept} == kept


@pytest.mark.parametrize("selection", ["val", "oracle"])
def test_an_epoch_is_chosen_by_the_mean_over_sets_and_never_across_scales(world, tmp_path, selection):
    home, data = world
    runtime = tiny_runtime(tmp_path, data, cache=home / "cache")
    spec = mixed_spec(recipe={"selection": selection, "epochs": 3})
    record, arrays = make_run(spec, runtime)
    curve = record["selection"]["curve"]
    assert len(curve) == 3
    if selection == "oracle":
        own = [record["metrics"][target]["srcc"] for target in ("near:test", "far:test")]
        assert max(curve) == pytest.approx(np.mean(own))


@pytest.mark.parametrize("method", ["linear_probe", "adapter"])
def test_a_joint_run_that_is_stopped_goes_on_to_the_bit(world, tmp_path, method):
    home, data = world
    spec = mixed_spec(method, recipe={"epochs": 3, "batch": 6})
    whole, arrays = make_run(spec, tiny_runtime(tmp_path / "whole", data, cache=home / "cache"))
    runtime = tiny_runtime(tmp_path / "stopped", data, cache=home / "cache", checkpoint_seconds=0.0)

    def stop_at(step, signals):
        def report(done, total, what, facts=None):
            if what == "training" and done == step:
                signals.stop.set()

        return report

    for step in (5, 13):
        signals = Signals()
        with pytest.raises(Interrupted):
            make_run(spec, runtime, stop_at(step, signals), signals)
    again, after = make_run(spec, runtime)
    assert again["loss"] == whole["loss"]
    for name, values in arrays.items():
        assert np.array_equal(values, after[name]), name


def test_a_batch_in_parts_has_the_gradient_of_the_whole(world, tmp_path):
    home, data = world
    spec = mixed_spec("adapter", recipe={"dropout": 0.0})
    whole, _ = make_run(spec, tiny_runtime(tmp_path / "whole", data, cache=home / "cache"))
    parts, _ = make_run(spec, tiny_runtime(tmp_path / "parts", data, cache=home / "cache", parts=3))
    assert parts["loss"] == pytest.approx(whole["loss"], abs=1e-4)


def test_presets_have_mixes_whose_recipe_is_what_their_sets_agree_on():
    (paper,), (demo,), (study,) = PAPER.joint, DEMO.joint, STUDY.joint
    assert PAPER.dataset_recipe(paper) == {"train_views": 3}
    assert PAPER.dataset_recipe("koniq10k+livec") == {}
    assert PAPER.dataset_recipe("livec+tid2013") == {"short_side": 0}
    assert (DEMO.rule_for(demo), STUDY.rule_for(study), DEMO.rule_for("demo_a+mine")) == (
        "kfold:3",
        "kfold:7",
        "random",
    )


def test_targets_know_their_set_beside_a_mix():
    spec = mixed_spec()
    assert spec.datasets == {"near", "far", "third"}
    assert spec.trained_on == ("far", "near")
    assert Target("far:test") in spec.tests


def killed_or_done(home, data, at):
    """Make the run in this process, which does not survive the given training step (0: it does)."""
    spec = mixed_spec("adapter", recipe={"epochs": 2, "batch": 6})
    if at:
        from bench.training import loop

        die_in(loop, "_step", at)
    runtime = tiny_runtime(home, data, cache=home / "cache", checkpoint_seconds=0.0)
    Store(runtime.results).write(*make_run(spec, runtime))


@pytest.mark.slow
def test_a_joint_run_that_is_killed_goes_on_to_the_bit(world, tmp_path):
    _, data = world
    context = multiprocessing.get_context("spawn")
    found = {}
    for name, moments in (("calm", [0]), ("killed", [3, 9, 0])):
        for at in moments:
            process = context.Process(target=killed_or_done, args=(tmp_path / name, data, at))
            process.start()
            process.join(120)
            assert process.exitcode == (-signal.SIGKILL if at else 0)
        store = Store(tmp_path / name / "results")
        ((record, spec),) = store.sound()
        found[name] = record["loss"], store.predictions(spec.key)
    assert found["killed"][0] == found["calm"][0]
    for name, values in found["calm"][1].items():
        assert np.array_equal(values, found["killed"][1][name]), name
