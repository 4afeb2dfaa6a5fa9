"""A rough time without records: the networks' work, counted without weights, over a measured rate."""

import pytest

from bench.execution.profiling.estimate import SECONDS_EACH, operations, resized, rough_seconds
from bench.models.weightless import PictureWork, count_picture_work
from bench.records.store import Store
from bench.records.times import Times, kind_of
from bench.training.run import make_run
from tests.survive.makers import record_of
from tests.world import RECIPE, make_world, tiny_runtime, tiny_spec

WORK = PictureWork(training=3.0, scoring=1.0, frozen=0.0, frozen_each=0.0, one_view=False)


def test_work_is_pictures_times_epochs_times_views_of_training_and_of_tests():
    spec = tiny_spec(tests=("near:test", "far:all"), recipe={"epochs": 5, "train_views": 2, "test_views": 3})
    images = {"near": 100, "far": 40}
    assert operations(spec, 1, images, WORK) == 80 * 5 * 2 * 3 + (20 + 40) * 3
    assert operations(spec, 4, images, WORK) == 4 * operations(spec, 1, images, WORK)
    assert operations(spec, 1, images, WORK, trained=True) == (20 + 40) * 3


def test_records_of_another_kind_of_device_predict_nothing(tmp_path):
    store, spec = Store(tmp_path), tiny_spec()
    store.write(record_of(spec, seconds={"train": 60.0}, numerics={"trained": {"device_type": "cuda"}}))
    assert Times.read(store, "cpu").of(kind_of(spec)) is None
    assert Times.read(store, "cuda").of(kind_of(spec)) == Times.read(store).of(kind_of(spec)) == 60.0
    store.write(record_of(spec, seconds={"train": 90.0}))
    assert Times.read(store, "cpu").of(kind_of(spec)) == 90.0, "nobody knows on what it was made"


def test_frozen_inputs_are_counted_once_for_all_splits():
    spec = tiny_spec(recipe={"epochs": 5, "train_views": 1, "test_views": 3})
    fixed = PictureWork(0.0, 0.0, frozen=7.0, frozen_each=0.0, one_view=True)
    assert operations(spec, 9, {"near": 100}, fixed) == 700
    each = PictureWork(0.0, 0.0, frozen=0.0, frozen_each=1.0, one_view=False)
    assert operations(spec, 1, {"near": 100}, each) == 80 * 5 + 20 * 3
    assert operations(spec, 9, {"near": 100}, each) == 100 * (5 + 3), "no view is looked at twice"


def test_what_is_frozen_is_counted_once_for_all_rates_of_a_search(tmp_path, monkeypatch):
    each = PictureWork(training=0.0, scoring=0.0, frozen=0.0, frozen_each=1e9, one_view=False)
    monkeypatch.setattr("bench.execution.profiling.estimate.count_picture_work", lambda spec: each)
    monkeypatch.setattr("bench.execution.profiling.estimate.matmul_rate", lambda device, precision: 1e9)
    runtime = tiny_runtime(tmp_path, make_world(tmp_path / "sets"))
    beside = {key: value for key, value in RECIPE.items() if key not in ("lr", "epochs")}
    search = [
        tiny_spec("linear_probe", split=split, recipe={**beside, "lr": rate, "epochs": 5})
        for split in range(9)
        for rate in (1e-3, 1e-2)
    ]
    one_rate = [spec for spec in search if spec.recipe.lr == 1e-3]
    extra = SECONDS_EACH * (len(search) - len(one_rate))
    assert rough_seconds(search, runtime) == pytest.approx(rough_seconds(one_rate, runtime) + extra)


@pytest.mark.parametrize("method", ["glia", "lora", "loda", "linear_probe", "full_finetune"])
def test_the_work_counted_without_weights_is_that_of_a_real_run(method, tmp_path):
    options = {"cnn": "test_resnet.r160_in1k"} if method == "loda" else {}
    spec = tiny_spec(method, options=options)
    record, _ = make_run(spec, tiny_runtime(tmp_path, make_world(tmp_path / "sets")))
    work = count_picture_work(spec)
    scored = work.scoring + work.frozen + work.frozen_each
    assert scored / 1e9 == pytest.approx(record["gflops"], rel=0.02, abs=1e-4)
    if method in ("lora", "glia"):
        assert 1.5 < work.training / work.scoring < 2.5, "frozen weights have no gradient of their own"
    if method == "full_finetune":
        assert 2.5 < work.training / work.scoring < 3.2


@pytest.mark.parametrize("method", ["glia", "lora", "linear_probe", "full_finetune"])
@pytest.mark.parametrize("backbone", ["vit_small_patch16_224", "vit_base_patch32_224"])
def test_a_method_counted_on_one_backbone_is_known_on_others(method, backbone):
    options = {"grid": 7, "fragment": 32} if method == "glia" else {}
    backbones = ("vit_tiny_patch16_224", backbone)
    tiny, other = (tiny_spec(method, backbone=name, options=options, recipe={"size": 224}) for name in backbones)
    found, counted = resized(tiny, count_picture_work(tiny), other), count_picture_work(other)
    for part in ("training", "scoring", "frozen", "frozen_each"):
        assert getattr(found, part) == pytest.approx(getattr(counted, part), rel=0.35), part


def test_a_method_is_counted_once_for_a_plan_of_many_kinds_of_runs(tmp_path, monkeypatch):
    counted = []

    def count(spec):
        counted.append(spec.method)
        return WORK

    monkeypatch.setattr("bench.execution.profiling.estimate.count_picture_work", count)
    specs = [tiny_spec("lora", options={"rank": rank}, recipe={"size": size}) for rank in (2, 4) for size in (160, 320)]
    rough_seconds([*specs, tiny_spec("glia")], tiny_runtime(tmp_path, make_world(tmp_path / "sets")))
    assert counted == ["lora", "glia"]


def test_a_method_that_cannot_be_counted_is_taken_for_a_full_fine_tune(tmp_path):
    runtime = tiny_runtime(tmp_path, make_world(tmp_path / "sets"))
    dear, other = (rough_seconds([tiny_spec(name)], runtime) for name in ("full_finetune", "peft:boft"))
    assert other == pytest.approx(dear, rel=0.5)
