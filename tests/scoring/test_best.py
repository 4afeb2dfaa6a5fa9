"""The best there is: only a model that scores any picture, and to train only a method that learns from a folder."""

from dataclasses import replace

import pytest

from bench.core.errors import UsageError
from bench.records.store import Store
from bench.scoring.runs import best_method, best_of
from tests.report.records import body_of
from tests.report.results import specs_of


def written(home, srcc: dict[str, float | dict[int, float]], **recipe: object) -> Store:
    """Made-up runs of the demo with these SRCC, on all splits or those named, their tensors kept."""
    store = Store(home)
    (home / "states").mkdir(exist_ok=True)
    for method, values in srcc.items():
        for spec in specs_of("main", methods=method, datasets=("demo_a",)):
            spec = replace(spec, recipe=replace(spec.recipe, **recipe))
            value = values.get(spec.split) if isinstance(values, dict) else values
            if value is not None:
                store.write(body_of(spec, metrics={str(target): {"srcc": value} for target in spec.tests}))
                store.state_path(spec).touch()
    return store


@pytest.mark.parametrize("other", ["distortion_oracle", "ensemble"])
def test_what_scores_no_picture_of_its_own_is_never_the_best(tmp_path, other):
    store = written(tmp_path, {other: 0.99, "brisque": 0.5, "adapter": 0.6})
    assert best_of(store, "").arm.method == "adapter"
    with pytest.raises(UsageError, match=rf"no kept model of demo_a by {other} .*Kept there: (?!.*{other})"):
        best_of(store, f"demo_a/{other}")


def test_where_nothing_scores_pictures_that_is_what_is_said(tmp_path):
    store = written(tmp_path, {"distortion_oracle": 0.99})
    with pytest.raises(UsageError, match="No run there has kept weights that score pictures"):
        best_of(store, "")


def test_niqe_may_be_the_best_to_score_with_but_is_not_trained_on_a_folder(tmp_path):
    store = written(tmp_path, {"niqe": 0.9, "adapter": 0.6, "lora": 0.5})
    assert best_of(store, "demo_a").arm.method == "niqe"
    assert best_method(store, "demo") == "adapter"


@pytest.mark.parametrize("other", ["distortion_oracle", "ilniqe", "ensemble", "pyiqa:musiq", "mean", "rali"])
def test_a_folder_is_trained_with_the_best_of_those_that_learn_from_it(tmp_path, other):
    store = written(tmp_path, {other: 0.99, "adapter": 0.6, "brisque": 0.7})
    assert best_method(store, "demo") == "brisque"


def test_one_lucky_split_of_an_interrupted_method_is_not_the_best(tmp_path):
    store = written(tmp_path, {"lora": {0: 0.4, 1: 0.75, 2: 0.72}, "vpt": {1: 0.745}, "brisque": {1: 0.8}})
    assert best_of(store, "demo_a").arm.method == "lora"
    assert best_method(store, "demo") == "lora"


def test_methods_of_as_many_splits_are_compared_on_those_that_both_have(tmp_path):
    store = written(tmp_path, {"lora": {0: 0.9, 1: 0.5}, "vpt": {1: 0.6, 2: 0.2}})
    assert best_of(store, "demo_a").arm.method == "vpt"
    assert best_method(store, "demo") == "vpt"


def test_a_recipe_that_all_methods_share_hides_none_of_them_from_the_choice_of_one_to_train(tmp_path):
    store = written(tmp_path, {"lora": 0.7, "vpt": 0.5}, lr=0.005)
    assert best_method(store, "demo") == "lora"
    written(tmp_path, {"adapter": 0.6, "brisque": 0.4})
    assert best_method(store, "demo") == "adapter"
